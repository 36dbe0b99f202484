#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Picks tokens from logits: repetition penalty, then top-k, top-p, min-p, temperature, chance.
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
  ///   - history: The tokens so far, prompt included; the penalty looks at the last of them.
  /// - Returns: The index of the token that was picked. Logits that are not numbers never win.
  package mutating func pick(_ logits: [Float], history: [Int32]) -> Int32 {
    var logits = logits
    penalize(&logits, history)
    if parameters.temperature == 0 { return Self.likeliest(logits) }
    var candidates = Self.ordered(logits, most: parameters.topK)
    keepTopP(&candidates)
    keepMinP(&candidates)
    return draw(candidates)
  }

  /// The index of the largest logit, the first of equals.
  package static func likeliest(_ logits: [Float]) -> Int32 {
    var best = 0
    for index in logits.indices where logits[index] > logits[best] || logits[best].isNaN {
      best = index
    }
    return Int32(best)
  }

  private struct Candidate {
    var token: Int32
    var logit: Float
  }

  private func penalize(_ logits: inout [Float], _ history: [Int32]) {
    guard parameters.repetitionPenalty != 1 else { return }
    for token in Set(history.suffix(parameters.penaltyWindow))
    where logits.indices.contains(Int(token)) {
      let logit = logits[Int(token)]
      logits[Int(token)] =
        logit > 0
        ? logit / parameters.repetitionPenalty : logit * parameters.repetitionPenalty
    }
  }

  /// The likeliest tokens first; equals in order of their ids, so that a seed decides the text.
  private static func ordered(_ logits: [Float], most: Int) -> [Candidate] {
    var candidates: [Candidate] = []
    candidates.reserveCapacity(logits.count)
    for (index, logit) in logits.enumerated() where !logit.isNaN {
      candidates.append(Candidate(token: Int32(index), logit: logit))
    }
    func before(_ a: Candidate, _ b: Candidate) -> Bool {
      a.logit != b.logit ? a.logit > b.logit : a.token < b.token
    }
    if most > 0, most < candidates.count {
      // A threshold first: sorting a whole vocabulary costs more than a small model's layer.
      var best = Array(candidates[..<most]).sorted(by: before)
      for candidate in candidates[most...] where before(candidate, best[most - 1]) {
        var place = most - 1
        while place > 0, before(candidate, best[place - 1]) {
          best[place] = best[place - 1]
          place -= 1
        }
        best[place] = candidate
      }
      return best
    }
    candidates.sort(by: before)
    return candidates
  }

  private func probabilities(_ candidates: [Candidate], temperature: Float) -> [Float] {
    guard let peak = candidates.first?.logit else { return [] }
    let weights = candidates.map { exp(($0.logit - peak) / temperature) }
    let total = weights.reduce(0, +)
    return weights.map { $0 / total }
  }

  private func keepTopP(_ candidates: inout [Candidate]) {
    guard parameters.topP < 1 else { return }
    var sum: Float = 0
    for (index, probability) in probabilities(candidates, temperature: 1).enumerated() {
      sum += probability
      if sum >= parameters.topP {
        candidates.removeSubrange((index + 1)...)
        return
      }
    }
  }

  private func keepMinP(_ candidates: inout [Candidate]) {
    guard parameters.minP > 0, let peak = candidates.first?.logit else { return }
    let least = peak + log(parameters.minP)
    candidates.removeAll { $0.logit < least }
  }

  private mutating func draw(_ candidates: [Candidate]) -> Int32 {
    let probabilities = probabilities(candidates, temperature: parameters.temperature)
    var rest = chance.uniform()
    for (candidate, probability) in zip(candidates, probabilities) {
      rest -= probability
      if rest < 0 { return candidate.token }
    }
    return candidates.first?.token ?? 0
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
