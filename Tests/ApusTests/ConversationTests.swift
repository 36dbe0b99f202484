import Apus
import GGUF
import Runtime
import Sampling
import TestSupport
import Testing
import Tokenization

/// Conversations through the façade: turns on one cache, sampling options, DRY's breakers.
@Suite(.serialized) struct ConversationTests {
  private func load(context: Int = 64) async throws -> LanguageModel {
    var tiny = TinyModel()
    tiny.metadata["tokenizer.chat_template"] = .string(
      "{% for m in messages %}#{{ m.content }}{% endfor %}>")
    let disk = tiny.write()
    var options = LoadOptions()
    (options.device, options.contextLength) = (.cpu, context)
    return try await LanguageModel.load(disk.path, options: options)
  }

  private func reply(
    _ model: LanguageModel, _ prompt: Prompt, _ change: (inout GenerationOptions) -> Void = { _ in }
  ) async throws -> (text: String, summary: GenerationSummary) {
    var generation = GenerationOptions()
    (generation.temperature, generation.limit) = (0, 8)
    change(&generation)
    var text = ""
    for try await event in model.generate(prompt, options: generation) {
      switch event {
      case .text(let piece): text += piece
      case .finished(let summary): return (text, summary)
      }
    }
    throw ApusError(.request, "the stream ended without a summary")
  }

  @Test func turnsComputeOnlyWhatIsNew() async throws {
    let (model, other) = (try await load(), try await load())
    var messages: [Message] = []
    var tokens = 0
    for (turn, words) in ["HELLO", "AND", "AGAIN"].enumerated() {
      messages.append(Message(role: "user", content: words))
      let answer = try await reply(model, .conversation(messages))
      #expect(answer.summary.promptTokens == (try model.tokenCount(of: .conversation(messages))))
      // The turn before but for the mark that opened the answer.
      #expect(answer.summary.reusedTokens >= (turn == 0 ? 0 : tokens - 1))
      tokens = answer.summary.promptTokens
      let written = messages.map(\.content).joined(separator: "#")
      let fresh = try await other.engine.perform { loop throws(EngineError) in
        var tokens: [Int32] = []
        var sampling = SamplingParameters()
        sampling.temperature = 0
        let prompt = other.text.tokenizer.encode("#\(written)>")
        let request = GenerationRequest(
          prompt: prompt, sampling: sampling, limit: 8,
          endTokens: other.text.tokenizer.endOfGeneration)
        _ = try loop.generate(request, isCancelled: { false }) {
          tokens.append($0)
          return true
        }
        return String(decoding: other.text.tokenizer.decode(tokens), as: UTF8.self)
      }
      #expect(answer.text == fresh)
      messages.append(Message(role: "assistant", content: answer.text))
    }
    await model.close()
    await other.close()
  }

  @Test func aConversationThatIsTooLongIsAnErrorAndTheOldOneGoesOn() async throws {
    let model = try await load(context: 32)
    let first = [Message(role: "user", content: "HELLO")]
    let answer = try await reply(model, .conversation(first))
    let long = first + [Message(role: "user", content: String(repeating: "AB", count: 40))]
    #expect(try model.tokenCount(of: .conversation(long)) > model.contextLength)
    await #expect(throws: ApusError.self) { try await reply(model, .conversation(long)) }
    let again = try await reply(model, .conversation(first))
    #expect(again.text == answer.text && again.summary.reusedTokens > 0)
    await model.close()
  }

  @Test func samplingOptionsReachTheSampler() async throws {
    let model = try await load()
    let prompt = Prompt.raw(Array("HELLO".utf8))
    let plain = try await reply(model, prompt)
    let first = try #require(model.text.tokenizer.encode(plain.text).first)
    let barred = try await reply(model, prompt) { $0.logitBias = [first: -.infinity] }
    #expect(
      !barred.text.hasPrefix(
        model.text.tokenizer.decode([first]).map { String(UnicodeScalar($0)) }.joined()))
    let changes: [(inout GenerationOptions) -> Void] = [
      { $0.presencePenalty = 50 }, { $0.frequencyPenalty = 50 },
      { ($0.xtcProbability, $0.xtcThreshold) = (1, 0) }, { $0.typicalP = 0.01 },
      { ($0.dryMultiplier, $0.dryAllowedLength) = (50, 0) },
    ]
    for (index, change) in changes.enumerated() {
      #expect(try await reply(model, prompt, change).text != plain.text, "change \(index)")
    }
    func drawn(_ seed: UInt64) async throws -> String {
      try await reply(model, prompt) {
        ($0.temperature, $0.seed, $0.xtcProbability, $0.typicalP) = (2, seed, 0.5, 0.9)
        ($0.dryMultiplier, $0.frequencyPenalty) = (0.8, 0.2)
      }.text
    }
    let (one, two, other) = (try await drawn(1), try await drawn(1), try await drawn(2))
    #expect(one == two && one != other)
    await model.close()
  }

  @Test func sillySamplingOptionsAreErrors() async throws {
    let model = try await load()
    let changes: [(inout GenerationOptions) -> Void] = [
      { $0.logitBias = [65: 1] }, { $0.logitBias = [-1: 1] }, { $0.logitBias = [1: .nan] },
      { $0.typicalP = 2 }, { $0.xtcProbability = -1 }, { $0.presencePenalty = .nan },
      { $0.penaltyWindow = -1 }, { $0.dryBase = 0 }, { $0.dryBreakers = [""] },
      { $0.dryBreakers = [String(repeating: "A", count: 41)] },
    ]
    for (index, change) in changes.enumerated() {
      let error = await #expect(throws: ApusError.self, "change \(index)") {
        try await reply(model, .raw([65]), change)
      }
      #expect(error?.kind == .request)
    }
    await model.close()
  }

  private struct Fixture: Decodable {
    struct Breakers: Decodable {
      var texts: [String]
      var all: Int
      var met: [[Int32]]
    }
    var breakers: [Breakers]
  }

  /// Found independently by `tools/golden/sampling.py` with llama.cpp's tokenizer.
  @Test(.enabled(if: SmolLM2.isPresent, SmolLM2.absence))
  func breakersInTokensAreLlamaCpps() throws {
    let golden = try Fixtures.decode(Fixture.self, "sampling/samplers.json").breakers
    #expect(golden.count == 2)
    let tokenizer = try ModelText(path: SmolLM2.path).tokenizer
    for golden in golden {
      let found = tokenizer.sequenceBreakers(golden.texts)
      let met = found.filter { $0.key < 64 }.flatMap { token, tails in tails.map { [token] + $0 } }
      #expect(found.values.reduce(0) { $0 + $1.count } == golden.all)
      #expect(met.sorted { $0.lexicographicallyPrecedes($1) } == golden.met)
    }
  }
}
