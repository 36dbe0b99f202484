import AllocationCounter
import CPUBackend
import Devices
import GGUF
import ModelGraph
import Models
import OpenCLBackend
import Planning
import Runtime
import Sampling
import Tensors
import TestSupport
import Testing

/// What a generated token allocates on the host, as thresholds: launches allocate nothing, however many there are.
@Suite(.serialized, .enabled(if: allocations_are_counted() != 0, "not this C library"))
struct AllocationTests {
  private static let warmUp = 24
  private static let counted = 16

  /// Allocations of so many tokens that are generated once everything is warm.
  private func allocations(_ layers: Int, on device: any Device) throws -> Int {
    var model = RandomModel(flavour: .llama, type: .q4_1)
    model.layers = layers
    let disk = TemporaryFile(model.encoded())
    let file = try GGUFFile(path: disk.path)
    let context = 128
    let plan = try Planner(
      bounds: SymbolSizes(rows: 8, outputs: 1), pageCount: context / KVLayout.pageTokens,
      element: .f16
    ).plan(Model(file, activations: .int8, contextLength: context).graph, on: [device])
    let loop = try EngineLoop(plan, devices: [device], weights: file, contextLength: context)
    var request = GenerationRequest(
      prompt: [1, 2, 3, 4, 5], sampling: SamplingParameters(), limit: 60, endTokens: [])
    request.sampling.temperature = 0
    var (tokens, before, after) = (0, 0, 0)
    _ = try loop.generate(request, isCancelled: { false }) { _ in
      tokens += 1
      if tokens == Self.warmUp { start_counting_allocations() }
      if tokens == Self.warmUp + 1 { before = counted_allocations() }
      if tokens == Self.warmUp + 1 + Self.counted { after = counted_allocations() }
      return true
    }
    #expect(tokens == 60)
    return after - before
  }

  /// A token's: its step, its logits, and what the sampler keeps.
  private static let limit = 15

  private func check(_ makeDevice: () throws -> any Device) throws {
    let few = try allocations(2, on: makeDevice())
    #expect(few <= Self.limit * Self.counted)
    #expect(try allocations(7, on: makeDevice()) == few)
  }

  @Test(arguments: [1, 2]) func theProcessor(threads: Int) throws {
    try check { CPUDevice(threads: threads) }
  }

  @Test(
    arguments: OpenCLDevices.list().devices.filter {
      !["Oclgrind", "rusticl"].contains($0.platform)
    },
    [StepMode.launches, .automatic])
  func processorsOfOpenCL(_ description: OpenCLDevices.Description, _ steps: StepMode) throws {
    try check {
      try OpenCLDevice(index: description.index, threads: nil, steps: steps)
    }
  }

  /// The counter counts.
  @Test func whatIsAllocatedIsCounted() {
    start_counting_allocations()
    let before = counted_allocations()
    let arrays = (0..<10).map { [Int](repeating: $0, count: 5) }
    #expect(counted_allocations() >= before + 10 && arrays.count == 10)
  }
}
