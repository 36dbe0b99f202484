package import GGUF
import OpSuite
package import Tensors

/// A model of random weights, the same on every machine, for comparison with llama.cpp
/// (`tools/golden/tiny.py`): small, but with rows that blocks of 256 fit into.
package struct RandomModel: Sendable, CustomStringConvertible {
  /// An architecture, and what is special about its rotary positions.
  package enum Flavour: String, Sendable, CaseIterable {
    case llama, qwen2, qwen3, gemma3, phi3
    case llamaLinear = "llama-linear"
    case llamaYarn = "llama-yarn"
    case llamaFactors = "llama-factors"
    case phi3Long = "phi3-long"

    /// One for each architecture.
    package static let architectures: [Flavour] = [.llama, .qwen2, .qwen3, .gemma3, .phi3]

    package var architecture: String { rawValue.split(separator: "-")[0].description }
  }

  /// Every architecture with every type of its matrices, and the other flavours in single precision.
  package static let all: [RandomModel] = ElementType.allCases.flatMap { type in
    (type == .f32 ? Flavour.allCases : Flavour.architectures).map {
      RandomModel(flavour: $0, type: type)
    }
  }

  package let flavour: Flavour
  /// The type of all matrices, the embedding table among them.
  package let type: ElementType
  package var layers = 2
  /// Metadata of the architecture that comes on top or takes another's place.
  package var metadata: [String: MetadataValue] = [:]

  package init(flavour: Flavour, type: ElementType) {
    self.flavour = flavour
    self.type = type
  }

  package var description: String { "\(flavour.rawValue)-\(type.name)" }

  private static let width = 256
  private static let feedForward = 512
  /// The context of the run, on which LongRoPE depends.
  package static let contextLength = 256

  private var architecture: String { flavour.architecture }
  private var isGemma: Bool { flavour == .gemma3 }
  private var heads: (count: Int, kv: Int, width: Int) { isGemma ? (2, 1, 256) : (4, 2, 64) }
  /// Elements of a head that turn: a part of them in `phi3`, as in its later models.
  private var ropeDimensions: Int { architecture == "phi3" ? 48 : heads.width }

  private func pairs(_ vocabulary: RandomVocabulary) -> [(String, MetadataValue)] {
    var own: [(String, MetadataValue)] = [
      ("block_count", .unsigned(UInt64(layers))), ("context_length", .unsigned(512)),
      ("embedding_length", .unsigned(UInt64(Self.width))),
      ("feed_forward_length", .unsigned(UInt64(Self.feedForward))),
      ("attention.head_count", .unsigned(UInt64(heads.count))),
      ("attention.head_count_kv", .unsigned(UInt64(heads.kv))),
      ("attention.key_length", .unsigned(UInt64(heads.width))),
      ("attention.value_length", .unsigned(UInt64(heads.width))),
      ("attention.layer_norm_rms_epsilon", .real(1e-6)),
      ("rope.dimension_count", .unsigned(UInt64(ropeDimensions))),
      ("rope.freq_base", .real(isGemma ? 1_000_000 : 10_000)),
    ]
    func scaling(_ pairs: [(String, MetadataValue)]) {
      own += pairs.map { ("rope.scaling.\($0)", $1) }
    }
    switch flavour {
    case .llamaLinear:
      // Without a type, a factor means linear.
      scaling([("factor", .real(2))])
    case .llamaYarn:
      scaling([
        ("type", .string("yarn")), ("factor", .real(4)), ("original_context_length", .unsigned(64)),
      ])
    case .gemma3:
      own += [
        ("attention.sliding_window", .unsigned(24)),
        ("attention.sliding_window_pattern", .unsigned(2)),
      ]
      scaling([("type", .string("linear")), ("factor", .real(8))])
    case .phi3, .phi3Long:
      let original = UInt64(flavour == .phi3 ? Self.contextLength : Self.contextLength / 2)
      own += [("attention.sliding_window", .unsigned(16))]
      scaling([
        ("original_context_length", .unsigned(original)), ("attn_factor", .real(1.1875)),
      ])
    case .llama, .llamaFactors, .qwen2, .qwen3: break
    }
    own = own.filter { metadata[$0.0] == nil } + metadata.sorted { $0.key < $1.key }
    return [
      ("general.architecture", .string(architecture)),
      // llama.cpp reads more than a name out of some names.
      ("general.name", .string("random")),
    ] + own.map { ("\(architecture).\($0)", $1) } + vocabulary.metadata
  }

  /// The bytes of the file.
  package func encoded() -> [UInt8] {
    let vocabulary = RandomVocabulary(isBytePair: architecture.hasPrefix("qwen"))
    var writer = GGUFWriter()
    for (key, value) in pairs(vocabulary) { writer.set(key, value) }

    var random = SplitMix64(seed: description)
    let peak: Float = type.isQuantized ? 0.25 : 0.15
    func matrix(_ name: String, rows: Int, width: Int, scale: Float = 1) {
      let bytes = type.randomBytes(rows * width, peak: peak * scale) { random.next() }
      writer.add(name + ".weight", type, [width, rows], bytes)
    }
    func vector(_ name: String, _ count: Int, around middle: Float, spread: Float) {
      let values = (0..<count).map { _ in middle + spread * (random.uniform() - 0.5) }
      writer.add(name, .f32, [count], ElementType.f32.encoded(values))
    }
    func norm(_ name: String, _ count: Int) {
      vector(name + ".weight", count, around: 1, spread: 0.6)
    }
    func factors(_ name: String, upTo most: Float) {
      vector(name + ".weight", ropeDimensions / 2, around: (1 + most) / 2, spread: most - 1)
    }

    // Where embeddings are scaled up, larger ones would drown what the layers add.
    matrix(
      "token_embd", rows: vocabulary.tokens.count, width: Self.width, scale: isGemma ? 0.25 : 1)
    let (queries, keys) = (heads.count * heads.width, heads.kv * heads.width)
    for layer in 0..<layers {
      let block = "blk.\(layer)."
      norm(block + "attn_norm", Self.width)
      if architecture == "phi3" {
        matrix(block + "attn_qkv", rows: queries + 2 * keys, width: Self.width)
      } else {
        for (name, rows) in [("attn_q", queries), ("attn_k", keys), ("attn_v", keys)] {
          matrix(block + name, rows: rows, width: Self.width)
          if flavour == .qwen2 { vector(block + name + ".bias", rows, around: 0, spread: 2) }
        }
      }
      if isGemma || flavour == .qwen3 {
        norm(block + "attn_q_norm", heads.width)
        norm(block + "attn_k_norm", heads.width)
      }
      matrix(block + "attn_output", rows: Self.width, width: queries)
      if isGemma { norm(block + "post_attention_norm", Self.width) }
      norm(block + "ffn_norm", Self.width)
      if architecture == "phi3" {
        matrix(block + "ffn_up", rows: 2 * Self.feedForward, width: Self.width)
      } else {
        matrix(block + "ffn_gate", rows: Self.feedForward, width: Self.width)
        matrix(block + "ffn_up", rows: Self.feedForward, width: Self.width)
      }
      matrix(block + "ffn_down", rows: Self.width, width: Self.feedForward)
      if isGemma { norm(block + "post_ffw_norm", Self.width) }
    }
    norm("output_norm", Self.width)
    // The others tie the head to the embedding.
    if architecture == "phi3" || flavour == .qwen3 || isGemma {
      matrix("output", rows: vocabulary.tokens.count, width: Self.width)
    }
    if flavour == .llamaFactors { factors("rope_freqs", upTo: 8) }
    if architecture == "phi3" {
      factors("rope_factors_long", upTo: 30)
      factors("rope_factors_short", upTo: 1.5)
    }
    return writer.encoded()
  }
}

