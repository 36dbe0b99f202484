import COpenCL
import Devices
import DiskCache
import GGUF
import ModelGraph
import Models
import OpenCLBackend
import Planning
import Runtime
import Tensors
import TestSupport
import Testing

private let processors = OpenCLDevices.list().devices.filter {
  $0.isCPU && !["Oclgrind", "rusticl"].contains($0.platform)
}

/// Tokens and prompts that are computed by one launch each have the bits that launches for each operation give.
@Suite(.serialized, .enabled(if: !processors.isEmpty, "no OpenCL device is a CPU"))
struct OneLaunchTests {
  private func loop(
    _ model: RandomModel, _ activations: ActivationFormat, context: Int, rows: Int,
    on device: OpenCLDevice
  ) throws -> EngineLoop {
    let disk = TemporaryFile(model.encoded())
    let file = try GGUFFile(path: disk.path)
    let graph = try Model(file, activations: activations, contextLength: context).graph
    let plan = try Planner(
      bounds: SymbolSizes(rows: rows, outputs: 1), pageCount: context / KVLayout.pageTokens,
      element: activations == .f32 ? .f32 : .f16
    ).plan(graph, on: [device])
    return try EngineLoop(plan, devices: [device], weights: file, contextLength: context)
  }

  /// Logits of tokens that come one by one, and the launches that the last of them took.
  private func run(
    _ model: RandomModel, _ activations: ActivationFormat, tokens: Int, context: Int,
    on device: OpenCLDevice
  ) throws -> (logits: [[Float]], launches: Int) {
    let loop = try loop(model, activations, context: context, rows: 1, on: device)
    var logits: [[Float]] = []
    var calls = 0
    defer { apus_cl_inject_nothing() }
    let ids = (0..<tokens).map { Int32($0 * 37 % 200) }
    try loop.evaluate(ids, wantedFrom: 0) {
      logits.append(Array($1))
      calls = many - apus_cl_calls_before_fault(APUS_CL_ENQUEUE)
      apus_cl_inject(APUS_CL_ENQUEUE, many, -5)
    }
    // Beside the launches there are what is written for a step, and its logits.
    return (logits, calls)
  }
  private let many = 1 << 40

  /// The last logits of each of some prompts, which come 48 tokens at a time, and the launches that each took.
  private func run(
    _ model: RandomModel, _ activations: ActivationFormat, prompts: [Int], on device: OpenCLDevice
  ) throws -> (logits: [[Float]], launches: [Int]) {
    let loop = try loop(model, activations, context: 256, rows: 48, on: device)
    var logits: [[Float]] = []
    var launches: [Int] = []
    defer { apus_cl_inject_nothing() }
    for (number, tokens) in prompts.enumerated() {
      let ids = (0..<tokens).map { Int32(($0 * 37 + number) % 200) }
      apus_cl_inject(APUS_CL_ENQUEUE, many, -5)
      try loop.evaluate(ids, wantedFrom: tokens - 1) { logits.append(Array($1)) }
      launches.append(many - apus_cl_calls_before_fault(APUS_CL_ENQUEUE))
    }
    return (logits, launches)
  }

  private func device(
    _ description: OpenCLDevices.Description, threads: Int?, _ steps: StepMode
  ) throws -> OpenCLDevice {
    try OpenCLDevice(index: description.index, threads: threads, steps: steps)
  }

  @Test(arguments: processors, [1, nil] as [Int?])
  func everyArchitectureHasTheSameBits(
    _ description: OpenCLDevices.Description, threads: Int?
  ) throws {
    if threads != nil && !description.isDivisible { return }
    let models: [(RandomModel, ActivationFormat)] = [
      (RandomModel(flavour: .llama, type: .q4_1), .int8),
      (RandomModel(flavour: .qwen2, type: .q5_0), .int8),
      (RandomModel(flavour: .gemma3, type: .q6_K), .int8),
      (RandomModel(flavour: .phi3, type: .f16), .f32),
    ]
    for (model, activations) in models {
      let apart = try run(
        model, activations, tokens: 40, context: 256,
        on: device(description, threads: threads, .launches))
      let whole = try run(
        model, activations, tokens: 40, context: 256,
        on: device(description, threads: threads, .oneLaunch))
      #expect(whole.logits == apart.logits && apart.logits.count == 40, "\(model)")
      #expect(whole.launches < 10 && apart.launches > whole.launches + 5, "\(model)")
    }
    #expect(apus_cl_live_total() == 0)
  }

