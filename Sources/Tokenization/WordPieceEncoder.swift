/// BERT's WordPiece: the text is normalised and cut at white space and punctuation, then each word is
/// read as the longest tokens from its start. A word that cannot be read whole becomes "unknown".
struct WordPieceEncoder: Sendable {
  private let unknown: Int32
  private let lowercase: Bool

  init(_ description: VocabularyDescription, _ vocabulary: Vocabulary) throws(TokenizationError) {
    guard let unknown = description.unknown else { throw .noByteFallback }
    self.unknown = unknown
    lowercase = description.lowercase
  }

  /// Appends the tokens of `bytes`.
  /// Complexity: linear in the text times the square of the longest token's length.
  func encode(_ bytes: ArraySlice<UInt8>, _ vocabulary: Vocabulary, into output: inout [Int32]) {
    for word in words(bytes) {
      // A word's first token carries the space mark; the vocabulary stores it as a plain space.
      let text = [0x20] + word
      let first = output.count
      var start = 0
      while start < text.count {
        guard let (end, id) = longestToken(text, from: start, vocabulary) else {
          output.removeLast(output.count - first)
          output.append(unknown)
          break
        }
        output.append(id)
        start = end
      }
    }
  }

  private func longestToken(
    _ text: [UInt8], from start: Int, _ vocabulary: Vocabulary
  ) -> (end: Int, id: Int32)? {
    var end = min(text.count, start + vocabulary.longestToken)
    while end > start {
      // A token never ends inside of a character.
      if end == text.count || text[end] & 0xC0 != 0x80,
        let id = vocabulary.findText(text[start..<end])
      {
        return (end, id)
      }
      end -= 1
    }
    return nil
  }

  /// The normalised words of the text; every punctuation mark and every Chinese character is one.
  private func words(_ bytes: ArraySlice<UInt8>) -> [[UInt8]] {
    var words: [[UInt8]] = []
    var word: [UInt8] = []
    func finish() {
      if !word.isEmpty { words.append(word) }
      word.removeAll(keepingCapacity: true)
    }
    for scalar in normalised(bytes) {
      let kind = CharacterClass.of(scalar.value)
      if kind.meets(.space) {
        finish()
      } else if scalar.value == 0 || scalar.value == 0xFFFD || kind.meets(.control) {
        continue
      } else if isBoundary(scalar, kind) {
        finish()
        word.append(contentsOf: UTF8.encode(scalar).map { Array($0) } ?? [])
        finish()
      } else {
        word.append(contentsOf: UTF8.encode(scalar).map { Array($0) } ?? [])
      }
    }
    finish()
    return words
  }

  private func isBoundary(_ scalar: Unicode.Scalar, _ kind: CharacterClass) -> Bool {
    kind.meets(.punctuation) || (scalar.value < 0x7F && kind.meets(.symbol))
      || Self.chinese.contains { $0.contains(scalar.value) }
  }

  /// The blocks BERT's own tokenizer lists.
  private static let chinese: [ClosedRange<UInt32>] = [
    0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F,
    0x2B920...0x2CEAF, 0xF900...0xFAFF, 0x2F800...0x2FA1F,
  ]

  /// Lower case without accents where the model wants it; invalid bytes are dropped, as WordPiece has
  /// no way to write them.
  private func normalised(_ bytes: ArraySlice<UInt8>) -> [Unicode.Scalar] {
    var scalars: [Unicode.Scalar] = []
    var position = bytes.startIndex
    while position < bytes.endIndex {
      let (value, length) = UTF8Scanner.scalar(in: bytes, at: position)
      if let scalar = value.flatMap(Unicode.Scalar.init) { scalars.append(scalar) }
      position += length
    }
    guard lowercase else { return scalars }
    return Decomposition.canonical(scalars).filter { !CharacterClass.of($0.value).meets(.mark) }
      .flatMap { Array($0.properties.lowercaseMapping.unicodeScalars) }
  }
}
