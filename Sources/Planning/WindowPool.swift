/// The pool of layers that look back over a window only: it has no place for what lies behind that.
package struct WindowPool: Sendable, Hashable {
  /// Tokens that a row sees, itself among them, in the layer that looks back furthest.
  package var tokens: Int
  /// Pages of each such layer: what the rows of one step of one sequence read and write.
  package var pages: Int

  package init(tokens: Int, pages: Int) {
    self.tokens = tokens
    self.pages = pages
  }
}
