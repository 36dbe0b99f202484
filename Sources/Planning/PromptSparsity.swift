/// How the rows of a prompt attend to a part of what they see, in layers that look back without a window.
package struct PromptSparsity: Sendable, Hashable {
  /// What the tokens that are attended to have of all that some observed rows attend to, in parts of
  /// `TokenChoice.whole`.
  package var share: Int
  /// Rows that are observed in a step, at most.
  package var probes: Int

  package init(share: Int, probes: Int) {
    self.share = share
    self.probes = probes
  }
}
