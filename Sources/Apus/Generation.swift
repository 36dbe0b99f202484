import Devices
import Models
import Runtime
import Sampling
import Synchronization
import Tokenization

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
  /// Those of them that were in the cache from prompts and replies before
  /// (``LoadOptions/sharesPrefixes``).
  public var reusedTokens: Int
  /// Tokens of the prompt whose keys and values ``LoadOptions/kvPolicy`` dropped in all layers: their memory was free
  /// again behind the prompt.
  public var droppedTokens = 0
  /// Tokens of the reply.
  public var tokens: Int
  /// From the request to the first token.
  public var timeToFirstToken: Duration
  /// From the first token to the last.
  public var decodeTime: Duration
  /// Tokens that were proposed, from the text or by a draft model, and computed along, where
  /// ``GenerationOptions/speculation`` asks for it.
  public var proposedTokens = 0
  /// Those of them that the model picked.
  public var acceptedTokens = 0

  /// Tokens per second after the first, or nil where there are too few.
  public var tokensPerSecond: Double? {
    let seconds = decodeTime / .seconds(1)
    return tokens > 1 && seconds > 0 ? Double(tokens - 1) / seconds : nil
  }
}

/// A message of a conversation.
public struct Message: Sendable, Hashable, Codable {
  /// `system`, `user` or `assistant`.
  public var role: String
  /// The text.
  public var content: String

  /// A message.
  public init(role: String, content: String) {
    self.role = role
    self.content = content
  }
}

/// What to continue.
public enum Prompt: Sendable {
  /// The user's words, put into the model's chat template, with an optional system message.
  case chat(user: String, system: String?)
  /// A conversation up to the user's latest message. The turns before are not computed again, as long as they
  /// are in the cache.
  case conversation([Message])
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
    case .conversation(let messages):
      return try text.tokens(
        of: messages.map { ChatMessage(role: $0.role, content: $0.content) })
    }
  }

  /// How many tokens of context a prompt takes.
  ///
  /// - Throws: ``ApusError`` where the model has no chat template, or one that fails.
  public func tokenCount(of prompt: Prompt) throws(ApusError) -> Int {
    try tokens(of: prompt).count
  }

  private func request(
    _ prompt: Prompt, _ options: GenerationOptions
  ) throws(ApusError) -> GenerationRequest {
    var sampling = options.sampling
    let complaint = options.complaint ?? sampling.complaint(vocabulary: model.vocabularySize)
    if let complaint { throw ApusError(.request, complaint) }
    if sampling.dry.isActive { sampling.dry.breakers = sequenceBreakers(options.dryBreakers) }
    return GenerationRequest(
      prompt: try tokens(of: prompt), sampling: sampling, limit: options.limit,
      endTokens: text.tokenizer.endOfGeneration, keepsCache: sharesPrefixes,
      speculation: options.speculation)
  }

  /// Breakers in tokens, found once for each set of texts.
  private func sequenceBreakers(_ texts: [String]) -> [Int32: [[Int32]]] {
    breakers.withLock {
      if let known = $0[texts] { return known }
      let found = text.tokenizer.sequenceBreakers(texts)
      $0 = [texts: found]
      return found
    }
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
    reusedTokens = report.reusedTokens
    droppedTokens = report.droppedPages * KVLayout.pageTokens
    tokens = report.generatedTokens
    timeToFirstToken = report.timeToFirstToken
    decodeTime = report.decodeTime
    proposedTokens = report.proposedTokens
    acceptedTokens = report.acceptedTokens
  }
}
