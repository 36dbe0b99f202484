#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// What changes logits before any token is dropped. Tokens outside of the vocabulary have no logit
/// and are passed over.
enum Penalties {
  static func addBias(_ bias: [Int32: Float], to logits: inout [Float]) {
    for (token, bias) in bias where logits.indices.contains(Int(token)) {
      logits[Int(token)] += bias
    }
  }

  /// Repetition, frequency and presence penalties of the tokens in the window.
  static func penalize(
    _ logits: inout [Float], _ history: [Int32], _ parameters: SamplingParameters
  ) {
    guard
      parameters.repetitionPenalty != 1 || parameters.frequencyPenalty != 0
        || parameters.presencePenalty != 0
    else { return }
    var counts: [Int32: Int] = [:]
    for token in history.suffix(parameters.penaltyWindow) { counts[token, default: 0] += 1 }
    for (token, count) in counts where logits.indices.contains(Int(token)) {
      var logit = logits[Int(token)]
      // Dividing a negative logit would make its token likelier.
      if logit > 0 {
        logit /= parameters.repetitionPenalty
      } else {
        logit *= parameters.repetitionPenalty
      }
      logit -= Float(count) * parameters.frequencyPenalty + parameters.presencePenalty
      logits[Int(token)] = logit
    }
  }

  /// Bars the tokens that lie further below the best one than `n` standard deviations of all logits
  /// (Tang et al., "Top-nσ", 2024).
  static func keepTopNSigma(_ n: Float, _ logits: inout [Float]) {
    guard n > 0 else { return }
    var (sum, squares, count, best) = (0.0, 0.0, 0, -Float.infinity)
    for logit in logits where logit.isFinite {
      sum += Double(logit)
      count += 1
      best = max(best, logit)
    }
    guard count > 0 else { return }
    let mean = sum / Double(count)
    for logit in logits where logit.isFinite {
      let distance = Double(logit) - mean
      squares += distance * distance
    }
    let least = best - n * Float((squares / Double(count)).squareRoot())
    for index in logits.indices where logits[index] < least { logits[index] = -.infinity }
  }
}

/// DRY: how long a repetition each token would prolong, and what that costs.
enum Dry {
  static func penalize(_ logits: inout [Float], _ history: [Int32], _ dry: DryParameters) {
    guard dry.isActive else { return }
    let lengths = repetitions(history.suffix(dry.window), dry)
    // Beyond this a power of the base is no finite number.
    let longest =
      dry.base > 1.000001
      ? Int(log(Double(Float.greatestFiniteMagnitude)) / log(Double(dry.base))) : .max
    for (token, length) in lengths where logits.indices.contains(Int(token)) {
      if dry.breakers[token]?.contains([]) == true { continue }
      let exponent = min(length - dry.allowedLength, longest)
      logits[Int(token)] -= Float(
        Double(dry.multiplier) * pow(Double(dry.base), Double(exponent)))
    }
  }

  /// For each token that would prolong a repetition: how many tokens at the end of the history occur
  /// just so before an earlier occurrence of that token. Lengths that are allowed are left out.
  static func repetitions(_ window: ArraySlice<Int32>, _ dry: DryParameters) -> [Int32: Int] {
    let recent = Array(window.reversed())
    let limit = tokensSinceBreaker(recent, dry.breakers)
    guard recent.count > dry.allowedLength, limit >= dry.allowedLength else { return [:] }
    var longest: [Int32: Int] = [:]
    let matches = prefixMatches(recent)
    for distance in 1..<max(1, recent.count) {
      let length = min(matches[distance], limit)
      guard length >= dry.allowedLength else { continue }
      longest[recent[distance - 1]] = max(longest[recent[distance - 1]] ?? 0, length)
    }
    return longest
  }

  /// How many of the latest tokens (`recent` begins with the last) came after the latest breaker.
  private static func tokensSinceBreaker(
    _ recent: [Int32], _ breakers: [Int32: [[Int32]]]
  ) -> Int {
    for (age, token) in recent.enumerated() {
      let lengths = (breakers[token] ?? []).filter { tail in
        tail.count <= age && tail.indices.allSatisfy { tail[$0] == recent[age - 1 - $0] }
      }.map(\.count)
      if let length = lengths.max() { return age - length }
    }
    return recent.count
  }

  /// For each place, how many tokens from there on are those from the start on. Each token is
  /// compared about twice, whatever the text (Gusfield's Z algorithm).
  private static func prefixMatches(_ tokens: [Int32]) -> [Int] {
    var matches = [Int](repeating: 0, count: tokens.count)
    // The match that reaches furthest.
    var (start, end) = (0, 0)
    for place in tokens.indices.dropFirst() {
      var length = place < end ? min(end - place, matches[place - start]) : 0
      while place + length < tokens.count, tokens[length] == tokens[place + length] { length += 1 }
      if place + length > end { (start, end) = (place, place + length) }
      matches[place] = length
    }
    return matches
  }
}
