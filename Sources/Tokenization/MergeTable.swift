/// The merges of a byte-pair vocabulary over symbol numbers. Symbols below the token count are
/// tokens; merges may also pass through strings that are no token, and those get numbers above.
struct MergeTable: Sendable {
  struct Merge {
    /// Position in the file's list: the lowest merges first.
    var rank: Int32
    var symbol: Int32
  }

  private var keys: [UInt64]
  private var merges: [Merge]
  private let mask: Int
  /// Where symbols that are no token begin.
  let tokenCount: Int32
  /// The bytes of the symbols that are no token, from `tokenCount` on.
  private(set) var extraSymbols: [[UInt8]] = []
  private var extras = ByteTable(capacity: 16)

  private static let free = UInt64.max

  /// Reads "left right" lines; a part that is not spelled as it should be stands for its own bytes.
  /// Complexity: linear in the length of the lines.
  init(
    _ lines: [String], vocabulary: ByteTable, tokenCount: Int32, spelling: Vocabulary.Spelling
  ) throws(TokenizationError) {
    self.tokenCount = tokenCount
    var size = 16
    while size < lines.count + lines.count / 2 { size *= 2 }
    keys = Array(repeating: Self.free, count: size)
    merges = Array(repeating: Merge(rank: 0, symbol: 0), count: size)
    mask = size - 1

    // Both parts, one behind the other.
    var bytes: [UInt8] = []
    func add(_ part: Substring) {
      if !spelling.append(part, to: &bytes) { bytes.append(contentsOf: part.utf8) }
    }
    for (rank, line) in lines.enumerated() {
      // A part may itself be a space, so the separator is searched from the second byte on.
      guard let separator = line.utf8.dropFirst().firstIndex(of: 0x20),
        line.utf8.index(after: separator) < line.utf8.endIndex
      else { throw .malformedMerge(index: rank, text: line) }
      bytes.removeAll(keepingCapacity: true)
      add(line[..<separator])
      let middle = bytes.count
      add(line[line.utf8.index(after: separator)...])
      let (left, right, merged) = bytes.withUnsafeBufferPointer { bytes in
        (
          intern(UnsafeBufferPointer(rebasing: bytes[..<middle]), vocabulary),
          intern(UnsafeBufferPointer(rebasing: bytes[middle...]), vocabulary),
          intern(bytes, vocabulary)
        )
      }
      insert(left, right, Merge(rank: Int32(rank), symbol: merged))
    }
  }

  private mutating func intern(
    _ bytes: UnsafeBufferPointer<UInt8>, _ vocabulary: ByteTable
  ) -> Int32 {
    if let id = vocabulary.find(bytes) { return id }
    let new = tokenCount + Int32(extraSymbols.count)
    let symbol = extras.insert(bytes, id: new)
    if symbol == new { extraSymbols.append(Array(bytes)) }
    return symbol
  }

  /// The symbol that stands for `bytes`: a token, or a string on the way to one.
  func symbol(of bytes: some Collection<UInt8>, in vocabulary: Vocabulary) -> Int32? {
    vocabulary.textTable.find(bytes) ?? (extraSymbols.isEmpty ? nil : extras.find(bytes))
  }

  private mutating func insert(_ left: Int32, _ right: Int32, _ merge: Merge) {
    let key = Self.key(left, right)
    var slot = Self.hash(key) & mask
    while keys[slot] != Self.free {
      // The first of two equal merges counts.
      if keys[slot] == key { return }
      slot = (slot + 1) & mask
    }
    keys[slot] = key
    merges[slot] = merge
  }

  /// What `left` and `right` become, or nil if they do not merge. Negative symbols never do.
  @inline(__always)
  func merge(_ left: Int32, _ right: Int32) -> Merge? {
    let key = Self.key(left, right)
    var slot = Self.hash(key) & mask
    while keys[slot] != Self.free {
      if keys[slot] == key { return merges[slot] }
      slot = (slot + 1) & mask
    }
    return nil
  }

  @inline(__always)
  private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  @inline(__always)
  private static func hash(_ key: UInt64) -> Int {
    let mixed = (key ^ key >> 29) &* 0x9e37_79b9_7f4a_7c15
    return Int(truncatingIfNeeded: mixed >> 24)
  }
}
