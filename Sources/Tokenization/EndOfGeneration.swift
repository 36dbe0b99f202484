/// Which tokens end an answer. Files name one of them, sometimes two, and rarely the one that the
/// model's chat template teaches it to write, so the well-known ones are recognised by their text.
enum EndOfGeneration {
  /// Texts that mark an end whatever type the file gives them.
  static let markers: Set<String> = [
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>",
    "<end_of_turn>", "<|endoftext|>", "<|eom_id|>", "<|end_of_text|>", "<end_of_utterance>",
    "<turn|>", "<｜end▁of▁sentence｜>",
  ]
  /// What all of those begin with.
  static let markerStart = UInt8(ascii: "<")
  /// Texts that do so only as control tokens: elsewhere they are ordinary text, HTML for instance.
  private static let controlMarkers: Set<String> = [
    "</s>", "<eos>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "[e~[", "<|tool_response>", "<|fim_pad|>",
    "<fim_pad>", "<|repo_name|>", "<|fim_repo|>", "<reponame>", "<|file_sep|>",
  ]

  static func tokens(
    of vocabulary: Vocabulary, named: [Int32?]
  ) -> Set<Int32> {
    var result = Set(named.compactMap { $0 })
    var ids: [String: Int32] = [:]
    for (index, text) in vocabulary.texts.enumerated()
    where vocabulary.types[index] == .control
      && (markers.contains(text) || controlMarkers.contains(text))
    {
      ids[text] = Int32(index)
      result.insert(Int32(index))
    }
    // In these dialects `<|end|>` closes a message within the answer, not the answer.
    let ends = ids["<|end|>"]
    let harmony = ids["<|return|>"] != nil && ids["<|call|>"] != nil
    let solar = ids["<|calls|>"] != nil && ids["<|flush|>"] != nil
    if let ends, harmony || solar { result.remove(ends) }
    // Gemma 4 ends a turn with `<turn|>`; its `</s>` is text.
    if let slash = ids["</s>"], ids["<|tool_response>"] != nil { result.remove(slash) }
    return result
  }
}
