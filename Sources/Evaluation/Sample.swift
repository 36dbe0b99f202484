/// Tokens with which a cache policy is put to the test. The first `prompt` of them are computed together
/// and with all that they see; the others are fed one by one, so that each reads what the policy gives it.
package struct Sample: Sendable, Hashable {
  package let tokens: [Int32]
  package let prompt: Int
  /// Which tokens are scored. The token before each of them is not of the prompt, so that no score is
  /// one that the policy had no part in.
  package let scored: Range<Int>

  package init(tokens: [Int32], prompt: Int, scored: Range<Int>) {
    precondition(prompt > 0 && scored.lowerBound > prompt && scored.upperBound == tokens.count)
    self.tokens = tokens
    self.prompt = prompt
    self.scored = scored
  }
}

/// A test that cannot be made, in a sentence.
package enum SampleError: Error, Sendable, Hashable, CustomStringConvertible {
  case textTooShort(tokens: Int, needed: Int, windows: Int)
  case contextTooShort(Int, least: Int)
  case tooFewWindows(Int)
  case nothingScored(Int)
  case senselessCue(Int, copied: Int)

  package var description: String {
    switch self {
    case .textTooShort(let tokens, let needed, let windows):
      "the text has \(tokens) tokens, but \(windows) windows of this length need \(needed): give a "
        + "longer text, fewer --windows or a shorter -c"
    case .contextTooShort(let context, let least):
      "-c \(context) is too short: this test needs prompts of \(least) tokens or more"
    case .tooFewWindows(let windows):
      "--windows must be 2 or more, not \(windows): with one there is no standard error"
    case .nothingScored(let score): "--score must be 1 or more, not \(score)"
    case .senselessCue(let cue, let copied):
      "a cue of \(cue) tokens leaves nothing to score of \(copied) that are copied: --cue takes 1 to "
        + "\(max(1, copied - 1)) here"
    }
  }
}
