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
  /// Whether heads are rotated on their way to the pages, and what is attended on its way back.
  package var rotates = false
  /// Whether rows read the tokens of their own window as they came, where pages hold codes: rows are the likelier to
  /// attend to tokens the nearer these are, and codes of few bits lose the most there (KIVI, Liu et al., 2024). Models
  /// whose layers look back over a window do without.
  package var keepsLatest = false
  /// Tokens of such a window; windows are cut from the beginning of the text on.
  package static let latestTokens = KVLayout.windowTokens
  /// Which pages rows read while a text is generated, or nil for all.
  package var reading: PageReading?
  /// How rows of a prompt attend to a part of what they see, or nil for all.
  package var sparsity: PromptSparsity?
  /// Whether devices that can do so read weights where the file is mapped.
  package var mapsWeights = true
  /// Whether neighbouring operations become one where a device has a kernel for them.
  package var fuses = true
  /// Whether lists of chosen pages, the scores by which they were chosen, and what tokens would be attended to if all
  /// were read, which is computed for that alone, stay where they are until the step is over, for whoever wants to read
  /// them.
  package var keepsChoices = false
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
    for case .attention(let attention) in graph.nodes.lazy.map(\.op) {
      guard KVLayout.holds(headWidth: attention.headWidth, as: element) else {
        throw .headWidth(attention.headWidth, element: element)
      }
      guard !element.keysByElement || keepsLatest(of: graph) else {
        throw .latestTokens(element: element)
      }
    }
    guard let window = windowPool(of: graph) ?? (keepsLatest(of: graph) ? latestPool : nil) else {
      return try plan(graph, on: devices, window: nil)
    }
    var planner = self
    if window.isAligned {
      // No step goes further than its places.
      planner.bounds.rows = min(bounds.rows, window.pages * KVLayout.pageTokens)
      planner.bounds.outputs = min(bounds.outputs, planner.bounds.rows)
    }
    return try planner.plan(graph, on: devices, window: window)
  }

  private func plan(
    _ graph: Graph, on devices: [any Device], window: WindowPool?
  ) throws(PlanningError) -> ExecutionPlan {
    let lists = lists(of: graph)
    // Both use the same caches: what one asks of a device, the other does too.
    let all = lists.flatMap(\.nodes)
    let placed = try lists.map { list throws(PlanningError) in
      let placements = try list.placements(on: devices, sharingWith: all)
      return fuses ? list.fused(placements, on: devices) : (list, placements)
    }
    var assembly = Assembly(placed[0].0, placed[0].1, devices, self, window: window)
    for (list, (lowered, placements)) in zip(otherLists, placed.dropFirst()) {
      assembly.add(list, lowered, placements)
    }
    try assembly.placeWeights(constants: graph.constants)
    try assembly.placePools()
    try assembly.placeStepBuffers()
    try assembly.placeInstructions()
    return assembly.plan
  }

  /// The pool of layers that look back over a window only, or nil where none does.
  private func windowPool(of graph: Graph) -> WindowPool? {
    let windows = graph.nodes.compactMap { node in
      if case .attention(let attention) = node.op { attention.window } else { nil }
    }
    guard let window = windows.max() else { return nil }
    let held = min(window, pageCount * KVLayout.pageTokens)
    // What the first row of a step looks back to, up to the last row, wherever in a page that begins.
    let pages = KVLayout.pages(held + bounds.rows) + 1
    return WindowPool(tokens: window, pages: min(pages, pageCount))
  }

  private func keepsLatest(of graph: Graph) -> Bool {
    keepsLatest && windowPool(of: graph) == nil
  }

  /// The pool of the latest tokens: one window, or more where they are little beside the context. A step goes no
  /// further than they do.
  private var latestPool: WindowPool {
    let window = Self.latestTokens / KVLayout.pageTokens
    let pages = max(window, pageCount / 128 / window * window)
    return WindowPool(
      tokens: Self.latestTokens, pages: min(pages, pageCount), isAligned: true)
  }

  /// A list of instructions for some steps, beside the one for all others.
  enum OtherList {
    /// Rows read chosen pages.
    case chosen
    /// Rows of a prompt attend to chosen tokens.
    case sparse
  }

  private var otherLists: [OtherList] {
    (reading == nil ? [] : [.chosen]) + (sparsity == nil ? [] : [.sparse])
  }

  /// The graph as it runs, and as it runs in steps of other kinds.
  private func lists(of graph: Graph) -> [LoweredGraph] {
    ([nil] + otherLists).map { list in
      LoweredGraph(
        graph, element: element, rotates: rotates, keepsLatest: keepsLatest(of: graph),
        reading: reading, isChosen: list == .chosen,
        weighs: list == .chosen && keepsChoices, sparsity: list == .sparse ? sparsity : nil,
        pageCount: pageCount)
    }
  }

  /// The operations and types that a graph needs on a device that takes all of them: fused ones and
  /// their parts. A whole plan would say no more of that.
  package func operations(
    of graph: Graph, on device: any Device
  ) throws(PlanningError) -> Set<OperationKey> {
    var keys: Set<OperationKey> = []
    for list in lists(of: graph) {
      let placed = try list.placements(on: [device], sharingWith: list.nodes)
      let fused = list.fused(placed, on: [device]).1
      keys.formUnion((placed + fused).map(\.key))
    }
    return keys
  }
}
