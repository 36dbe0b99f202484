import Apus
import ArgumentParser

/// The model, for commands that work without naming one.
struct ModelArgument: ParsableArguments {
  @Argument(help: "A GGUF file (default: SmolLM2-135M-Instruct from the cache).")
  var model: String?

  /// Where it lies.
  var path: String { get throws(ApusError) { try Input.model(model) } }
}

/// A text, for commands that read one.
struct TextArguments: ParsableArguments {
  @Option(name: .shortAndLong, parsing: .unconditional, help: "The text.")
  var prompt: String?

  @Option(name: .shortAndLong, help: "A file that holds the text ('-': standard input).")
  var file: String?

  func validate() throws {
    if prompt != nil && file != nil {
      throw ValidationError("give the text with -p or with -f, not with both")
    }
  }

  /// Its bytes, from the first of -p, -f and a pipe that there is.
  func bytes() throws -> [UInt8] {
    guard let bytes = try Input.prompt(text: prompt, file: file) else {
      throw ValidationError("give a text with -p, with -f, or through a pipe")
    }
    return bytes
  }
}

/// How a text is cut, for commands that score all of it.
struct WindowArguments: ParsableArguments {
  @Option(name: [.customShort("c"), .customLong("context")], help: "Tokens of a window.")
  var window = 512

  @Option(help: "Windows at most (default: all).")
  var windows: Int?

  func validate() throws {
    if window < 4 { throw ValidationError("windows (-c) have at least 4 tokens") }
    if let windows, windows < 1 { throw ValidationError("--windows must be 1 or more") }
  }

  /// A window is all the context that is needed, and half of its logits are.
  func set(_ options: inout LoadOptions) {
    options.contextLength = window
    options.outputRows = window
  }
}

/// The length of the context, for commands that may choose it.
struct ContextArgument: ParsableArguments {
  @Option(
    name: [.customShort("c"), .customLong("context"), .customLong("ctx-size")],
    help:
      "Tokens of context (default: the model's own, or 4096 if that is less). More than its own goes with --kv-policy sinks-turned."
  )
  var context: Int?

  func validate() throws {
    if let context, context < 1 { throw ValidationError("-c must be 1 or more") }
  }
}

/// What a model is told and where its answer ends: options that `run` and `chat` share.
struct ReplyArguments: ParsableArguments {
  @Option(
    name: [
      .customShort("n"), .customLong("tokens"), .customLong("predict"), .customLong("n-predict"),
    ], parsing: .unconditional,
    help: "Tokens of an answer at most; -1: what the context holds (default: run 128, chat -1).")
  var limit: Int?

  @Option(
    name: [.customLong("system"), .customLong("system-prompt")], parsing: .unconditional,
    help: "A system message to begin with.")
  var system: String?

  @Option(
    parsing: .unconditionalSingleValue,
    help: "End an answer before this text; may be given several times.")
  var stop: [String] = []

  func validate() throws {
    if let limit, limit < 1, limit != -1 {
      throw ValidationError("-n must be 1 or more, or -1 for what the context holds")
    }
    if stop.contains("") { throw ValidationError("--stop needs a text that is not empty") }
  }

  /// Options of sampling, with these.
  func options(
    _ sampling: SamplingArguments, _ speculation: SpeculationArguments, limit standard: Int
  ) -> GenerationOptions {
    var options = sampling.options
    options.limit = limit == -1 ? .max : limit ?? standard
    options.stops = stop
    options.speculation = speculation.tokens
    return options
  }
}

/// How results are printed.
struct OutputArguments: ParsableArguments {
  @Flag(help: "Print one JSON value, for programs.")
  var json = false
}
