/// Which rows of a prompt are observed, to learn which tokens its rows attend to (ZipVL, He et al., 2024): the last
/// ones, and as many by chance.
package enum ObservedRows {
  /// Rows of a step of so many that are observed: an eighth, and two at least.
  package static func count(of rows: Int) -> Int { min(rows, max(2, rows / 8)) }

  /// The rows in order. Chance depends on the position of the first row only, so every device and every run
  /// observes the same.
  package static func choose(of rows: Int, position: Int) -> [Int] {
    let count = count(of: rows)
    let last = (count + 1) / 2
    // The first of the last rows is the one that a choice of pages always has.
    let others = PageChoice.random(count - last + 1, of: rows - last + 1, seed: position)
    return others + Array(rows - last + 1..<rows)
  }
}
