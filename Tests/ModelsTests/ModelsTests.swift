import GGUF
import ModelGraph
import Models
import Tensors
import TestSupport
import Testing

@Suite struct ModelsTests {
  private func load(_ tiny: TinyModel) throws -> Model {
    let disk = tiny.write()
    return try Model(GGUFFile(path: disk.path), activations: .int8)
  }

  @Test func llamaHasTheOperationsOfItsPaper() throws {
    let model = try load(TinyModel())
    #expect(model.architecture == "llama" && model.name == "tiny")
    #expect(model.vocabularySize == 65 && model.contextLength == 64)
    // 15 operations a layer, and embedding, row selection, norm and head around them.
    #expect(model.graph.nodes.count == 2 * 15 + 4)
    let labels = model.graph.nodes.filter { $0.layer == 1 }.map(\.label)
    #expect(labels.first == "attn_norm" && labels.last == "ffn_residual")
    // The head is tied to the embedding.
    #expect(model.graph.nodes.last?.op.weights.first?.name == "token_embd.weight")
  }

  @Test func ropeFrequenciesFollowBaseAndScaling() throws {
    let plain = try load(TinyModel()).graph.constants[0].values
    #expect(plain.count == 4)
    #expect(plain[0] == 1 && abs(plain[2] - 0.01) < 1e-7)
    var scaled = TinyModel()
    scaled.metadata = [
      "llama.rope.freq_base": .real(100), "llama.rope.scaling.type": .string("linear"),
      "llama.rope.scaling.factor": .real(4),
    ]
    let slow = try load(scaled).graph.constants[0].values
    #expect(slow[0] == 0.25 && abs(slow[2] - 0.025) < 1e-7)
  }

  /// Metadata that contradicts itself: an error with a sentence, never a trap.
  @Test(arguments: [
    ("llama.block_count", MetadataValue?.none), ("llama.block_count", .unsigned(0)),
    ("llama.block_count", .unsigned(1 << 40)), ("llama.block_count", .unsigned(5000)),
    ("llama.block_count", .unsigned(3)), ("llama.block_count", .string("two")),
    ("llama.attention.head_count", .unsigned(0)), ("llama.attention.head_count", .unsigned(5)),
    ("llama.attention.head_count_kv", .unsigned(0)),
    ("llama.attention.head_count_kv", .unsigned(3)),
    ("llama.embedding_length", .unsigned(48)), ("llama.embedding_length", .signed(-32)),
    ("llama.rope.dimension_count", .unsigned(7)), ("llama.rope.dimension_count", .unsigned(64)),
    ("llama.rope.freq_base", .real(-1)), ("llama.rope.scaling.type", .string("spiral")),
    ("llama.attention.key_length", .unsigned(5)), ("llama.attention.value_length", .unsigned(16)),
    ("llama.context_length", .unsigned(0)), ("general.architecture", .string("parrot")),
    ("general.architecture", nil),
  ])
  func contradictionsAreRefused(key: String, value: MetadataValue?) {
    var tiny = TinyModel()
    tiny.metadata[key] = .some(value)
    let error = #expect(throws: ModelError.self) { try load(tiny) }
    #expect(error.map { "\($0)".count > 30 } == true)
  }

  @Test func missingTensorsAreNamed() {
    for name in ["token_embd.weight", "blk.1.ffn_up.weight", "output_norm.weight"] {
      var tiny = TinyModel()
      tiny.omitted = [name]
      let error = #expect(throws: ModelError.self) { try load(tiny) }
      #expect(error.map { "\($0)".contains(name) } == true)
    }
  }

  @Test func unknownArchitecturesListTheKnownOnes() {
    var tiny = TinyModel()
    tiny.metadata = ["general.architecture": .string("parrot")]
    tiny.metadata["parrot.block_count"] = .unsigned(1)
    for (key, value) in [
      ("context_length", 8), ("embedding_length", 32), ("attention.head_count", 4),
    ] { tiny.metadata["parrot.\(key)"] = .unsigned(UInt64(value)) }
    let error = #expect(throws: ModelError.self) { try load(tiny) }
    let known = "supported are gemma3, llama, phi3, qwen2, qwen3"
    #expect(error.map { "\($0)".contains(known) } == true)
  }
}
