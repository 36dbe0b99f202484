import Sampling

/// How a reply is generated. Samplers take effect in llama.cpp's order (bias, penalties, DRY,
/// top-n-sigma, top-k, typical, top-p, min-p, XTC, temperature) and have its defaults.
public struct GenerationOptions: Sendable {
  /// Tokens at most.
  public var limit = 128
  /// The reply ends before any of these texts.
  public var stops: [String] = []
  /// 0 picks the likeliest token.
  public var temperature: Float = 0.8
  /// Keep tokens within this many standard deviations of the best logit; 0 or less keeps all.
  public var topNSigma: Float = -1
  /// Keep the k likeliest tokens; 0 keeps all.
  public var topK = 40
  /// Keep the tokens nearest to the expected information, up to this probability together; 1 keeps
  /// all.
  public var typicalP: Float = 1
  /// Keep the fewest tokens that together have this probability.
  public var topP: Float = 0.95
  /// Keep tokens with at least this share of the likeliest one's probability.
  public var minP: Float = 0.05
  /// How often the likeliest tokens are excluded (XTC), between 0 and 1.
  public var xtcProbability: Float = 0
  /// Of the tokens with at least this probability XTC keeps the least likely; above 0.5 it is off.
  public var xtcThreshold: Float = 0.1
  /// Above 1 makes tokens that occurred lately less likely.
  public var repetitionPenalty: Float = 1
  /// Taken off the logit of a token that occurred lately.
  public var presencePenalty: Float = 0
  /// Taken off a token's logit for each time that it occurred lately.
  public var frequencyPenalty: Float = 0
  /// How many tokens "lately" is for the three penalties.
  public var penaltyWindow = 64
  /// DRY's penalty for a token that prolongs a repetition by one more than is allowed; 0 is off.
  public var dryMultiplier: Float = 0
  /// DRY's penalty grows by this factor for each further token.
  public var dryBase: Float = 1.75
  /// Repetitions of fewer tokens cost nothing with DRY.
  public var dryAllowedLength = 2
  /// How many recent tokens DRY searches for repetitions.
  public var dryWindow = 64
  /// Texts at which DRY lets a repetition end, each of 40 bytes at most.
  public var dryBreakers = ["\n", ":", "\"", "*"]
  /// Added to the logits of tokens, by their ids; minus infinity bars a token.
  public var logitBias: [Int32: Float] = [:]
  /// The same seed gives the same text on the same device.
  public var seed: UInt64 = 0
  /// Tokens at most that are proposed at once and computed along with the one that was picked; 0 is off. They are
  /// what a draft model would pick (``LoadOptions/draft``), and without one what followed the last tokens where they
  /// occurred before (prompt lookup). Those that are picked then take no step of their own, which is faster where the
  /// draft is much smaller and mostly right, and where a reply repeats its prompt.
  ///
  /// Each token is picked as it is without, by the same random numbers, so a reply is distributed as it is without;
  /// with ``Activations/int8`` it is the same reply. The model has to be loaded with
  /// ``LoadOptions/outputRows`` of one more, and with ``KVPolicy/full``.
  public var speculation = 0

  /// The defaults.
  public init() {}

  /// Everything but DRY's breakers, for which a vocabulary is needed.
  var sampling: SamplingParameters {
    var parameters = SamplingParameters()
    parameters.temperature = temperature
    parameters.topNSigma = topNSigma
    parameters.topK = topK
    parameters.typicalP = typicalP
    parameters.topP = topP
    parameters.minP = minP
    parameters.xtcProbability = xtcProbability
    parameters.xtcThreshold = xtcThreshold
    parameters.repetitionPenalty = repetitionPenalty
    parameters.presencePenalty = presencePenalty
    parameters.frequencyPenalty = frequencyPenalty
    parameters.penaltyWindow = penaltyWindow
    parameters.dry.multiplier = dryMultiplier
    parameters.dry.base = dryBase
    parameters.dry.allowedLength = dryAllowedLength
    parameters.dry.window = dryWindow
    parameters.logitBias = logitBias
    parameters.seed = seed
    return parameters
  }

  /// A sentence about the first value that makes no sense, or nil.
  public var complaint: String? {
    if limit < 0 { return "the number of tokens (-n) must be 0 or more" }
    if speculation < 0 {
      return "the number of proposed tokens (--speculate) must be 0 (off) or more"
    }
    if dryBreakers.contains(where: { $0.isEmpty || $0.utf8.count > 40 }) {
      return "a DRY sequence breaker has at least one byte and at most 40"
    }
    return sampling.complaint()
  }
}
