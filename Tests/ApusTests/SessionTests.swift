import Apus
import DiskCache
import GGUF
import TestSupport
import Testing

/// Sessions in files: they go on as if nothing had been between, or are refused.
@Suite(.serialized) struct SessionTests {
  private static var tiny: TinyModel {
    var tiny = TinyModel()
    (tiny.width, tiny.feedForward, tiny.layers) = (256, 512, 3)
    return tiny
  }

  private let disk = Self.tiny.write()

  private func load(
    _ device: DeviceChoice = .cpu, _ change: (inout LoadOptions) -> Void = { _ in },
    path: String? = nil
  ) async throws -> LanguageModel {
    var options = LoadOptions()
    (options.device, options.contextLength) = (device, 64)
    options.allowsFallback = false
    change(&options)
    return try await LanguageModel.load(path ?? disk.path, options: options)
  }

  private func reply(
    _ model: LanguageModel, _ text: String, temperature: Float = 0
  ) async throws -> (text: String, summary: GenerationSummary) {
    var options = GenerationOptions()
    (options.temperature, options.limit, options.seed) = (temperature, 6, 11)
    var answer = ""
    for try await event in model.generate(.raw(Array(text.utf8)), options: options) {
      switch event {
      case .text(let piece): answer += piece
      case .finished(let summary): return (answer, summary)
      }
    }
    throw ApusError(.request, "the stream ended without a summary")
  }

  private static let beginning = "ABCDEFGHIJKLMNOPQRSTUVWX"

  private func session(_ model: LanguageModel) async throws -> [UInt8] {
    _ = try await reply(model, Self.beginning)
    return try await model.session(notes: [1, 2, 3])
  }

  @Test(arguments: [DeviceChoice.reference, .cpu, .opencl(0)], [Float(0), 1.1])
  func aSessionGoesOnAsIfNothingHadBeenBetween(
    device: DeviceChoice, temperature: Float
  ) async throws {
    let whole = try await load(device)
    let first = try await reply(whole, Self.beginning, temperature: temperature)
    let next = Self.beginning + first.text + "AND"
    let expected = try await reply(whole, next, temperature: temperature)
    await whole.close()

    let before = try await load(device)
    _ = try await reply(before, Self.beginning, temperature: temperature)
    let bytes = try await before.session(notes: [1, 2, 3])
    // It stays in the cache, and what is saved again is the same.
    #expect(try await before.session(notes: [1, 2, 3]) == bytes)
    await before.close()

    // Caches lie alike on all devices.
    for other in [device, .cpu] {
      let after = try await load(other)
      let restored = try await after.restoreSession(bytes, path: "s.kv")
      #expect(restored.notes == [1, 2, 3] && restored.tokens > Self.beginning.utf8.count)
      let answer = try await reply(after, next, temperature: temperature)
      #expect(answer.text == expected.text)
      #expect(answer.summary.reusedTokens == expected.summary.reusedTokens)
      #expect(answer.summary.reusedTokens >= Self.beginning.utf8.count)
      await after.close()
    }
  }

