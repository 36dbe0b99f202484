import DiskCache
import GGUF
import TestSupport
import Testing
import Tokenization

/// Templates of real models against what Python's jinja2 makes of them under the settings that
/// Hugging Face uses. `tools/golden/templates.py` wrote the sums; the templates themselves are fetched:
/// APUS_VOCAB_DIR names a folder with the template files, APUS_MODELS one with models.
struct TemplateSuiteTests {
  struct Suite: Decodable {
    struct Conversation: Decodable {
      var name: String
      var messages: OrderedJSON
      var tools: OrderedJSON
    }
    struct Template: Decodable {
      var name: String
      var sha256: String
      /// One for each conversation; nil where jinja2 raises an error.
      var results: [String?]
    }
    var bos: String
    var eos: String
    var now: [Int]
    var conversations: [Conversation]
    var templates: [Template]
  }

  static let folder = environment("APUS_VOCAB_DIR")

  private static func suite() throws -> Suite {
    try Fixtures.decode(Suite.self, "templates/templates.json")
  }

  /// Names of a template file or of the model that brings the template.
  private static func names(_ suffix: String) -> [String] {
    ((try? suite())?.templates ?? []).map(\.name).filter { $0.hasSuffix(suffix) }
  }

  @Test func theSuiteIsWhole() throws {
    let suite = try Self.suite()
    #expect(suite.conversations.map(\.name) == ["plain", "system", "tools", "tool result"])
    #expect(Self.names(".jinja").count == 70 && Self.names(".gguf").count == 3)
    #expect(suite.templates.allSatisfy { $0.results.count == 4 })
    #expect(SHA256.hex(Array("abc".utf8)).hasPrefix("ba7816bf8f01cfea414140de5dae2223b00361a3"))
  }

  @Test(
    .enabled(if: folder != nil, "APUS_VOCAB_DIR names no folder with template files"),
    arguments: names(".jinja"))
  func everyFileGivesTheExpectedTexts(name: String) throws {
    let bytes = try Fixtures.bytes("\(try #require(Self.folder))/\(name)")
    try expect(String(decoding: bytes, as: UTF8.self), name)
  }

  /// Of those models that are there.
  @Test(arguments: names(".gguf").filter { Fixtures.fetched($0) != nil })
  func everyModelGivesTheExpectedTexts(name: String) throws {
    let path = try #require(Fixtures.fetched(name))
    let source = try GGUFFile(path: path).text("tokenizer.chat_template")
    try expect(try #require(source), name)
  }

  private func expect(_ source: String, _ name: String) throws {
    let suite = try Self.suite()
    let golden = try #require(suite.templates.first { $0.name == name })
    // Another version of the file would fail in a confusing way.
    try #require(SHA256.hex(Array(source.utf8)) == golden.sha256)
    try #require(suite.now.count == 6)
    let now = TemplateDate(
      year: suite.now[0], month: suite.now[1], day: suite.now[2], hour: suite.now[3],
      minute: suite.now[4], second: suite.now[5])
    for (conversation, expected) in zip(suite.conversations, golden.results) {
      let outcome: String?
      var text = ""
      do throws(TemplateError) {
        text = try ChatTemplate(source).render(
          variables: [
            "messages": conversation.messages.value, "tools": conversation.tools.value,
            "documents": .none, "add_generation_prompt": .bool(true),
            "bos_token": .string(suite.bos), "eos_token": .string(suite.eos),
          ], now: now)
        outcome = SHA256.hex(Array(text.utf8))
      } catch {
        text = "\(error)"
        outcome = nil
      }
      #expect(outcome == expected, "\(conversation.name): \(text)")
    }
  }
}

/// JSON whose objects keep the order of their keys, because templates show it: an object is written
/// as `{"object": [[key, value], …]}`.
struct OrderedJSON: Decodable {
  var value: TemplateValue

  private struct Object: Decodable {
    struct Pair: Decodable {
      var key: String
      var value: TemplateValue

      init(from decoder: any Decoder) throws {
        var list = try decoder.unkeyedContainer()
        key = try list.decode(String.self)
        value = try list.decode(OrderedJSON.self).value
      }
    }
    var object: [Pair]
  }

  init(from decoder: any Decoder) throws {
    let single = try decoder.singleValueContainer()
    if single.decodeNil() {
      value = .none
    } else if let flag = try? single.decode(Bool.self) {
      value = .bool(flag)
    } else if let number = try? single.decode(Int.self) {
      value = .int(number)
    } else if let number = try? single.decode(Double.self) {
      value = .float(number)
    } else if let text = try? single.decode(String.self) {
      value = .string(text)
    } else if let items = try? single.decode([OrderedJSON].self) {
      value = .list(items.map(\.value))
    } else {
      value = .dictionary(try single.decode(Object.self).object.map { ($0.key, $0.value) })
    }
  }
}
