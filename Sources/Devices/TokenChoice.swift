/// Which of the tokens that rows see they attend to, by what some observed rows attend to (ZipVL, He et al., 2024).
///
/// A token's share is what the observed rows attend to it, summed over all heads, of all that they attend to. There
/// are as few tokens as have `share` of that together, taking the largest; and these are the tokens with the largest
/// shares divided by the part of the observed rows that see them, of equal ones the first. Early tokens are seen by
/// all rows, so they would win by that alone. The last token comes along in any case.
package struct TokenChoice: Sendable, Hashable {
  /// Query heads.
  package var headCount: Int
  package var kvHeadCount: Int
  /// What the tokens have together, in parts of ``whole``; all tokens where it is that.
  package var share: Int

  package static let whole = 1 << 20
  /// Numbers in front of the tokens in what is chosen; the first counts them.
  package static let head = 16
  /// All that observed rows attend to, in what a token's share is counted in.
  package static let unit: Float = 1_073_741_824

  package init(headCount: Int, kvHeadCount: Int, share: Int) {
    self.headCount = headCount
    self.kvHeadCount = kvHeadCount
    self.share = share
  }
}

/// Where rows that attend to chosen tokens lie while they do: those whose own tokens are chosen come first, in order,
/// and the others behind them see nothing.
package enum TokenPlace: Sendable, Hashable {
  /// The row of the step that comes to lie there, or the first.
  case source
  /// Where what it sees ends, counted in chosen tokens.
  case end
  /// Where each row of the step has come to lie; those whose tokens are not chosen share the last place, which
  /// sees nothing.
  case target
}
