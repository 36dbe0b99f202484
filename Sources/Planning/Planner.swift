package import Devices
package import ModelGraph
import Tensors

/// Turns a graph into an execution plan for a list of devices.
package struct Planner {
  /// What a step may hold at most.
  package var bounds: SymbolSizes
  /// Pages of each layer's pool.
  package var pageCount: Int
  package var element: KVLayout.Element
  /// Whether devices that can do so read weights where the file is mapped.
  package var mapsWeights = true
  /// Whether neighbouring operations become one where a device has a kernel for them.
  package var fuses = true
  /// Bytes of a weight that are brought to a device at once.
  package var partBytes = Self.defaultPartBytes
  /// Much more than a call costs, and little beside any model.
  package static let defaultPartBytes = 4 << 20

  package init(bounds: SymbolSizes, pageCount: Int, element: KVLayout.Element) {
    self.bounds = bounds
    self.pageCount = pageCount
    self.element = element
  }

  /// Plans a verified graph.
  ///
  /// - Parameters:
  ///   - graph: The model.
  ///   - devices: In order of preference; each operation goes to the first that takes it.
  /// - Returns: A plan whose device indices are places in `devices`.
  /// - Throws: ``PlanningError`` where no device takes an operation or something does not fit.
  package func plan(
    _ graph: Graph, on devices: [any Device]
  ) throws(PlanningError) -> ExecutionPlan {
    let apart = LoweredGraph(graph, element: element)
    let placed = try apart.placements(on: devices)
    let (lowered, placements) = fuses ? apart.fused(placed, on: devices) : (apart, placed)
    var assembly = Assembly(lowered, placements, devices, self)
    try assembly.placeWeights(constants: graph.constants)
    try assembly.placePools()
    try assembly.placeStepBuffers()
    try assembly.placeInstructions()
    return assembly.plan
  }

  /// The operations and types that a graph needs on a device that takes all of them: fused ones and
  /// their parts. A whole plan would say no more of that.
  package func operations(
    of graph: Graph, on device: any Device
  ) throws(PlanningError) -> Set<OperationKey> {
    let apart = LoweredGraph(graph, element: element)
    let placed = try apart.placements(on: [device])
    let fused = apart.fused(placed, on: [device]).1
    return Set((placed + fused).map(\.key))
  }
}
