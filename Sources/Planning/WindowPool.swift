/// The pool of layers that look back over a window only, or of the latest tokens of all: it has no place for what lies
/// behind that.
package struct WindowPool: Sendable, Hashable {
  /// Tokens that a row sees, itself among them, in the layer that looks back furthest.
  package var tokens: Int
  /// Pages of each such layer: what the rows of one step of one sequence read and write.
  package var pages: Int
  /// Whether the text is cut into windows, and a row sees what its own has before it; else it is as many tokens for
  /// each.
  package var isAligned: Bool

  package init(tokens: Int, pages: Int, isAligned: Bool = false) {
    self.tokens = tokens
    self.pages = pages
    self.isAligned = isAligned
  }
}
