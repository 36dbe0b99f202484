import Devices
import GGUF
import ModelGraph
import Models
import Planning
import ReferenceBackend
import Residency
import Runtime
import Sampling
import TestSupport
import Testing

/// Guessed tokens change how many steps a text takes, never the text or how it ends.
@Suite struct SpeculationTests {
  private static let context = 48
  private static let file = Result {
    var tiny = TinyModel()
    tiny.context = context
    let disk = tiny.write()
    return (disk, try GGUFFile(path: disk.path))
  }

  private func loop(
    device: any Device = ReferenceDevice(), rows: Int = 16, outputs: Int = 9,
    policy: CachePolicy = .full
  ) throws -> EngineLoop {
    let (_, file) = try Self.file.get()
    let model = try Model(file, activations: .int8)
    var planner = Planner(
      bounds: SymbolSizes(rows: rows, outputs: outputs), pageCount: Self.context / 16,
      element: .f16)
    planner.reading = policy.pages.map { PageReading(pages: $0, chooser: .step, firstLayer: 0) }
    return try EngineLoop(
      planner.plan(model.graph, on: [device]), devices: [device], weights: file,
      contextLength: Self.context, policy: policy)
  }

  /// A prompt that repeats itself, for a model that soon does too: by its weights, or by a bias.
  private let prompt: [Int32] = [5, 9, 14, 5, 9, 14, 5, 9]

  private func request(_ speculation: Int, limit: Int = 30) -> GenerationRequest {
    var sampling = SamplingParameters()
    sampling.temperature = 0.6
    sampling.seed = 3
    sampling.logitBias = [5: 3, 9: 3, 14: 3]
    return GenerationRequest(
      prompt: prompt, sampling: sampling, limit: limit, endTokens: [], speculation: speculation)
  }

  private struct Outcome: Equatable {
    var tokens: [Int32] = []
    var finish: FinishReason?
    var reused = 0
    var pages = 0
    var kept = 0
    var again: [Int32] = []
  }

  /// A text, how it ended, and what a request behind it finds in the cache.
  private func outcome(
    _ request: GenerationRequest, stopsAfter: Int = .max
  ) throws -> (outcome: Outcome, report: GenerationReport) {
    let loop = try loop()
    var outcome = Outcome()
    let report = try loop.generate(request, isCancelled: { false }) {
      outcome.tokens.append($0)
      return outcome.tokens.count < stopsAfter
    }
    outcome.finish = report.finish
    (outcome.pages, outcome.kept) = (loop.freePages, loop.keptPages)
    var next = request
    next.prompt = request.prompt + outcome.tokens.prefix(20)
    next.limit = 4
    outcome.reused = try loop.generate(next, isCancelled: { false }) {
      outcome.again.append($0)
      return true
    }.reusedTokens
    #expect(loop.freePages == Self.context / 16)
    return (outcome, report)
  }

  @Test func everyEndIsThatOfPlainGeneration() throws {
    var (accepted, rejected) = (0, 0)
    func compare(_ change: (inout GenerationRequest) -> Void = { _ in }, stopsAfter: Int = .max)
      throws
      -> Outcome
    {
      var (plain, guessing) = (request(0), request(8))
      for keepsCache in [false, true] {
        (plain.keepsCache, guessing.keepsCache) = (keepsCache, keepsCache)
        change(&plain)
        change(&guessing)
        let wanted = try outcome(plain, stopsAfter: stopsAfter)
        let found = try outcome(guessing, stopsAfter: stopsAfter)
        #expect(found.outcome == wanted.outcome)
        #expect(wanted.report.proposedTokens == 0)
        accepted += found.report.acceptedTokens
        rejected += found.report.proposedTokens - found.report.acceptedTokens
      }
      return try outcome(plain, stopsAfter: stopsAfter).outcome
    }
    let text = try compare().tokens
    #expect(text.count == 30)
    // However many tokens are wanted, whoever stops it, and wherever the model does.
    for limit in 0...14 { #expect(try compare { $0.limit = limit }.finish == .limit) }
    for count in 1...14 {
      #expect(try compare(stopsAfter: count).finish == .cancelled)
      let end = text[count]
      #expect(try compare { $0.endTokens = [end] }.finish == .endToken(end))
    }
    let full = try compare { $0.limit = .max }
    #expect(full.finish == .contextFull(tokens: Self.context))
    #expect(full.tokens.count == Self.context - prompt.count + 1)
    for seed in 0..<12 { _ = try compare { $0.sampling.seed = UInt64(seed) } }
    #expect(accepted > 100 && rejected > 100, "\(accepted) accepted, \(rejected) rejected")
  }

  /// Fewer steps, since a step asks once; and a cancel between them gives everything back.
  @Test func acceptedTokensTakeNoStep() throws {
    let loop = try loop()
    func steps(_ request: GenerationRequest, until last: Int = .max) throws -> Int {
      var asked = 0
      let report = try loop.generate(
        request,
        isCancelled: {
          asked += 1
          return asked > last
        }, emit: { _ in true })
      #expect(loop.freePages == Self.context / 16)
      #expect((report.finish == .cancelled) == (last != .max))
      if last == .max, request.speculation > 0 {
        #expect(asked == report.generatedTokens - report.acceptedTokens)
      }
      return asked
    }
    // One token for ever: what is proposed is right, so that no clock decides how much is.
    func circle(_ speculation: Int) -> GenerationRequest {
      var circle = request(speculation)
      circle.sampling.logitBias = [5: 100]
      return circle
    }
    let most = try steps(circle(0))
    let fewer = try steps(circle(8))
    #expect(most == 30 && fewer < 10)
    for last in 0..<fewer { _ = try steps(circle(8), until: last) }
  }

  /// A device that fails in any step leaves no page behind.
  @Test func aFaultGivesAllPagesBack() throws {
    let device = PartialDevice(without: "")
    let loop = try loop(device: device)
    var faults = 0
    for runs in 0..<40 {
      device.runsLeft = runs
      do {
        _ = try loop.generate(request(8), isCancelled: { false }, emit: { _ in true })
      } catch { faults += 1 }
      #expect(loop.freePages == Self.context / 16)
    }
    #expect(faults > 5 && faults < 35)
  }

  @Test func whatCannotBeGuessedIsRefused() throws {
    func complaint(_ loop: EngineLoop, _ speculation: Int) -> String? {
      do {
        _ = try loop.generate(request(speculation), isCancelled: { false }, emit: { _ in true })
        return nil
      } catch { return "\(error)" }
    }
    let loop = try loop()
    #expect(complaint(loop, 8) == nil)
    #expect(complaint(loop, 9)?.contains("a step has 9") == true)
    #expect(complaint(loop, .max)?.contains("outputRows") == true)
    let policy = try CachePolicy(.sinks, budget: 48, pageTokens: 16)
    let choosing = try self.loop(policy: policy)
    #expect(complaint(choosing, 0) == nil)
    #expect(complaint(choosing, 2)?.contains("--kv-policy") == true)
    #expect(loop.freePages == 3 && choosing.freePages == 3)
  }
}
