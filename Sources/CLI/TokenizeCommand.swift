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

  @OptionGroup var source: ModelArgument

  @OptionGroup var text: TextArguments

  @Flag(help: "Read special tokens such as <|im_end|> in the text as what they mean.")
  var parseSpecial = false

  @Flag(help: "Leave BOS out even where the model wants it.")
  var noBos = false

  @OptionGroup var output: OutputArguments

  func run() throws {
    let bytes = try text.bytes()
    let codec = try TextCodec(path: source.path)
    let ids = codec.encode(bytes, parsesSpecial: parseSpecial, addsBOS: noBos ? false : nil)
    if output.json { return try printJSON(ids) }
    for id in ids { Terminal.write("\(id)\t\(codec.quoted(id))\n") }
  }
}