  @Test func whatFitsNoRunIsRefused() async throws {
    let model = try await load()
    let bytes = try await session(model)
    func refused(_ bytes: [UInt8], _ sentence: String, by other: LanguageModel) async throws {
      do throws(ApusError) {
        try await other.restoreSession(bytes, path: "s.kv")
        Issue.record("restored: \(sentence)")
      } catch { #expect(error.description.contains(sentence), "\(error)") }
    }
    for count in [0, 5] { try await refused(Array(bytes[..<count]), "no session", by: model) }
    for count in [8, 40, 87, 88, bytes.count - 1] {
      try await refused(Array(bytes[..<count]), "damaged", by: model)
    }
    for place in [8, 39, 40, 72, 80, 90, bytes.count - 1] {
      var wrong = bytes
      wrong[place] ^= 0x40
      try await refused(wrong, "damaged", by: model)
    }
    var newer = bytes
    newer[7] += 1
    try await refused(newer, "another version", by: model)
    // Lengths that the digest covers, but the file does not hold.
    for place in [72, 79, 80, 87] {
      var wrong = bytes
      wrong[place] ^= 0x41
      wrong.replaceSubrange(8..<40, with: SHA256.digest(Array(wrong[40...])))
      try await refused(wrong, "damaged", by: model)
    }
    // A token that there is not.
    var wild = bytes
    wild[91] = 0x7F
    wild.replaceSubrange(8..<40, with: SHA256.digest(Array(wild[40...])))
    try await refused(wild, "token", by: model)
    // After all that it still works, and so does the model.
    #expect(try await model.restoreSession(bytes, path: "s.kv").tokens > 20)
    #expect(try await reply(model, Self.beginning).summary.reusedTokens > 0)
    await model.close()

    var another = Self.tiny
    another.metadata["general.name"] = .string("another")
    another.layers = 2
    let otherDisk = another.write()
    let other = try await load(path: otherDisk.path)
    try await refused(bytes, "another model", by: other)
    await other.close()
    for change: (inout LoadOptions) -> Void in [
      { $0.kvType = .f32 }, { $0.kvRotated = true }, { $0.activations = .f32 },
      { ($0.kvPolicy, $0.kvBudget) = (.quest, 48) },
    ] {
      let changed = try await load(.cpu, change)
      try await refused(bytes, "another model", by: changed)
      await changed.close()
    }
    let short = try await load(.cpu) { $0.contextLength = 16 }
    try await refused(bytes, "16", by: short)
    #expect(try await reply(short, "ABC").summary.promptTokens > 0)
    await short.close()
  }

  /// Prompts of `run` are messages of one conversation, as lines of `chat` are, and either goes on where the other ended.
  @Test(arguments: [["--temp", "0"], ["--temp", "1.3", "--seed", "5"]])
  func promptsGoOnWithAConversation(sampling: [String]) throws {
    var tiny = Self.tiny
    tiny.metadata["tokenizer.chat_template"] = .string(
      "{% for m in messages %}#{{ m.content }}{% endfor %}>")
    let disk = tiny.write()
    let folder = TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let path = folder.path + "/s.kv"
    let options = ["-n", "4", "--device", "cpu"] + sampling
    func run(_ words: String...) throws -> CommandTests.Answer {
      try CommandTests().run(["run", disk.path, "--session", path] + options + words)
    }
    let whole = try CommandTests().run(["chat", disk.path] + options, input: "AB\nCDE\nF\nGH\n")
    let replies = whole.output.split(separator: "\n").map { $0 + "\n" }
    #expect(replies.count == 4 && Set(replies).count > 1, "\(replies)")
    #expect(try run("-p", "AB").output == replies[0])
    let second = try run("-p", "CDE")
    #expect(second.output == replies[1])
    #expect(second.notes.contains("tokens are in the cache"), "\(second.notes)")
    let third = try CommandTests().run(
      ["chat", disk.path, "--session", path] + options, input: "F\n")
    #expect(third.output == replies[2])
    // What cannot go on with it leaves it as it is.
    for (word, sentence) in [("--raw", "leave --raw out"), ("--system=A", "leave --system out")] {
      let refused = try run("-p", "GH", word)
      #expect(refused.status == 1 && refused.notes.contains(sentence), "\(refused.notes)")
    }
    let long = try run("-p", String(repeating: "A", count: 60))
    #expect(long.status == 1 && long.notes.contains("context"), "\(long.notes)")
    #expect(try run("-p", "GH").output == replies[3])
    // A plain text is no conversation.
    let plain = folder.path + "/plain.kv"
    let raw = try CommandTests().run(
      ["run", disk.path, "--session", plain, "--raw", "-p", "AB"] + options)
    #expect(raw.status == 0, "\(raw.notes)")
    for command in [["run", disk.path, "-p", "AB"], ["chat", disk.path]] {
      let refused = try CommandTests().run(command + ["--session", plain] + options, input: "AB\n")
      #expect(refused.status == 1 && refused.notes.contains("plain text"), "\(refused.notes)")
    }
  }

  @Test func aCommandGoesOn() throws {
    let folder = TemporaryFolder()
    let path = folder.path + "/s.kv"
    func run(_ prompt: String, _ words: String...) throws -> CommandTests.Answer {
      try CommandTests().run(
        ["run", disk.path, "--raw", "-p", prompt, "-n", "5", "--temp", "0", "-c", "64"]
          + ["--device", "cpu"] + words)
    }
    let first = try run(Self.beginning, "--session", path)
    #expect(first.status == 0 && !first.notes.contains("goes on"), "\(first.notes)")
    let next = Self.beginning + first.output.dropLast()
    let second = try run(next, "--session", path)
    #expect(second.status == 0 && second.notes.contains("tokens are in the cache"))
    #expect(try run(next).output == second.output)
    let wrong = try run(next, "--session", path, "--kv-type", "f32")
    #expect(wrong.status == 1 && wrong.notes.contains("move it away"), "\(wrong.notes)")
    // What could not be used is not overwritten.
    #expect(try run(next, "--session", path).notes.contains("tokens are in the cache"))
    let both = try CommandTests().run(
      ["chat", disk.path, "--session", path, "--no-prefix-cache"])
    #expect(both.status == 64 && both.notes.contains("--no-prefix-cache"))
  }
}
