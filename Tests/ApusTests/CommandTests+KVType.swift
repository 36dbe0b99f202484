import TestSupport
import Testing

extension CommandTests {
  /// Keys and values of either type, with either arithmetic: each is what it says, and devices agree.
  @Test func keysAndValuesAreKeptAsAsked() throws {
    let disk = TinyModel().write()
    let text = TemporaryFile((0..<400).map { UInt8(ascii: "A") + UInt8($0 * $0 % 23) })
    func perplexity(_ words: String...) throws -> String {
      let answer = try run(
        ["perplexity", disk.path, "-f", text.path, "-c", "60", "--json"] + words)
      #expect(answer.status == 0, "\(answer.notes)")
      return answer.output
    }
    let half = try perplexity("--device", "cpu")
    let whole = try perplexity("--device", "cpu", "--kv-type", "f32")
    #expect(half != whole)
    #expect(try perplexity("--device", "cpu", "--kv-type", "f16") == half)
    #expect(
      try perplexity("--device", "reference", "--kv-type", "f32")
        == whole.replacing("\"cpu\"", with: "\"reference\""))
    let placed = try run([
      "run", disk.path, "--placement", "--device", "cpu", "--activations", "f32", "--kv-type",
      "f16",
    ])
    #expect(placed.output.contains("attend f16") && !placed.output.contains("attend f32"))
    // Its heads are 8 numbers wide.
    for type in ["q8", "i16"] {
      let narrow = try run(["run", disk.path, "-p", "A", "--kv-type", type])
      #expect(narrow.status != 0 && narrow.notes.contains("blocks of 32"), "\(narrow.notes)")
    }
    let wrong = try run(["run", disk.path, "-p", "A", "--kv-type", "q3"])
    #expect(wrong.status != 0 && wrong.notes.contains("f16") && wrong.notes.contains("f32"))
  }
}
