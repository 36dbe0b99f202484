import Testing
import Tokenization

struct SpecialTokenTests {
  @Test func controlTokensAreMatchedOnRequestOnly() throws {
    let tokenizer = try Tokenizer(SmallVocabularies.bytePair())
    #expect(
      tokenizer.pieces("<|im_start|>hello<|im_end|>", parseSpecial: true)
        == ["<|im_start|>", "hello", "<|im_end|>"])
    let plain = tokenizer.encode("<|im_start|>hello")
    #expect(!plain.contains { tokenizer.isControl($0) })
    #expect(tokenizer.decode(plain) == Array("<|im_start|>hello".utf8))
  }

  @Test func userDefinedTokensAreMatchedAlways() throws {
    let tokenizer = try Tokenizer(SmallVocabularies.bytePair())
    #expect(tokenizer.pieces("hello<tool>") == ["hello", "<tool>"])
  }

  @Test func theLongestTokenWinsWhereverItBegins() throws {
    let tokenizer = try Tokenizer(
      SmallVocabularies.bytePair(specials: [("xab", .control), ("abcd", .control)]))
    #expect(tokenizer.pieces("xabcd", parseSpecial: true) == ["x", "abcd"])
    #expect(tokenizer.pieces("xabc", parseSpecial: true) == ["xab", "c"])
  }

  @Test func promptsOpenAsTheFileAsks() throws {
    var description = SmallVocabularies.bytePair()
    #expect(try Tokenizer(description).pieces("hello", addBOS: true) == ["<|endoftext|>", "hello"])
    description.addEOS = true
    #expect(
      try Tokenizer(description).pieces("", addBOS: true) == ["<|endoftext|>", "<|endoftext|>"])
    description.addBOS = false
    description.addEOS = false
    let tokenizer = try Tokenizer(description)
    #expect(!tokenizer.addsBOS)
    #expect(tokenizer.pieces("hello", addBOS: tokenizer.addsBOS) == ["hello"])
    #expect(tokenizer.pieces("hello", addBOS: true) == ["<|endoftext|>", "hello"])
  }

  @Test func endOfGenerationHoldsNamedAndWellKnownTokens() throws {
    var description = SmallVocabularies.bytePair(specials: [
      ("<|endoftext|>", .control), ("<|im_end|>", .normal), ("</s>", .normal), ("<eos>", .control),
      ("<|odd|>", .control),
    ])
    let odd = Int32(description.tokens.count - 1)
    let first = odd - 4
    #expect(try Tokenizer(description).endOfGeneration == [first, first + 1, first + 3])
    description.eot = odd
    #expect(try Tokenizer(description).endOfGeneration == [first, first + 1, first + 3, odd])
  }

  /// In the harmony dialect `<|end|>` closes a message, and the answer goes on.
  @Test func harmonyAnswersGoOnAfterEnd() throws {
    let description = SmallVocabularies.bytePair(specials: [
      ("<|return|>", .control), ("<|call|>", .control), ("<|end|>", .control),
    ])
    let tokenizer = try Tokenizer(description)
    let names = tokenizer.endOfGeneration.compactMap { tokenizer.text(of: $0) }.sorted()
    #expect(names == ["<|call|>", "<|return|>"])
  }

  @Test func controlTokensAreSilentUnlessAsked() throws {
    let tokenizer = try Tokenizer(SmallVocabularies.bytePair())
    let ids = tokenizer.encode("<|im_start|>hello<tool>", parseSpecial: true)
    #expect(tokenizer.decode(ids) == Array("hello<tool>".utf8))
    #expect(tokenizer.decode(ids, showControl: true) == Array("<|im_start|>hello<tool>".utf8))
  }

  @Test(arguments: [-1, 100_000, Int32.max, Int32.min])
  func idsOutsideOfTheVocabularyHaveNoText(id: Int32) throws {
    let tokenizer = try Tokenizer(SmallVocabularies.bytePair())
    #expect(tokenizer.decode(id, showControl: true) == [])
    #expect(tokenizer.text(of: id) == nil)
    #expect(!tokenizer.isControl(id))
  }
}
