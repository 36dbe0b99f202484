/// Gives out ranges of one buffer, first fit, so that values whose lives do not overlap share
/// memory.
struct Arena {
  private let alignment: Int
  /// Ranges in use, in order.
  private var used: [Range<Int>] = []
  /// Bytes that were ever in use.
  private(set) var peak = 0

  init(alignment: Int) { self.alignment = alignment }

  /// The offset of a free range of at least `bytes`.
  mutating func take(_ bytes: Int) -> Int {
    let size = max(1, (bytes + alignment - 1) / alignment) * alignment
    var start = 0
    var place = used.count
    for (index, range) in used.enumerated() {
      if range.lowerBound - start >= size {
        place = index
        break
      }
      start = range.upperBound
    }
    used.insert(start..<start + size, at: place)
    peak = max(peak, start + size)
    return start
  }

  /// Frees the range at `offset`.
  mutating func giveBack(_ offset: Int) {
    used.removeAll { $0.lowerBound == offset }
  }
}
