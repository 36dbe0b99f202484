import CPUBackend
import Devices
import GGUF
import ModelGraph
import Models
import OpenCLBackend
import Planning
import ReferenceBackend
import Runtime
import Sampling
import Tensors
import TestSupport
import Testing

/// Texts are the same with guessed tokens and without, for every architecture on every device: what a row
/// gives does not depend on the rows beside it.
@Suite(.serialized) struct SpeculationTests {
  private static let context = 256

  private func texts(
    _ model: RandomModel, on device: any Device, limit: Int
  ) throws -> (accepted: Int, rejected: Int) {
    let disk = TemporaryFile(model.encoded())
    let file = try GGUFFile(path: disk.path)
    let graph = try Model(file, activations: .int8, contextLength: Self.context).graph
    let plan = try Planner(
      bounds: SymbolSizes(rows: 32, outputs: 16), pageCount: Self.context / KVLayout.pageTokens,
      element: .f16
    ).plan(graph, on: [device])
    let loop = try EngineLoop(plan, devices: [device], weights: file, contextLength: Self.context)
    // Long enough that pages are given back and taken again.
    let prompt = (0..<45).map { Int32([3, 17, 40, 8, 91, 17, 40, 55][$0 % 8]) }
    var greedy = SamplingParameters()
    greedy.temperature = 0
    var sampled = SamplingParameters()
    (sampled.temperature, sampled.seed) = (0.5, 11)
    for token in Set(prompt) { sampled.logitBias[token] = 4 }
    var penalized = sampled
    (penalized.repetitionPenalty, penalized.dry.multiplier) = (1.1, 0.2)
    var counts = (accepted: 0, rejected: 0)
    for sampling in [greedy, sampled, penalized] {
      func text(_ speculation: Int) throws -> (tokens: [Int32], report: GenerationReport) {
        var tokens: [Int32] = []
        let report = try loop.generate(
          GenerationRequest(
            prompt: prompt, sampling: sampling, limit: limit, endTokens: [],
            speculation: speculation), isCancelled: { false }
        ) {
          tokens.append($0)
          return true
        }
        #expect(loop.freePages == Self.context / 16)
        return (tokens, report)
      }
      let plain = try text(0)
      #expect(plain.tokens.count == limit && plain.report.proposedTokens == 0)
      for speculation in [1, 3, 15] {
        let (tokens, report) = try text(speculation)
        #expect(
          tokens == plain.tokens, "\(model) with \(speculation) on \(device.traits.name)")
        counts.accepted += report.acceptedTokens
        counts.rejected += report.proposedTokens - report.acceptedTokens
      }
    }
    return counts
  }

  private func check(_ device: any Device, _ flavours: [RandomModel.Flavour], limit: Int) throws {
    for flavour in flavours {
      let counts = try texts(RandomModel(flavour: flavour, type: .q4_1), on: device, limit: limit)
      #expect(counts.accepted > 0 && counts.rejected > 0, "\(flavour): \(counts)")
    }
  }

  @Test func onTheReference() throws { try check(ReferenceDevice(), [.gemma3], limit: 20) }

  @Test(arguments: [1, 2]) func onTheCPU(threads: Int) throws {
    try check(CPUDevice(threads: threads), RandomModel.Flavour.architectures, limit: 60)
  }

  /// Not on llvmpipe, which takes a second for a token.
  @Test(
    arguments: OpenCLDevices.list().devices.filter {
      !["Oclgrind", "rusticl"].contains($0.platform)
    })
  func onOpenCL(_ description: OpenCLDevices.Description) throws {
    try check(
      OpenCLDevice(index: description.index), RandomModel.Flavour.architectures, limit: 60)
  }
}
