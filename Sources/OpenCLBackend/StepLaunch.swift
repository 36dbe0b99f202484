import COpenCL
import Devices
import ModelGraph

/// Steps as one launch each: `Kernels/step/step.cl`, made for a list of instructions.
final class StepLaunch {
  /// Of lists that are shorter, launches cost little.
  static let fewestInstructions = 8
  /// Words of a phase before its arguments.
  private static let headWords = 5
  /// How often workers take items of a phase, where there are more of these.
  private static let turns = 32

  private let kernel: OwnedKernel
  /// On disk are programs of which a process found that they do what launches do.
  let program: KernelCache.Program
  private let opcodes: [StepProgram.Part: Int]
  private let slabs: [BufferID: Int]
  private let workers: Int
  /// There is room for so many.
  private let phases: Int
  private let calls: CallCheck
  /// Whether a step that fills a page has a launch more.
  private let boundsPages: Bool
  private let work: OwnedBuffer
  private let meters: OwnedBuffer
  /// Which set of meters the next step takes.
  private var set: cl_uint = 0
  /// The sizes that the phases are for, as far as they matter.
  private(set) var sizes: SymbolSizes?

  /// Bytes on the device.
  var bytes: Int { work.bytes + meters.bytes }

  /// Takes or builds the program for kernels that steps may need, the most launches that it stands for, and the
  /// memory that instructions use. `yields` says whether the driver takes assembly for Linux on x86-64. Nil where it
  /// would have to be built, unless `builds`.
  init?(
    _ parts: [StepProgram.Part], phases: Int, buffers: [(id: BufferID, raw: cl_mem)], workers: Int,
    yields: Bool, builds: Bool, kernels: KernelCache
  ) throws(DeviceError) {
    let step = StepProgram(parts, slabs: buffers.count, yields: yields, alone: workers == 1)
    guard let program = try kernels.program(step, builds: builds) else { return nil }
    self.program = program
    kernel = try kernels.kernel(program)
    opcodes = step.opcodes
    self.workers = workers
    self.phases = phases
    boundsPages = parts.contains { if case .boundPages = $0.row.kind { true } else { false } }
    calls = kernels.calls
    slabs = Dictionary(
      uniqueKeysWithValues: buffers.enumerated().map { ($1.id, $0) })
    let longest = parts.map(\.row.parameterCount).max() ?? 0
    work = try kernels.buffer(bytes: phases * (Self.headWords + longest) * 8, "phases")
    meters = try kernels.buffer(
      bytes: workers == 1 ? 4 : phases * Self.meterBytes(workers), "meters")
    for (index, buffer) in buffers.enumerated() {
      try set(Optional(buffer.raw), at: cl_uint(5 + index))
    }
    try set(Optional(work.raw), at: 0)
    try set(Optional(meters.raw), at: 2)
    try set(set, at: 3)
  }

  /// Bytes of a phase's meters: a line of the cache for each share and one for all, in two sets.
  private static func meterBytes(_ workers: Int) -> Int { 2 * 64 * (workers + 1) }

  /// What matters of the sizes of a step: phases count in spans what rows see, to the end of the last.
  func relevant(_ sizes: SymbolSizes) -> SymbolSizes {
    var sizes = sizes
    if !boundsPages { sizes.fillsPages = nil }
    sizes.depth = sizes.depth.map { AttentionParts.spans(tokens: $0) * KVLayout.spanTokens }
    return sizes
  }

  /// Takes phases for the sizes of a step from its launches; false where one is not of the program.
  func resize(
    _ launches: [PreparedLaunch], _ sizes: SymbolSizes, on queue: cl_command_queue
  ) throws(DeviceError) -> Bool {
    self.sizes = nil
    guard launches.count <= phases else { return false }
    let sizes = relevant(sizes)
    var words: [UInt64] = []
    for launch in launches {
      let measures = Measures(instruction: launch.instruction, sizes: sizes)
      guard let phase = phase(launch, measures) else { return false }
      words += phase
    }
    guard words.count * 8 <= work.bytes else { return false }
    try write(words, to: work, queue)
    if workers > 1 {
      let used = launches.count * Self.meterBytes(workers)
      try write([UInt64](repeating: 0, count: used / 8), to: meters, queue)
    }
    try set(cl_uint(launches.count), at: 1)
    self.sizes = sizes
    return true
  }

  private func phase(_ launch: PreparedLaunch, _ measures: Measures) -> [UInt64]? {
    let row = launch.row
    let range = LaunchRange(row, measures, items: measures.shares(workers))
    guard let opcode = opcodes[StepProgram.Part(launch.number, row, measures)], range.isLoose,
      range.x * range.y <= Int32.max
    else { return nil }
    let lot = max(1, range.x * range.y / (workers * Self.turns))
    var words = [opcode, range.x, range.y, lot, row.parameterCount].map { UInt64($0) }
    for whole in row.arguments {
      let (argument, measures) = whole.resolved(measures)
      switch argument {
      case .count(let measure): words.append(UInt64(measures[measure]))
      case .number(let parameter): words.append(UInt64(measures[parameter].bitPattern))
      case .zero: words.append(0)
      case .each, .part: words.append(UInt64(range.each))
      case .input, .weight, .bias, .output, .left, .workspace:
        // Where there is no memory, the kernel reads none.
        let region = argument.region(of: measures)
        guard let slab = region.map({ slabs[$0.buffer] }) ?? 0 else { return nil }
        words += [UInt64(slab), UInt64(region?.offset ?? 0)]
      }
    }
    return words
  }

  /// Submits a step. A worker looks `patience` times for what another does before it gives up; or for ever.
  func enqueue(on queue: cl_command_queue, patience: Int? = nil) throws(DeviceError) {
    if workers > 1 { try set(set, at: 3) }
    try set(cl_uint(patience ?? 0), at: 4)
    try calls.check(
      apus_cl_enqueue_kernel(queue, kernel.raw, 2, [workers, 1], [1, 1], nil),
      "clEnqueueNDRangeKernel", "a step")
    set = 1 - set
  }

  private func write(
    _ words: [UInt64], to buffer: OwnedBuffer, _ queue: cl_command_queue
  ) throws(DeviceError) {
    let status = words.withUnsafeBytes {
      apus_cl_write_buffer(queue, buffer.raw, 0, $0.count, $0.baseAddress)
    }
    try calls.check(status, "clEnqueueWriteBuffer", "phases of a step")
  }

  private func set<Value: BitwiseCopyable>(_ value: Value, at index: cl_uint) throws(DeviceError) {
    let status = withUnsafeBytes(of: value) {
      apus_cl_set_argument(kernel.raw, index, $0.count, $0.baseAddress)
    }
    try calls.check(status, "clSetKernelArg", "argument \(index) of a step")
  }
}

extension KernelRow {
  /// Parameters of the kernel function.
  fileprivate var parameterCount: Int { arguments.reduce(0) { $0 + $1.parameterCount } }
}

extension KernelCache {
  fileprivate func buffer(bytes: Int, _ label: String) throws(DeviceError) -> OwnedBuffer {
    var status = CL_SUCCESS
    let raw = apus_cl_create_buffer(context, bytes, &status)
    return OwnedBuffer(
      raw: try calls.made(raw, status, "clCreateBuffer", "\(bytes) bytes for \(label)"),
      bytes: bytes)
  }
}
