import Testing
import Tokenization

struct SentencePieceTests {
  @Test func theBestScoreMergesFirst() throws {
    let tokenizer = try Tokenizer(SmallVocabularies.sentencePiece())
    #expect(tokenizer.pieces("hello") == ["▁hello"])
    #expect(tokenizer.pieces("hell") == ["▁hel", "l"])
    #expect(tokenizer.pieces("elo") == ["▁", "el", "o"])
  }

  @Test func aSpaceLeadsTheTextUnlessTheFileSaysNo() throws {
    var description = SmallVocabularies.sentencePiece()
    #expect(try Tokenizer(description).pieces("h", addBOS: true) == ["<s>", "▁h"])
    #expect(try Tokenizer(description).pieces(" h") == ["▁", "▁h"])
    description.addSpacePrefix = false
    #expect(try Tokenizer(description).pieces("h") == ["h"])
  }

  /// After a control token the text starts anew.
  @Test func aSpaceFollowsControlTokens() throws {
    let tokenizer = try Tokenizer(SmallVocabularies.sentencePiece())
    #expect(tokenizer.pieces("h</s>h", parseSpecial: true) == ["▁h", "</s>", "▁h"])
    #expect(tokenizer.pieces("</s>") == ["▁", "<0x3C>", "<0x2F>", "<0x73>", "<0x3E>"])
  }

  /// Most vocabularies may be cut into words, and are; one token with a space inside forbids it.
  @Test func tokensMayReachAcrossASpace() throws {
    let description = SmallVocabularies.sentencePiece()
    #expect(try Tokenizer(description).pieces("o h  hello") == ["▁", "o", "▁h", "▁", "▁hello"])
    let across = SmallVocabularies.sentencePiece(pieces: [
      ("▁", -1), ("h", -2), ("o", -3), ("o▁", -5), ("o▁h", -6), ("▁h", -7),
    ])
    #expect(try Tokenizer(across).pieces("o h h") == ["▁", "o▁h", "▁h"])
  }

  @Test func unknownCharactersBecomeBytes() throws {
    let tokenizer = try Tokenizer(SmallVocabularies.sentencePiece())
    #expect(tokenizer.pieces("é") == ["▁", "<0xC3>", "<0xA9>"])
    #expect(tokenizer.encode([0xFF, 0x68]).count == 3)
    #expect(tokenizer.decode(tokenizer.encode("é h")) == Array(" é h".utf8))
  }

  @Test func aMegabyteOfOneLetterIsQuick() throws {
    let tokenizer = try Tokenizer(SmallVocabularies.sentencePiece())
    let bytes = [UInt8](repeating: UInt8(ascii: " "), count: 1 << 20)
    #expect(tokenizer.encode(bytes).count == (1 << 19) + 1)
  }

  /// Scores that are no number must not break the order the queue lives on.
  @Test func scoresThatAreNoNumberComeLast() throws {
    var description = SmallVocabularies.sentencePiece()
    let index = try #require(description.tokens.firstIndex(of: "el"))
    description.scores[index] = .nan
    #expect(try Tokenizer(description).pieces("elo") == ["▁", "e", "lo"])
  }

  @Test(arguments: ["<0x-1>", "<0xGG>", "<0x+1>", "<0x0A", "x", "<0x123>"])
  func byteTokensMustNameAByte(text: String) {
    var description = SmallVocabularies.sentencePiece()
    description.tokens[10] = text
    #expect(throws: TokenizationError.malformedByteToken(id: 10, text: text)) {
      try Tokenizer(description)
    }
  }
}
