import Devices
import GGUF
import ModelGraph
import Models
import Planning
import ReferenceBackend
import Runtime
import Sampling
import TestSupport
import Testing

/// A draft model changes how many steps a text takes, never the text or how it ends.
@Suite struct DraftTests {
  private static let context = 48
  private let prompt: [Int32] = [5, 9, 14, 22, 31, 9, 40, 11]

  /// A model; with other layers it is another one with the same tokens.
  private func loop(
    layers: Int = 2, context: Int = DraftTests.context, outputs: Int = 9,
    device: any Device = ReferenceDevice()
  ) throws -> EngineLoop {
    var tiny = TinyModel()
    (tiny.layers, tiny.context) = (layers, Self.context)
    let file = try GGUFFile(bytes: tiny.encoded(), path: "tiny")
    let plan = try Planner(
      bounds: SymbolSizes(rows: 16, outputs: outputs), pageCount: (context + 15) / 16,
      element: .f16
    ).plan(Model(file, activations: .int8).graph, on: [device])
    return try EngineLoop(plan, devices: [device], weights: file, contextLength: context)
  }

  private func request(_ speculation: Int, limit: Int = 30) -> GenerationRequest {
    var sampling = SamplingParameters()
    (sampling.temperature, sampling.topK, sampling.seed) = (0.6, 4, 3)
    (sampling.repetitionPenalty, sampling.xtcProbability) = (1.1, 0.2)
    return GenerationRequest(
      prompt: prompt, sampling: sampling, limit: limit, endTokens: [], speculation: speculation)
  }

  private func text(
    _ loop: EngineLoop, _ request: GenerationRequest, stopsAfter: Int = .max
  ) throws -> (tokens: [Int32], report: GenerationReport) {
    var tokens: [Int32] = []
    let report = try loop.generate(request, isCancelled: { false }) {
      tokens.append($0)
      return tokens.count < stopsAfter
    }
    #expect(loop.freePages == 3)
    if let draft = loop.draft { #expect(draft.freePages == draft.plan.stepLayout.tableCapacity) }
    return (tokens, report)
  }

  /// What the model itself guesses is never wrong; what a draft with a layer more guesses, and with room for a part of the
  /// text, sometimes is; and with a layer less nearly always.
  @Test func everyEndIsThatOfPlainGeneration() throws {
    let drafts = try [loop(), loop(layers: 1), loop(layers: 3, context: 32)]
    for (index, draft) in drafts.enumerated() {
      let (plain, guessing) = (try loop(), try loop())
      guessing.draft = draft
      var (proposed, accepted) = (0, 0)
      func compare(_ change: (inout GenerationRequest) -> Void, stopsAfter: Int = .max) throws {
        for keepsCache in [false, true] {
          var (without, with) = (request(0), request(8))
          (without.keepsCache, with.keepsCache) = (keepsCache, keepsCache)
          change(&without)
          change(&with)
          let wanted = try text(plain, without, stopsAfter: stopsAfter)
          let found = try text(guessing, with, stopsAfter: stopsAfter)
          #expect(found.tokens == wanted.tokens && found.report.finish == wanted.report.finish)
          proposed += found.report.proposedTokens
          accepted += found.report.acceptedTokens
        }
      }
      let whole = try text(plain, request(0)).tokens
      for limit in 0...14 { try compare { $0.limit = limit } }
      for count in 1...14 {
        try compare({ _ in }, stopsAfter: count)
        try compare { $0.endTokens = [whole[count]] }
      }
      try compare { $0.limit = .max }
      for seed in 0..<12 { try compare { $0.sampling.seed = UInt64(seed) } }
      try compare { $0.sampling.temperature = 0 }
      let count = "draft \(index): \(accepted) of \(proposed)"
      #expect(proposed > 100 && (accepted > 0 || index == 1), "\(count)")
      #expect((accepted == proposed) == (index == 0), "\(count)")
    }
  }

  /// Each step of either model asks once, and a cancel between them gives everything back.
  @Test func aCancelStopsBothModels() throws {
    let loop = try loop()
    loop.draft = try self.loop()
    for last in 0..<40 {
      var asked = 0
      let report = try loop.generate(
        request(8),
        isCancelled: {
          asked += 1
          return asked > last
        }, emit: { _ in true })
      // One that is asked once more says no to the target too.
      #expect(asked <= last + 2 && (report.finish == .cancelled) == (asked > last))
      #expect(loop.freePages == 3 && loop.draft?.freePages == 3)
    }
  }

  /// A device that fails in any step of the draft leaves no page behind, and nothing that others would read.
  @Test func aFaultOfTheDraftGivesAllPagesBack() throws {
    let device = PartialDevice(without: "")
    let loop = try loop()
    loop.draft = try self.loop(layers: 1, device: device)
    var faults = 0
    for runs in 0..<30 {
      device.runsLeft = runs
      var request = request(8)
      request.keepsCache = true
      do {
        _ = try loop.generate(request, isCancelled: { false }, emit: { _ in true })
      } catch { faults += 1 }
      #expect(loop.freePages == 3 && loop.draft?.freePages == 3)
    }
    #expect(faults > 5)
  }

  /// A conversation that goes on is not read again by the draft either.
  @Test func theDraftKeepsWhatItHasRead() throws {
    let loop = try loop()
    let draft = try self.loop()
    loop.draft = draft
    var request = request(4, limit: 24)
    request.keepsCache = true
    _ = try text(loop, request)
    #expect(draft.keptPages > 0)
    loop.forget()
    #expect(draft.keptPages == 0 && loop.keptPages == 0)
  }
}
