/// Byte-pair encoding: words, then merges.
struct BytePairEncoder: Sendable {
  private let merges: MergeTable
  private let preTokenizer: PreTokenizer
  /// The symbol each byte starts as; -1 where the vocabulary has none.
  private let byteSymbols: [Int32]
  /// The token for a byte that took part in no merge; -1 where the vocabulary has none. Vocabularies
  /// lack bytes that their training text never held (UTF-8 never has 0xC0, few texts have 0x04): those
  /// are dropped. The unknown token is no way out: many files name `<|endoftext|>` as theirs, and a
  /// user's stray byte must not become a control token.
  private let fallback: [Int32]

  init(
    _ description: VocabularyDescription, _ vocabulary: Vocabulary, _ preTokenizer: PreTokenizer
  ) throws(TokenizationError) {
    guard !description.merges.isEmpty else { throw .missingMerges }
    self.preTokenizer = preTokenizer
    let spelling: Vocabulary.Spelling =
      preTokenizer.usesCharacters ? .spaceMarks : .byteAlphabet
    merges = try MergeTable(
      description.merges, vocabulary: vocabulary.textTable, tokenCount: Int32(vocabulary.count),
      spelling: spelling)
    byteSymbols = (0...255).map { [merges] (byte: UInt8) in
      merges.symbol(of: [byte], in: vocabulary) ?? -1
    }
    fallback = (0...255).map { (byte: UInt8) in
      let token = vocabulary.byteTokens[Int(byte)]
      return token >= 0 ? token : vocabulary.textTable.find([byte]) ?? -1
    }
  }

  /// Appends the tokens of `bytes`, in which no special token is left.
  func encode(_ bytes: ArraySlice<UInt8>, _ vocabulary: Vocabulary, into output: inout [Int32]) {
    let text = ScalarText(bytes)
    var merger = PairMerger()
    var cache = WordCache()
    var word: [Int32] = []
    var start = 0
    for end in preTokenizer.split(text) {
      let range = text.offsets[start]..<text.offsets[end]
      defer { start = end }
      if cache.append(bytes[range], to: &output) { continue }
      let first = output.count
      if let token = wholeWord(bytes[range], vocabulary) {
        output.append(token)
      } else {
        word.removeAll(keepingCapacity: true)
        if preTokenizer.usesCharacters {
          for index in start..<end {
            let character = bytes[text.offsets[index]..<text.offsets[index + 1]]
            // A character without a symbol goes by its place, negative: it merges with nothing.
            word.append(
              merges.symbol(of: character, in: vocabulary) ?? Int32(clamping: -2 - index))
          }
        } else {
          for byte in bytes[range] {
            let symbol = byteSymbols[Int(byte)]
            word.append(symbol >= 0 ? symbol : -2 - Int32(byte))
          }
        }
        merger.merge(&word, merges)
        for symbol in word { append(symbol, text, bytes, to: &output) }
      }
      cache.remember(bytes[range], output[first...])
    }
  }

  private func wholeWord(_ word: ArraySlice<UInt8>, _ vocabulary: Vocabulary) -> Int32? {
    // Vocabularies of characters hold runs of line feeds without the merges that lead there.
    let isWhole =
      preTokenizer.wholeWordsFirst || (preTokenizer.usesCharacters && word.first == 0x0A)
    return isWhole ? vocabulary.findText(word) : nil
  }

  private func append(
    _ symbol: Int32, _ text: ScalarText, _ bytes: ArraySlice<UInt8>, to output: inout [Int32]
  ) {
    if symbol >= merges.tokenCount {
      for byte in merges.extraSymbols[Int(symbol - merges.tokenCount)] {
        append(byte, to: &output)
      }
    } else if symbol >= 0 {
      output.append(symbol)
    } else if preTokenizer.usesCharacters {
      let index = Int(-2 - symbol)
      for byte in bytes[text.offsets[index]..<text.offsets[index + 1]] {
        append(byte, to: &output)
      }
    } else {
      append(UInt8(truncatingIfNeeded: -2 - symbol), to: &output)
    }
  }

  private func append(_ byte: UInt8, to output: inout [Int32]) {
    let token = fallback[Int(byte)]
    if token >= 0 { output.append(token) }
  }
}
