/// How the next token is picked. The defaults are those that llama.cpp's users know.
package struct SamplingParameters: Sendable, Hashable {
  /// Logits are divided by this; 0 picks the likeliest token.
  package var temperature: Float = 0.8
  /// Keep the k likeliest tokens; 0 keeps all.
  package var topK = 40
  /// Keep the fewest tokens that together have this probability; 1 keeps all.
  package var topP: Float = 0.95
  /// Keep tokens with at least this share of the likeliest one's probability; 0 keeps all.
  package var minP: Float = 0.05
  /// Divide positive logits of recent tokens by this, multiply negative ones; 1 does nothing.
  package var repetitionPenalty: Float = 1
  /// How many recent tokens the penalty looks at.
  package var penaltyWindow = 64
  /// The same seed gives the same text on the same device.
  package var seed: UInt64 = 0

  package init() {}

  /// A sentence about the first value that makes no sense, or nil.
  package var complaint: String? {
    if !(temperature >= 0 && temperature.isFinite) { return "temperature must be 0 or more" }
    if topK < 0 { return "top-k must be 0 (all) or more" }
    if !(topP > 0 && topP <= 1) { return "top-p must be above 0 and at most 1" }
    if !(minP >= 0 && minP <= 1) { return "min-p must be between 0 and 1" }
    if !(repetitionPenalty > 0 && repetitionPenalty.isFinite) {
      return "the repetition penalty must be above 0"
    }
    if penaltyWindow < 0 { return "the penalty window must be 0 or more" }
    return nil
  }
}
