/// The sizes of a model's memory from a few numbers of its configuration, without a plan.
///
/// They are the equations that the reports about GPT-J 6B go by (Hugging Face forum thread of 2021,
/// transformers pull request 13795): a model is loaded at the price of its weights and little more,
/// never of two copies; the cache grows with layers, heads and tokens.
package enum MemoryFormulas {
  /// Bytes of `count` numbers of `bits` bits each, without scales.
  package static func weightBytes(_ count: Int, bits: Int) -> Int { (count * bits + 7) / 8 }

  /// Bytes of keys and values that one token leaves in all layers.
  package static func cacheBytesPerToken(
    layers: Int, kvHeads: Int, headWidth: Int, elementBytes: Int
  ) -> Int {
    2 * layers * kvHeads * headWidth * elementBytes
  }

  /// The most memory at any time while weights are loaded: what stays, and what is under way. A
  /// loader that builds a model and then reads a checkpoint beside it has all of it under way.
  package static func loadPeak(resident: Int, inFlight: Int) -> Int { resident + inFlight }

  /// Weights, gradients and the two moments of Adam, without activations.
  package static func adamTrainingBytes(parameters: Int, bits: Int) -> Int {
    4 * weightBytes(parameters, bits: bits)
  }
}
