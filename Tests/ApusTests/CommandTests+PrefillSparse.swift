import TestSupport
import Testing

extension CommandTests {
  /// Prompts that attend to a part of what they see: what cannot be is refused in a sentence, the placement report says
  /// what layers do, and a short prompt is what it is without.
  @Test func sparsePromptsAreCheckedAndShown() throws {
    let disk = TinyModel().write()
    let start = ["run", disk.path, "--raw", "-p", "HELLO", "-n", "3", "--device", "reference"]
    let zipvl = ["--prefill-sparse", "zipvl"]
    let wrong: [([String], String)] = [
      (["--tau", "0.9"], "--prefill-sparse zipvl"),
      (zipvl + ["--tau", "0"], "above 0 and 1 at most"),
      (zipvl + ["--tau", "1.5"], "above 0 and 1 at most"),
      (zipvl + ["--tau", "nan"], "above 0 and 1 at most"),
      (zipvl + ["--tau", "most"], "--tau"),
      (["--prefill-sparse", "best"], "zipvl"),
      (zipvl + ["--kv-policy", "quest", "--kv-budget", "48"], "leave one out"),
      (zipvl + ["--session", "none.kv"], "leave one out"),
    ]
    for (words, sentence) in wrong {
      let answer = try run(start + words)
      #expect(answer.status != 0 && answer.output.isEmpty, "\(words)")
      #expect(answer.notes.contains(sentence), "\(answer.notes)")
    }
    let likeliest = start + ["--temperature", "0"]
    #expect(try run(likeliest + zipvl).output == run(likeliest).output)
    let report = try run(start + zipvl + ["--tau", "0.5", "--placement"]).output
    for word in ["choose_tokens", "gather_tokens", "sum_columns", "zipvl, tau 0.5", "all tokens"] {
      #expect(report.contains(word), "\(report)")
    }
    #expect(!(try run(start + ["--placement"]).output.contains("zipvl")))
  }
}
