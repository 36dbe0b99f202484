/// From when on rows of a prompt attend to a part of what they see. Others are computed with all: there is little to
/// gain, and much to lose.
package struct SparseSteps: Sendable, Hashable {
  /// Rows of a step, at least.
  package var fewestRows = 32
  /// Tokens that the last row sees, at least.
  package var fewestTokens = 1024

  package init() {}
}
