import Apus
import ArgumentParser

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// `apus explain`: what was decided, and why.
struct ExplainCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain", abstract: "Show what was decided while a text was made.",
    subcommands: [Cache.self])

  /// `apus explain cache`.
  struct Cache: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show which pages of the cache each generated token read.",
      discussion: """
        A line of JSON for each kv head of each layer of each token: 'pages' are those that it read, of 16 tokens, \
        counted from the beginning of the text, and 'scores' has one for each page but the last, where they were \
        chosen by scores. h2o, snapkv, pyramid and zipvl choose once, behind the prompt: the first token's lines have a score \
        for each page of it. 'attention' is the share that these pages hold of what would go to all of them if all were \
        read, from 0 to 1; with h2o, snapkv, pyramid and zipvl, of what the prompt's rows that decide gave to its pages. \
        Behind them a line for the token with a digest of its logits. The likeliest token is taken, and the prompt is \
        computed with all that it sees.

        --replay reads the pages that such a file has, whatever the policy would choose, and compares the digests: \
        logits are the same to the last bit, or it is an error.

        Examples:
          apus explain cache -f article.txt --kv-policy quest --kv-budget 256 --svg pages.svg > pages.jsonl
          apus explain cache -f article.txt --kv-policy quest --kv-budget 256 --replay pages.jsonl --device opencl:0
        """)

    @OptionGroup var source: ModelArgument

    @OptionGroup var text: TextArguments

    @Option(
      name: [.customShort("n"), .customLong("tokens")], parsing: .unconditional,
      help: "Tokens at most.")
    var limit = 16

    @Flag(help: "Continue the prompt as it is, without the chat template.")
    var raw = false

    @OptionGroup var context: ContextArgument

    @Option(help: ArgumentHelp("Read the pages that this file has.", valueName: "file"))
    var replay: String?

    @Option(help: ArgumentHelp("Draw the pages into this file.", valueName: "file"))
    var svg: String?

    @OptionGroup var load: LoadArguments

    func validate() throws {
      if limit < 1 { throw ValidationError("-n must be 1 or more") }
    }

    func run() async throws {
      Interrupt.install()
      let path = try source.path
      let bytes = try text.bytes()
      let noted = try replay.map { try PageNotes.read(Input.bytes($0), path: $0) } ?? []
      var options = load.options
      options.contextLength = context.context
      options.cacheReport = replay == nil ? .notes : .replays
      let model = try await LanguageModel.load(path, options: options)
      for notice in model.notices { Terminal.note("apus: \(notice)") }
      let prompt: Prompt =
        raw || !model.hasChatTemplate
        ? .raw(bytes) : .chat(user: String(decoding: bytes, as: UTF8.self), system: nil)
      let result: Result<[CacheStep], ApusError>
      do throws(ApusError) {
        result = .success(
          try await model.explainCache(
            prompt, limit: limit, replaying: noted, until: { Interrupt.isRaised }))
      } catch { result = .failure(error) }
      await model.close()
      let steps = try result.get()
      if let svg {
        let budget = load.policy.kvBudget.map { " \($0)" } ?? ""
        let title = "\(load.policy.kvPolicy.rawValue)\(budget): \(model.name)"
        let picture = CacheStep.plot(steps, title: title)
        try Output.replace(svg, with: Array(picture.utf8), mode: 0o644)
      }
      for (index, step) in steps.enumerated() {
        for decision in step.decisions { try printJSON(PageNotes.Line(index, step, decision)) }
        try printJSON(PageNotes.Line(index, step))
      }
      guard let replay, !Interrupt.isRaised else { return }
      let other = zip(noted, steps).enumerated().first { $1.0.logits != $1.1.logits }
      guard other == nil, noted.count == steps.count else {
        throw ApusError(
          .request,
          "the logits of step \(other?.offset ?? min(noted.count, steps.count)) are not those of \(replay): it was "
            + "made by another model, in other arithmetic or with another prompt")
      }
      Terminal.note(
        "apus: \(steps.count) steps, and each has the logits of \(replay) to the last bit")
    }
  }
}

/// Decisions as lines of JSON.
enum PageNotes {
  /// A decision, or the end of a step.
  struct Line: Codable {
    var step: Int
    var position: Int
    var layer: Int?
    var head: Int?
    var pages: [Int]?
    var scores: [Float]?
    var attention: Float?
    var token: Int32?
    var logits: String?

    init(_ index: Int, _ step: CacheStep, _ decision: CacheDecision) {
      (self.step, position) = (index, step.position)
      (layer, head, pages) = (decision.layer, decision.head, decision.pages)
      (scores, attention) = (decision.scores, decision.attention)
    }

    init(_ index: Int, _ step: CacheStep) {
      (self.step, position, token, logits) = (index, step.position, step.token, step.logits)
    }
  }

  /// Reads lines.
  ///
  /// - Throws: ``ApusError`` naming the first line that is none of these.
  static func read(_ bytes: [UInt8], path: String) throws(ApusError) -> [CacheStep] {
    var steps: [CacheStep] = []
    var decisions: [CacheDecision] = []
    for (index, text) in bytes.split(separator: UInt8(ascii: "\n")).enumerated() {
      func refusal(_ reason: String) -> ApusError {
        ApusError(
          .file,
          "\(path), line \(index + 1): \(reason); --replay takes what 'apus explain cache' has printed"
        )
      }
      guard let line = try? JSONDecoder().decode(Line.self, from: Data(text)) else {
        throw refusal("it is no decision")
      }
      guard line.step == steps.count else { throw refusal("it is of step \(line.step)") }
      if let layer = line.layer, let head = line.head, let pages = line.pages {
        decisions.append(
          CacheDecision(
            layer: layer, head: head, pages: pages, scores: line.scores,
            attention: line.attention))
      } else if let token = line.token, let logits = line.logits {
        steps.append(
          CacheStep(
            position: line.position, token: token, logits: logits, decisions: decisions))
        decisions = []
      } else {
        throw refusal("it has neither pages nor logits")
      }
    }
    guard !steps.isEmpty, decisions.isEmpty else {
      throw ApusError(.file, "\(path) was not written to the end of a step")
    }
    return steps
  }
}
