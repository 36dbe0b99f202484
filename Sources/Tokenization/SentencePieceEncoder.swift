/// SentencePiece with scores: starting from characters, the pair whose union is the token of the
/// highest score merges first, of several the leftmost. Characters without a token become bytes.
struct SentencePieceEncoder: Sendable {
  /// Tokens in the order of their scores; tokens of one score share a rank.
  private let ranks: [Int32]
  private let fallback: [Int32]
  /// Whether no token has a space behind another character. Then nothing merges across such a place,
  /// and the text may be cut there: small queues and a cache of words instead of one long queue.
  private let spacesBeginWords: Bool

  init(_ description: VocabularyDescription, _ vocabulary: Vocabulary) throws(TokenizationError) {
    let scores = description.scores
    let order = scores.indices.sorted { Self.value(scores[$0]) > Self.value(scores[$1]) }
    var ranks = [Int32](repeating: 0, count: vocabulary.count)
    var rank: Int32 = 0
    for (position, token) in order.enumerated() {
      if position > 0, Self.value(scores[order[position - 1]]) > Self.value(scores[token]) {
        rank += 1
      }
      ranks[token] = rank
    }
    self.ranks = ranks
    spacesBeginWords = (0..<Int32(vocabulary.count)).allSatisfy { id in
      let piece = vocabulary.piece(id)
      return !zip(piece, piece.dropFirst()).contains { $0 != 0x20 && $1 == 0x20 }
        || vocabulary.findText(piece) != id
    }
    fallback = (0...255).map { (byte: UInt8) in
      let token = vocabulary.byteTokens[Int(byte)]
      return token >= 0
        ? token : vocabulary.textTable.find([byte]) ?? description.unknown ?? -1
    }
    guard !fallback.contains(-1) else { throw .noByteFallback }
  }

  /// A score that is no number would break the order: it counts as the worst.
  private static func value(_ score: Float) -> Float { score.isNaN ? -.infinity : score }

  /// Appends the tokens of `bytes`.
  /// Complexity: O(n log n) in the number of characters of the longest word.
  func encode(_ bytes: ArraySlice<UInt8>, _ vocabulary: Vocabulary, into output: inout [Int32]) {
    guard spacesBeginWords else { return encodeWord(bytes, vocabulary, into: &output) }
    var cache = WordCache()
    var start = bytes.startIndex
    while start < bytes.endIndex {
      var end = start + 1
      while end < bytes.endIndex, bytes[end] != 0x20 || bytes[end - 1] == 0x20 { end += 1 }
      let word = bytes[start..<end]
      start = end
      if cache.append(word, to: &output) { continue }
      let first = output.count
      encodeWord(word, vocabulary, into: &output)
      cache.remember(word, output[first...])
    }
  }

  private func encodeWord(
    _ word: ArraySlice<UInt8>, _ vocabulary: Vocabulary, into output: inout [Int32]
  ) {
    var session = SentencePieceSession(word, vocabulary, ranks)
    session.merge()
    for piece in session.pieces {
      if let id = vocabulary.findText(word[piece]) {
        output.append(id)
      } else {
        for byte in word[piece] { output.append(fallback[Int(byte)]) }
      }
    }
  }
}

/// The merging of one word: a linked list of pieces and a queue of the pairs that may merge.
private struct SentencePieceSession {
  private let bytes: ArraySlice<UInt8>
  private let vocabulary: Vocabulary
  private let ranks: [Int32]
  /// Where the piece that begins with character i starts and ends; a merged piece keeps the first
  /// character's entry.
  private var starts: [Int] = []
  private var ends: [Int] = []
  private var next: [Int32] = []
  private var previous: [Int32] = []
  private var queue = RankQueue()

  init(_ bytes: ArraySlice<UInt8>, _ vocabulary: Vocabulary, _ ranks: [Int32]) {
    self.bytes = bytes
    self.vocabulary = vocabulary
    self.ranks = ranks
    var position = bytes.startIndex
    while position < bytes.endIndex {
      let length = UTF8Scanner.scalar(in: bytes, at: position).1
      starts.append(position)
      ends.append(position + length)
      position += length
    }
    let count = Int32(clamping: starts.count)
    next = (0..<count).map { $0 + 1 < count ? $0 + 1 : -1 }
    previous = (0..<count).map { $0 - 1 }
  }

  /// The pieces that are left, in order.
  var pieces: [Range<Int>] {
    var result: [Range<Int>] = []
    var index: Int32 = starts.isEmpty ? -1 : 0
    while index >= 0 {
      result.append(starts[Int(index)]..<ends[Int(index)])
      index = next[Int(index)]
    }
    return result
  }

  mutating func merge() {
    for index in starts.indices.dropLast() { enqueue(Int32(index)) }
    while let (rank, left) = queue.popFirst() {
      let position = Int(left)
      // Stale if the pair at this place is another one by now.
      guard self.rank(position) == rank else { continue }
      let right = Int(next[position])
      ends[position] = ends[right]
      next[position] = next[right]
      if next[right] >= 0 { previous[Int(next[right])] = left }
      // Marks the piece as gone: nothing begins at an empty piece.
      next[right] = -1
      enqueue(left)
      if previous[position] >= 0 { enqueue(previous[position]) }
    }
  }

  private mutating func enqueue(_ left: Int32) {
    if let rank = rank(Int(left)) { queue.push(rank: rank, position: left) }
  }

  /// The rank of the token that the piece at `position` and the next one make together.
  private func rank(_ position: Int) -> Int32? {
    guard next[position] >= 0 else { return nil }
    let end = ends[Int(next[position])]
    guard let id = vocabulary.findText(bytes[starts[position]..<end]) else { return nil }
    return ranks[Int(id)]
  }
}
