import TestSupport
import Testing

extension CommandTests {
  /// Guessed tokens change no text, are counted, and are refused where they cannot be.
  @Test func guessedTokensAreCountedAndChangeNothing() throws {
    var tiny = TinyModel()
    tiny.context = 256
    let disk = tiny.write()
    let start = [
      "run", disk.path, "--raw", "-p", "HELLOHELLOHELLOHELLO", "-n", "60", "--temperature", "0",
      "--device", "cpu",
    ]
    let plain = try run(start)
    let guessing = try run(start + ["--speculate", "7"])
    #expect(plain.status == 0 && guessing.status == 0 && plain.output == guessing.output)
    #expect(!plain.notes.contains("proposed"))
    #expect(guessing.notes.contains(" proposed tokens accepted · "), "\(guessing.notes)")
    let json = try run(start + ["--speculate", "7", "--json"]).output
    #expect(json.contains("\"accepted_tokens\":") && !json.contains("\"accepted_tokens\":0"))
    #expect(try run(start + ["--json"]).output.contains("\"proposed_tokens\":0"))
    let wrong: [([String], String)] = [
      (["--speculate", "-1"], "must be 0 (off) or more"),
      (["--speculate", "\(Int.max)"], "a batch (-b) has 256"),
      (["--speculate", "8", "-b", "8"], "a batch (-b) has 8"),
      (["--speculate", "many"], "--speculate"),
      (
        ["--speculate", "4", "--kv-policy", "quest", "--kv-budget", "48"],
        "leave one of them out"
      ),
      // The context is the smallest batch.
      (["--speculate", "40", "-c", "32"], "outputRows"),
    ]
    for command in ["run", "chat", "plan"] {
      for (words, sentence) in wrong where command == "run" || sentence != "outputRows" {
        let more = command == "run" ? Array(start.dropFirst()) : [disk.path]
        let answer = try run([command] + more + words)
        #expect(answer.status != 0 && answer.output.isEmpty, "\(command) \(words)")
        #expect(answer.notes.contains(sentence), "\(answer.notes)")
      }
    }
    // Logits of more rows need memory, which is planned.
    let planned = try run([
      "plan", disk.path, "--device", "cpu", "--speculate", "63", "--check", "--json",
    ])
    #expect(planned.status == 0 && planned.output.contains("\"read_back\":\(64 * 65 * 4)"))
  }
}
