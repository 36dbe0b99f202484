import Devices
import ModelGraph
import Planning
import Residency
import Scheduling
import Tensors

/// Logits of one step: a row of `width` numbers for each output of the plan.
package struct Logits: Sendable {
  package let values: [Float]
  package let width: Int

  package var count: Int { width == 0 ? 0 : values.count / width }

  /// One row.
  package subscript(_ row: Int) -> ArraySlice<Float> {
    values[row * width..<(row + 1) * width]
  }
}

/// What a run has allocated so far, in bytes, as the allocators counted it.
package struct MemoryUse: Sendable, Hashable {
  /// On one device of the plan.
  package struct OnDevice: Sendable, Hashable {
    /// The most that was in buffers.
    package var buffers: Int
    /// The most that loading took on the host beside them.
    package var staging: Int
  }

  package var devices: [OnDevice]
  /// The most that one value took on the host.
  package var readBack: Int
}

/// Owns the memory of a plan and runs its steps.
final class Executor {
  let plan: ExecutionPlan
  let devices: [any Device]
  /// Chooses pages where that takes no scores.
  let policy: CachePolicy
  /// Pages that the next step reads where the plan takes them from lists: for each layer those of each kv head.
  var lists: [Int: [[Int]]] = [:]
  /// Notes what happens, while somebody wants to know.
  var recorder: Recorder?
  /// Keeps mapped weights readable; nil where there are none, so that the file can go.
  private let mapped: (any WeightSource)?
  /// For each device, the most bytes of a weight in the file's layout at one time while loading.
  private var lent: [Int]
  /// The most bytes that one value took on the host.
  private var readBack = 0

  /// Makes every buffer and brings every weight to its device; where that fails, nothing stays.
  init(
    _ plan: ExecutionPlan, devices: [any Device], weights source: any WeightSource,
    policy: CachePolicy
  ) throws(EngineError) {
    self.plan = plan
    self.policy = policy
    self.devices = devices
    mapped = plan.maps.isEmpty ? nil : source
    lent = devices.map { _ in 0 }
    // A device's self-test may have taken more than a small model does.
    for device in devices { device.restartLedger() }
    do throws(DeviceError) {
      for buffer in plan.buffers {
        try devices[buffer.device].allocate(buffer.id, bytes: buffer.bytes, label: buffer.label)
      }
      for map in plan.maps {
        try devices[map.device].map(source.bytes(of: map.weight), as: map.id)
      }
      for fill in plan.fills {
        try devices[fill.device].write(array: fill.values, to: fill.region)
      }
    } catch { throw .device(error) }
    for load in plan.loads {
      for rows in load.parts { try bring(rows, of: load, from: source) }
    }
    // Parts of two files would be no model, and nobody asks again once everything is copied.
    if !plan.loads.isEmpty, let complaint = source.complaint() {
      throw .weights(WeightError(complaint))
    }
  }

  /// Brings one part of a weight to its device.
  private func bring(
    _ rows: Range<Int>, of load: ExecutionPlan.Load, from source: any WeightSource
  ) throws(EngineError) {
    var failure: DeviceError?
    do throws(WeightError) {
      try source.lend(rows, of: load.weight) { bytes in
        lent[load.device] = max(lent[load.device], bytes.count)
        do throws(DeviceError) {
          try devices[load.device].load(load.weight, rows: rows, bytes, to: load.region)
        } catch { failure = error }
      }
    } catch { throw .weights(error) }
    if let failure { throw .device(failure) }
  }

  /// What was allocated so far.
  var memory: MemoryUse {
    MemoryUse(
      devices: zip(devices, lent).map { device, lent in
        MemoryUse.OnDevice(
          buffers: device.ledger.peak, staging: lent + device.ledger.staging)
      }, readBack: readBack)
  }

  /// What the rows that the last step observed attended to: for each layer that keeps a part of a prompt.
  func columns() throws(DeviceError) -> [[Float]] {
    try plan.columns.map { sums throws(DeviceError) in
      try devices[sums.device].array(
        of: Float.self, count: sums.operand.bytes(plan.bounds) / 4, at: sums.operand.region)
    }
  }

  /// Why mapped weights can no longer be trusted, or nil.
  var complaint: String? { mapped?.complaint() }

  deinit {
    for buffer in plan.buffers { devices[buffer.device].release(buffer.id) }
    for map in plan.maps { devices[map.device].release(map.id) }
  }

