import GGUF
import TestSupport

/// Files that are sound as files and harmful as models.
extension DamagedFile {
  private static func number(
    _ key: String, _ value: MetadataValue?, says words: String
  ) -> DamagedFile {
    .init("\(key) \(value?.summary ?? "absent")", says: words) {
      $0.metadata["llama.\(key)"] = .some(value)
    }
  }

  static let hyperparameters: [DamagedFile] = [
    number("block_count", nil, says: "'llama.block_count' is missing"),
    number("block_count", .unsigned(0), says: "which no model has"),
    number("block_count", .signed(-1), says: "which no model has"),
    number("block_count", .unsigned(513), says: "'blk.2.attn_norm.weight' is missing"),
    number("block_count", .unsigned(5000), says: "at most 4096"),
    number("block_count", .unsigned(1 << 63), says: "not a whole number"),
    number("block_count", .signeds([2]), says: "not a whole number"),
    number("context_length", .unsigned(0), says: "which no model has"),
    number("context_length", .unsigned(1 << 40), says: "which no model has"),
    number("embedding_length", .unsigned(0), says: "which no model has"),
    number("embedding_length", .unsigned(48), says: "does not fit together"),
    number("attention.head_count", .unsigned(0), says: "which no model has"),
    number("attention.head_count", .unsigned(5), says: "do not divide"),
    number("attention.head_count", .unsigneds([4]), says: "not a whole number"),
    number("attention.head_count", .unsigned(32), says: "rope turns 1 of 1"),
    number("attention.head_count_kv", .unsigned(0), says: "which no model has"),
    number("attention.head_count_kv", .unsigned(3), says: "do not divide"),
    number("attention.head_count_kv", .signed(-4), says: "which no model has"),
    number("attention.key_length", .unsigned(1 << 31), says: "heads of"),
    number("attention.key_length", .unsigned(16), says: "fit"),
    number("attention.value_length", .unsigned(4), says: "are not supported"),
    number("rope.dimension_count", .unsigned(0), says: "rope turns 0"),
    number("rope.dimension_count", .unsigned(7), says: "rope turns 7"),
    number("rope.dimension_count", .unsigned(1 << 40), says: "rope turns"),
    number("rope.freq_base", .real(0), says: "must be positive"),
    number("rope.freq_base", .real(-.infinity), says: "which is no number"),
    number("rope.freq_base", .real(.nan), says: "which is no number"),
    number("expert_count", .unsigned(8), says: "mixtures of experts (here of 8)"),
    .init("rope scaled by -1", says: "positions cannot be divided by -1.0") {
      $0.metadata["llama.rope.scaling.type"] = .string("linear")
      $0.metadata["llama.rope.scaling.factor"] = .real(-1)
    },
    .init("fewer windows than layers", says: "1 entries for 2 layers") {
      $0.metadata["general.architecture"] = .string("gemma3")
      let numbers: [(String, UInt64)] = [
        ("block_count", 2), ("context_length", 64), ("embedding_length", 32),
        ("attention.head_count", 4), ("attention.sliding_window", 8),
      ]
      for (key, value) in numbers { $0.metadata["gemma3.\(key)"] = .unsigned(value) }
      $0.metadata["gemma3.attention.sliding_window_pattern"] = .bools([true])
    },
    .init("no architecture", says: "'general.architecture' is missing") {
      $0.metadata["general.architecture"] = .some(nil)
    },
    .init("an unknown architecture", says: "'parrot' is not supported") {
      $0.metadata["general.architecture"] = .string("parrot")
    },
    .init("more tokens than rows of the embedding", says: "the vocabulary has 66 tokens") {
      let tokens = $0.tokens + ["extra"]
      $0.metadata["tokenizer.ggml.tokens"] = .strings(tokens)
      $0.metadata["tokenizer.ggml.token_type"] = .some(nil)
    },
    .init("no embedding", says: "'token_embd.weight' is missing") {
      $0.omitted = ["token_embd.weight"]
    },
    .init("no last norm", says: "'output_norm.weight' is missing") {
      $0.omitted = ["output_norm.weight"]
    },
  ]

