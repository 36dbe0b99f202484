/// What a model file says about its vocabulary, as plain values: this room never sees the file.
/// The names follow the metadata keys of GGUF (`tokenizer.ggml.*`).
package struct VocabularyDescription: Sendable {
  /// The algorithm: "gpt2" (byte-level BPE), "gemma4" (BPE over characters), "llama" (SentencePiece
  /// with scores) or "bert" (WordPiece).
  package var model: String
  /// Which rule cuts text into words before byte-pair merging; nil where the file names none.
  package var preTokenizer: String?
  package var tokens: [String]
  /// One per token, or empty.
  package var scores: [Float]
  /// One `TokenType` raw value per token, or empty (all normal).
  package var tokenTypes: [Int32]
  /// "left right", best first; only byte-pair models have them.
  package var merges: [String]

  package var bos: Int32?
  package var eos: Int32?
  package var eot: Int32?
  package var eom: Int32?
  package var unknown: Int32?
  package var padding: Int32?
  package var separator: Int32?
  package var cls: Int32?

  /// nil means the file is silent and the algorithm's habit applies.
  package var addBOS: Bool?
  package var addEOS: Bool?
  package var addSpacePrefix: Bool?
  /// WordPiece only: lower-case the text and drop its accents. BERT files are silent about it.
  package var lowercase: Bool

  package init(
    model: String, preTokenizer: String? = nil, tokens: [String], scores: [Float] = [],
    tokenTypes: [Int32] = [], merges: [String] = [], bos: Int32? = nil, eos: Int32? = nil,
    eot: Int32? = nil, eom: Int32? = nil, unknown: Int32? = nil, padding: Int32? = nil,
    separator: Int32? = nil, cls: Int32? = nil, addBOS: Bool? = nil, addEOS: Bool? = nil,
    addSpacePrefix: Bool? = nil, lowercase: Bool = true
  ) {
    self.model = model
    self.preTokenizer = preTokenizer
    self.tokens = tokens
    self.scores = scores
    self.tokenTypes = tokenTypes
    self.merges = merges
    self.bos = bos
    self.eos = eos
    self.eot = eot
    self.eom = eom
    self.unknown = unknown
    self.padding = padding
    self.separator = separator
    self.cls = cls
    self.addBOS = addBOS
    self.addEOS = addEOS
    self.addSpacePrefix = addSpacePrefix
    self.lowercase = lowercase
  }
}

/// The kinds of token a GGUF file distinguishes, with its numbers.
package enum TokenType: Int32, Sendable {
  case normal = 1
  case unknown = 2
  /// Steers the model and is never shown: `<|im_start|>`.
  case control = 3
  /// Added by the model's authors; matched in any text, and shown.
  case userDefined = 4
  case unused = 5
  /// One raw byte, written `<0x0A>`.
  case byte = 6
}
