/// A count that differs from step to step.
package enum Symbol: String, Sendable, Hashable, CaseIterable {
  /// Token rows of the step.
  case rows
  /// Rows whose logits are wanted.
  case outputs
}

/// The number of rows of a value: fixed, or a symbol that a step fills in.
package enum Dimension: Sendable, Hashable, CustomStringConvertible {
  case fixed(Int)
  case symbol(Symbol)

  package var description: String {
    switch self {
    case .fixed(let count): "\(count)"
    case .symbol(let symbol): symbol.rawValue
    }
  }
}

/// What the symbols stand for: in one step, or as upper bounds when memory is planned.
package struct SymbolSizes: Sendable, Hashable {
  package var rows: Int
  package var outputs: Int
  /// How far the row that sees furthest sees, in tokens from the first of its sequence: no row sees a
  /// token beyond. Nil where nobody has counted.
  package var depth: Int?
  /// Runs of rows that follow one another in one sequence. Nil where nobody has counted.
  package var runs: Int?
  /// Whether a row is the last of a page. Nil where nobody has looked.
  package var fillsPages: Bool?

  package init(
    rows: Int, outputs: Int, depth: Int? = nil, runs: Int? = nil, fillsPages: Bool? = nil
  ) {
    self.rows = rows
    self.outputs = outputs
    self.depth = depth
    self.runs = runs
    self.fillsPages = fillsPages
  }

  /// The count that a dimension stands for.
  package subscript(_ dimension: Dimension) -> Int {
    switch dimension {
    case .fixed(let count): count
    case .symbol(.rows): rows
    case .symbol(.outputs): outputs
    }
  }
}
