import COpenCL
import Devices
import ModelGraph

/// A launch of one instruction. Its kernel is made when it is first enqueued, since a step that is one launch needs
/// none of it. What stays the same from step to step is set once then, and the rest where it changes: drivers allocate
/// for each argument that is set.
final class PreparedLaunch {
  /// The row of the kernel table, and its number.
  let row: KernelRow
  let number: Int
  /// The kernel, as records name it.
  let name: String
  /// Which part of the instruction it runs: 0 is the whole.
  let place: Int
  /// That instruction, or the part of it.
  let instruction: Instruction
  private let device: Maker
  private var calls: CallCheck { device.kernels.calls }
  private var kernel: OwnedKernel?
  private var counts: [Count] = []
  private var range: LaunchRange
  private var sizes: SymbolSizes

  /// What makes kernels of a device, and finds the memory of a region.
  struct Maker {
    let kernels: KernelCache
    let buffer: (Region) -> cl_mem
  }

  /// A 32-bit argument that depends on the sizes of a step.
  private struct Count {
    var index: cl_uint
    var argument: Argument
    var value: cl_uint = 0
  }

  /// Prepares a launch at the sizes of a step.
  init(
    _ row: KernelRow, number: Int, place: Int, _ measures: Measures, items: Int?, on device: Maker
  ) throws(DeviceError) {
    self.row = row
    self.number = number
    name = "\(row.program) \(row.variant)"
    self.place = place
    self.device = device
    instruction = measures.instruction
    sizes = measures.sizes
    range = LaunchRange(row, measures, items: items)
    var index: cl_uint = 0
    for argument in row.arguments {
      switch argument.resolved(measures).0 {
      case .count, .each, .part: counts.append(Count(index: index, argument: argument))
      default: break
      }
      index += cl_uint(argument.parameterCount)
    }
    try resize(measures, items: items)
  }

  /// The kernel, with all arguments.
  func built() throws(DeviceError) -> OwnedKernel {
    if let kernel { return kernel }
    let measures = Measures(instruction: instruction, sizes: sizes)
    let made = try device.kernels.kernel(row, measures)
    var index: cl_uint = 0
    for whole in row.arguments {
      let (argument, measures) = whole.resolved(measures)
      let region = argument.region(of: measures)
      switch argument {
      case .count, .each, .part: break
      case .number(let parameter): try set(measures[parameter], at: index, of: made)
      case .zero: try set(Float(0), at: index, of: made)
      case .input, .weight, .bias, .output, .left, .workspace:
        if let region {
          try set(Optional(device.buffer(region)), at: index, of: made)
          try set(cl_ulong(region.offset), at: index + 1, of: made)
        }
      }
      index += cl_uint(argument.parameterCount)
    }
    for count in counts { try set(count.value, at: count.index, of: made) }
    kernel = made
    return made
  }

  /// Adapts range and counts to the sizes of a step.
  func resize(_ measures: Measures, items: Int?) throws(DeviceError) {
    sizes = measures.sizes
    range = LaunchRange(row, measures, items: items)
    for place in counts.indices {
      let value: Int
      let (argument, measures) = counts[place].argument.resolved(measures)
      switch argument {
      case .count(let measure): value = measures[measure]
      default: value = range.each
      }
      // Kernels count in 32 bits.
      guard let count = cl_uint(exactly: value) else {
        throw DeviceError(
          device: calls.device, call: "clSetKernelArg", status: "too large",
          detail: "\(value) numbers for \(label); a smaller batch (-b) needs fewer")
      }
      if counts[place].value == count { continue }
      if let kernel { try set(count, at: counts[place].index, of: kernel) }
      counts[place].value = count
    }
  }

  private var label: String { instruction.label }

  /// Submits the launch.
  func enqueue(
    on queue: cl_command_queue, singly: Bool, event: UnsafeMutablePointer<cl_event?>? = nil
  ) throws(DeviceError) {
    let kernel = try built()
    try calls.check(
      range.enqueue(kernel.raw, on: queue, singly: singly, event: event), "clEnqueueNDRangeKernel",
      what)
  }

  private var what: String { "\(row.entry) for \(label)" }

  /// A value as the kernel's parameter stores it.
  private func set<Value: BitwiseCopyable>(
    _ value: Value, at index: cl_uint, of kernel: OwnedKernel
  ) throws(DeviceError) {
    let status = withUnsafeBytes(of: value) {
      apus_cl_set_argument(kernel.raw, index, $0.count, $0.baseAddress)
    }
    try calls.check(status, "clSetKernelArg", "argument \(index) for \(label)")
  }
}

extension Argument {
  /// Where its memory lies, or nil where it has none.
  func region(of measures: Measures) -> Region? {
    let instruction = measures.instruction
    return switch self {
    case .input(let number): instruction.inputs[number].region
    case .weight(let number): instruction.weights[number]
    case .bias: instruction.weights[measures[.hasBias]]
    case .output: instruction.output.region
    case .left: measures.left.region
    case .workspace: instruction.workspace
    case .count, .number, .zero, .each, .part: nil
    }
  }

  /// The argument of a part, and that part's measures; or itself.
  func resolved(_ measures: Measures) -> (Argument, Measures) {
    guard case .part(let index, let argument) = self else { return (self, measures) }
    return argument.resolved(measures.part(index))
  }
}

/// What a device keeps of a list of instructions that it ran: a list comes again with each step.
final class PreparedList {
  private let instructions: [Instruction]
  var slots: [Slot]
  /// How steps run, by their shapes, once one of a shape did.
  var steps: [StepShape: StepState] = [:]

  /// What is kept of one instruction.
  struct Slot {
    /// Whether it matters how far rows see, which changes with each token.
    let seesDepth: Bool
    /// Whether it matters that a page is filled, which few steps do.
    let seesFilling: Bool
    /// The sizes of the last step, as far as they matter.
    var sizes: SymbolSizes?
    /// Its launches: none where it had no rows, many where its parts were launched.
    var current: [PreparedLaunch] = []
    /// The launches so far, by rows of the kernel table and places.
    var launches: [PreparedLaunch] = []

    fileprivate init(_ instruction: Instruction) {
      switch instruction.operation {
      case .attend, .scorePages, .fused(.attendQuantize): seesDepth = true
      default: seesDepth = false
      }
      if case .boundPages = instruction.operation {
        seesFilling = true
      } else {
        seesFilling = false
      }
    }

    /// What matters of the sizes of a step: launches count in spans what rows see.
    func relevant(_ sizes: SymbolSizes) -> SymbolSizes {
      guard seesDepth else {
        return SymbolSizes(
          rows: sizes.rows, outputs: sizes.outputs,
          fillsPages: seesFilling ? sizes.fillsPages : nil)
      }
      var sizes = sizes
      sizes.fillsPages = nil
      sizes.depth = sizes.depth.map { AttentionParts.spans(tokens: $0) * KVLayout.spanTokens }
      return sizes
    }
  }

  init(_ instructions: [Instruction]) {
    self.instructions = instructions
    slots = instructions.map(Slot.init)
  }

  /// Whether this is the very list.
  func holds(_ other: [Instruction]) -> Bool {
    instructions.isThe(very: other)
  }
}
