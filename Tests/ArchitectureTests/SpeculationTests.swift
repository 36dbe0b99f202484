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

  private func loop(
    _ model: RandomModel, on device: any Device, outputs: Int
  ) throws -> EngineLoop {
    let file = try GGUFFile(bytes: model.encoded(), path: "\(model)")
    let graph = try Model(file, activations: .int8, contextLength: Self.context).graph
    let plan = try Planner(
      bounds: SymbolSizes(rows: 32, outputs: outputs),
      pageCount: Self.context / KVLayout.pageTokens, element: .f16
    ).plan(graph, on: [device])
    return try EngineLoop(plan, devices: [device], weights: file, contextLength: Self.context)
  }

  /// A draft has a device of its own at the same place: two models would have buffers of the same names.
  private func texts(
    _ model: RandomModel, on makeDevice: () throws -> any Device, limit: Int
  ) throws -> (accepted: Int, rejected: Int) {
    let loop = try self.loop(model, on: makeDevice(), outputs: 16)
    let device = loop.traits[0].name
    let drafts = try [model, RandomModel(flavour: model.flavour, type: .q5_1)].map {
      try self.loop($0, on: makeDevice(), outputs: 1)
    }
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
        loop.draft = nil
        let (tokens, report) = try text(speculation)
        #expect(
          tokens == plain.tokens, "\(model) with \(speculation) on \(device)")
        counts.accepted += report.acceptedTokens
        counts.rejected += report.proposedTokens - report.acceptedTokens
      }
      for (index, draft) in drafts.enumerated() {
        loop.draft = draft
        let (tokens, report) = try text(6)
        #expect(tokens == plain.tokens, "\(model) with draft \(index) on \(device)")
        #expect(report.proposedTokens > 0)
        // What the model itself guesses is right, whatever the rows of its steps.
        if index == 0 { #expect(report.acceptedTokens == report.proposedTokens) }
      }
    }
    return counts
  }

  private func check(
    _ makeDevice: () throws -> any Device, _ flavours: [RandomModel.Flavour], limit: Int
  ) throws {
    for flavour in flavours {
      let counts = try texts(
        RandomModel(flavour: flavour, type: .q4_1), on: makeDevice, limit: limit)
      #expect(counts.accepted > 0 && counts.rejected > 0, "\(flavour): \(counts)")
    }
  }

  @Test func onTheReference() throws { try check({ ReferenceDevice() }, [.gemma3], limit: 20) }

  @Test(arguments: [1, 2]) func onTheCPU(threads: Int) throws {
    try check({ CPUDevice(threads: threads) }, RandomModel.Flavour.architectures, limit: 60)
  }

  /// Not on llvmpipe, which takes a second for a token.
  @Test(
    arguments: OpenCLDevices.list().devices.filter {
      !["Oclgrind", "rusticl"].contains($0.platform)
    })
  func onOpenCL(_ description: OpenCLDevices.Description) throws {
    try check(
      { try OpenCLDevice(index: description.index) }, RandomModel.Flavour.architectures, limit: 60)
  }
}
