package import Residency

/// One step of the device as plain numbers: what each row is, where it is stored, what it sees.
package struct StepPlan: Sendable, Hashable {
  /// Whose logits come out, in order.
  package struct Output: Sendable, Hashable {
    package var sequence: Int
    /// Index of the token in its sequence.
    package var token: Int

    package init(sequence: Int, token: Int) {
      self.sequence = sequence
      self.token = token
    }
  }

  package var tokens: [Int32] = []
  package var positions: [Int32] = []
  /// Where each row's key and value go.
  package var slots: [Int32] = []
  /// Each row sees tokens [begin, end) of its sequence, or the last of them.
  package var begin: [Int32] = []
  package var end: [Int32] = []
  /// Where in `tables` each row's page table starts.
  package var table: [Int32] = []
  /// Page tables of the step's sequences, one behind the other.
  package var tables: [Int32] = []
  /// The same as `slots` and `tables` in the pool of layers that look back over a window only: 0 for pages that no
  /// row reads there. Empty where there is none.
  package var windowSlots: [Int32] = []
  package var windowTables: [Int32] = []
  /// Tokens of the windows that the text is cut into, where rows read those of their own apart: then what they see
  /// ends before these. Nil where they read all from the same pages.
  package var latest: Int?
  /// Rows whose logits are wanted.
  package var outputRows: [Int32] = []
  package var outputs: [Output] = []
  /// Whether rows read chosen pages.
  package var chooses = false
  /// Rows of a prompt whose attention decides what is kept of it, or what its rows attend to.
  package var observed: [Int32] = []
  /// Of the one row that reads what is kept of a prompt: for each layer that keeps pages, and each kv head, the
  /// pages that it reads. Empty where it reads all.
  package var kept: [[[Int32]]] = []
  /// Whether rows are of one prompt and attend to a part of what they see.
  package var isSparse = false

  package init() {}

  package var rowCount: Int { tokens.count }

  /// How far the row that sees furthest sees.
  package var depth: Int { Int(end.max() ?? 0) }

  /// Runs of rows that follow one another in one sequence.
  package var runs: Int {
    table.indices.count { $0 == 0 || table[$0] != table[$0 - 1] }
  }

  /// Whether a row is the last of a page.
  package func fillsPages(of pageTokens: Int) -> Bool {
    slots.contains { $0 >= 0 && Int($0) % pageTokens == pageTokens - 1 }
  }

  /// Where what each row sees begins, in a layer that looks back no further than `window` tokens.
  package func begin(window: Int?) -> [Int32] {
    guard let window else { return begin }
    return zip(begin, end).map { max($0, $1 - Int32(clamping: window)) }
  }

  /// Where the window begins that each row is in; without windows, where what it sees ends.
  package var latestBegin: [Int32] {
    guard let latest = latest.map({ Int32($0) }) else { return end }
    return end.map { max(0, $0 - 1) / latest * latest }
  }

  /// Where what each row sees of the text's first page ends.
  package func sinkEnd(pageTokens: Int) -> [Int32] { end.map { min($0, Int32(pageTokens)) } }

  /// Positions of rows that read the first page and the last ones, so many in all, as if no others had been.
  package func cachePositions(pages: Int, pageTokens: Int) -> [Int32] {
    zip(positions, end).map {
      $0 - Int32(PageChoice.skipped(Int($1), pages: pages, pageTokens: pageTokens))
    }
  }

  /// Where what each row sees ends, counted in the pages that it reads if it chooses so many. Its own window is not
  /// counted, where it reads that apart: those are the last ones.
  package func end(pages: Int, pageTokens: Int) -> [Int32] {
    zip(latestBegin, end).map {
      $0 - Int32(PageChoice.skipped(Int($1), pages: pages, pageTokens: pageTokens))
    }
  }

  /// The pages that the one row reads in a layer that keeps some, in lists of one length for each of its kv heads.
  package func keptTables(place: Int, heads: Int, stride: Int) -> [Int32] {
    var numbers = [Int32](repeating: 0, count: heads * stride)
    for head in 0..<heads {
      for (index, page) in (kept.isEmpty ? tables : kept[place][head]).enumerated() {
        numbers[head * stride + index] = page
      }
    }
    return numbers
  }

  /// Where what that row sees ends, counted in them.
  package func keptEnd(place: Int, pageTokens: Int) -> [Int32] {
    guard !kept.isEmpty, let pages = kept[place].first?.count else { return latestBegin }
    return end(pages: pages, pageTokens: pageTokens)
  }

  /// For each row the pages that a policy chooses without scores, in lists of one length.
  package func chosenTables(pages: Int, by policy: CachePolicy, pageTokens: Int) -> [Int32] {
    begin.indices.flatMap { row in
      let held = (Int(end[row]) + pageTokens - 1) / pageTokens
      let list = policy.choice(of: held, position: Int(positions[row])).map {
        tables[Int(table[row]) + $0]
      }
      return list + [Int32](repeating: list.last ?? 0, count: pages - list.count)
    }
  }

  /// The lists of a layer in a step of one row: for each kv head pages of its sequence, in places of one length.
  package func layerTables(_ lists: [[Int]], stride: Int) -> [Int32] {
    precondition(rowCount == 1 && !lists.isEmpty, "lists are for one row, and for each kv head")
    return lists.flatMap { list in
      let length = stride / lists.count
      // What is read apart stands first.
      let pages = list.suffix(length).map { tables[Int(table[0]) + $0] }
      return pages + [Int32](repeating: pages.last ?? 0, count: length - pages.count)
    }
  }
}

/// A sequence that cannot go on.
package enum SchedulingError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The cache has no page left for it.
  case cacheFull(sequence: Int, tokens: Int, capacity: Int)

  package var description: String {
    switch self {
    case .cacheFull(_, let tokens, let capacity):
      "the context is full: \(tokens) tokens are needed and \(capacity) fit; "
        + "a longer context (-c) or a shorter prompt goes on"
    }
  }
}