/// 288 tokens that a text can be cut into, and no more.
private struct RandomVocabulary {
  let isBytePair: Bool
  private static let letters = "abcdefghijklmnopqrstuvwxyz".map { String($0) }

  /// Pairs of letters, and a space before some.
  private var pairs: [(String, String)] {
    zip(Self.letters, Self.letters.dropFirst()).map { ($0, $1) }
      + Self.letters.prefix(6).map { ("Ġ", $0) }
  }

  var tokens: [String] {
    if isBytePair {
      return (UInt8.min...UInt8.max).map(Self.character) + pairs.map { $0 + $1 } + ["<|endoftext|>"]
    }
    let digits = Array("0123456789ABCDEF")
    let bytes = (0..<256).map { "<0x\(digits[$0 / 16])\(digits[$0 % 16])>" }
    return ["<unk>", "<s>", "</s>"] + bytes + ["▁"] + Self.letters + ["▁a", "th"]
  }

  /// The character that stands for a byte in byte-level vocabularies: itself where it is printable,
  /// else the next from U+0100 on.
  private static func character(_ byte: UInt8) -> String {
    func isPrintable(_ byte: UInt8) -> Bool {
      (33...126).contains(byte) || (161...172).contains(byte) || byte >= 174
    }
    let code =
      isPrintable(byte)
      ? UInt32(byte) : 256 + UInt32((0..<byte).filter { !isPrintable($0) }.count)
    return UnicodeScalar(code).map { String($0) } ?? ""
  }

  var metadata: [(String, MetadataValue)] {
    let count = tokens.count
    var own: [(String, MetadataValue)] = [("tokens", .strings(tokens))]
    func ids(_ names: [(String, Int)]) {
      own += names.map { ("\($0)_token_id", .unsigned(UInt64($1))) }
    }
    if isBytePair {
      let merges = pairs.map { pair in "\(pair.0) \(pair.1)" }
      let types = [Int64](repeating: 1, count: count - 1) + [3]
      own += [("model", .string("gpt2")), ("pre", .string("qwen2"))]
      own += [("token_type", .signeds(types)), ("merges", .strings(merges))]
      own += [("add_bos_token", .bool(false))]
      ids([("bos", count - 1), ("eos", count - 1)])
    } else {
      // Unknown, control, bytes, and what is left is text.
      let bytes = [Int64](repeating: 6, count: 256)
      let types = [2, 3, 3] + bytes + [Int64](repeating: 1, count: count - 259)
      own += [("model", .string("llama")), ("token_type", .signeds(types))]
      own += [("scores", .reals((0..<count).map { -Double($0) }))]
      ids([("unknown", 0), ("bos", 1), ("eos", 2)])
    }
    return own.map { ("tokenizer.ggml.\($0)", $1) }
  }
}

/// SplitMix64 (Steele, Lea & Flood, 2014).
private struct SplitMix64 {
  private var state: UInt64

  /// A seed from a name, by FNV-1a.
  init(seed name: String) {
    state = name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// Evenly distributed in [0, 1).
  mutating func uniform() -> Float { Float(next() >> 40) / Float(1 << 24) }
}
