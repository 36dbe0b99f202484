import GGUF
import ModelGraph
import Models
import Tensors
import TestSupport
import Testing

/// What tells the architectures apart, read off their graphs. That the whole is right is what
/// `RandomModelTests` asks llama.cpp.
@Suite struct ArchitectureTests {
  private func load(
    _ flavour: RandomModel.Flavour, layers: Int = 1, _ metadata: [String: MetadataValue] = [:],
    context: Int? = nil
  ) throws -> Graph {
    var random = RandomModel(flavour: flavour, type: .q8_0)
    (random.layers, random.metadata) = (layers, metadata)
    let disk = TemporaryFile(random.encoded())
    let model = try Model(
      GGUFFile(path: disk.path), activations: .int8, contextLength: context)
    #expect(model.architecture == flavour.architecture && model.vocabularySize == 288)
    return model.graph
  }

  private func linears(_ graph: Graph) -> [String: Linear] {
    var layers: [String: Linear] = [:]
    for node in graph.nodes {
      if case .linear(let linear) = node.op { layers[node.label] = linear }
    }
    return layers
  }

  private func attentions(_ graph: Graph) -> [Attention] {
    graph.nodes.compactMap { if case .attention(let attention) = $0.op { attention } else { nil } }
  }

  private func ropes(_ graph: Graph) -> [Rope] {
    graph.nodes.compactMap { if case .rope(let rope) = $0.op { rope } else { nil } }
  }

  @Test func qwen2HasTheBiasesOfItsFile() throws {
    let graph = try load(.qwen2)
    let layers = linears(graph)
    #expect(layers["attn_q"]?.bias?.name == "blk.0.attn_q.bias")
    #expect(layers["attn_v"]?.bias?.width == 128)
    #expect(layers["attn_output"]?.bias == nil && layers["ffn_up"]?.bias == nil)
    #expect(ropes(graph).allSatisfy { $0.pairing == .halves })
    #expect(ropes(try load(.llama)).allSatisfy { $0.pairing == .adjacent })
  }

  @Test func qwen3NormsHeads() throws {
    let labels = try load(.qwen3).nodes.filter { $0.layer == 0 }.map(\.label)
    #expect(
      labels.prefix(8) == [
        "attn_norm", "attn_q", "attn_k", "attn_v", "attn_q_norm", "attn_k_norm", "rope_q", "rope_k",
      ])
  }

  @Test func phi3TakesItsMatricesFromWhatIsFused() throws {
    let layers = linears(try load(.phi3))
    let row = 34 * 256 / 32
    let slices = ["attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up"].map { layers[$0]?.weight }
    #expect(slices.map { $0?.rows } == [256, 128, 128, 512, 512])
    #expect(slices.map { $0?.offset } == [0, 256 * row, 384 * row, 0, 512 * row])
    #expect(slices[2]?.name == "blk.0.attn_qkv.weight" && slices[4]?.name == "blk.0.ffn_up.weight")
    // Other heads than the file's matrix has rows for.
    let error = #expect(throws: ModelError.self) {
      try load(.phi3, ["attention.head_count_kv": .unsigned(1)])
    }
    #expect(error.map { "\($0)".contains("attn_qkv") } == true)
  }

  @Test func gemma3LooksBackOverWindowsInFiveLayersOfSix() throws {
    let pattern: [String: MetadataValue] = ["attention.sliding_window_pattern": .unsigned(6)]
    let graph = try load(.gemma3, layers: 7, pattern)
    #expect(attentions(graph).map(\.window) == [24, 24, 24, 24, 24, nil, 24])
    #expect(attentions(graph).allSatisfy { $0.scale == 1 / 16 })
    let frequencies = ropes(graph).map { graph[$0.frequencies].values[1] }
    // Local layers have the base 10 000, unscaled; the global one a million, divided by 8.
    #expect(abs(frequencies[0] - 0.930_572) < 1e-6)
    #expect(abs(frequencies[10] - 0.897_687 / 8) < 1e-6 && frequencies[12] == frequencies[0])
    guard case .embedRows(let embed)? = graph.nodes.first?.op else {
      Issue.record("a graph begins with its embedding")
      return
    }
    #expect(embed.scale == 16)

    let flags = try load(
      .gemma3, layers: 2, ["attention.sliding_window_pattern": .bools([false, true])])
    #expect(attentions(flags).map(\.window) == [nil, 24])
    let none = try load(.gemma3, layers: 2, ["attention.sliding_window": .unsigned(0)])
    #expect(attentions(none).map(\.window) == [nil, nil])
    #expect(Set(ropes(none).map(\.frequencies)).count == 1)
  }

  @Test func yarnKeepsWhatTurnsOftenAndStretchesTheRest() throws {
    let graph = try load(.llamaYarn)
    let plain = try load(.llama).constants[0].values
    let values = graph.constants[0].values
    #expect(values.count == 32 && values[0] == plain[0])
    // From the ninth on, a frequency turns less than once in 64 tokens.
    for i in 9..<32 { #expect(abs(values[i] / plain[i] - 0.25) < 1e-6) }
    for i in 1..<9 { #expect(values[i] < plain[i] && values[i] > plain[i] / 4) }
    #expect(ropes(graph).allSatisfy { abs($0.magnitude - 1.138_629) < 1e-6 })
  }

  @Test func longRopeGoesByTheContextOfTheRun() throws {
    let (short, long) = (try load(.phi3, context: 256), try load(.phi3, context: 257))
    // The first frequency is one over the first factor; long factors are above the short ones.
    #expect(long.constants[0].values[0] != short.constants[0].values[0])
    #expect(long.constants[0].values.reduce(0, +) < short.constants[0].values.reduce(0, +))
    #expect(short.constants[0].values.count == 24)
    #expect(ropes(short).allSatisfy { $0.magnitude == 1.1875 && $0.dimensions == 48 })
    // Without a word of it, the context of the training counts.
    #expect(try load(.phi3).constants[0].values == long.constants[0].values)
  }

  @Test(
    arguments: [
      (.gemma3, "final_logit_softcapping", .real(30)),
      (.gemma3, "attention.sliding_window_pattern", .bools([])),
      (.gemma3, "attention.sliding_window_pattern", .unsigned(0)),
      (.llama, "expert_count", .unsigned(8)), (.llama, "rope.scaling.type", .string("spiral")),
      (.llama, "rope.scaling.factor", .real(-2)), (.llama, "rope.scaling.factor", .real(.nan)),
      (.llamaYarn, "rope.scaling.original_context_length", .unsigned(0)),
      (.llamaYarn, "rope.scaling.yarn_beta_fast", .real(-1)),
      (.phi3, "rope.dimension_count", .unsigned(64)),
      (.qwen3, "attention.key_length", .unsigned(32)),
    ] as [(RandomModel.Flavour, String, MetadataValue)])
  func whatIsNotSupportedIsRefused(
    flavour: RandomModel.Flavour, key: String, value: MetadataValue
  ) {
    let error = #expect(throws: ModelError.self) { try load(flavour, [key: value]) }
    #expect(error.map { "\($0)".count > 30 } == true)
  }
}
