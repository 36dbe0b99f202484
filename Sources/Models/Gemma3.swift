import ModelGraph

/// `gemma3`: five layers in six look back over a window only, with rotary positions of a base of their
/// own; norms stand before and behind attention and feed-forward, and on queries and keys; the gate is
/// GELU, and embeddings are scaled (Gemma Team, 2025).
func gemma3Graph(_ builder: consuming GraphBuilder) throws(ModelError) -> Graph {
  let hyperparameters = builder.hyperparameters
  let pattern = try Gemma3Windows(hyperparameters)
  let global = try builder.rope(.halves)
  let local =
    pattern.window == nil
    ? global
    : builder.rope(
      .halves, "rope_frequencies_local",
      base: try hyperparameters.metadata.positive("rope.freq_base_swa") ?? 10_000,
      .none(contextLength: hyperparameters.contextLength))

  var x = try builder.embed(scale: Float(hyperparameters.width).squareRoot())
  for layer in 0..<hyperparameters.layerCount {
    builder.enter(layer: layer)
    let isLocal = pattern.isLocal[layer]
    var attention = builder.attention(window: isLocal ? pattern.window : nil)
    // The largest model of the family scales by its width per query head instead.
    if hyperparameters.layerCount == 62 {
      let share = hyperparameters.width / hyperparameters.headCount
      attention.scale = 1 / Float(share).squareRoot()
    }
    let attended = try builder.attend(
      try builder.norm(x, "attn_norm"), attention, isLocal ? local : global, normsHeads: true)
    x = try builder.add(x, try builder.norm(attended, "post_attention_norm"), "attn_residual")
    let fed = try builder.feedForward(try builder.norm(x, "ffn_norm"), .gelu)
    x = try builder.add(x, try builder.norm(fed, "post_ffw_norm"), "ffn_residual")
  }
  return try builder.finish(x)
}

/// Which layers look back over a window only, and how long it is.
private struct Gemma3Windows {
  /// Nil where the file has none: then no layer is local.
  var window: Int?
  var isLocal: [Bool]

  init(_ hyperparameters: Hyperparameters) throws(ModelError) {
    let metadata = hyperparameters.metadata
    if let cap = try metadata.real("final_logit_softcapping"), cap != 0 {
      throw metadata.inconsistent("capped logits ('final_logit_softcapping') are not supported")
    }
    let layers = 0..<hyperparameters.layerCount
    let length = try metadata.integer("attention.sliding_window") ?? 0
    guard length > 0 else {
      isLocal = layers.map { _ in false }
      return
    }
    window = length
    let key = "attention.sliding_window_pattern"
    if let flags = metadata.flags(key) {
      guard flags.count >= layers.count else {
        throw metadata.inconsistent(
          "the pattern of windows has \(flags.count) entries for \(layers.count) layers")
      }
      isLocal = Array(flags.prefix(layers.count))
    } else {
      let period = try metadata.count(key) ?? 6
      isLocal = layers.map { $0 % period < period - 1 }
    }
  }
}
