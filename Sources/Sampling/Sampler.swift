/// Picks tokens from logits in llama.cpp's order: bias, penalties, DRY, top-n-sigma, top-k, typical,
/// top-p, min-p, XTC, temperature, chance.
package struct Sampler: Sendable {
  private let parameters: SamplingParameters
  private var chance: SplitMix64

  package init(_ parameters: SamplingParameters) {
    self.parameters = parameters
    chance = SplitMix64(state: parameters.seed)
  }

  /// The next token.
  ///
  /// - Parameters:
  ///   - logits: One number for each token of the vocabulary, at least one.
  ///   - history: The tokens so far, prompt included; the penalties look at the last of them.
  /// - Returns: The index of the token that was picked. Logits that are not numbers never win.
  package mutating func pick(_ logits: [Float], history: [Int32]) -> Int32 {
    let adjusted = parameters.adjusted(logits, history: history)
    // Only these two can take the likeliest token away.
    let keepsBest = parameters.typicalP == 1 && parameters.xtcProbability == 0
    if parameters.temperature == 0, keepsBest { return Self.likeliest(adjusted) }
    let candidates = candidates(adjusted)
    if parameters.temperature == 0 { return candidates.first?.token ?? Self.likeliest(logits) }
    return draw(candidates) ?? Self.likeliest(logits)
  }

  /// The tokens from which ``pick(_:history:)`` draws, by logits that have been adjusted.
  package mutating func candidates(_ adjusted: [Float]) -> Candidates {
    var candidates = Candidates(adjusted, topK: parameters.topK)
    candidates.keepTypical(parameters.typicalP)
    candidates.keepTopP(parameters.topP)
    candidates.keepMinP(parameters.minP)
    if parameters.xtcProbability > 0, chance.uniform() < parameters.xtcProbability {
      candidates.excludeTopChoices(parameters.xtcThreshold)
    }
    return candidates
  }

  /// The index of the largest logit, the first of equals.
  package static func likeliest(_ logits: [Float]) -> Int32 {
    var best = 0
    for index in logits.indices where logits[index] > logits[best] || logits[best].isNaN {
      best = index
    }
    return Int32(best)
  }

  private mutating func draw(_ candidates: Candidates) -> Int32? {
    var rest = chance.uniform()
    let shares = candidates.probabilities(temperature: parameters.temperature)
    for (candidate, share) in zip(candidates.items, shares) {
      rest -= share
      if rest < 0 { return candidate.token }
    }
    // The shares add up to a little less than one.
    return candidates.first?.token
  }
}

extension SamplingParameters {
  /// The logits after bias, penalties, DRY and top-n-sigma.
  package func adjusted(_ logits: [Float], history: [Int32]) -> [Float] {
    var logits = logits
    Penalties.addBias(logitBias, to: &logits)
    Penalties.penalize(&logits, history, self)
    Dry.penalize(&logits, history, dry)
    Penalties.keepTopNSigma(topNSigma, &logits)
    return logits
  }
}

/// SplitMix64 (Steele, Lea & Flood, 2014): one 64-bit state, so a seed is all there is to keep.
struct SplitMix64: Sendable {
  var state: UInt64

  /// Evenly distributed in [0, 1).
  mutating func uniform() -> Float {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return Float((z ^ (z >> 31)) >> 40) / Float(1 << 24)
  }
}
