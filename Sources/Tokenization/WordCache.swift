/// The tokens of words already seen in this text. It is bounded and lives for one call, so that the
/// tokenizer itself never changes and needs no lock.
struct WordCache {
  private var table = ByteTable(capacity: 64)
  private var ends: [Int] = []
  private var tokens: [Int32] = []

  private static let longestWord = 32
  private static let capacity = 1 << 15

  func append(_ word: ArraySlice<UInt8>, to output: inout [Int32]) -> Bool {
    guard word.count > 1, word.count <= Self.longestWord, let entry = table.find(word) else {
      return false
    }
    let index = Int(entry)
    output.append(contentsOf: tokens[(index == 0 ? 0 : ends[index - 1])..<ends[index]])
    return true
  }

  mutating func remember(_ word: ArraySlice<UInt8>, _ result: ArraySlice<Int32>) {
    guard word.count > 1, word.count <= Self.longestWord, ends.count < Self.capacity else { return }
    table.insert(word, id: Int32(ends.count))
    tokens.append(contentsOf: result)
    ends.append(tokens.count)
  }
}
