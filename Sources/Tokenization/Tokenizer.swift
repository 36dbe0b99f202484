/// Turns text into the numbers a model reads, and back. It never changes after it is made, so that
/// any number of threads may share one.
package final class Tokenizer: Sendable {
  private enum Algorithm: Sendable {
    case bytePair(BytePairEncoder)
    case sentencePiece(SentencePieceEncoder)
    case wordPiece(WordPieceEncoder)
  }

  private let vocabulary: Vocabulary
  private let algorithm: Algorithm
  private let specials: SpecialTokenMatcher
  private let marksSpaces: Bool
  private let addSpacePrefix: Bool

  /// The token that opens a prompt, where the file names one.
  package let bos: Int32?
  /// The token the file calls the end of the sequence.
  package let eos: Int32?
  /// Whether the file wants prompts to open with `bos`: what to pass to `encode` as `addBOS`.
  package let addsBOS: Bool
  /// Whether `encode(addBOS: true)` also closes the text with `eos`, as encoders want.
  package let addsEOS: Bool
  /// Every token after which an answer is complete.
  package let endOfGeneration: Set<Int32>

  private static let models = ["gpt2", "gemma4", "llama", "bert"]

  /// Checks the description and builds the tables.
  package init(_ description: VocabularyDescription) throws(TokenizationError) {
    let rule: PreTokenizer?
    switch description.model {
    case "gpt2": rule = try Self.preTokenizer(description.preTokenizer ?? "default")
    case "gemma4": rule = try Self.preTokenizer("gemma4")
    case "llama", "bert": rule = nil
    default: throw .unsupportedModel(name: description.model, supported: Self.models)
    }

    let usesByteAlphabet = rule.map { !$0.usesCharacters } ?? false
    vocabulary = try Vocabulary(
      description, spelling: usesByteAlphabet ? .byteAlphabet : .spaceMarks)
    try Self.checkIDs(description)
    specials = SpecialTokenMatcher(vocabulary)
    marksSpaces = description.model == "llama" || rule?.usesCharacters == true
    addSpacePrefix = description.addSpacePrefix ?? (description.model == "llama")

    let isWordPiece = description.model == "bert"
    bos = isWordPiece ? description.cls ?? description.bos : description.bos
    eos = isWordPiece ? description.separator ?? description.eos : description.eos
    endOfGeneration = EndOfGeneration.tokens(
      of: vocabulary, named: [description.eos, description.eot, description.eom])
    addsBOS = try Self.flag(
      description.addBOS, habit: rule?.addBOS ?? true, token: bos, role: "beginning-of-sequence")
    addsEOS = try Self.flag(
      description.addEOS, habit: isWordPiece, token: eos, role: "end-of-sequence")

    if let rule {
      algorithm = .bytePair(try BytePairEncoder(description, vocabulary, rule))
    } else if isWordPiece {
      algorithm = .wordPiece(try WordPieceEncoder(description, vocabulary))
    } else {
      algorithm = .sentencePiece(try SentencePieceEncoder(description, vocabulary))
    }
  }

  private static func preTokenizer(_ name: String) throws(TokenizationError) -> PreTokenizer {
    guard let rule = PreTokenizer.named(name) else {
      throw .unsupportedPreTokenizer(name: name, supported: PreTokenizer.supported)
    }
    return rule
  }

  private static func checkIDs(_ description: VocabularyDescription) throws(TokenizationError) {
    let ids: [(String, Int32?)] = [
      ("beginning-of-sequence", description.bos), ("end-of-sequence", description.eos),
      ("end-of-turn", description.eot), ("end-of-message", description.eom),
      ("unknown", description.unknown), ("padding", description.padding),
      ("separator", description.separator), ("classification", description.cls),
    ]
    for (role, id) in ids {
      guard let id else { continue }
      guard id >= 0, Int(id) < description.tokens.count else {
        throw .tokenOutOfRange(role: role, id: Int64(id), tokens: description.tokens.count)
      }
    }
  }

  /// A habit gives way silently where the token is missing; a file that asks for it in so many words
  /// does not.
  private static func flag(
    _ asked: Bool?, habit: Bool, token: Int32?, role: String
  ) throws(TokenizationError) -> Bool {
    if asked == true, token == nil { throw .missingToken(role: role) }
    return asked ?? habit && token != nil
  }

  /// The number of tokens; ids run from 0 to one below.
  package var count: Int { vocabulary.count }

  /// The tokens of UTF-8 text; bytes that are no UTF-8 are encoded one by one. With `parseSpecial`
  /// control tokens spelled out in the text count as such: never pass that for a user's own words.
  /// With `addBOS` the text opens with `bos`, where there is one, and closes as the file wants.
  /// Complexity: O(n log n) in the length of the longest word, linear in the text.
  package func encode(_ text: [UInt8], parseSpecial: Bool = false, addBOS: Bool = false) -> [Int32]
  {
    var output: [Int32] = []
    if addBOS, let bos { output.append(bos) }
    var followsToken = true
    for fragment in specials.fragments(of: text, parseSpecial: parseSpecial) {
      switch fragment {
      case .token(let id):
        output.append(id)
        followsToken = true
      case .text(let range):
        encode(text[range], prefixed: addSpacePrefix && followsToken, into: &output)
        followsToken = false
      }
    }
    if addBOS, addsEOS, let eos { output.append(eos) }
    return output
  }

  package func encode(_ text: String, parseSpecial: Bool = false, addBOS: Bool = false) -> [Int32] {
    encode(Array(text.utf8), parseSpecial: parseSpecial, addBOS: addBOS)
  }

  private func encode(_ bytes: ArraySlice<UInt8>, prefixed: Bool, into output: inout [Int32]) {
    var bytes = bytes
    if marksSpaces {
      bytes = SpaceMark.unescape((prefixed ? [0x20] : []) + bytes)[...]
    }
    switch algorithm {
    case .bytePair(let encoder): encoder.encode(bytes, vocabulary, into: &output)
    case .sentencePiece(let encoder): encoder.encode(bytes, vocabulary, into: &output)
    case .wordPiece(let encoder): encoder.encode(bytes, vocabulary, into: &output)
    }
  }

  /// The bytes of a token: perhaps part of a character only. Control tokens are silent unless
  /// `showControl`; an id outside of the vocabulary has no bytes.
  package func decode(_ id: Int32, showControl: Bool = false) -> [UInt8] {
    showControl || !isControl(id) ? Array(vocabulary.piece(id)) : []
  }

  /// The bytes of several tokens, as they follow one another.
  package func decode(_ ids: [Int32], showControl: Bool = false) -> [UInt8] {
    ids.flatMap { decode($0, showControl: showControl) }
  }

  /// Whether a token steers the model instead of standing for text.
  package func isControl(_ id: Int32) -> Bool {
    switch vocabulary.type(id) {
    case .control, .unknown: true
    case .normal, .userDefined, .unused, .byte: false
    }
  }

  /// The token as the file writes it, for tables and error messages; nil outside of the vocabulary.
  package func text(of id: Int32) -> String? {
    vocabulary.contains(id) ? vocabulary.texts[Int(id)] : nil
  }
}
