import GGUF
import ModelGraph
import Tensors

/// The two halves of a decoder's layer, and the order in which most architectures put them.
extension GraphBuilder {
  /// What rotary positions need: computed once, used in every layer.
  struct RopeTable {
    var pairing: Rope.Pairing
    var frequencies: ConstantID
    var magnitude: Float
  }

  /// Attention over all that came before, scaled by one over the root of a head's width.
  func attention(window: Int? = nil) -> Attention {
    Attention(
      headCount: hyperparameters.headCount, kvHeadCount: hyperparameters.kvHeadCount,
      headWidth: hyperparameters.headWidth,
      scale: 1 / Float(hyperparameters.headWidth).squareRoot(), window: window)
  }

  /// The rope of the whole model, as its metadata and its tensors of factors say.
  mutating func rope(_ pairing: Rope.Pairing) throws(ModelError) -> RopeTable {
    rope(
      pairing, "rope_frequencies", base: hyperparameters.ropeBase, hyperparameters.ropeScaling,
      factors: try ropeFactors())
  }

  mutating func rope(
    _ pairing: Rope.Pairing, _ name: String, base: Double, _ scaling: RopeScaling,
    factors: [Float]? = nil
  ) -> RopeTable {
    let frequencies = scaling.frequencies(
      base: base, dimensions: hyperparameters.ropeDimensions, factors: factors)
    return RopeTable(
      pairing: pairing, frequencies: graph.constant(name, frequencies),
      magnitude: scaling.magnitude)
  }

  /// What the file divides each frequency by: Llama 3.1's `rope_freqs`, or of the two lists of
  /// LongRoPE (Ding et al., 2024) the one for the context of this run.
  private func ropeFactors() throws(ModelError) -> [Float]? {
    let isLong = contextLength > hyperparameters.ropeScaling.originalContext
    guard
      let factors = optionalWeight("rope_freqs")
        ?? optionalWeight(isLong ? "rope_factors_long" : "rope_factors_short")
    else { return nil }
    let count = hyperparameters.ropeDimensions / 2
    guard factors.type == .f32, factors.rows == 1, factors.width == count else {
      throw hyperparameters.metadata.inconsistent(
        "'\(factors.name)' must hold \(count) F32 factors")
    }
    let values = ElementType.f32.decoded(file.bytes(of: factors), count: count)
    guard values.allSatisfy({ $0 > 0 && $0.isFinite }) else {
      throw hyperparameters.metadata.inconsistent(
        "'\(factors.name)' holds a factor that is not positive")
    }
    return values
  }

  /// Queries, keys and values; the matrices may lie in one tensor.
  private mutating func projections(
    _ x: ValueID, _ attention: Attention
  ) throws(ModelError) -> (q: ValueID, k: ValueID, v: ValueID) {
    guard optionalWeight("attn_qkv") != nil else {
      return (try linear(x, "attn_q"), try linear(x, "attn_k"), try linear(x, "attn_v"))
    }
    let queries = attention.headCount * attention.headWidth
    let keys = attention.kvHeadCount * attention.headWidth
    let parts = try linears(
      x, fused: "attn_qkv", [("attn_q", queries), ("attn_k", keys), ("attn_v", keys)])
    return (parts[0], parts[1], parts[2])
  }

  private mutating func turn(
    _ x: ValueID, headCount: Int, _ table: RopeTable, _ label: String
  ) throws(ModelError) -> ValueID {
    let rope = Rope(
      headCount: headCount, headWidth: hyperparameters.headWidth,
      dimensions: hyperparameters.ropeDimensions, pairing: table.pairing,
      frequencies: table.frequencies, magnitude: table.magnitude)
    return try append(.rope(rope), [x, graph.positions], label)
  }

  /// Projections, rotary positions, attention and the projection back.
  ///
  /// With `normsHeads`, queries and keys are normed head by head before they turn (Henry et al.,
  /// 2020).
  mutating func attend(
    _ x: ValueID, _ attention: Attention, _ rope: RopeTable, normsHeads: Bool
  ) throws(ModelError) -> ValueID {
    var (q, k, v) = try projections(x, attention)
    if normsHeads {
      q = try norm(q, "attn_q_norm")
      k = try norm(k, "attn_k_norm")
    }
    q = try turn(q, headCount: attention.headCount, rope, "rope_q")
    k = try turn(k, headCount: attention.kvHeadCount, rope, "rope_k")
    return try linear(try append(.attention(attention), [q, k, v], "attention"), "attn_output")
  }

  /// The gated feed-forward part. Where there is no gate, its matrix lies above that of `ffn_up`.
  mutating func feedForward(
    _ x: ValueID, _ activation: GatedActivation
  ) throws(ModelError) -> ValueID {
    let (inner, up) = (try weight("ffn_down").width, try weight("ffn_up"))
    let isFused = optionalWeight("ffn_gate") == nil && up.rows == 2 * inner
    let parts =
      isFused
      ? try linears(x, fused: "ffn_up", [("ffn_gate", inner), ("ffn_up", inner)])
      : [try linear(x, "ffn_gate"), try linear(x, "ffn_up")]
    return try linear(try append(.gated(activation), parts, "ffn_gated"), "ffn_down")
  }

  /// A decoder that norms what goes into attention and into a feed-forward part gated by SiLU, and
  /// adds what comes out.
  consuming func preNormDecoder(
    _ pairing: Rope.Pairing, normsHeads: Bool = false
  ) throws(ModelError) -> Graph {
    let rope = try self.rope(pairing)
    let attention = self.attention()
    var x = try embed()
    for layer in 0..<hyperparameters.layerCount {
      enter(layer: layer)
      let attended = try attend(
        try norm(x, "attn_norm"), attention, rope, normsHeads: normsHeads)
      x = try add(x, attended, "attn_residual")
      x = try add(x, try feedForward(try norm(x, "ffn_norm"), .silu), "ffn_residual")
    }
    return try finish(x)
  }
}
