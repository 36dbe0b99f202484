/// Which rows are observed, to learn which tokens rows attend to (ZipVL, He et al., 2024): the last ones, and as many by
/// chance.
package enum ObservedRows {
  /// Rows of a step of so many that are observed: an eighth, and two at least.
  package static func count(of rows: Int) -> Int { min(rows, max(2, rows / 8)) }

  /// The rows in order. Chance depends on the position of the first row only, so every device and every run
  /// observes the same.
  package static func choose(of rows: Int, position: Int) -> [Int] {
    choose(count(of: rows), of: rows, seed: position)
  }

  /// So many rows in order; at least one, and no more than there are.
  package static func choose(_ count: Int, of rows: Int, seed: Int) -> [Int] {
    let last = (count + 1) / 2
    // The first of the last rows is the one that a choice of pages always has.
    let others = PageChoice.random(count - last + 1, of: rows - last + 1, seed: seed)
    return others + Array(rows - last + 1..<rows)
  }
}

/// The rows of a whole prompt by whose attention a policy decides what is kept of it.
package enum PromptProbes: Sendable, Hashable {
  case all
  case last(Int)
  /// So many, as ``ObservedRows`` has them. Chance depends on the length of the prompt only.
  case sampled(Int)

  /// How many at most, or nil where they are all.
  package var limit: Int? {
    switch self {
    case .all: nil
    case .last(let count), .sampled(let count): count
    }
  }

  /// Those of a prompt of so many tokens that lie in a range of it, in order.
  package func among(_ range: Range<Int>, of prompt: Int) -> [Int] {
    guard prompt > 0 else { return [] }
    return switch self {
    case .all: Array(range)
    case .last(let count): Array(range.clamped(to: max(0, prompt - count)..<prompt))
    case .sampled(let count):
      ObservedRows.choose(min(count, prompt), of: prompt, seed: prompt).filter(range.contains)
    }
  }
}
