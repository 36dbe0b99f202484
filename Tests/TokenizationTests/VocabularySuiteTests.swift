import GGUF
import TestSupport
import Testing
import Tokenization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// llama.cpp's own texts and ids, for vocabularies of real models: set APUS_VOCAB_DIR to a folder with
/// its `ggml-vocab-*.gguf`, `.inp` and `.out` files.
struct VocabularySuiteTests {
  static let folder = environment("APUS_VOCAB_DIR")
  /// The suites, and how many texts each has: 708 in all.
  private static let texts = [
    ("bert-bge", 47), ("command-r", 47), ("deepseek-coder", 47), ("deepseek-llm", 47),
    ("falcon", 47), ("gemma-4", 46), ("gpt-2", 47), ("llama-bpe", 47), ("llama-spm", 47),
    ("mpt", 47), ("phi-3", 47), ("qwen2", 47), ("qwen35", 51), ("refact", 47), ("starcoder", 47),
  ]

  @Test(
    .enabled(if: folder != nil, "APUS_VOCAB_DIR names no folder with ggml-vocab files"),
    arguments: texts)
  func everyTextHasTheExpectedTokens(name: String, count: Int) throws {
    let path = "\(try #require(Self.folder))/ggml-vocab-\(name).gguf"
    let tokenizer = try Tokenizer(try Self.description(try GGUFFile(path: path)))
    let texts = Self.split(try Self.read(path + ".inp"), by: Array("\n__ggml_vocab_test__\n".utf8))
    let lines = Self.split(try Self.read(path + ".out"), by: [0x0A])
    #expect(texts.count == count)
    try #require(lines.count >= texts.count)
    for (text, line) in zip(texts, lines) {
      let expected = String(decoding: line, as: UTF8.self).split(separator: " ").compactMap {
        Int32($0)
      }
      #expect(tokenizer.encode(text) == expected, "\(String(decoding: text, as: UTF8.self))")
    }
  }

  /// A vocabulary of a quarter of a million tokens must not make starting slow.
  @Test(.enabled(if: folder != nil, "APUS_VOCAB_DIR names no folder with ggml-vocab files"))
  func largeVocabulariesLoadQuickly() throws {
    let file = try GGUFFile(path: "\(try #require(Self.folder))/ggml-vocab-gemma-4.gguf")
    let description = try Self.description(file)
    var count = 0
    let took = try threadTime { count = try Tokenizer(description).count }
    #expect(count == 262_144)
    #expect(took < .seconds(1), "\(took)")
  }

  /// Byte-pair encoding keeps up with a text that is read from a disk: at least 2 MB/s on one core.
  @Test(.enabled(if: Fixtures.fetched("wiki.txt") != nil, "APUS_MODELS holds no wiki.txt"))
  func longTextsAreEncodedQuickly() throws {
    let model = try #require(Fixtures.fetched("smollm2-135m-instruct-q4_1.gguf"))
    let tokenizer = try Tokenizer(try Self.description(try GGUFFile(path: model)))
    let text = try Fixtures.bytes(try #require(Fixtures.fetched("wiki.txt")))
    var count = 0
    let took = threadTime { count = tokenizer.encode(text).count }
    #expect(count > text.count / 8)
    let speed = Double(text.count) / 1e6 / (took / .seconds(1))
    #expect(speed >= 2, "\(speed) MB/s")
  }

  private static func description(_ file: GGUFFile) throws -> VocabularyDescription {
    func key(_ name: String) -> String { "tokenizer.ggml.\(name)" }
    func id(_ name: String) throws -> Int32? { try file.integer(key(name)).map { Int32($0) } }
    return VocabularyDescription(
      model: try #require(try file.text(key("model"))), preTokenizer: try file.text(key("pre")),
      tokens: try #require(try file.texts(key("tokens"))),
      scores: try file.reals(key("scores"))?.map { Float($0) } ?? [],
      tokenTypes: try file.integers(key("token_type"))?.map { Int32($0) } ?? [],
      merges: try file.texts(key("merges")) ?? [], bos: try id("bos_token_id"),
      eos: try id("eos_token_id"), unknown: try id("unknown_token_id"),
      separator: try id("seperator_token_id"), cls: try id("cls_token_id"),
      addBOS: try file.flag(key("add_bos_token")),
      addSpacePrefix: try file.flag(key("add_space_prefix")))
  }

  private static func read(_ path: String) throws -> [UInt8] {
    let file = try #require(fopen(path, "rb"), "\(path) cannot be opened")
    defer { fclose(file) }
    var result: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while case let count = fread(&buffer, 1, buffer.count, file), count > 0 {
      result += buffer[..<count]
    }
    return result
  }

  private static func split(_ bytes: [UInt8], by separator: [UInt8]) -> [[UInt8]] {
    var parts: [[UInt8]] = [[]]
    var index = 0
    while index < bytes.count {
      if bytes[index...].starts(with: separator) {
        parts.append([])
        index += separator.count
      } else {
        parts[parts.count - 1].append(bytes[index])
        index += 1
      }
    }
    return parts
  }
}
