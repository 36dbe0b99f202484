import ModelGraph

/// `qwen2`: as `llama`, with biases on queries, keys and values, and rotary positions that pair the
/// halves of a head (Yang et al., 2024).
func qwen2Graph(_ builder: consuming GraphBuilder) throws(ModelError) -> Graph {
  try builder.preNormDecoder(.halves)
}
