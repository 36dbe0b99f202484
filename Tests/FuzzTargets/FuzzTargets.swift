import Apus
import GGUF
import ModelGraph
import Models
import Tokenization

/// What a stranger's bytes can reach, each as one call for a fuzzer and for the replay of its corpora.
/// It returns or traps: an error is an answer like any other.
package enum FuzzTargets {
  /// A model file: header, metadata, tensors, vocabulary, graph.
  package static func gguf(_ bytes: [UInt8]) {
    do throws(GGUFError) {
      let file = try GGUFFile(bytes: bytes, path: "fuzz.gguf")
      for key in file.metadata.keys { _ = file.metadata[key]?.summary }
      for tensor in file.tensors {
        let bytes = file.bytes(of: tensor)
        precondition(bytes.count == tensor.bytes && bytes.first != nil && bytes.last != nil)
      }
      let text = words(of: file)
      guard let model = model(in: file) else { return }
      try? text?.check(against: model)
    } catch { sentence(error) }
  }

  private static func words(of file: GGUFFile) -> ModelText? {
    do throws(ApusError) {
      let text = try ModelText(file)
      for special in [false, true] {
        let ids = text.tokenizer.encode("a b é 12 <s>\n\n", parseSpecial: special, addBOS: true)
        var stream = StreamingDetokenizer(text.tokenizer, showControl: special)
        for id in ids { _ = stream.append(id) }
      }
      return text
    } catch { sentence(error) }
    return nil
  }

  private static func model(in file: GGUFFile) -> Model? {
    do throws(ModelError) { return try Model(file, activations: .int8) } catch { sentence(error) }
    return nil
  }

  /// A chat template. The first byte picks the conversation, the rest is the template.
  package static func template(_ bytes: [UInt8]) {
    guard let choice = bytes.first else { return }
    var limits = TemplateLimits()
    limits.steps = 20_000
    limits.outputBytes = 1 << 16
    do throws(TemplateError) {
      let text = try ChatTemplate(String(decoding: bytes.dropFirst(), as: UTF8.self)).render(
        messages: conversations[Int(choice) % conversations.count],
        addGenerationPrompt: choice & 0x80 == 0, bos: "<s>", eos: "</s>",
        tools: choice & 0x40 == 0 ? nil : tools,
        now: TemplateDate(year: 2026, month: 2, day: 28), limits: limits)
      precondition(text.utf8.count <= limits.outputBytes)
    } catch { sentence(error) }
  }

  /// An error has one, and a file cannot make it arbitrarily long.
  private static func sentence(_ error: any Error) {
    let count = "\(error)".utf8.count
    precondition(count > 20 && count < 100_000)
  }

  private static let call = TemplateValue.dictionary([
    ("type", .string("function")),
    (
      "function",
      .dictionary([
        ("name", .string("weather")),
        ("arguments", .dictionary([("city", .string("Zürich")), ("days", .int(2))])),
      ])
    ),
  ])

  private static let tools = TemplateValue.list([
    .dictionary([
      ("type", .string("function")),
      (
        "function",
        .dictionary([
          ("name", .string("weather")), ("description", .string("The weather of some days")),
          (
            "parameters",
            .dictionary([
              ("type", .string("object")),
              (
                "properties",
                .dictionary([("city", .dictionary([("type", .string("string"))]))])
              ), ("required", .list([.string("city")])),
            ])
          ),
        ])
      ),
    ])
  ])

  private static let conversations: [[ChatMessage]] = [
    [],
    [ChatMessage(role: "user", content: "Why is the sky blue?")],
    [
      ChatMessage(role: "system", content: "Be brief."),
      ChatMessage(role: "user", content: "  Hé\n"),
      ChatMessage(role: "assistant", content: "Hello."),
    ],
    [
      ChatMessage(role: "user", content: "Weather?"),
      ChatMessage(role: "assistant", content: .none, fields: [("tool_calls", .list([call]))]),
      ChatMessage(
        role: "tool", content: .string("{\"rain\": 0.5}"), fields: [("tool_call_id", .string("a1"))]
      ),
      ChatMessage(
        role: "user",
        content: TemplateValue.list([
          .dictionary([("type", .string("text")), ("text", .string("?"))])
        ])),
    ],
  ]
}
