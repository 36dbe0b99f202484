/// Merges a word's symbols, always the pair of lowest rank and of several the leftmost, until no
/// pair merges. Its buffers are reused from word to word.
struct PairMerger {
  private var symbols: [Int32] = []
  private var ranks: [Int32] = []
  private var next: [Int32] = []
  private var previous: [Int32] = []
  private var queue = RankQueue()

  private static let noMerge = Int32.max
  /// Up to here a scan for the lowest rank beats a queue.
  private static let scanLimit = 48

  /// Complexity: O(n log n) in the number of symbols.
  mutating func merge(_ word: inout [Int32], _ table: MergeTable) {
    guard word.count > 1 else { return }
    if word.count <= Self.scanLimit {
      mergeByScan(&word, table)
    } else {
      mergeByQueue(&word, table)
    }
  }

  private mutating func mergeByScan(_ word: inout [Int32], _ table: MergeTable) {
    ranks.removeAll(keepingCapacity: true)
    for index in 0..<word.count - 1 {
      ranks.append(table.merge(word[index], word[index + 1])?.rank ?? Self.noMerge)
    }
    while true {
      var best = Self.noMerge
      var position = 0
      for (index, rank) in ranks.enumerated() where rank < best {
        best = rank
        position = index
      }
      guard best != Self.noMerge, let merge = table.merge(word[position], word[position + 1]) else {
        return
      }
      word[position] = merge.symbol
      word.remove(at: position + 1)
      ranks.remove(at: position)
      if position < ranks.count {
        ranks[position] = table.merge(word[position], word[position + 1])?.rank ?? Self.noMerge
      }
      if position > 0 {
        ranks[position - 1] =
          table.merge(word[position - 1], word[position])?.rank ?? Self.noMerge
      }
    }
  }

  private mutating func mergeByQueue(_ word: inout [Int32], _ table: MergeTable) {
    // Word lengths fit Int32: a word of more symbols would be 2 GB of text in one call.
    let count = Int32(clamping: word.count)
    next = (1...count).map { $0 == count ? -1 : $0 }
    previous = (0..<count).map { $0 - 1 }
    ranks = Array(repeating: Self.noMerge, count: word.count)
    queue.removeAll()
    for index in 0..<count - 1 { enqueue(index, word, table) }

    while let (rank, left) = queue.popFirst() {
      let position = Int(left)
      // Stale unless the pair at this place still has the rank it was queued with: a rank names one
      // pair of symbols, and a merged symbol never gets its old value back.
      guard ranks[position] == rank, next[position] >= 0 else { continue }
      let right = Int(next[position])
      guard let merge = table.merge(word[position], word[right]) else { continue }
      word[position] = merge.symbol
      ranks[right] = Self.noMerge
      next[position] = next[right]
      if next[right] >= 0 { previous[Int(next[right])] = left }
      next[right] = -1
      enqueue(left, word, table)
      if previous[position] >= 0 { enqueue(previous[position], word, table) }
    }

    var kept = 0
    var index: Int32 = 0
    while index >= 0 {
      word[kept] = word[Int(index)]
      kept += 1
      index = next[Int(index)]
    }
    word.removeLast(word.count - kept)
  }

  private mutating func enqueue(_ left: Int32, _ word: [Int32], _ table: MergeTable) {
    let position = Int(left)
    ranks[position] = Self.noMerge
    guard next[position] >= 0,
      let merge = table.merge(word[position], word[Int(next[position])])
    else { return }
    ranks[position] = merge.rank
    queue.push(rank: merge.rank, position: left)
  }
}

/// A binary heap of (rank, position), lowest first.
struct RankQueue {
  private var heap: [UInt64] = []

  mutating func removeAll() { heap.removeAll(keepingCapacity: true) }

  mutating func push(rank: Int32, position: Int32) {
    let entry = UInt64(UInt32(bitPattern: rank)) << 32 | UInt64(UInt32(bitPattern: position))
    var child = heap.count
    heap.append(entry)
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[parent] > entry else { break }
      heap[child] = heap[parent]
      child = parent
    }
    heap[child] = entry
  }

  mutating func popFirst() -> (rank: Int32, position: Int32)? {
    guard let first = heap.first, let last = heap.popLast() else { return nil }
    if !heap.isEmpty {
      var parent = 0
      while true {
        var child = 2 * parent + 1
        guard child < heap.count else { break }
        if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
        guard heap[child] < last else { break }
        heap[parent] = heap[child]
        parent = child
      }
      heap[parent] = last
    }
    return (
      Int32(bitPattern: UInt32(truncatingIfNeeded: first >> 32)),
      Int32(bitPattern: UInt32(truncatingIfNeeded: first))
    )
  }
}
