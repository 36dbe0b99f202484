import Runtime
import Sampling
import Synchronization
import Tokenization

/// How a reply is generated.
public struct GenerationOptions: Sendable {
  /// Tokens at most.
  public var limit = 128
  /// The reply ends before any of these texts.
  public var stops: [String] = []
  /// 0 picks the likeliest token.
  public var temperature: Float = 0.8
  /// Keep the k likeliest tokens; 0 keeps all.
  public var topK = 40
  /// Keep the fewest tokens that together have this probability.
  public var topP: Float = 0.95
  /// Keep tokens with at least this share of the likeliest one's probability.
  public var minP: Float = 0.05
  /// Above 1 makes tokens that occurred lately less likely.
  public var repetitionPenalty: Float = 1
  /// The same seed gives the same text on the same device.
  public var seed: UInt64 = 0

  /// The defaults.
  public init() {}

  var sampling: SamplingParameters {
    var parameters = SamplingParameters()
    parameters.temperature = temperature
    parameters.topK = topK
    parameters.topP = topP
    parameters.minP = minP
    parameters.repetitionPenalty = repetitionPenalty
    parameters.seed = seed
    return parameters
  }

  /// A sentence about the first value that makes no sense, or nil.
  public var complaint: String? {
    limit < 0 ? "the number of tokens (-n) must be 0 or more" : sampling.complaint
  }
}

/// How a reply ended and how long it took.
public struct GenerationSummary: Sendable {
  /// Why it ended.
  public enum Finish: Sendable, Hashable {
    /// The model ended it.
    case endOfGeneration
    /// One of the stop texts came.
    case stop(String)
    /// As many tokens as were asked for.
    case limit
    /// The context holds no more than this many tokens.
    case contextFull(Int)
    /// Somebody stopped it.
    case cancelled
  }

  /// Why it ended.
  public var finish: Finish
  /// Tokens of the prompt.
  public var promptTokens: Int
  /// Tokens of the reply.
  public var tokens: Int
  /// From the request to the first token.
  public var timeToFirstToken: Duration
  /// From the first token to the last.
  public var decodeTime: Duration

  /// Tokens per second after the first, or nil where there are too few.
  public var tokensPerSecond: Double? {
    let seconds = decodeTime / .seconds(1)
    return tokens > 1 && seconds > 0 ? Double(tokens - 1) / seconds : nil
  }
}

/// What to continue.
public enum Prompt: Sendable {
  /// The user's words, put into the model's chat template, with an optional system message.
  case chat(user: String, system: String?)
  /// Bytes as they are; special tokens in them are plain text.
  case raw([UInt8])
}

/// A part of a reply.
public enum GenerationEvent: Sendable {
  /// Text that is certain not to be part of a stop text; never a broken character.
  case text(String)
  /// The last event.
  case finished(GenerationSummary)
}

extension LanguageModel {
  /// Generates a reply, piece by piece. Dropping the stream stops the generation within a step.
  ///
  /// - Parameters:
  ///   - prompt: What to continue.
  ///   - options: Length, stops and sampling.
  ///   - isCancelled: Asked before every step, on the engine's thread.
  /// - Returns: A stream of text that ends with a summary, or fails with ``ApusError``.
  public func generate(
    _ prompt: Prompt, options: GenerationOptions = GenerationOptions(),
    until isCancelled: @escaping @Sendable () -> Bool = { false }
  ) -> AsyncThrowingStream<GenerationEvent, any Error> {
    AsyncThrowingStream { continuation in
      let flag = CancelFlag()
      continuation.onTermination = { _ in flag.raise() }
      Task {
        do throws(ApusError) {
          let request = try self.request(prompt, options)
          let summary = try await self.speak(
            request, options.stops, isCancelled: { flag.isRaised || isCancelled() }
          ) {
            continuation.yield(.text($0))
          }
          continuation.yield(.finished(summary))
          continuation.finish()
        } catch {
          continuation.finish(throwing: error)
        }
      }
    }
  }

  /// The tokens of a prompt.
  package func tokens(of prompt: Prompt) throws(ApusError) -> [Int32] {
    switch prompt {
    case .raw(let bytes):
      return text.tokenizer.encode(
        bytes, parseSpecial: false, addBOS: text.tokenizer.addsBOS)
    case .chat(let user, let system):
      let messages =
        (system.map { [ChatMessage(role: "system", content: $0)] } ?? [])
        + [ChatMessage(role: "user", content: user)]
      return try text.tokens(of: messages)
    }
  }

  private func request(
    _ prompt: Prompt, _ options: GenerationOptions
  ) throws(ApusError) -> GenerationRequest {
    if let complaint = options.complaint { throw ApusError(.request, complaint) }
    return GenerationRequest(
      prompt: try tokens(of: prompt), sampling: options.sampling, limit: options.limit,
      endTokens: text.tokenizer.endOfGeneration)
  }

  private func speak(
    _ request: GenerationRequest, _ stops: [String],
    isCancelled: @escaping @Sendable () -> Bool, _ emit: @escaping @Sendable (String) -> Void
  ) async throws(ApusError) -> GenerationSummary {
    let tokenizer = text.tokenizer
    do throws(EngineError) {
      return try await engine.perform { loop throws(EngineError) in
        var speech = Speech(tokenizer, stops)
        let report = try loop.generate(request, isCancelled: isCancelled) { token in
          let text = speech.append(token)
          if !text.isEmpty { emit(text) }
          return speech.stop == nil
        }
        let rest = speech.finish()
        if !rest.isEmpty { emit(rest) }
        return GenerationSummary(report, stop: speech.stop)
      }
    } catch { throw ApusError(error) }
  }
}

/// Tokens to text, up to a stop text.
private struct Speech {
  private var detokenizer: StreamingDetokenizer
  private var matcher: StopMatcher
  private(set) var stop: String?

  init(_ tokenizer: Tokenizer, _ stops: [String]) {
    detokenizer = StreamingDetokenizer(tokenizer)
    matcher = StopMatcher(stops)
  }

  mutating func append(_ token: Int32) -> String { match(detokenizer.append(token)) }

  mutating func finish() -> String {
    if stop != nil { return "" }
    let last = match(detokenizer.finish())
    return stop == nil ? last + matcher.finish() : last
  }

  private mutating func match(_ text: String) -> String {
    let result = matcher.append(text)
    stop = stop ?? result.stop
    return result.text
  }
}

/// Raised from any thread, read by the engine before every step.
private final class CancelFlag: Sendable {
  private let raised = Atomic(false)

  func raise() { raised.store(true, ordering: .relaxed) }
  var isRaised: Bool { raised.load(ordering: .relaxed) }
}

extension GenerationSummary {
  fileprivate init(_ report: GenerationReport, stop: String?) {
    finish =
      switch (stop, report.finish) {
      case (let stop?, _): .stop(stop)
      case (nil, .endToken): .endOfGeneration
      case (nil, .limit): .limit
      case (nil, .contextFull(let tokens)): .contextFull(tokens)
      case (nil, .cancelled): .cancelled
      }
    promptTokens = report.promptTokens
    tokens = report.generatedTokens
    timeToFirstToken = report.timeToFirstToken
    decodeTime = report.decodeTime
  }
}
