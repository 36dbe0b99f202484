import Apus
import TestSupport
import Testing

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// `apus eval` on a tiny model: four pages of context, of which policies read three or all.
@Suite(.serialized) struct EvalCommandTests {
  private struct Row: Decodable {
    var policy: String
    var budget: Int?
    var nats_per_token: Double
    var standard_error: Double
    var tokens: Int
    var tokens_per_second: Double
    var accuracy: Double?
    var perplexity: Double?
  }

  private let model: TemporaryFile
  private let text: TemporaryFile

  init() {
    var tiny = TinyModel()
    tiny.layers = 4
    model = tiny.write()
    var state: UInt32 = 7
    text = TemporaryFile(
      (0..<2000).map { _ in
        state = state &* 1_664_525 &+ 1_013_904_223
        return UInt8(ascii: "A") + UInt8(state >> 24) % 26
      })
  }

  private func run(_ words: String...) throws -> CommandTests.Answer {
    try CommandTests().run(["eval"] + words)
  }

  private func rows(_ answer: CommandTests.Answer) throws -> [Row] {
    #expect(answer.status == 0, "\(answer.notes)")
    return try JSONDecoder().decode([Row].self, from: Data(answer.output.utf8))
  }

  /// Behind what the model was trained for, `sinks-turned` alone is scored, and prompts are none longer than that.
  @Test func textsMayOutgrowTheModel() throws {
    for task in [["continuation", "-c", "64", "--score", "20"], ["perplexity", "-c", "120"]] {
      let answer = try CommandTests().run(
        ["eval"] + task + [model.path, "-f", text.path, "--windows", "2", "--json"]
          + ["--policies", "sinks-turned", "--budgets", "48,64", "--device", "cpu"])
      let rows = try rows(answer)
      #expect(rows.map(\.budget) == [48, 64])
      #expect(rows[0].nats_per_token != rows[1].nats_per_token && rows[0].nats_per_token > 1)
    }
  }

  /// A budget of everything is full to the last bit, and a smaller one is not.
  @Test(arguments: ["reference", "cpu"], [["continuation"], ["copy", "--cue", "2"]])
  func everythingIsFull(device: String, task: [String]) throws {
    let answer = try CommandTests().run(
      ["eval", task[0], model.path, "-f", text.path, "-c", "56", "--score", "7", "--windows", "3"]
        + ["--policies", "full,sinks,quest,random", "--budgets", "48,64", "--json"]
        + ["--device", device] + task.dropFirst())
    let rows = try rows(answer)
    #expect(rows.map(\.policy) == ["full"] + ["sinks", "quest", "random"].flatMap { [$0, $0] })
    #expect(rows.map(\.budget) == [nil, 48, 64, 48, 64, 48, 64])
    let full = try #require(rows.first)
    #expect(full.nats_per_token > 1 && full.standard_error > 0)
    for row in rows {
      #expect(row.tokens == 3 * (task[0] == "copy" ? 5 : 7) && row.tokens_per_second > 0)
      #expect(row.accuracy == nil)
      guard row.budget != nil else { continue }
      #expect((row.nats_per_token == full.nats_per_token) == (row.budget == 64), "\(row)")
      #expect((row.standard_error == 0) == (row.budget == 64), "\(row)")
    }
    #expect(Set(rows.map(\.nats_per_token)).count >= 3)
  }

