/// Decides how many tokens are proposed. A step of several rows takes longer than one of one row, so what is
/// rejected costs time: few are proposed until all of them are right, and none for a while where they took longer
/// than the tokens would have one by one. How long steps take differs by device, so it is measured as they go.
package struct Speculator: Sendable {
  /// Proposed where nothing is known: on the CPU, three rows take little longer than one, and four much.
  package static let fewest = 2
  /// Steps at most without a proposal.
  package static let longestPause = 16

  private let most: Int
  private var lookup = PromptLookup()
  private var length: Int
  private var pause = 0
  /// Steps to go without a proposal.
  private var wait = 0
  /// How long the last step without a proposal took.
  private var alone: Duration?

  /// Proposes `most` tokens at most.
  package init(most: Int) {
    precondition(most > 0)
    self.most = most
    length = min(Self.fewest, most)
  }

  /// Goes on with a token of the text.
  package mutating func append(_ token: Int32) { lookup.append(token) }

  /// Tokens that may come next, for one step.
  ///
  /// - Parameters:
  ///   - room: Tokens at most.
  ///   - endTokens: Nothing follows them, so nothing from one of them on is worth a row.
  /// - Returns: None where nothing is known, or where guesses did not pay lately.
  package mutating func propose(room: Int, endTokens: Set<Int32> = []) -> [Int32] {
    guard wait == 0 else {
      wait -= 1
      return []
    }
    return Array(lookup.propose(min(length, room)).prefix { !endTokens.contains($0) })
  }

  /// Learns what came of a step: how many of the tokens that were proposed were right, and how long it took.
  package mutating func learn(accepted: Int, of proposed: Int, took duration: Duration) {
    guard proposed > 0 else {
      alone = duration
      return
    }
    guard accepted < proposed else {
      length = min(most, length > most / 4 ? most : length * 4)
      pause = 0
      return
    }
    length = min(Self.fewest, most)
    // The step made a token more than were accepted.
    let pays = alone.map { duration < $0 * (accepted + 1) } ?? (accepted > 0)
    pause = pays ? 0 : min(Self.longestPause, max(1, pause * 2))
    wait = pause
  }
}