  /// Runs one step and waits for its logits.
  func run(_ step: StepPlan) throws(DeviceError) -> Logits {
    let sizes = SymbolSizes(
      rows: step.rowCount, outputs: step.outputRows.count, depth: step.depth, runs: step.runs,
      fillsPages: step.fillsPages(of: KVLayout.pageTokens))
    let other = step.chooses ? plan.chosen : step.isSparse ? plan.sparse : nil
    let (bounds, steps) = (other?.bounds ?? plan.bounds, other?.steps ?? plan.steps)
    precondition(
      sizes.rows <= bounds.rows && sizes.outputs <= bounds.outputs
        && step.tables.count <= plan.stepLayout.tableCapacity, "a step within the plan's bounds")
    let bytes = plan.stepLayout.encode(step, policy, lists)
    for (device, id) in plan.stepBuffers {
      try devices[device].write(array: bytes, to: Region(buffer: id))
    }
    recorder?.mark(.write)
    for item in steps {
      switch item {
      case .run(let device, let instructions):
        try devices[device].run(instructions, sizes: sizes)
      case .transfer(let source, let from, let target, let to):
        let bytes = try devices[from].array(
          of: UInt8.self, count: source.bytes(sizes), at: source.region)
        readBack = max(readBack, bytes.count)
        try devices[to].write(array: bytes, to: target.region)
      }
    }
    recorder?.mark(.submit)
    let (device, operand) = other?.logits ?? plan.logits
    let values = try devices[device].array(
      of: Float.self, count: sizes.outputs * operand.width, at: operand.region)
    readBack = max(readBack, operand.bytes(sizes))
    recorder?.mark(.wait)
    try recorder?.collect(step, plan.stepLayout, from: devices)
    recorder?.mark(.record)
    return Logits(values: values, width: operand.width)
  }
}

extension StepPlane {
  /// Whether a step reads it: some are read only where rows read chosen pages, or attend to chosen tokens.
  fileprivate func isRead(by step: StepPlan) -> Bool {
    switch self {
    case .chosenEnd, .chosenTable, .chosenTables, .layerTables, .keptEnd, .keptTables,
      .cachePositions, .sinkEnd:
      step.chooses
    case .wholeTables: step.isSparse
    default: true
    }
  }
}

extension StepLayout {
  /// The step buffer's bytes.
  func encode(
    _ step: StepPlan, _ policy: CachePolicy, _ lists: [Int: [[Int]]] = [:]
  ) -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: bytes)
    buffer.withUnsafeMutableBytes { target in
      for plane in planes where plane.isRead(by: step) {
        let numbers =
          switch plane {
          case .tokens: step.tokens
          case .positions: step.positions
          case .slots: step.slots
          case .begin(let window): step.begin(window: window)
          case .end: step.end
          case .table: step.table
          case .outputRows: step.outputRows
          case .tables: step.tables
          case .windowSlots: step.windowSlots
          case .windowTables: step.windowTables
          case .latestBegin: step.latestBegin
          case .cachePositions(let pages):
            step.cachePositions(pages: pages, pageTokens: KVLayout.pageTokens)
          case .sinkEnd: step.sinkEnd(pageTokens: KVLayout.pageTokens)
          case .chosenEnd(let pages): step.end(pages: pages, pageTokens: KVLayout.pageTokens)
          case .chosenTable(let stride): (0..<step.rowCount).map { Int32($0 * stride) }
          case .chosenTables(let pages):
            step.chosenTables(pages: pages, by: policy, pageTokens: KVLayout.pageTokens)
          case .allRows: (0..<step.rowCount).map { Int32($0) }
          case .observed(let count):
            step.observed
              + [Int32](repeating: -1, count: (count ?? step.rowCount) - step.observed.count)
          case .keptEnd(let place): step.keptEnd(place: place, pageTokens: KVLayout.pageTokens)
          case .keptTables(let place, let heads, let stride):
            step.keptTables(place: place, heads: heads, stride: stride)
          case .layerTables(let layer, let stride):
            step.layerTables(lists[layer] ?? [], stride: stride)
          case .wholeTables: (0..<tableCapacity).map { Int32($0) }
          }
        numbers.withUnsafeBytes {
          UnsafeMutableRawBufferPointer(rebasing: target[offset(plane)...]).copyMemory(from: $0)
        }
      }
    }
    return buffer
  }
}

extension Device {
  /// Copies an array to the device.
  fileprivate func write<T: BitwiseCopyable>(
    array: [T], to region: Region
  ) throws(DeviceError) {
    if array.isEmpty { return }
    let result = array.withUnsafeBytes { bytes in
      Result { () throws(DeviceError) in try self.write(bytes, to: region) }
    }
    try result.get()
  }

  /// Copies an array from the device.
  func array<T: BitwiseCopyable>(
    of type: T.Type, count: Int, at region: Region
  ) throws(DeviceError) -> [T] {
    if count == 0 { return [] }
    var result: Result<Void, DeviceError> = .success(())
    let array = [T](unsafeUninitializedCapacity: count) { buffer, initialized in
      let bytes = UnsafeMutableRawBufferPointer(buffer)
      bytes.initializeMemory(as: UInt8.self, repeating: 0)
      result = Result { () throws(DeviceError) in
        try self.read(
          region,
          into: UnsafeMutableRawBufferPointer(
            rebasing: bytes[..<(count * MemoryLayout<T>.stride)]))
      }
      initialized = count
    }
    try result.get()
    return array
  }
}
