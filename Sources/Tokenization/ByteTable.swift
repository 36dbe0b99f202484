/// A hash table from byte strings to ids with one flat store: a `[String: Int32]` of 250,000 tokens
/// costs several times the memory and hashes by Unicode equivalence, which would unite tokens that
/// differ only in their bytes.
struct ByteTable: Sendable {
  private var bytes: [UInt8] = []
  private var ends: [Int] = []
  private var ids: [Int32] = []
  /// Indices into `ends`, or -1; the size is a power of two and at least 4/3 of the entries.
  private var slots: [Int32]
  private var mask: Int

  init(capacity: Int) {
    var size = 16
    while size < capacity + capacity / 2 { size *= 2 }
    slots = Array(repeating: -1, count: size)
    mask = size - 1
    ends.reserveCapacity(capacity)
    ids.reserveCapacity(capacity)
  }

  var count: Int { ids.count }

  /// Adds `key` unless it is there already; returns the id it has then.
  @discardableResult
  mutating func insert(_ key: some Collection<UInt8>, id: Int32) -> Int32 {
    if ids.count * 4 >= slots.count * 3 { grow() }
    var slot = Self.hash(key) & mask
    while slots[slot] >= 0 {
      let entry = Int(slots[slot])
      if matches(entry, key) { return ids[entry] }
      slot = (slot + 1) & mask
    }
    slots[slot] = Int32(ids.count)
    bytes.append(contentsOf: key)
    ends.append(bytes.count)
    ids.append(id)
    return id
  }

  /// The id of `key`, or nil. O(length of the key).
  func find(_ key: some Collection<UInt8>) -> Int32? {
    var slot = Self.hash(key) & mask
    while slots[slot] >= 0 {
      let entry = Int(slots[slot])
      if matches(entry, key) { return ids[entry] }
      slot = (slot + 1) & mask
    }
    return nil
  }

  private func matches(_ entry: Int, _ key: some Collection<UInt8>) -> Bool {
    let start = entry == 0 ? 0 : ends[entry - 1]
    guard ends[entry] - start == key.count else { return false }
    var position = start
    for byte in key {
      if bytes[position] != byte { return false }
      position += 1
    }
    return true
  }

  private mutating func grow() {
    slots = Array(repeating: -1, count: slots.count * 2)
    mask = slots.count - 1
    for entry in ids.indices {
      let start = entry == 0 ? 0 : ends[entry - 1]
      var slot = Self.hash(bytes[start..<ends[entry]]) & mask
      while slots[slot] >= 0 { slot = (slot + 1) & mask }
      slots[slot] = Int32(entry)
    }
  }

  /// FNV-1a with a final mix, because the table keeps the low bits only.
  private static func hash(_ key: some Collection<UInt8>) -> Int {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in key { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
    hash ^= hash >> 32
    return Int(truncatingIfNeeded: hash &* 0x9e37_79b9_7f4a_7c15 >> 20)
  }
}
