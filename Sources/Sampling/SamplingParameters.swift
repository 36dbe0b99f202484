/// How the next token is picked. The defaults are llama.cpp's.
package struct SamplingParameters: Sendable, Hashable {
  /// Logits are divided by this; 0 picks the likeliest token that is left.
  package var temperature: Float = 0.8
  /// Keep tokens within this many standard deviations of the best logit; 0 or less keeps all.
  package var topNSigma: Float = -1
  /// Keep the k likeliest tokens; 0 keeps all.
  package var topK = 40
  /// Keep the tokens whose information is nearest to the expected one, up to this probability
  /// together; 1 keeps all.
  package var typicalP: Float = 1
  /// Keep the fewest tokens that together have this probability; 1 keeps all.
  package var topP: Float = 0.95
  /// Keep tokens with at least this share of the likeliest one's probability; 0 keeps all.
  package var minP: Float = 0.05
  /// How often XTC takes effect; 0 is never.
  package var xtcProbability: Float = 0
  /// Of the tokens with at least this probability XTC keeps the least likely one only; above 0.5
  /// there are no two such tokens.
  package var xtcThreshold: Float = 0.1
  /// Divide positive logits of recent tokens by this, multiply the others; 1 does nothing.
  package var repetitionPenalty: Float = 1
  /// Taken off a recent token's logit once.
  package var presencePenalty: Float = 0
  /// Taken off a recent token's logit for each time that it occurred.
  package var frequencyPenalty: Float = 0
  /// How many recent tokens the three penalties look at.
  package var penaltyWindow = 64
  package var dry = DryParameters()
  /// Added to the logits of these tokens before anything else.
  package var logitBias: [Int32: Float] = [:]
  /// The same seed gives the same text on the same device.
  package var seed: UInt64 = 0

  package init() {}
}

/// DRY ("don't repeat yourself"): tokens that would prolong a repetition get a penalty that grows
/// exponentially with its length.
package struct DryParameters: Sendable, Hashable {
  /// The penalty of the shortest repetition that counts; 0 turns DRY off.
  package var multiplier: Float = 0
  /// The penalty grows by this factor with each token of the repetition.
  package var base: Float = 1.75
  /// Repetitions shorter than this many tokens are free.
  package var allowedLength = 2
  /// How many recent tokens are searched for repetitions; 0 turns DRY off.
  package var window = 64
  /// What ends a repetition: for a token the continuations that make it a breaker, an empty one
  /// where it is one alone.
  package var breakers: [Int32: [[Int32]]] = [:]

  package init() {}

  package var isActive: Bool { multiplier != 0 && window > 0 }
}

extension SamplingParameters {
  /// A sentence about the first value that makes no sense, or nil. Token ids are checked where the
  /// size of the vocabulary is given.
  package func complaint(vocabulary: Int? = nil) -> String? {
    if !(temperature >= 0 && temperature.isFinite) { return "temperature must be 0 or more" }
    if topNSigma.isNaN { return "top-n-sigma must be a number; 0 or less keeps all" }
    if topK < 0 { return "top-k must be 0 (all) or more" }
    if !(typicalP > 0 && typicalP <= 1) { return "typical must be above 0 and at most 1" }
    if !(topP > 0 && topP <= 1) { return "top-p must be above 0 and at most 1" }
    if !(minP >= 0 && minP <= 1) { return "min-p must be between 0 and 1" }
    if !(xtcProbability >= 0 && xtcProbability <= 1) {
      return "the XTC probability must be between 0 and 1"
    }
    if !(xtcThreshold >= 0 && xtcThreshold <= 1) {
      return "the XTC threshold must be between 0 and 1"
    }
    return penaltyComplaint ?? dryComplaint ?? biasComplaint(vocabulary)
  }

  private var penaltyComplaint: String? {
    if !(repetitionPenalty > 0 && repetitionPenalty.isFinite && (1 / repetitionPenalty).isFinite) {
      return "the repetition penalty must be above 0"
    }
    if !presencePenalty.isFinite { return "the presence penalty must be a finite number" }
    if !frequencyPenalty.isFinite { return "the frequency penalty must be a finite number" }
    if penaltyWindow < 0 { return "the penalty window (repeat-last-n) must be 0 or more" }
    return nil
  }

  private var dryComplaint: String? {
    if !dry.multiplier.isFinite { return "the DRY multiplier must be a finite number; 0 is off" }
    if !(dry.base >= 1 && dry.base.isFinite) { return "the DRY base must be 1 or more" }
    if dry.allowedLength < 0 { return "the length that DRY allows must be 0 or more" }
    if dry.window < 0 { return "the DRY window (dry-penalty-last-n) must be 0 or more" }
    return nil
  }

  private func biasComplaint(_ vocabulary: Int?) -> String? {
    for (token, bias) in logitBias.sorted(by: { $0.key < $1.key }) {
      if bias.isNaN { return "the logit bias of token \(token) is not a number" }
      if let vocabulary, token < 0 || token >= vocabulary {
        return "the logit bias names token \(token), but the vocabulary ends at \(vocabulary - 1)"
      }
    }
    return nil
  }
}