  /// The same windows and the same scores as `apus perplexity`, policy by policy.
  @Test func perplexityIsThatOfTheOtherCommand() throws {
    let common = [model.path, "-f", text.path, "-c", "60", "--windows", "3", "--device", "cpu"]
    let answer = try CommandTests().run(
      ["eval", "perplexity"] + common
        + ["--policies", "full,sinks", "--budgets", "48,64", "--json"])
    let rows = try rows(answer)
    #expect(rows.map(\.budget) == [nil, 48, 64])
    for row in rows {
      let policy = row.budget.map { ["--kv-policy", row.policy, "--kv-budget", "\($0)"] } ?? []
      let other = try CommandTests().run(["perplexity"] + common + policy + ["--json"])
      let nats = try #require(other.output.firstMatch(of: /"nats_per_token":([0-9.]+)/)).1
      #expect(abs((Double(nats) ?? 0) - row.nats_per_token) < 1e-9, "\(row): \(nats)")
      let wanted = try #require(other.output.firstMatch(of: /"perplexity":([0-9.]+)/)).1
      #expect(abs((Double(wanted) ?? 0) - (row.perplexity ?? 0)) < 1e-6, "\(row): \(wanted)")
      #expect(row.tokens == 3 * 29 && row.standard_error >= 0)
    }
    #expect(rows[1].nats_per_token != rows[0].nats_per_token && rows[1].standard_error > 0)
    #expect(rows[2].nats_per_token == rows[0].nats_per_token && rows[2].standard_error == 0)
    let table = try CommandTests().run(
      ["eval", "perplexity"] + common + ["--policies", "full,sinks", "--budgets", "48"])
    #expect(table.output.contains("perplexity") && table.output.contains("beside full"))
  }

  /// What programs read, to the letter.
  @Test func namesOfTheJSON() throws {
    let names = ["budget", "nats_per_token", "policy", "standard_error", "tokens"]
    func keys(_ task: String) throws -> [[String]] {
      let answer = try run(
        task, model.path, "-f", text.path, "-c", "40", "--windows", "2", "--device", "cpu",
        "--policies", "full,sinks", "--budgets", "48", "--json", task == "copy" ? "--score" : "-s",
        "6")
      #expect(answer.status == 0, "\(answer.notes)")
      return answer.output.split(separator: "}").dropLast().map { object in
        object.split(separator: "\"").enumerated().filter { $0.offset % 2 == 1 }
          .map { String($0.element) }.filter { !["full", "sinks"].contains($0) }
      }
    }
    #expect(try keys("copy") == [names + ["tokens_per_second"], names + ["tokens_per_second"]])
    let asked = ["accuracy"] + names + ["tokens_per_second"]
    #expect(try keys("passkey") == [asked, asked])
  }

  @Test func aTableAndAPicture() throws {
    let picture = TemporaryFile([])
    let answer = try run(
      "passkey", model.path, "-f", text.path, "-c", "50", "--windows", "2", "--device", "cpu",
      "--policies", "random,full", "--budgets", "48", "--svg", picture.path)
    #expect(answer.status == 0 && answer.notes.isEmpty, "\(answer.notes)")
    let lines = answer.output.split(separator: "\n")
    #expect(lines.count == 4)
    for word in ["policy", "budget", "nats per token", "beside full", "exact", "tokens/s"] {
      #expect(lines[0].contains(word))
    }
    #expect(lines[2].hasPrefix("random  48 ") && lines[3].hasPrefix("full    all "))
    #expect(lines[2].split(separator: "±").count == 3 && lines[3].split(separator: "±").count == 2)
    let svg = String(decoding: try Fixtures.bytes(picture.path), as: UTF8.self)
    #expect(svg.hasPrefix("<svg ") && svg.contains("passkey behind 50 tokens, 2 windows"))
    // One policy, as other commands name it; without full there is nothing beside it.
    let one = try run(
      "continuation", model.path, "-f", text.path, "-c", "40", "--score", "3", "--windows", "2",
      "--device", "cpu", "--kv-policy", "sinks", "--kv-budget", "48")
    #expect(one.status == 0 && !one.output.contains("beside full"))
    #expect(one.output.contains("\nsinks   48 "))
  }