  private static func tokenizer(
    _ name: String, says words: String, _ key: String, _ value: MetadataValue?
  ) -> DamagedFile {
    .init(name, says: words) { $0.metadata["tokenizer.ggml.\(key)"] = .some(value) }
  }

  /// A vocabulary with one token of the type byte.
  private static func byteToken(_ text: String) -> DamagedFile {
    .init("the byte token \(text)", says: "is not of the form <0x00> to <0xFF>") {
      var tokens = $0.tokens
      tokens[0] = text
      $0.metadata["tokenizer.ggml.tokens"] = .strings(tokens)
      $0.metadata["tokenizer.ggml.token_type"] = .signeds(tokens.indices.map { $0 == 0 ? 6 : 1 })
    }
  }

  static let vocabularies: [DamagedFile] = [
    byteToken("<0x-1>"), byteToken("<0x+1>"), byteToken("<0xGG>"), byteToken("<0x>"),
    byteToken("<0x100>"), byteToken(""), byteToken("<0x 1>"), byteToken("é<0x1"),
    tokenizer("no tokens", says: "no tokens", "tokens", .strings([])),
    tokenizer("no list of tokens", says: "is missing", "tokens", nil),
    tokenizer("no tokenizer", says: "is missing", "model", nil),
    tokenizer(
      "an unknown tokenizer", says: "'parrot' is not supported", "model", .string("parrot")),
    tokenizer("an unknown pre-tokenizer", says: "is not supported", "pre", .string("parrot")),
    tokenizer(
      "two token types", says: "65 tokens but 2 token types", "token_type", .signeds([1, 1])),
    tokenizer("one score", says: "65 tokens but 1 scores", "scores", .reals([0])),
    tokenizer("no merges", says: "list of merges", "merges", nil),
    tokenizer("a merge of one part", says: "not two parts", "merges", .strings(["Z"])),
    tokenizer("an empty merge", says: "not two parts", "merges", .strings([""])),
    tokenizer("EOS behind the end", says: "has the id 65", "eos_token_id", .unsigned(65)),
    tokenizer("EOS 2^32 - 1", says: "not a token id", "eos_token_id", .unsigned(0xFFFF_FFFF)),
    tokenizer("BOS -1", says: "has the id -1", "bos_token_id", .signed(-1)),
    tokenizer("BOS 2^63", says: "not a whole number", "bos_token_id", .unsigned(1 << 63)),
    tokenizer("BOS wanted, none named", says: "names none", "add_bos_token", .bool(true)),
  ]

  private static func template(
    _ name: String, says words: String, _ source: String
  ) -> DamagedFile {
    .init(name, says: words) { $0.metadata["tokenizer.chat_template"] = .string(source) }
  }

  /// A template is a program from a stranger.
  static let templates: [DamagedFile] = [
    template(
      "no end", says: "more than 1000000 steps",
      "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"),
    template("a macro of itself", says: "deep", "{% macro r() %}{{ r() }}{% endmacro %}{{ r() }}"),
    template(
      "much text", says: "bytes",
      "{% for a in range(99999) %}{{ 'x' * 99999 }}{% endfor %}"),
    template("a huge string", says: "too long", "{{ 'x' * 9223372036854775807 }}"),
    template("deep nesting", says: "chat template", String(repeating: "{{ (", count: 100_000)),
    template("Python's insides", says: "undefined", "{{ ''.__class__.__mro__[1] }}"),
    template("a module", says: "undefined", "{{ cycler.__init__.__globals__.os.popen('id') }}"),
    template("no end of a block", says: "chat template", "{% if true %}"),
    template("a refusal", says: "not today", "{{ raise_exception('not today') }}"),
  ]
}
