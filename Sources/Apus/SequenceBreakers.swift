package import Tokenization

extension Tokenizer {
  /// How texts at which repetitions may end look in tokens: for each token whose text holds one of
  /// them an empty list; for each token at whose end one begins, the tokens of the rest. Looks at
  /// every token's text once for each of `texts`.
  package func sequenceBreakers(_ texts: [String]) -> [Int32: [[Int32]]] {
    var breakers: [Int32: [[Int32]]] = [:]
    let texts = texts.map { Array($0.utf8) }
    for token in 0..<Int32(count) {
      let piece = decode(token, showControl: true)
      for text in texts {
        var tails: [[Int32]] = []
        if piece.holds(text) {
          tails = [[]]
        } else {
          for length in 1..<text.count where piece.suffix(length).elementsEqual(text[..<length]) {
            // A tail longer than this is no breaker that a text will ever meet.
            tails.append(Array(encode(Array(text[length...])).prefix(20)))
          }
        }
        for tail in tails where breakers[token]?.contains(tail) != true {
          breakers[token, default: []].append(tail)
        }
      }
    }
    return breakers
  }
}

extension [UInt8] {
  fileprivate func holds(_ text: [UInt8]) -> Bool {
    guard let first = text.first, count >= text.count else { return false }
    return indices.dropLast(text.count - 1).contains { start in
      self[start] == first && self[start..<start + text.count].elementsEqual(text)
    }
  }
}
