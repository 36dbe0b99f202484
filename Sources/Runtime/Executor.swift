import Devices
import ModelGraph
import Planning
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

/// Owns the memory of a plan and runs its steps.
final class Executor {
  let plan: ExecutionPlan
  let devices: [any Device]
  /// Keeps mapped weights readable.
  private let source: any WeightSource

  /// Makes every buffer and brings every weight to its device; where that fails, nothing stays.
  init(
    _ plan: ExecutionPlan, devices: [any Device], weights source: any WeightSource
  ) throws(DeviceError) {
    self.plan = plan
    self.devices = devices
    self.source = source
    for buffer in plan.buffers {
      try devices[buffer.device].allocate(buffer.id, bytes: buffer.bytes, label: buffer.label)
    }
    for map in plan.maps { try devices[map.device].map(source.bytes(of: map.weight), as: map.id) }
    for load in plan.loads {
      try devices[load.device].load(load.weight, source.bytes(of: load.weight), to: load.region)
    }
    for fill in plan.fills {
      try devices[fill.device].write(array: fill.values, to: fill.region)
    }
  }

  deinit {
    for buffer in plan.buffers { devices[buffer.device].release(buffer.id) }
    for map in plan.maps { devices[map.device].release(map.id) }
  }

  /// Runs one step and waits for its logits.
  func run(_ step: StepPlan) throws(DeviceError) -> Logits {
    let sizes = SymbolSizes(rows: step.rowCount, outputs: step.outputRows.count)
    precondition(
      sizes.rows <= plan.bounds.rows && sizes.outputs <= plan.bounds.outputs
        && step.tables.count <= plan.stepLayout.tableCapacity, "a step within the plan's bounds")
    let bytes = plan.stepLayout.encode(step)
    for (device, id) in plan.stepBuffers {
      try devices[device].write(array: bytes, to: Region(buffer: id))
    }
    for item in plan.steps {
      switch item {
      case .run(let device, let instructions):
        try devices[device].run(instructions, sizes: sizes)
      case .transfer(let source, let from, let target, let to):
        let bytes = try devices[from].array(
          of: UInt8.self, count: source.bytes(sizes), at: source.region)
        try devices[to].write(array: bytes, to: target.region)
      }
    }
    let (device, operand) = plan.logits
    let values = try devices[device].array(
      of: Float.self, count: sizes.outputs * operand.width, at: operand.region)
    return Logits(values: values, width: operand.width)
  }
}

extension StepLayout {
  /// The step buffer's bytes.
  func encode(_ step: StepPlan) -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: bytes)
    buffer.withUnsafeMutableBytes { target in
      for plane in planes {
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
  fileprivate func array<T: BitwiseCopyable>(
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
