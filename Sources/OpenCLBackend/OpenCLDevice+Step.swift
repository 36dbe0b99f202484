import COpenCL
import Devices
import ModelGraph

/// How a device of OpenCL runs steps.
package enum StepMode: Sendable, Hashable {
  /// As one launch each where that is known to be faster.
  case automatic
  /// As one launch each on every CPU device; it is an error where tokens do not run so, while prompts fall back.
  case oneLaunch
  /// By a launch for each instruction.
  case launches
}

/// Steps that may be one launch. Others have few rows, of several sequences or of a draft.
enum StepShape: Hashable {
  /// One token, whose logits are wanted.
  case token
  /// Part of a prompt.
  case prompt

  /// Fewer rows are launched faster than they are counted.
  private static let fewestRows = 8

  init?(_ sizes: SymbolSizes) {
    switch (sizes.rows, sizes.outputs) {
    case (1, 1): self = .token
    case (Self.fewestRows..., ...1): self = .prompt
    default: return nil
    }
  }
}

/// What is known of a list's steps of one shape.
enum StepState {
  case oneLaunch(StepLaunch)
  /// They run by launches, and why.
  case launches(String)
  /// There is no program on disk. To build one takes seconds, so it waits for the second prompt, if one has ended: of
  /// this process, or of another that finds all other programs built.
  case missing(hasEnded: Bool)
}

// Steps as one launch. Launches for each instruction are the reference: with them a list's first step is
// compared, bit by bit, unless the program comes from disk, where only those are that were compared.
extension OpenCLDevice {
  /// How often a worker looks for what another does before the first step is given up: seconds.
  private static let patience = 100_000_000

  /// Why steps run by launches for each instruction, before any ran; nil where they do not.
  static func obstacle(
    _ mode: StepMode, _ device: OpenCLDevices.Description, _ shape: StepShape = .token, workers: Int
  ) -> String? {
    let pocl = "Portable Computing Language"
    let known = shape == .token ? [pocl, "Intel(R) OpenCL"] : [pocl]
    return switch mode {
    case .launches: "not wanted"
    case _ where !device.isCPU: "this is no CPU"
    case _ where device.endsLongLoops: "this driver ends long loops"
    case .automatic where !known.contains(device.platform):
      "one is not known to be faster with this driver"
    // A launch of many rows takes long beside its start, and there is nobody to wake or wait for.
    case .automatic where shape == .prompt && workers == 1: "there is one worker"
    case .automatic, .oneLaunch: nil
    }
  }

  /// Runs a step as one launch, where that works; false where launches are to run it.
  func runAsOne(
    _ instructions: [Instruction], of list: PreparedList, _ sizes: SymbolSizes
  ) throws(DeviceError) -> Bool {
    guard recorder == nil, let shape = StepShape(sizes),
      instructions.count >= StepLaunch.fewestInstructions
    else { return false }
    if let obstacle = Self.obstacle(stepMode, description, shape, workers: workers) {
      return try runByLaunches(obstacle, shape)
    }
    switch list.steps[shape] {
    case .launches(let reason): return try runByLaunches(reason, shape)
    case .oneLaunch(let step):
      if step.sizes != step.relevant(sizes) {
        let launches = try launches(of: instructions, list, sizes)
        guard try step.resize(launches, sizes, on: queue.raw) else {
          return try runByLaunches("there are launches in the way", shape)
        }
      }
      isBusy = true
      try step.enqueue(on: queue.raw)
    case .missing where sizes.outputs == 0: return false
    case let state:
      var builds = shape == .token
      if case .missing(hasEnded: true) = state { builds = true }
      let next = try tryAsOne(instructions, of: list, sizes, builds: builds)
      list.steps[shape] = next
      switch next {
      case .oneLaunch(let step): account(for: step)
      case .launches(let reason): _ = try runByLaunches(reason, shape)
      case .missing: break
      }
    }
    return true
  }

  /// False, for launches are to run a step; an error where that is not wanted.
  private func runByLaunches(_ reason: String, _ shape: StepShape) throws(DeviceError) -> Bool {
    guard stepMode == .oneLaunch, shape == .token, description.isCPU else { return false }
    throw DeviceError(
      device: traits.name, call: "a step as one launch", status: "not possible",
      detail: "\(reason); leave out --persistent on")
  }

  /// Whether a worker that waits may ask Linux to run others meanwhile.
  private var yields: Bool {
    #if os(Linux)
      return features.contains(where: \.isAssembly)
    #else
      return false
    #endif
  }

