import Tokenization

/// Vocabularies small enough to read, built as converters build large ones.
enum SmallVocabularies {
  /// GPT-2's alphabet, from its definition: printable Latin-1 as it is, other bytes from U+0100 on.
  static let alphabet: [String] = {
    var next: UInt32 = 0x100
    return (0..<256).compactMap { (byte: UInt32) -> String? in
      var value = byte
      if !((0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte)
        || (0xAE...0xFF).contains(byte))
      {
        value = next
        next += 1
      }
      return Unicode.Scalar(value).map { String(Character($0)) }
    }
  }()

  /// "Ġ" and the like: bytes written in the alphabet.
  static func spell(_ text: String) -> String {
    text.utf8.map { alphabet[Int($0)] }.joined()
  }

  static let bytePairMerges = [
    "h e", "l l", "he ll", "hell o", "Ġ w", "o r", "Ġw or", "Ġwor l", "Ġworl d", "1 2", "a a",
    "aa aa", "Ġ Ġ",
  ]

  /// Ids 0 to 255 are the bytes, then the results of the merges in order, then the specials.
  static func bytePair(
    preTokenizer: String? = "smollm", merges: [String] = bytePairMerges,
    specials: [(String, TokenType)] = [
      ("<|endoftext|>", .control), ("<|im_start|>", .control), ("<|im_end|>", .control),
      ("<tool>", .userDefined),
    ]
  ) -> VocabularyDescription {
    var tokens = alphabet
    for merge in merges {
      let joined = merge.split(separator: " ").joined()
      if !tokens.contains(joined) { tokens.append(joined) }
    }
    var types = [Int32](repeating: TokenType.normal.rawValue, count: tokens.count)
    for (text, type) in specials {
      tokens.append(text)
      types.append(type.rawValue)
    }
    return VocabularyDescription(
      model: "gpt2", preTokenizer: preTokenizer, tokens: tokens, tokenTypes: types, merges: merges,
      bos: Int32(tokens.count - specials.count),
      eos: specials.isEmpty ? nil : Int32(tokens.count - specials.count), addBOS: true)
  }

  /// SentencePiece: unknown, BOS, EOS, 256 byte tokens, then pieces with falling scores.
  static func sentencePiece(
    pieces: [(String, Float)] = [
      ("▁", -1), ("h", -2), ("e", -3), ("l", -4), ("o", -5), ("▁h", -6), ("el", -7), ("lo", -8),
      ("▁hel", -9), ("▁hello", -10), ("ello", -20), ("▁▁", -30),
    ]
  ) -> VocabularyDescription {
    let digits = Array("0123456789ABCDEF")
    let bytes = (0..<256).map { "<0x\(digits[$0 / 16])\(digits[$0 % 16])>" }
    return VocabularyDescription(
      model: "llama", tokens: ["<unk>", "<s>", "</s>"] + bytes + pieces.map(\.0),
      scores: [0, 0, 0] + [Float](repeating: 0, count: 256) + pieces.map(\.1),
      tokenTypes: [2, 3, 3] + [Int32](repeating: 6, count: 256)
        + [Int32](repeating: 1, count: pieces.count),
      bos: 1, eos: 2, unknown: 0)
  }

  static func wordPiece(lowercase: Bool = true) -> VocabularyDescription {
    VocabularyDescription(
      model: "bert",
      tokens: [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁hello", "▁cafe", "s", "▁,", "▁!", "▁中", "▁un", "aff",
        "able",
      ],
      tokenTypes: [3, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1], unknown: 1, padding: 0, separator: 3,
      cls: 2, lowercase: lowercase)
  }
}

extension Tokenizer {
  /// The texts of the tokens of `text`: easier to read than numbers.
  func pieces(_ text: String, parseSpecial: Bool = false, addBOS: Bool = false) -> [String] {
    encode(text, parseSpecial: parseSpecial, addBOS: addBOS).map { self.text(of: $0) ?? "?" }
  }
}