  @Test func whatCannotBeIsRefused() throws {
    let short = TemporaryFile(Array("HELLO".utf8))
    let wrong: [([String], Int32, String)] = [
      (["summary", model.path, "-f", text.path], 64, "'summary' is invalid"),
      (["copy", model.path, "-f", text.path, "--policies", "best"], 64, "--policies"),
      (
        [
          "copy", model.path, "-f", text.path, "--policies", "full,quest", "--budgets", "48",
          "--tau", "0.9",
        ],
        1, "or --kv-policy zipvl"
      ),
      (
        [
          "copy", model.path, "-f", text.path, "--policies", "full,zipvl", "--budgets", "48",
          "--tau", "2",
        ],
        1, "above 0 and 1 at most"
      ),
      (["copy", model.path, "-f", text.path, "--budgets", "many"], 64, "--budgets"),
      (["copy", model.path, "-f", text.path, "--windows", "1"], 64, "--windows takes numbers"),
      (["passkey", model.path, "-f", text.path, "--score", "9"], 64, "--score goes with"),
      (["continuation", model.path, "-f", text.path, "--cue", "9"], 64, "--cue goes with"),
      (
        ["recall", model.path, "-f", text.path, "--cue-in-prompt"], 64, "--cue-in-prompt goes with"
      ),
      (
        ["copy", model.path, "-f", text.path, "--policies", "full", "--kv-policy", "quest"], 64,
        "--kv-policy and --kv-budget"
      ),
      (
        ["copy", model.path, "-f", text.path, "-c", "40", "--budgets", "50"], 1,
        "a budget of 50 is no whole number of pages of 16 tokens: 48 is one"
      ),
      (
        ["copy", model.path, "-f", text.path, "-c", "40", "--budgets", "32"], 1, "48 are the least"
      ),
      (
        ["copy", model.path, "-f", text.path, "-c", "40", "--kv-budget", "48"], 1,
        "full reads all tokens"
      ),
      (
        ["copy", model.path, "-f", text.path, "-c", "40", "--kv-policy", "quest"], 1,
        "quest needs a budget"
      ),
      (["copy", model.path, "-f", text.path, "-c", "65"], 1, "the model's context of 64 tokens"),
      (["continuation", model.path, "-f", text.path, "-c", "60"], 1, "context holds 64"),
      (
        ["continuation", model.path, "-f", text.path, "-c", "40", "--prefill-sparse", "zipvl"]
          + ["--budgets", "48"], 1, "--policies full"
      ),
      (
        ["continuation", model.path, "-f", text.path, "-c", "60"]
          + ["--policies", "sinks-turned", "--budgets", "48,80"], 1, "budgets of 64 at most"
      ),
      (
        ["kl", model.path, "-f", text.path, "-c", "80", "--kv-policy", "sinks-turned"]
          + ["--kv-budget", "48"], 1, "the base reads all tokens"
      ),
      (["copy", model.path, "-f", text.path, "-c", "60"], 1, "-c 60 is too short"),
      (
        ["copy", model.path, "-f", text.path, "-c", "40", "--score", "8", "--cue", "8"], 1,
        "a cue of 8 tokens leaves nothing"
      ),
      (
        ["continuation", model.path, "-f", short.path, "-c", "40", "--score", "8"], 1,
        "the text has 5 tokens"
      ),
      (["perplexity", model.path, "-f", text.path, "-c", "3"], 64, "-c takes numbers from 4"),
      (["perplexity", model.path, "-f", short.path, "-c", "40"], 1, "the text has 5 tokens"),
      (["perplexity", model.path, "-f", text.path, "--score", "9"], 64, "--score goes with"),
      (["recall", model.path, "-f", text.path, "-c", "20"], 1, "-c 20 is too short"),
      (["copy", model.path, "-f", "/nonexistent", "-c", "40"], 1, "cannot be read"),
    ]
    for (words, status, sentence) in wrong {
      let answer = try CommandTests().run(["eval"] + words + ["--device", "cpu"])
      #expect(answer.status == status && answer.output.isEmpty, "\(words): \(answer.notes)")
      #expect(answer.notes.contains(sentence), "\(words): \(answer.notes)")
    }
  }
}
