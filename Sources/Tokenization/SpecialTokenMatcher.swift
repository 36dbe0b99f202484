/// Finds tokens that are matched in the text as a whole, before any splitting into words: longest
/// first over the whole text, so that a shorter token never breaks up a longer one.
struct SpecialTokenMatcher: Sendable {
  enum Fragment: Equatable {
    case text(Range<Int>)
    case token(Int32)
  }

  /// Tokens of one length: which first bytes they have, and which bytes make which token.
  private struct Group: Sendable {
    var length: Int
    var firstBytes = [Bool](repeating: false, count: 256)
    var table = ByteTable(capacity: 4)
  }

  /// Longest first. User-defined tokens match in any text, control and unknown ones on request.
  private var always: [Group] = []
  private var onRequest: [Group] = []

  init(_ vocabulary: Vocabulary) {
    var always: [Int: Group] = [:]
    var all: [Int: Group] = [:]
    for (index, type) in vocabulary.types.enumerated() {
      guard type == .userDefined || type == .control || type == .unknown else { continue }
      let text = Array(vocabulary.texts[index].utf8)
      guard let first = text.first else { continue }
      func add(_ groups: inout [Int: Group]) {
        groups[text.count, default: Group(length: text.count)].firstBytes[Int(first)] = true
        groups[text.count]?.table.insert(text, id: Int32(index))
      }
      if type == .userDefined { add(&always) }
      add(&all)
    }
    self.always = always.values.sorted { $0.length > $1.length }
    self.onRequest = all.values.sorted { $0.length > $1.length }
  }

  /// Cuts `bytes` into tokens and the text between them.
  /// Complexity: the places where a token may begin times the number of different lengths.
  func fragments(of bytes: [UInt8], parseSpecial: Bool) -> [Fragment] {
    let groups = parseSpecial ? onRequest : always
    var isFirst = [Bool](repeating: false, count: 256)
    for group in groups {
      for byte in 0..<256 where group.firstBytes[byte] { isFirst[byte] = true }
    }
    let candidates = bytes.indices.filter { isFirst[Int(bytes[$0])] }
    guard !candidates.isEmpty else { return bytes.isEmpty ? [] : [.text(0..<bytes.count)] }

    var taken = [Bool](repeating: false, count: bytes.count)
    var found: [(range: Range<Int>, id: Int32)] = []
    for group in groups {
      for start in candidates where group.firstBytes[Int(bytes[start])] {
        let end = start + group.length
        // What is taken is at least as long as this group: looking at both ends is enough.
        guard end <= bytes.count, !taken[start], !taken[end - 1],
          let id = group.table.find(bytes[start..<end])
        else { continue }
        for index in start..<end { taken[index] = true }
        found.append((start..<end, id))
      }
    }
    found.sort { $0.range.lowerBound < $1.range.lowerBound }

    var result: [Fragment] = []
    var position = 0
    for (range, id) in found {
      if range.lowerBound > position { result.append(.text(position..<range.lowerBound)) }
      result.append(.token(id))
      position = range.upperBound
    }
    if position < bytes.count { result.append(.text(position..<bytes.count)) }
    return result
  }
}
