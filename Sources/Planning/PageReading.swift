/// Which pages of the cache rows read while a text is generated, in the layers that look back without a
/// window.
package struct PageReading: Sendable, Hashable {
  /// Who knows which.
  package enum Chooser: Sendable, Hashable {
    /// The device, by the scores of pages, for each kv head of each layer.
    case scores
    /// The host, which brings lists with each step.
    case step
    /// The host, once, behind the last token of a prompt, by what so many of its rows attended to (all rows, where
    /// it has no more); then it brings lists with each step, one for each kv head of each layer.
    case mass(rows: Int)
    /// The host, which brings lists for each kv head of each layer: what another run has chosen.
    case lists
  }

  /// The rows that are looked at, where they are.
  var observedRows: Int? { if case .mass(let rows) = chooser { rows } else { nil } }

  /// Rows of a step that read chosen pages, at most.
  var rows: Int { observedRows == nil ? Self.rowLimit : 1 }

  /// Rows that read chosen pages, at most: with more, lists and scores would take memory that nobody needs.
  package static let rowLimit = 16

  /// Pages at most, or of a prompt on average.
  package var pages: Int
  package var chooser: Chooser
  /// Layers before this one read all.
  package var firstLayer: Int
  /// Pages of the windows that a text is cut into; a row reads those of its own in any case.
  package var window: Int
  /// Whether rows read a text's first page as if it stood right before the others that they read (StreamingLLM, Xiao et
  /// al., 2024); the lists begin behind it then. Rows that see no more than `pages` do not choose.
  package var turnsSinks: Bool

  package init(
    pages: Int, chooser: Chooser, firstLayer: Int, window: Int = 1, turnsSinks: Bool = false
  ) {
    self.pages = pages
    self.chooser = chooser
    self.firstLayer = firstLayer
    self.window = window
    self.turnsSinks = turnsSinks
  }

  /// Whether rows of a layer read chosen pages.
  package func chooses(layer: Int, window: Int?) -> Bool { layer >= firstLayer && window == nil }
}
