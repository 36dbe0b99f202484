import Testing
import Tokenization

struct VocabularyErrorTests {
  @Test func unknownNamesAreRefusedWithTheListOfKnownOnes() {
    var description = SmallVocabularies.bytePair(preTokenizer: "klingon")
    let error = #expect(throws: TokenizationError.self) { try Tokenizer(description) }
    #expect(error?.description.contains("'klingon'") == true)
    #expect(error?.description.contains("llama-bpe") == true)
    description.model = "t5"
    #expect(
      throws: TokenizationError.unsupportedModel(
        name: "t5", supported: ["gpt2", "gemma4", "llama", "bert"])
    ) { try Tokenizer(description) }
  }

  @Test(arguments: [-1, 1_000_000, Int32.max])
  func idsMustBeInRange(id: Int32) {
    var description = SmallVocabularies.bytePair()
    description.eot = id
    let count = description.tokens.count
    #expect(
      throws: TokenizationError.tokenOutOfRange(role: "end-of-turn", id: Int64(id), tokens: count)
    ) { try Tokenizer(description) }
  }

  @Test(arguments: ["", " ", "ab", "ab ", " b", "é"])
  func mergesNeedTwoParts(merge: String) {
    var description = SmallVocabularies.bytePair()
    description.merges.append(merge)
    let index = description.merges.count - 1
    #expect(throws: TokenizationError.malformedMerge(index: index, text: merge)) {
      try Tokenizer(description)
    }
  }

  @Test func listsMustMatchTheTokens() {
    var description = SmallVocabularies.bytePair()
    let tokens = description.tokens.count
    description.tokenTypes.removeLast()
    #expect(
      throws: TokenizationError.countMismatch(
        list: "token types", count: tokens - 1, tokens: tokens)
    ) { try Tokenizer(description) }
    description.tokenTypes = []
    description.scores = [1]
    #expect(
      throws: TokenizationError.countMismatch(list: "scores", count: 1, tokens: tokens)
    ) { try Tokenizer(description) }
  }

  @Test func whatIsMissingIsNamed() {
    #expect(throws: TokenizationError.emptyVocabulary) {
      try Tokenizer(VocabularyDescription(model: "llama", tokens: []))
    }
    var description = SmallVocabularies.bytePair()
    description.bos = nil
    #expect(throws: TokenizationError.missingToken(role: "beginning-of-sequence")) {
      try Tokenizer(description)
    }
    description.addBOS = nil
    description.merges = []
    #expect(throws: TokenizationError.missingMerges) { try Tokenizer(description) }
    #expect(throws: TokenizationError.noByteFallback) {
      try Tokenizer(VocabularyDescription(model: "llama", tokens: ["a"]))
    }
  }

  /// Files with odd entries that are no reason to refuse them.
  @Test func oddEntriesAreTolerated() throws {
    var description = SmallVocabularies.bytePair()
    description.tokens += ["", "hello", "日本"]
    description.tokenTypes += [1, 1, 99]
    description.merges += ["h e", "h e"]
    let tokenizer = try Tokenizer(description)
    #expect(tokenizer.pieces("hello日本").first == "hello")
    #expect(tokenizer.decode(tokenizer.encode("日本")) == Array("日本".utf8))
  }

  @Test func errorsQuoteABoundedPartOfTheFile() {
    let error = TokenizationError.malformedMerge(
      index: 3, text: String(repeating: "x", count: 1_000_000))
    #expect(error.description.count < 300)
  }

  /// Loading must stay linear: 200,000 tokens and merges in one go.
  @Test func aLargeVocabularyLoads() throws {
    let alphabet = SmallVocabularies.alphabet
    var merges: [String] = []
    for left in alphabet {
      for right in alphabet { merges.append("\(left) \(right)") }
    }
    let pairs = merges.map { $0.replacing(" ", with: "") }
    for (index, pair) in pairs.enumerated() where index % 2 == 0 { merges.append("\(pair) x") }
    let tokens =
      alphabet + pairs + pairs.enumerated().filter { $0.offset % 2 == 0 }.map { "\($0.element)x" }
    let tokenizer = try Tokenizer(
      VocabularyDescription(model: "gpt2", preTokenizer: "gpt-2", tokens: tokens, merges: merges))
    #expect(tokenizer.count == 256 + 65536 + 32768)
    #expect(tokenizer.decode(tokenizer.encode("hello")) == Array("hello".utf8))
  }
}
