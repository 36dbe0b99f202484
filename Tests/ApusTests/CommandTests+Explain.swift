import Tensors
import TestSupport
import Testing

extension CommandTests {
  /// Decisions are lines of JSON, which another run reads the same pages by; what is none of them is refused.
  @Test func decisionsOfTheCacheAreToldAndReplayed() throws {
    var tiny = TinyModel()
    (tiny.layers, tiny.context) = (3, 128)
    let disk = tiny.write()
    let (notes, picture) = (TemporaryFile([]), TemporaryFile([]))
    let start = [
      "explain", "cache", disk.path, "--raw", "-p", String(repeating: "HELLO+WORLD", count: 8),
      "--device", "cpu",
    ]
    let quest = start + ["--kv-policy", "quest", "--kv-budget", "48"]
    let told = try run(quest + ["-n", "5", "--svg", picture.path])
    #expect(told.status == 0 && told.notes.isEmpty, "\(told.notes)")
    let lines = told.output.split(separator: "\n")
    // Three layers of two kv heads, and the token.
    #expect(lines.count == 5 * 7)
    #expect(
      lines[0].hasPrefix(
        "{\"head\":0,\"layer\":0,\"pages\":[0,1,2,3,4,5],\"position\":88,\"step\":0}"))
    #expect(
      lines[4].hasPrefix("{\"attention\":0.")
        && lines[4].contains("\"layer\":2,\"pages\":[0,4,5],\"position\":88,\"scores\":["))
    #expect(lines[6].contains("\"logits\":\"") && lines[6].contains("\"token\":"))
    let svg = String(decoding: try Fixtures.bytes(picture.path), as: UTF8.self)
    #expect(svg.hasPrefix("<svg ") && svg.contains("quest 48: tiny") && svg.contains("layer 2: "))
    // Five tokens in the one layer that chooses.
    #expect(svg.split(separator: "<rect class=\"attention\"").count == 1 + 5)
    notes.rewrite(Array(told.output.utf8))
    for device in ["cpu", "reference"] {
      let again = try run(quest + ["--replay", notes.path, "--device", device])
      #expect(again.status == 0 && again.notes.contains("to the last bit"), "\(again.notes)")
      // Lists have no scores.
      #expect(again.output.split(separator: "\n").count == 35 && !again.output.contains("scores"))
    }
    // Other pages give other logits, and that is said.
    let other = told.output.replacing("[0,4,5]", with: "[2,3,5]")
    #expect(other != told.output)
    let last = lines[34]
    let wrong: [(String, [String], String)] = [
      (other, quest, "the logits of step 0 are not those"),
      (told.output, start + ["--kv-policy", "quest", "--kv-budget", "64"], "needs 4 pages"),
      (
        told.output, Array(quest.dropLast(4)) + ["--kv-policy", "sinks", "--kv-budget", "48"],
        "kv head 0 needs"
      ),
      (told.output, quest.map { $0.hasPrefix("HELLO") ? "HELLO" : $0 }, "give the prompt"),
      (told.output.replacing("[0,4,5]", with: "[0,4,99]"), quest, "the last of which is 5"),
      ("nonsense\n", quest, "line 1: it is no decision"),
      ("", quest, "not written to the end"),
      ("\(lines[0])\n", quest, "not written to the end"),
      ("\(last)\n", quest, "line 1: it is of step 4"),
    ]
    for (text, words, sentence) in wrong {
      notes.rewrite(Array(text.utf8))
      let answer = try run(words + ["--replay", notes.path])
      #expect(answer.status == 1 && answer.notes.contains(sentence), "\(answer.notes)")
    }
    // One that drops pages decides once, and no later token may say otherwise.
    let snap = start + ["--kv-policy", "snapkv", "--kv-budget", "48"]
    let kept = try run(snap + ["-n", "12"])
    #expect(kept.status == 0 && kept.notes.isEmpty, "\(kept.notes)")
    #expect(kept.output.split(separator: "\n").count == 12 * 7)
    #expect(kept.output.split(separator: "\n").filter { $0.contains("scores") }.count == 6)
    notes.rewrite(Array(kept.output.utf8))
    let same = try run(snap + ["--replay", notes.path, "--device", "reference"])
    #expect(same.status == 0 && same.notes.contains("to the last bit"), "\(same.notes)")
    let line = String(kept.output.split(separator: "\n")[7])
    let missing = kept.output.replacing(line, with: line.replacing("[0,", with: "[1,"))
    for (text, sentence) in [
      (missing, "step 1 of what is to be replayed reads other pages of the prompt than step 0"),
      (kept.output.replacing("4,5]", with: "4]"), "needs 2 pages in order, the last of which is 5"),
    ] {
      notes.rewrite(Array(text.utf8))
      let answer = try run(snap + ["--replay", notes.path])
      #expect(answer.status == 1 && answer.notes.contains(sentence), "\(answer.notes)")
    }
    // Layers that look back over a window move on with it.
    let gemma = TemporaryFile(RandomModel(flavour: .gemma3, type: .q4_1).encoded())
    let words = [
      "explain", "cache", gemma.path, "--raw", "-p", String(repeating: "abcd", count: 30), "-n",
      "20",
      "--device", "cpu", "-c", "256", "-b", "16", "--kv-policy", "snapkv", "--kv-budget", "48",
    ]
    let moving = try run(words)
    #expect(moving.status == 0, "\(moving.notes)")
    notes.rewrite(Array(moving.output.utf8))
    let moved = try run(words + ["--replay", notes.path])
    #expect(moved.status == 0 && moved.notes.contains("to the last bit"), "\(moved.notes)")
    // A share that is enough leaves out what a budget has room for.
    let zipvl = words.dropLast(4) + ["--kv-policy", "zipvl", "--kv-budget", "96"]
    let (whole, shared) = (try run(Array(zipvl)), try run(zipvl + ["--tau", "0.5"]))
    #expect(whole.status == 0 && shared.status == 0, "\(shared.notes)")
    #expect(shared.output.utf8.count < whole.output.utf8.count)
    // A policy that reads all has nothing to choose.
    let full = try run(start + ["-n", "2"])
    #expect(full.status == 0 && full.output.split(separator: "\n").count == 14)
    #expect(try run(start + ["-n", "0"]).status == 64)
  }
}
