/// Turns a stream of tokens into text that is well-formed at every moment: the bytes of a character
/// that is not complete yet are held back until it is.
package struct StreamingDetokenizer: Sendable {
  private let tokenizer: Tokenizer
  private let showControl: Bool
  /// At most three bytes: the beginning of a character.
  private var pending: [UInt8] = []

  /// Control tokens are silent unless `showControl`.
  package init(_ tokenizer: Tokenizer, showControl: Bool = false) {
    self.tokenizer = tokenizer
    self.showControl = showControl
  }

  /// The text that `id` completes; perhaps none.
  package mutating func append(_ id: Int32) -> String {
    pending.append(contentsOf: tokenizer.decode(id, showControl: showControl))
    let complete = pending.count - Self.incompleteSuffix(pending)
    defer { pending.removeFirst(complete) }
    return String(decoding: pending[..<complete], as: UTF8.self)
  }

  /// What is left at the end of the stream: a character that was never completed becomes U+FFFD.
  package mutating func finish() -> String {
    defer { pending.removeAll() }
    return String(decoding: pending, as: UTF8.self)
  }

  /// How many bytes at the end may be the beginning of a character.
  private static func incompleteSuffix(_ bytes: [UInt8]) -> Int {
    for length in 1..<4 where length <= bytes.count {
      let suffix = bytes[(bytes.count - length)...]
      guard let first = suffix.first, first & 0xC0 != 0x80 else { continue }
      guard let expected = UTF8Scanner.expectedLength(first), expected > length else { return 0 }
      return isPrefix(suffix) ? length : 0
    }
    return 0
  }

  /// Whether a second byte rules the sequence out: overlong forms, surrogates, beyond Unicode.
  private static func isPrefix(_ bytes: ArraySlice<UInt8>) -> Bool {
    guard let first = bytes.first, let second = bytes.dropFirst().first else { return true }
    switch first {
    case 0xE0: return second >= 0xA0
    case 0xED: return second < 0xA0
    case 0xF0: return second >= 0x90
    case 0xF4: return second < 0x90
    default: return true
    }
  }
}
