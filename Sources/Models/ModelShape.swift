package import GGUF
package import Tensors

/// The sizes of a model that people know, without its weights: enough to see how fast such a model would
/// be.
package struct ModelShape: Sendable, Hashable {
  /// What people call it: `llama-7b`.
  package var name: String
  package var architecture: String
  package var layers: Int
  package var width: Int
  package var heads: Int
  package var kvHeads: Int
  package var headWidth: Int
  package var feedForward: Int
  package var vocabulary: Int
  /// Tokens that the model was trained to hold.
  package var context: Int
  package var ropeBase: Double
  /// Whether the output head is the embedding table.
  package var isTied: Bool

  /// Shapes by name, small ones first, as their makers published them.
  package static let all: [ModelShape] = [
    .init("tiny", "llama", 2, 64, (4, 2, 16), 128, 256, 4096, 10_000, tied: true),
    .init("smollm2-135m", "llama", 30, 576, (9, 3, 64), 1536, 49_152, 8192, 1e5, tied: true),
    .init("smollm2-360m", "llama", 32, 960, (15, 5, 64), 2560, 49_152, 8192, 1e5, tied: true),
    .init("qwen2-0.5b", "qwen2", 24, 896, (14, 2, 64), 4864, 151_936, 32_768, 1e6, tied: true),
    .init("qwen3-0.6b", "qwen3", 28, 1024, (16, 8, 128), 3072, 151_936, 40_960, 1e6, tied: true),
    .init("llama-1b", "llama", 16, 2048, (32, 8, 64), 8192, 128_256, 131_072, 5e5, tied: true),
    .init("qwen2-1.5b", "qwen2", 28, 1536, (12, 2, 128), 8960, 151_936, 32_768, 1e6, tied: true),
    .init("llama-3b", "llama", 28, 3072, (24, 8, 128), 8192, 128_256, 131_072, 5e5, tied: true),
    .init("llama-7b", "llama", 32, 4096, (32, 32, 128), 11_008, 32_000, 4096, 1e4, tied: false),
    .init("mistral-7b", "llama", 32, 4096, (32, 8, 128), 14_336, 32_000, 32_768, 1e4, tied: false),
    .init("qwen2-7b", "qwen2", 28, 3584, (28, 4, 128), 18_944, 152_064, 32_768, 1e6, tied: false),
    .init("llama-8b", "llama", 32, 4096, (32, 8, 128), 14_336, 128_256, 131_072, 5e5, tied: false),
    .init("qwen3-8b", "qwen3", 36, 4096, (32, 8, 128), 12_288, 151_936, 40_960, 1e6, tied: false),
    .init("llama-13b", "llama", 40, 5120, (40, 40, 128), 13_824, 32_000, 4096, 1e4, tied: false),
  ]

  private init(
    _ name: String, _ architecture: String, _ layers: Int, _ width: Int,
    _ heads: (count: Int, kv: Int, width: Int), _ feedForward: Int, _ vocabulary: Int,
    _ context: Int, _ ropeBase: Double, tied: Bool
  ) {
    self.name = name
    self.architecture = architecture
    self.layers = layers
    self.width = width
    (self.heads, kvHeads, headWidth) = heads
    self.feedForward = feedForward
    self.vocabulary = vocabulary
    self.context = context
    self.ropeBase = ropeBase
    isTied = tied
  }

  /// The file that a model of this shape would have, with all matrices of one type and without any
  /// weight in it.
  ///
  /// - Throws: ``ModelError`` where rows of the shape are no whole blocks of the type.
  package func file(of type: ElementType) throws(ModelError) -> GGUFFile {
    let path = "\(name)-\(type.name.lowercased())"
    var writer = GGUFWriter()
    writer.set("general.architecture", .string(architecture))
    writer.set("general.name", .string("random \(path)"))
    let numbers = [
      ("block_count", layers), ("context_length", context), ("embedding_length", width),
      ("feed_forward_length", feedForward), ("attention.head_count", heads),
      ("attention.head_count_kv", kvHeads), ("attention.key_length", headWidth),
      ("attention.value_length", headWidth), ("rope.dimension_count", headWidth),
    ]
    for (key, number) in numbers {
      writer.set("\(architecture).\(key)", .unsigned(UInt64(number)))
    }
    writer.set("\(architecture).attention.layer_norm_rms_epsilon", .real(1e-5))
    writer.set("\(architecture).rope.freq_base", .real(ropeBase))
    for tensor in tensors(type) {
      guard tensor.type.rowBytes(tensor.shape[0]) != nil else {
        throw .inconsistent(
          path: path,
          reason: "rows of \(tensor.shape[0]) are no whole blocks of \(type.name), which hold "
            + "\(type.blockLength) elements; take a type with smaller blocks or another shape")
      }
      writer.describe(tensor.name, tensor.type, tensor.shape)
    }
    do throws(GGUFError) {
      return try GGUFFile(header: writer.encoded(), path: path)
    } catch { throw .file(error) }
  }

  private typealias Tensor = (name: String, type: ElementType, shape: [Int])

  private func tensors(_ type: ElementType) -> [Tensor] {
    var all: [Tensor] = [("token_embd.weight", type, [width, vocabulary])]
    let (queries, keys) = (heads * headWidth, kvHeads * headWidth)
    for layer in 0..<layers {
      func add(_ name: String, _ type: ElementType, _ shape: [Int]) {
        all.append(("blk.\(layer).\(name)", type, shape))
      }
      add("attn_norm.weight", .f32, [width])
      for (name, rows) in [("attn_q", queries), ("attn_k", keys), ("attn_v", keys)] {
        add("\(name).weight", type, [width, rows])
        if architecture == "qwen2" { add("\(name).bias", .f32, [rows]) }
      }
      if architecture == "qwen3" {
        add("attn_q_norm.weight", .f32, [headWidth])
        add("attn_k_norm.weight", .f32, [headWidth])
      }
      add("attn_output.weight", type, [queries, width])
      add("ffn_norm.weight", .f32, [width])
      add("ffn_gate.weight", type, [width, feedForward])
      add("ffn_up.weight", type, [width, feedForward])
      add("ffn_down.weight", type, [feedForward, width])
    }
    all.append(("output_norm.weight", .f32, [width]))
    if !isTied { all.append(("output.weight", type, [width, vocabulary])) }
    return all
  }
}
