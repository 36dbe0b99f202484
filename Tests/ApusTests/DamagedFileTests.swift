import Apus
import FuzzTargets
import GGUF
import ModelGraph
import Models
import TestSupport
import Testing
import Tokenization

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif
#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Files that broke other loaders, each refused with a sentence: no trap, no hang, no allocation
/// larger than the file justifies.
@Suite(.serialized) struct DamagedFileTests {
  /// All that happens to a file before its weights are read: the sentence that refuses it, or nil.
  private func refusal(_ bytes: [UInt8]) -> String? {
    do {
      let file = try GGUFFile(bytes: bytes, path: "damaged.gguf")
      let text = try ModelText(file)
      try text.check(against: try Model(file, activations: .int8))
      if text.templateSource != nil {
        _ = try text.tokens(of: [ChatMessage(role: "user", content: "Hi")])
      }
      return nil
    } catch { return "\(error)" }
  }

  private func expectRefusal(_ file: DamagedFile) {
    let sentence = refusal(file.bytes())
    #expect(sentence?.contains(file.words) == true, "\(sentence ?? "it was read")")
    #expect(sentence?.hasPrefix("damaged.gguf: ") == true)
  }

  @Test func aSoundFileIsRead() {
    #expect(refusal(TinyModel().encoded()) == nil)
  }

  @Test(arguments: DamagedFile.files(.counts)) func number01Counts(file: DamagedFile) {
    expectRefusal(file)
  }
  @Test(arguments: DamagedFile.files(.texts)) func number02Texts(file: DamagedFile) {
    expectRefusal(file)
  }
  @Test(arguments: DamagedFile.files(.values)) func number03Values(file: DamagedFile) {
    expectRefusal(file)
  }
  @Test(arguments: DamagedFile.files(.extents)) func number04Extents(file: DamagedFile) {
    expectRefusal(file)
  }
  @Test(arguments: DamagedFile.files(.entries)) func number05Entries(file: DamagedFile) {
    expectRefusal(file)
  }
  @Test(arguments: DamagedFile.files(.places)) func number06Places(file: DamagedFile) {
    expectRefusal(file)
  }
  @Test(arguments: DamagedFile.files(.alignments)) func number07Alignments(file: DamagedFile) {
    expectRefusal(file)
  }
  @Test(arguments: DamagedFile.files(.versions)) func number08Versions(file: DamagedFile) {
    expectRefusal(file)
  }
  @Test(arguments: DamagedFile.files(.hyperparameters))
  func number09Hyperparameters(file: DamagedFile) { expectRefusal(file) }
  @Test(arguments: DamagedFile.files(.vocabularies))
  func number10Vocabularies(file: DamagedFile) { expectRefusal(file) }
  @Test(arguments: DamagedFile.files(.limits)) func number12Limits(file: DamagedFile) {
    expectRefusal(file)
  }
  @Test(arguments: DamagedFile.files(.templates)) func number14Templates(file: DamagedFile) {
    expectRefusal(file)
  }

  /// Merges that lead in circles, overlap or repeat end like any others, and a token may be as long as
  /// the file likes.
  @Test func number10MergesInCirclesEnd() throws {
    var model = TinyModel()
    model.metadata["tokenizer.ggml.merges"] = .strings(
      ["Z Z", "ZZ Z", "Z ZZ", "ZZ ZZ", "Z Z", "ZZZ Z", "ZZZZ ZZZZ"] + (0..<1000).map { "A Z\($0)" })
    var tokens = model.tokens
    tokens[0] = String(repeating: "Z", count: 1 << 20)
    model.metadata["tokenizer.ggml.tokens"] = .strings(tokens)
    let text = try ModelText(try GGUFFile(bytes: model.encoded(), path: "circles.gguf"))
    let bytes = [UInt8](repeating: UInt8(ascii: "Z"), count: 100_000)
    #expect(text.tokenizer.decode(text.tokenizer.encode(bytes)) == bytes)
  }

