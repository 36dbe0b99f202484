import ModelGraph

/// `qwen3`: as `qwen2`, but queries and keys are normed head by head instead of having biases (Yang et
/// al., 2025). A head's width is a number of its own.
func qwen3Graph(_ builder: consuming GraphBuilder) throws(ModelError) -> Graph {
  try builder.preNormDecoder(.halves, normsHeads: true)
}
