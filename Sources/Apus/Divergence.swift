import Runtime

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// How far what one run predicts is from what another one does, token by token.
public struct DivergenceResult: Sendable {
  /// Mean of KL(base ‖ run) = Σ base × log(base / run) over the vocabulary, in nats (Kullback and Leibler, 1951).
  public var mean: Double
  /// Standard error of the mean.
  public var standardError: Double
  /// The largest of one token.
  public var largest: Double
  /// Share of tokens for which both hold the same next token for the likeliest.
  public var sameTop: Double
  /// Standard error of that share.
  public var sameTopError: Double
  /// Nats per token of the text by the run, and by the base.
  public var natsPerToken: (run: Double, base: Double)
  /// Tokens that were compared.
  public var tokens: Int
  /// Windows that they are from.
  public var windows: Int
}

/// Logits of a window, row after row.
private struct LogitRows: Sendable {
  var values: [Float] = []
  let width: Int

  subscript(row: Int) -> ArraySlice<Float> { values[row * width..<(row + 1) * width] }
}

/// Sums over tokens.
package struct DivergenceSum: Sendable {
  package private(set) var divergence = TokenSum()
  package private(set) var largest = 0.0
  /// One where both hold the same next token for the likeliest, else nothing.
  package private(set) var same = TokenSum()
  fileprivate private(set) var (run, base) = (TokenSum(), TokenSum())

  package init() {}

  /// Adds what both predict behind a token, and the token that the text has there.
  package mutating func add(run logits: ArraySlice<Float>, base: ArraySlice<Float>, token: Int32) {
    let divergence = Self.divergence(of: base, from: logits)
    self.divergence.add(divergence)
    largest = max(largest, divergence)
    same.add(Self.top(logits) == Self.top(base) ? 1 : 0)
    run.add(logits, token: token)
    self.base.add(base, token: token)
  }

  private static func top(_ logits: ArraySlice<Float>) -> Int? {
    logits.indices.max { logits[$0] < logits[$1] }.map { $0 - logits.startIndex }
  }

  /// KL(softmax(p) ‖ softmax(q)) in double precision; rounding cannot make it negative.
  private static func divergence(of p: ArraySlice<Float>, from q: ArraySlice<Float>) -> Double {
    let (peakP, peakQ) = (Double(p.max() ?? 0), Double(q.max() ?? 0))
    var (totalP, totalQ, weighted) = (0.0, 0.0, 0.0)
    for (x, y) in zip(p, q) {
      let (x, y) = (Double(x) - peakP, Double(y) - peakQ)
      let weight = exp(x)
      totalP += weight
      totalQ += exp(y)
      // What has no probability adds nothing, however unlikely the other run holds it.
      if weight > 0 { weighted += weight * (x - y) }
    }
    return max(0, weighted / totalP - log(totalP) + log(totalQ))
  }
}

extension LanguageModel {
  /// Compares what this run predicts with what another one does, on the same tokens of a text.
  ///
  /// Windows are those of ``perplexity(of:window:windows:progress:)``. The base's logits of a window are kept
  /// meanwhile: window / 2 × vocabulary × 4 bytes.
  ///
  /// - Parameters:
  ///   - base: The run that counts as right: another file, or the same one loaded in another way.
  ///   - bytes: The text.
  ///   - window: Tokens of a window.
  ///   - windows: Windows at most, or nil for all.
  ///   - progress: Called after each window with how many are done, how many there are, and the mean so far.
  /// - Returns: Means with their standard errors.
  /// - Throws: ``ApusError`` where the two have different tokens, the text is too short or a device fails.
  public func divergence(
    from base: LanguageModel, on bytes: [UInt8], window: Int = 512, windows: Int? = nil,
    progress: @escaping @Sendable (Int, Int, Double) -> Void = { _, _, _ in }
  ) async throws(ApusError) -> DivergenceResult {
    let parts = try self.windows(of: bytes, window, limit: windows)
    guard try base.windows(of: bytes, window, limit: windows) == parts,
      try await width == base.width
    else {
      throw ApusError(
        .request,
        "the two models cut the text into different tokens, so what they predict cannot be compared: "
          + "take files of one vocabulary")
    }
    var total = DivergenceSum()
    for (index, part) in parts.enumerated() {
      total = try await compare(part, from: window / 2, base, adding: total)
      progress(index + 1, parts.count, total.divergence.mean)
    }
    return DivergenceResult(
      mean: total.divergence.mean, standardError: total.divergence.standardError,
      largest: total.largest, sameTop: total.same.mean, sameTopError: total.same.standardError,
      natsPerToken: (total.run.mean, total.base.mean), tokens: total.divergence.count,
      windows: parts.count)
  }

  /// Logits of a token.
  private var width: Int {
    get async throws(ApusError) {
      do throws(EngineError) {
        return try await engine.perform { loop throws(EngineError) in loop.vocabularySize }
      } catch { throw ApusError(error) }
    }
  }

  private func compare(
    _ tokens: [Int32], from start: Int, _ base: LanguageModel, adding sum: DivergenceSum
  ) async throws(ApusError) -> DivergenceSum {
    do throws(EngineError) {
      let rows = try await base.engine.perform { loop throws(EngineError) in
        var rows = LogitRows(width: loop.vocabularySize)
        rows.values.reserveCapacity((tokens.count - start) * rows.width)
        try loop.evaluate(tokens, wantedFrom: start) { _, logits in rows.values += logits }
        return rows
      }
      return try await engine.perform { loop throws(EngineError) in
        var sum = sum
        try loop.evaluate(tokens, wantedFrom: start) { token, logits in
          guard token + 1 < tokens.count else { return }
          sum.add(run: logits, base: rows[token - start], token: tokens[token + 1])
        }
        return sum
      }
    } catch { throw ApusError(error) }
  }
}
