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

  package init(rows: Int, outputs: Int) {
    self.rows = rows
    self.outputs = outputs
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