  /// Runs a list's first step of a shape: both ways, where nobody did before.
  private func tryAsOne(
    _ instructions: [Instruction], of list: PreparedList, _ sizes: SymbolSizes, builds: Bool
  ) throws(DeviceError) -> StepState {
    // Few steps fill a page of the cache, and those have a launch more; so has the last part of a prompt.
    var most = sizes
    most.fillsPages = true
    most.outputs = 1
    let all = try self.launches(of: instructions, list, most)
    let launches = try self.launches(of: instructions, list, sizes)
    func make(builds: Bool) throws(DeviceError) -> StepLaunch? {
      try StepLaunch(
        parts(of: all, most), phases: all.count + instructions.count,
        buffers: instructions.buffers.map { ($0, buffer($0).raw) }, workers: workers,
        yields: yields, builds: builds, kernels: kernels)
    }
    var made: StepLaunch?
    do throws(DeviceError) {
      made = try make(builds: builds)
      // A part of a prompt without an output has nothing to compare.
      if made == nil, sizes.outputs > 0 {
        for launch in launches { _ = try launch.built() }
        if kernels.foundAllOnDisk { made = try make(builds: true) }
      }
    } catch {
      try submit(launches)
      return .launches("\(error)")
    }
    guard let step = made else {
      try submit(launches)
      return .missing(hasEnded: sizes.outputs > 0)
    }
    if step.program.isKept {
      do throws(DeviceError) {
        if try step.resize(launches, sizes, on: queue.raw) {
          isBusy = true
          try step.enqueue(on: queue.raw)
          return .oneLaunch(step)
        }
      } catch {
        try submit(launches)
        return .launches("\(error)")
      }
      try submit(launches)
      return .launches("there are launches in the way")
    }
    try submit(launches)
    guard let output = instructions.last?.output, instructions.canRunTwice(sizes) else {
      return .launches("a step cannot be repeated")
    }
    let expected = try content(of: output, sizes)
    let reason: String
    do throws(DeviceError) {
      if try step.resize(launches, sizes, on: queue.raw) {
        isBusy = true
        try step.enqueue(on: queue.raw, patience: Self.patience)
        if try content(of: output, sizes) == expected {
          kernels.keep(step.program)
          return .oneLaunch(step)
        }
        reason = "its results differ"
      } else {
        reason = "there are launches in the way"
      }
    } catch { reason = "\(error)" }
    try submit(launches)
    return .launches(reason)
  }

  /// The launches of a step.
  private func launches(
    of instructions: [Instruction], _ list: PreparedList, _ sizes: SymbolSizes
  ) throws(DeviceError) -> [PreparedLaunch] {
    var launches: [PreparedLaunch] = []
    for index in instructions.indices {
      try prepare(instructions[index], index, of: list, sizes)
      launches += list.slots[index].current
    }
    return launches
  }

  private func submit(_ launches: [PreparedLaunch]) throws(DeviceError) {
    isBusy = true
    for launch in launches { try launch.enqueue(on: queue.raw, singly: description.isCPU) }
  }

  private func content(of operand: Operand, _ sizes: SymbolSizes) throws(DeviceError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: operand.bytes(sizes))
    let result = bytes.withUnsafeMutableBytes { bytes in
      Result { () throws(DeviceError) in try read(operand.region, into: bytes) }
    }
    try result.get()
    return bytes
  }

  /// The kernels of some launches, and those that serve the same operations when rows see more tokens.
  private func parts(of launches: [PreparedLaunch], _ sizes: SymbolSizes) -> [StepProgram.Part] {
    var parts: [StepProgram.Part] = []
    var known: Set<StepProgram.Part> = []
    for launch in launches {
      let measures = Measures(instruction: launch.instruction, sizes: sizes)
      let others = measures[.rows] == 1 ? alternatives(launch.row.kind) : []
      for number in [launch.number] + others {
        let part = StepProgram.Part(number, row(number), measures)
        if known.insert(part).inserted { parts.append(part) }
      }
    }
    return parts
  }

  /// The rows that serve one token.
  private func alternatives(_ kind: OperationKind) -> [Int] {
    var found: [Int] = []
    for number in rows[kind] ?? [] where row(number).leastRows <= 1 {
      found.append(number)
      guard let sequel = row(number).then else { break }
      found += alternatives(sequel)
    }
    return found
  }
}

extension [Instruction] {
  /// The memory that they use.
  fileprivate var buffers: [BufferID] {
    var found: Set<BufferID> = []
    for instruction in self {
      for part in [instruction] + instruction.parts {
        let operands = part.inputs.map(\.region) + [part.output.region]
        for region in operands + part.weights { found.insert(region.buffer) }
        if let workspace = part.workspace { found.insert(workspace.buffer) }
      }
    }
    return found.sorted { $0.index < $1.index }
  }

  /// Whether they do the same when they run again: none writes to where one before it, or itself, has read
  /// what came from outside. Keys and values of a token may be written twice.
  func canRunTwice(_ sizes: SymbolSizes) -> Bool {
    func place(_ operand: Operand) -> (buffer: BufferID, bytes: Range<Int>) {
      let start = operand.region.offset
      return (operand.region.buffer, start..<start + operand.bytes(sizes))
    }
    var written: [(buffer: BufferID, bytes: Range<Int>)] = []
    var brought: [(buffer: BufferID, bytes: Range<Int>)] = []
    for part in flatMap(\.parts) {
      for input in part.inputs {
        if case .pages = input.format { continue }
        let input = place(input)
        let isOwn = written.contains {
          $0.buffer == input.buffer && $0.bytes.lowerBound <= input.bytes.lowerBound
            && input.bytes.upperBound <= $0.bytes.upperBound
        }
        if !isOwn { brought.append(input) }
      }
      if case .pages = part.output.format { continue }
      let output = place(part.output)
      if brought.contains(where: {
        $0.buffer == output.buffer && $0.bytes.overlaps(output.bytes)
      }) {
        return false
      }
      written.append(output)
    }
    return true
  }
}