  /// The first prompt goes by launches, of whatever parts, and the second both ways; then each part is one
  /// launch, of more rows and fewer too, and where nothing is wanted of it.
  @Test(arguments: processors, [1, nil] as [Int?])
  func promptsHaveTheSameBits(_ description: OpenCLDevices.Description, threads: Int?) throws {
    if threads != nil && !description.isDivisible { return }
    let prompts = [88, 40, 40, 96, 9, 33, 7]
    let models: [(RandomModel, ActivationFormat)] = [
      (RandomModel(flavour: .llama, type: .q4_1), .int8),
      (RandomModel(flavour: .gemma3, type: .q6_K), .int8),
      (RandomModel(flavour: .phi3, type: .f16), .f32),
    ]
    for (model, activations) in models {
      let apart = try run(
        model, activations, prompts: prompts, on: device(description, threads: threads, .launches))
      let whole = try run(
        model, activations, prompts: prompts, on: device(description, threads: threads, .oneLaunch))
      #expect(whole.logits == apart.logits && apart.logits.count == prompts.count, "\(model)")
      #expect(whole.launches[0] == apart.launches[0] && whole.launches[1] > apart.launches[1])
      for number in 2..<6 {
        #expect(whole.launches[number] < 20 && apart.launches[number] > 20, "\(model), \(number)")
      }
      #expect(whole.launches[6] == apart.launches[6], "few rows go by launches")
    }
    #expect(apus_cl_live_total() == 0)
  }

  /// Of processes that have one prompt each, the first builds kernels, the second the program, and the next nothing.
  @Test(arguments: processors)
  func itsProgramComesFromDisk(_ description: OpenCLDevices.Description) throws {
    let folder = TemporaryFolder()
    let model = RandomModel(flavour: .llama, type: .q4_1)
    var logits: [[[Float]]] = []
    var compiled: [Int] = []
    var launches: [Int] = []
    for _ in 0..<3 {
      let before = apus_cl_compiled()
      let process = try run(
        model, .int8, prompts: [40],
        on: OpenCLDevice(
          index: description.index, programs: DiskCache.open("\(folder.path)/programs").get(),
          steps: .oneLaunch))
      logits.append(process.logits)
      launches += process.launches
      compiled.append(apus_cl_compiled() - before)
    }
    #expect(logits[1] == logits[0] && logits[2] == logits[0] && logits[0].count == 1)
    #expect(compiled[0] > 4 && compiled[2] == 0)
    #expect(launches[1] > launches[0] && launches[2] < 20 && launches[0] > 20)
    #expect(apus_cl_live_total() == 0)
  }

  /// Behind 512 tokens attention has a launch more, of a kernel that the first step does not need.
  @Test(arguments: processors)
  func itGoesOnBehindASpan(_ description: OpenCLDevices.Description) throws {
    var model = RandomModel(flavour: .llama, type: .q8_0)
    model.metadata["context_length"] = .unsigned(1024)
    let apart = try run(
      model, .int8, tokens: 530, context: 1024, on: device(description, threads: nil, .launches))
    let whole = try run(
      model, .int8, tokens: 530, context: 1024, on: device(description, threads: nil, .oneLaunch))
    #expect(whole.logits == apart.logits && apart.logits.count == 530)
    #expect(whole.launches < 10)
  }

  /// Where the program cannot be built, launches for each operation go on; an error where one was asked for.
  @Test(arguments: processors.filter { $0.platform == "Portable Computing Language" })
  func whereItDoesNotBuildLaunchesGoOn(_ description: OpenCLDevices.Description) throws {
    let model = RandomModel(flavour: .llama, type: .q4_0)
    func logits(_ mode: StepMode, failingBuild: Int = 0) throws -> [[Float]] {
      apus_cl_inject(APUS_CL_BUILD, failingBuild, -11)
      defer { apus_cl_inject_nothing() }
      return try run(
        model, .int8, tokens: 3, context: 256, on: device(description, threads: nil, mode)
      ).logits
    }
    let expected = try logits(.launches)
    // The program is built before kernels for launches are.
    #expect(try logits(.automatic, failingBuild: 1) == expected)
    #expect(throws: (any Error).self) { try logits(.oneLaunch, failingBuild: 1) }
    #expect(try logits(.oneLaunch) == expected)
    #expect(apus_cl_live_total() == 0)
  }
}
