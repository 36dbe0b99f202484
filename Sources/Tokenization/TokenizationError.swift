/// Everything that can be wrong with a vocabulary. The cases name the offending entry, because
/// the vocabulary comes from a user's file.
package enum TokenizationError: Error, Equatable, Sendable {
  case emptyVocabulary
  case tooManyTokens(count: Int)
  case unsupportedModel(name: String, supported: [String])
  case unsupportedPreTokenizer(name: String, supported: [String])
  case countMismatch(list: String, count: Int, tokens: Int)
  case tokenOutOfRange(role: String, id: Int64, tokens: Int)
  case missingToken(role: String)
  case missingMerges
  case malformedMerge(index: Int, text: String)
  case malformedByteToken(id: Int32, text: String)
  case noByteFallback
}

extension TokenizationError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .emptyVocabulary:
      "The vocabulary has no tokens. Convert the model again with its tokenizer files present."
    case .tooManyTokens(let count):
      "The vocabulary lists \(count) tokens or merges, more than 32-bit ids can name. The file is damaged: "
        + "fetch it again."
    case .unsupportedModel(let name, let supported):
      "The tokenizer model \(quote(name)) is not supported. Use a file whose tokenizer.ggml.model is "
        + "one of: \(supported.joined(separator: ", "))."
    case .unsupportedPreTokenizer(let name, let supported):
      "The pre-tokenizer \(quote(name)) is not supported; guessing one would silently damage every "
        + "prompt. Use a file whose tokenizer.ggml.pre is one of: "
        + "\(supported.joined(separator: ", "))."
    case .countMismatch(let list, let count, let tokens):
      "The vocabulary has \(tokens) tokens but \(count) \(list). Convert the model again."
    case .tokenOutOfRange(let role, let id, let tokens):
      "The \(role) token has the id \(id), but the vocabulary ends at \(tokens - 1). Correct the "
        + "file's metadata."
    case .missingToken(let role):
      "The vocabulary asks for a \(role) token in every prompt but names none. Set its id in the "
        + "file's metadata, or switch the flag off."
    case .missingMerges:
      "A byte-pair vocabulary needs its list of merges and has none. Convert the model again."
    case .malformedMerge(let index, let text):
      "Merge \(index) is \(quote(text)), which is not two parts separated by a space. Convert the "
        + "model again."
    case .malformedByteToken(let id, let text):
      "Token \(id) has the type byte, but its text \(quote(text)) is not of the form <0x00> to <0xFF>. "
        + "Convert the model again."
    case .noByteFallback:
      "The vocabulary has neither byte tokens nor an unknown token, so some text has no encoding. "
        + "Set tokenizer.ggml.unknown_token_id, or convert the model again."
    }
  }

  /// A file's text in an error message: bounded, so that a hostile file cannot flood a terminal.
  private func quote(_ text: String) -> String {
    text.unicodeScalars.count <= 60
      ? "'\(text)'" : "'\(String(String.UnicodeScalarView(text.unicodeScalars.prefix(60))))…'"
  }
}
