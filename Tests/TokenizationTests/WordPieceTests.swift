import Testing
import Tokenization

struct WordPieceTests {
  @Test func wordsAreReadAsTheirLongestTokens() throws {
    let tokenizer = try Tokenizer(SmallVocabularies.wordPiece())
    #expect(tokenizer.pieces("hello unaffable") == ["▁hello", "▁un", "aff", "able"])
  }

  @Test func aWordThatCannotBeReadIsUnknownAsAWhole() throws {
    let tokenizer = try Tokenizer(SmallVocabularies.wordPiece())
    #expect(tokenizer.pieces("hellox hello") == ["[UNK]", "▁hello"])
  }

  @Test func textIsNormalised() throws {
    let tokenizer = try Tokenizer(SmallVocabularies.wordPiece())
    #expect(tokenizer.pieces("CAFÉS,Hello中!") == ["▁cafe", "s", "▁,", "▁hello", "▁中", "▁!"])
    #expect(tokenizer.pieces("cafe\u{301}\u{0}\u{200B}") == ["▁cafe"])
    let cased = try Tokenizer(SmallVocabularies.wordPiece(lowercase: false))
    #expect(cased.pieces("Hello hello") == ["[UNK]", "▁hello"])
  }

  @Test func textIsFramedByItsSpecialTokens() throws {
    let tokenizer = try Tokenizer(SmallVocabularies.wordPiece())
    #expect(tokenizer.pieces("hello", addBOS: true) == ["[CLS]", "▁hello", "[SEP]"])
    #expect(tokenizer.pieces("[SEP]", parseSpecial: true) == ["[SEP]"])
  }

  @Test func invalidBytesAreDropped() throws {
    let tokenizer = try Tokenizer(SmallVocabularies.wordPiece())
    #expect(tokenizer.encode([0xFF] + Array("hello".utf8) + [0xC3]) == tokenizer.encode("hello"))
  }

  @Test func anUnknownTokenIsNeeded() {
    var description = SmallVocabularies.wordPiece()
    description.unknown = nil
    #expect(throws: TokenizationError.noByteFallback) { try Tokenizer(description) }
  }
}
