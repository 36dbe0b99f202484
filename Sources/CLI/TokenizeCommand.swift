import Apus
import ArgumentParser

/// `apus tokenize`: text to ids.
struct TokenizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenize", abstract: "Turn text into token ids.",
    discussion: """
      The bytes of the text are taken as they are, and BOS is added as the model says.

      Examples:
        apus tokenize model.gguf -p "Hello world"
        apus tokenize model.gguf -f text.txt --json
      """)

  @Argument(help: "A GGUF file.")
  var model: String

  @Option(name: .shortAndLong, help: "The text.")
  var prompt: String?

  @Option(name: .shortAndLong, help: "A file that holds the text ('-': standard input).")
  var file: String?

  @Flag(help: "Read special tokens such as <|im_end|> in the text as what they mean.")
  var parseSpecial = false

  @Flag(help: "Leave BOS out even where the model wants it.")
  var noBos = false

  @Flag(help: "Print one JSON array of ids.")
  var json = false

  func validate() throws {
    if prompt != nil && file != nil {
      throw ValidationError("give the text with -p or with -f, not with both")
    }
  }

  func run() throws {
    guard let bytes = try Input.prompt(text: prompt, file: file) else {
      throw ValidationError("give a text with -p, with -f, or through a pipe")
    }
    let text = try TextCodec(path: model)
    let ids = text.encode(bytes, parsesSpecial: parseSpecial, addsBOS: noBos ? false : nil)
    if json { return try printJSON(ids) }
    for id in ids { Terminal.write("\(id)\t\(text.quoted(id))\n") }
  }
}
