import Testing
import Tokenization

struct BytePairTests {
  @Test func mergesByRankAndKeepsSpacesWithTheirWords() throws {
    let tokenizer = try Tokenizer(SmallVocabularies.bytePair())
    #expect(tokenizer.pieces("hello world") == ["hello", "Ġworld"])
    // "worl" without a space has no merge that starts with "w".
    #expect(tokenizer.pieces("world") == ["w", "or", "l", "d"])
    #expect(tokenizer.pieces("") == [])
  }

  @Test func equalRanksMergeFromTheLeft() throws {
    let tokenizer = try Tokenizer(SmallVocabularies.bytePair())
    #expect(tokenizer.pieces("aaa") == ["aa", "a"])
    #expect(tokenizer.pieces("aaaaaaa") == ["aaaa", "aa", "a"])
  }

  @Test func smollmKeepsEachDigitAlone() throws {
    let smollm = try Tokenizer(SmallVocabularies.bytePair())
    #expect(smollm.pieces("12") == ["1", "2"])
    let gpt2 = try Tokenizer(SmallVocabularies.bytePair(preTokenizer: "gpt-2"))
    #expect(gpt2.pieces("12") == ["12"])
  }

  @Test func everyByteSurvivesARoundTrip() throws {
    let tokenizer = try Tokenizer(SmallVocabularies.bytePair())
    let bytes = (0...255).map { UInt8($0) } + (0...255).reversed().map { UInt8($0) }
    #expect(tokenizer.decode(tokenizer.encode(bytes)) == bytes)
    for text in ["héllo wörld", "日本語 🦙", "\u{0}\r\n\t", "e\u{301}", "\u{FEFF}x"] {
      #expect(tokenizer.decode(tokenizer.encode(text)) == Array(text.utf8))
    }
  }

  /// Truncated, overlong, surrogate, beyond Unicode, stray: each bad byte is a token by itself.
  @Test(
    arguments: [
      [0xE2, 0x82], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80], [0x80], [0xFF],
      [0x68, 0x65, 0xF0, 0x9F], [0xE0, 0x80, 0x80],
    ] as [[UInt8]])
  func invalidUTF8IsEncodedByteByByte(bytes: [UInt8]) throws {
    let tokenizer = try Tokenizer(SmallVocabularies.bytePair())
    #expect(tokenizer.decode(tokenizer.encode(bytes)) == bytes)
  }

  /// A quadratic merge would take minutes here.
  @Test func aMegabyteOfOneLetterIsQuick() throws {
    let tokenizer = try Tokenizer(SmallVocabularies.bytePair())
    let bytes = [UInt8](repeating: UInt8(ascii: "a"), count: (1 << 20) + 3)
    let ids = tokenizer.encode(bytes)
    #expect(ids.count == (1 << 18) + 2)
    #expect(tokenizer.decode(ids) == bytes)
  }

  /// Long words take the queue, short ones the scan: both must agree.
  @Test func longAndShortWordsMergeAlike() throws {
    let tokenizer = try Tokenizer(SmallVocabularies.bytePair())
    let word = String(repeating: "hello", count: 30)
    #expect(tokenizer.pieces(word) == Array(repeating: "hello", count: 30))
    #expect(tokenizer.pieces("hellohello") == ["hello", "hello"])
  }

  @Test func wholeWordsComeFirstWhereTheModelSaysSo() throws {
    var description = SmallVocabularies.bytePair(preTokenizer: "llama-bpe")
    description.tokens.append("xyz")
    description.tokenTypes.append(1)
    #expect(try Tokenizer(description).pieces("xyz") == ["xyz"])
    description.preTokenizer = "qwen2"
    #expect(try Tokenizer(description).pieces("xyz") == ["x", "y", "z"])
  }

  /// Merges may pass through strings that are no token; what stays there falls apart into bytes.
  @Test func mergesThroughStringsThatAreNoToken() throws {
    var description = SmallVocabularies.bytePair(merges: ["x y", "xy z"], specials: [])
    description.bos = nil
    description.addBOS = nil
    description.tokens.removeAll { $0 == "xy" }
    description.tokenTypes.removeLast()
    let tokenizer = try Tokenizer(description)
    #expect(tokenizer.pieces("xyz") == ["xyz"])
    #expect(tokenizer.pieces("xya") == ["x", "y", "a"])
  }

  @Test func charactersWithMarkedSpaces() throws {
    let description = VocabularyDescription(
      model: "gemma4",
      tokens: ["<eos>", "▁", "a", "b", "▁a", "ab", "\n", "\n\n", "<0xC3>", "<0xA9>"],
      tokenTypes: [3, 1, 1, 1, 1, 1, 1, 1, 6, 6], merges: ["▁ a", "a b"], eos: 0)
    let tokenizer = try Tokenizer(description)
    #expect(tokenizer.pieces(" ab b") == ["▁a", "b", "▁", "b"])
    #expect(tokenizer.pieces("a\n\nb") == ["a", "\n\n", "b"])
    #expect(tokenizer.pieces("é") == ["<0xC3>", "<0xA9>"])
    #expect(tokenizer.decode(tokenizer.encode(" ab é")) == Array(" ab é".utf8))
  }
}
