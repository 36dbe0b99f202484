import ModelGraph

/// `llama`: pre-norm decoder with grouped-query attention, rotary positions and a gated
/// feed-forward (Touvron et al., 2023). Mistral and SmolLM2 files use the same name.
func llamaGraph(_ builder: consuming GraphBuilder) throws(ModelError) -> Graph {
  try builder.preNormDecoder(.adjacent)
}
