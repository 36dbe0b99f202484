import ModelGraph

/// `phi3`: as `llama`, with queries, keys and values in one matrix, gate and up in another, and
/// LongRoPE for long contexts (Abdin et al., 2024).
///
/// Files may name a sliding window. It is not applied, as llama.cpp does not apply it: the window that
/// converters write is not the one of the model's training.
func phi3Graph(_ builder: consuming GraphBuilder) throws(ModelError) -> Graph {
  try builder.preNormDecoder(.halves)
}
