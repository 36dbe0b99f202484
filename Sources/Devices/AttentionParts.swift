package import ModelGraph

/// Scratch memory for rows whose spans of tokens are attended over apart from one another: what each
/// query head has gathered in each span, which are `headWidth` sums, a peak and a total.
package struct AttentionParts: Sendable, Hashable {
  /// With more rows there is work enough for all threads without cutting the tokens too.
  package static let rowLimit = 16

  /// Rows at most.
  package let rows: Int
  /// Spans that a page table holds.
  package let spans: Int
  private let floats: Int

  /// Nil where the instruction does not attend, or where no row sees more than one span: of a first stage that is a
  /// window.
  ///
  /// - Parameters:
  ///   - instruction: Its sixth input has the page tables.
  ///   - bounds: The most rows.
  package init?(_ instruction: Instruction, bounds: SymbolSizes) {
    guard let attention = instruction.operation.attention, instruction.inputs.count > 5,
      !attention.isWindowStage
    else { return nil }
    rows = min(bounds.rows, Self.rowLimit)
    // The pool may have fewer pages: those of a window.
    let held = attention.pages?.count ?? bounds[instruction.inputs[5].rows]
    spans = Self.spans(tokens: held * KVLayout.pageTokens)
    floats = attention.headCount * spans * (attention.headWidth + 2)
    if rows == 0 || spans < 2 { return nil }
  }

  /// Spans that so many tokens begin.
  package static func spans(tokens: Int) -> Int {
    (tokens + KVLayout.spanTokens - 1) / KVLayout.spanTokens
  }

  /// Bytes for all rows.
  package var bytes: Int { rows * floats * MemoryLayout<Float>.stride }
}
