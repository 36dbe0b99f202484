import GGUF
import ModelGraph

/// `llama`: pre-norm decoder with grouped-query attention, rotary positions and a gated
/// feed-forward (Touvron et al., 2023). Mistral and SmolLM2 files use the same name.
func llamaGraph(
  _ file: GGUFFile, _ hyperparameters: Hyperparameters, _ activations: ActivationFormat
) throws(ModelError) -> Graph {
  var builder = GraphBuilder(file, hyperparameters, activations)
  let attention = Attention(
    headCount: hyperparameters.headCount, kvHeadCount: hyperparameters.kvHeadCount,
    headWidth: hyperparameters.headWidth, scale: 1 / Float(hyperparameters.headWidth).squareRoot())
  let frequencies = try builder.ropeFrequencies()

  var x = try builder.embed()
  for layer in 0..<hyperparameters.layerCount {
    builder.enter(layer: layer)
    let normed = try builder.norm(x, "attn_norm")
    let q = try builder.linear(normed, "attn_q")
    let k = try builder.linear(normed, "attn_k")
    let v = try builder.linear(normed, "attn_v")
    let turnedQ = try builder.rope(
      q, headCount: attention.headCount, .adjacent, frequencies, "rope_q")
    let turnedK = try builder.rope(
      k, headCount: attention.kvHeadCount, .adjacent, frequencies, "rope_k")
    let attended = try builder.append(.attention(attention), [turnedQ, turnedK, v], "attention")
    let projected = try builder.linear(attended, "attn_output")
    x = try builder.append(.add, [x, projected], "attn_residual")

    let ffnInput = try builder.norm(x, "ffn_norm")
    let gate = try builder.linear(ffnInput, "ffn_gate")
    let up = try builder.linear(ffnInput, "ffn_up")
    let gated = try builder.append(.gatedSiLU, [gate, up], "ffn_gated")
    let down = try builder.linear(gated, "ffn_down")
    x = try builder.append(.add, [x, down], "ffn_residual")
  }
  builder.enter(layer: nil)
  // Only the wanted rows go through the head: it is the largest matrix of a small model.
  let wanted = try builder.append(.selectRows, [x, builder.graph.outputRows], "wanted_rows")
  let normed = try builder.norm(wanted, "output_norm")
  builder.graph.logits = try builder.head(normed)
  return builder.graph
}
