import GGUF
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

  /// A draft model changes no text, is counted, and is refused where its tokens are others.
  @Test func draftModelsAreCountedAndChangeNothing() throws {
    var tiny = TinyModel()
    tiny.context = 256
    let disk = tiny.write()
    tiny.layers = 1
    let smaller = tiny.write()
    tiny.metadata["tokenizer.ggml.tokens"] = .strings(Array(tiny.tokens.reversed()))
    let strange = tiny.write()
    let start = [
      "run", disk.path, "--raw", "-p", "HELLO", "-n", "60", "--temperature", "0.7", "--seed", "3",
      "--device", "cpu",
    ]
    let plain = try run(start)
    #expect(plain.status == 0)
    for draft in [disk, smaller] {
      for more in [[], ["--speculate", "3"], ["--load", "copy"]] {
        let answer = try run(start + ["--draft", draft.path] + more)
        #expect(answer.status == 0 && answer.output == plain.output, "\(answer.notes)")
        #expect(answer.notes.contains(" proposed tokens accepted · "), "\(answer.notes)")
      }
    }
    // The model itself is always right.
    let json = try run(start + ["--draft", disk.path, "--json"]).output
    let proposed = try #require(json.firstMatch(of: /"proposed_tokens":(\d+)/)).1
    let accepted = try #require(json.firstMatch(of: /"accepted_tokens":(\d+)/)).1
    #expect(proposed == accepted && proposed != "0")
    let wrong: [([String], String)] = [
      (["--draft", strange.path], "smaller one of the same family"),
      (["--draft", "/no/such.gguf"], "/no/such.gguf"),
      (["--draft", disk.path, "--speculate", "0"], "leave one of them out"),
      (["--draft", disk.path, "--kv-policy", "sinks", "--kv-budget", "48"], "leave one of them"),
      (["--draft", disk.path, "-b", "8"], "a batch (-b) has 8"),
    ]
    for command in ["run", "chat", "plan"] {
      for (words, sentence) in wrong {
        let more = command == "run" ? Array(start.dropFirst()) : [disk.path]
        let answer = try run([command] + more + words)
        #expect(answer.status != 0 && answer.output.isEmpty, "\(command) \(words)")
        #expect(answer.notes.contains(sentence), "\(answer.notes)")
      }
    }
    // Memory is planned for both.
    let plan = ["plan", disk.path, "--device", "cpu", "--check"]
    let planned = try run(plan + ["--draft", smaller.path])
    #expect(planned.status == 0 && planned.output.contains("for a draft"), "\(planned.notes)")
    let alone = try run(plan + ["--speculate", "8", "--json"]).output
    let both = try run(plan + ["--draft", disk.path, "--json"])
    func cache(_ json: String) -> Int? {
      json.firstMatch(of: /"cache":(\d+)/).flatMap { Int($0.1) }
    }
    #expect(both.status == 0 && cache(both.output) == cache(alone).map { $0 * 2 })
    let peak = try #require(alone.firstMatch(of: /"peak":(\d+)/)).1
    let refused = try run(
      start + ["--draft", disk.path, "--mem-limit", "\(peak)", "--no-fallback"])
    #expect(refused.status != 0 && refused.notes.contains("the draft model: "), "\(refused.notes)")
  }
}