  /// A vocabulary of 262,144 tokens: hardening must not cost seconds here.
  @Test(arguments: ["gpt2", "llama"]) func number13LargeVocabulariesLoad(model: String) throws {
    let count = 262_144
    let letters = (97..<123).map { (code: UInt8) -> String in String(UnicodeScalar(code)) }
    let tokens = (0..<count).map { (index: Int) -> String in
      "\(letters[index % 26])\(letters[index / 26 % 26])\(index)"
    }
    var writer = GGUFWriter()
    writer.set("tokenizer.ggml.model", .string(model))
    writer.set("tokenizer.ggml.pre", .string("gpt-2"))
    writer.set("tokenizer.ggml.tokens", .strings(tokens))
    writer.set("tokenizer.ggml.scores", .reals(tokens.indices.map { -Double($0) }))
    writer.set("tokenizer.ggml.token_type", .signeds([Int64](repeating: 1, count: count)))
    writer.set(
      "tokenizer.ggml.merges", .strings(tokens.map { "\($0.prefix(2)) \($0.dropFirst(2))" }))
    writer.set("tokenizer.ggml.unknown_token_id", .unsigned(0))
    let bytes = writer.encoded()
    var opened = 0
    let took = try threadTime {
      let text = try ModelText(try GGUFFile(bytes: bytes, path: "large.gguf"))
      opened = text.tokenizer.count
    }
    #expect(opened == count)
    #expect(took < .seconds(1), "\(took)")
  }

  #if canImport(Glibc)
    /// Each row, by how much more the process asks the system for than it ever did: claims go up to
    /// exabytes, and what is read is a copy of the row's bytes.
    @Test func nothingIsAllocatedForAClaim() throws {
      // So much comes from the system; less may be what earlier tests gave back.
      #expect(try growth { _ = [UInt8](repeating: 1, count: 200 << 20) } >= 200 << 20)
      // What the allocator may reserve for itself, without using it.
      let reserved = 128 << 20
      for kind in DamagedFile.Kind.allCases {
        for file in DamagedFile.files(kind) {
          let bytes = file.bytes()
          let growth = try growth { _ = refusal(bytes) }
          #expect(
            growth <= reserved + bytes.count + 4 << 20,
            "\(file.name): \(growth) for \(bytes.count)")
        }
      }
    }

    /// By how many bytes `body` raises the most that the process had mapped at any time.
    private func growth(_ body: () -> Void) throws -> Int {
      func size(_ key: String) throws -> Int {
        let status = try #require(Fixtures.systemText("/proc/self/status"))
        return try #require(SystemMemory.number(key, in: status)) << 10
      }
      // What the process once had must not hide what it takes now: addresses without memory behind
      // them fill the gap.
      let gap = try max(1 << 12, size("VmPeak:") - size("VmSize:"))
      let filler = mmap(nil, gap, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
      defer { munmap(filler, gap) }
      let before = try size("VmPeak:")
      body()
      return try size("VmPeak:") - before
    }
  #endif

  /// What fuzzing began with and what it found.
  @Test func corporaAreReplayed() throws {
    let fixtures = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Fixtures/fuzz").path
    let files = try Replay.corpus(fixtures + "/gguf")
    for (_, bytes) in files { FuzzTargets.gguf(bytes) }
    let templates = try Replay.corpus(fixtures + "/template")
    for (_, bytes) in templates { FuzzTargets.template(bytes) }
    // The seeds are what the writer writes today: `FuzzGGUF --seeds FOLDER` makes them anew.
    for seed in FuzzSeeds.gguf {
      #expect(files.first { $0.name == seed.name }?.bytes == seed.bytes, "\(seed.name)")
    }
    for seed in FuzzSeeds.template {
      #expect(templates.first { $0.name == seed.name }?.bytes == seed.bytes, "\(seed.name)")
    }
  }
}
