/// The sizes of a model's memory from a few numbers of its configuration: plans are added up by them.
///
/// They are the equations that the reports about GPT-J 6B go by (Hugging Face forum thread of 2021,
/// transformers pull request 13795): a model is loaded at the price of its weights and little more,
/// never of two copies; the cache grows with layers, heads and tokens.
package enum MemoryFormulas {
  /// The most memory at any time while weights are loaded: what stays, and what is under way. A
  /// loader that builds a model and then reads a checkpoint beside it has all of it under way.
  package static func loadPeak(resident: Int, inFlight: Int) -> Int { resident + inFlight }
}
