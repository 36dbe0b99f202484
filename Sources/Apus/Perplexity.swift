import Runtime
import Tokenization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// How well a model predicts a text.
///
/// The definition is that of llama.cpp's tool: the text is cut into windows of c tokens that do
/// not overlap, each starts with BOS in place of its first token where the model says so, and the
/// tokens behind the first half of each window are scored.
public struct PerplexityResult: Sendable {
  /// exp(nats per token).
  public var perplexity: Double
  /// Standard error of the perplexity.
  public var perplexityError: Double
  /// Mean negative log-likelihood of the scored tokens.
  public var natsPerToken: Double
  /// Standard error of the mean.
  public var natsPerTokenError: Double
  /// Tokens that were scored.
  public var tokens: Int
  /// Windows that were scored.
  public var windows: Int
  /// Nats per token of each window.
  public var windowNats: [Double]
}

/// Sums of a number for each token, such as its negative log-likelihood.
package struct TokenSum: Sendable {
  package private(set) var sum = 0.0
  private var squares = 0.0
  package private(set) var count = 0

  package init() {}

  mutating func add(_ number: Double) {
    sum += number
    squares += number * number
    count += 1
  }

  /// Adds −log p of `token` under `logits`.
  mutating func add(_ logits: ArraySlice<Float>, token: Int32) {
    add(Self.nats(logits, token: token))
  }

  /// −log softmax(logits)[token], in double precision.
  static func nats(_ logits: ArraySlice<Float>, token: Int32) -> Double {
    let peak = Double(logits.max() ?? 0)
    var total = 0.0
    for logit in logits { total += exp(Double(logit) - peak) }
    return log(total) + peak - Double(logits[logits.startIndex + Int(token)])
  }

  /// Adds all that another sum holds.
  mutating func add(_ other: TokenSum) {
    sum += other.sum
    squares += other.squares
    count += other.count
  }

  var mean: Double { count == 0 ? 0 : sum / Double(count) }

  /// Standard error of the mean.
  var standardError: Double {
    guard count > 1 else { return 0 }
    let variance = max(0, squares / Double(count) - mean * mean)
    return (variance / Double(count - 1)).squareRoot()
  }
}

extension LanguageModel {
  /// Scores a text.
  ///
  /// - Parameters:
  ///   - bytes: The text.
  ///   - window: Tokens of a window, at most ``contextLength``.
  ///   - windows: Windows at most, or nil for all.
  ///   - progress: Called after each window with how many are done, how many there are, and the
  ///     perplexity so far.
  /// - Returns: Perplexity with its standard errors.
  /// - Throws: ``ApusError`` where the text is too short or the device fails.
  public func perplexity(
    of bytes: [UInt8], window: Int = 512, windows: Int? = nil,
    progress: @escaping @Sendable (Int, Int, Double) -> Void = { _, _, _ in }
  ) async throws(ApusError) -> PerplexityResult {
    let parts = try self.windows(of: bytes, window, limit: windows)
    var total = TokenSum()
    var windowNats: [Double] = []
    for (index, part) in parts.enumerated() {
      let scored = try await score(part, from: window / 2)
      total.add(scored)
      windowNats.append(scored.mean)
      progress(index + 1, parts.count, exp(total.mean))
    }
    return PerplexityResult(
      perplexity: exp(total.mean), perplexityError: exp(total.mean) * total.standardError,
      natsPerToken: total.mean, natsPerTokenError: total.standardError, tokens: total.count,
      windows: parts.count, windowNats: windowNats)
  }

  /// The windows of a text, each of `window` tokens and with BOS for its first where the model says so.
  func windows(
    of bytes: [UInt8], _ window: Int, limit: Int?
  ) throws(ApusError) -> [[Int32]] {
    guard window >= 4, window <= contextLength else {
      throw ApusError(
        .request, "windows (-c) have 4 to \(contextLength) tokens with this model, not \(window)")
    }
    if let limit, limit < 1 { throw ApusError(.request, "--windows must be 1 or more") }
    let tokenizer = text.tokenizer
    let tokens = tokenizer.encode(bytes, parseSpecial: false, addBOS: tokenizer.addsBOS)
    let available = tokens.count / window
    let count = min(limit ?? available, available)
    guard count > 0 else {
      throw ApusError(
        .request, "the text has \(tokens.count) tokens, which do not fill a window of \(window)")
    }
    return (0..<count).map { index in
      var part = Array(tokens[index * window..<(index + 1) * window])
      if tokenizer.addsBOS, let bos = tokenizer.bos { part[0] = bos }
      return part
    }
  }

  /// Scores the tokens behind `start`: the logits of token t score token t + 1.
  private func score(_ tokens: [Int32], from start: Int) async throws(ApusError) -> TokenSum {
    do throws(EngineError) {
      return try await engine.perform { loop throws(EngineError) in
        var sum = TokenSum()
        try loop.evaluate(tokens, wantedFrom: start) { token, logits in
          if token + 1 < tokens.count { sum.add(logits, token: tokens[token + 1]) }
        }
        return sum
      }
    } catch { throw ApusError(error) }
  }
}
