/// Proposes what may come next by what followed the last tokens where they occurred before, as long as that pays.
package struct Speculator: Sendable {
  private var lookup = PromptLookup()
  private var pace: ProposalPace

  /// Proposes `most` tokens at most.
  package init(most: Int) { pace = ProposalPace(most: most, isFree: true) }

  /// Goes on with a token of the text.
  package mutating func append(_ token: Int32) { lookup.append(token) }

  /// Tokens that may come next, for one step.
  ///
  /// - Parameters:
  ///   - room: Tokens at most.
  ///   - endTokens: Nothing follows them, so nothing from one of them on is worth a row.
  /// - Returns: None where nothing is known, or where guesses did not pay lately.
  package mutating func propose(room: Int, endTokens: Set<Int32> = []) -> [Int32] {
    Array(lookup.propose(pace.next(room: room)).prefix { !endTokens.contains($0) })
  }

  /// Learns what came of a step: how many of the tokens that were proposed were right, and how long it took.
  package mutating func learn(accepted: Int, of proposed: Int, took duration: Duration) {
    pace.learn(accepted: accepted, of: proposed, took: duration)
  }
}
