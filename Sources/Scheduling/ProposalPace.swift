/// Decides how many tokens are proposed. A step of several rows takes longer than one of one row, so what is
/// rejected costs time: few are proposed until all of them are right, and none for a while where they took longer
/// than the tokens would have one by one. How long steps take differs by device, so it is measured as they go.
package struct ProposalPace: Sendable {
  /// Proposed where nothing is known: on the CPU, three rows take little longer than one, and four much.
  package static let fewest = 2
  /// Steps at most without a proposal.
  package static let longestPause = 16

  private let most: Int
  private let isFree: Bool
  private var length: Int
  private var pause = 0
  /// Steps to go without a proposal.
  private var wait: Int
  /// How long the last step without a proposal took.
  private var alone: Duration?

  /// - Parameters:
  ///   - most: Tokens at most.
  ///   - isFree: Whether guessing takes no time, so that longer proposals pay where short ones do not. Else the first
  ///     step has none: what they save has to be known.
  package init(most: Int, isFree: Bool) {
    precondition(most > 0)
    self.most = most
    self.isFree = isFree
    length = min(Self.fewest, most)
    wait = isFree ? 0 : 1
  }

  /// How many tokens to propose for the next step.
  ///
  /// - Parameter room: Tokens at most.
  /// - Returns: None where guesses did not pay lately.
  package mutating func next(room: Int) -> Int {
    guard wait == 0 else {
      wait -= 1
      return 0
    }
    return max(0, min(length, room))
  }

  /// Learns what came of a step: how many of the tokens that were proposed were right, and how long it took with the
  /// guessing.
  package mutating func learn(accepted: Int, of proposed: Int, took duration: Duration) {
    guard proposed > 0 else {
      alone = duration
      return
    }
    // The step made a token more than were accepted.
    let pays = alone.map { duration < $0 * (accepted + 1) } ?? (accepted > 0)
    if accepted == proposed {
      length = min(most, length > most / 4 ? most : length * 4)
    } else {
      length = min(Self.fewest, most)
    }
    if pays || (isFree && accepted == proposed) {
      pause = 0
    } else {
      length = min(Self.fewest, most)
      pause = min(Self.longestPause, max(1, pause * 2))
    }
    wait = pause
  }
}
