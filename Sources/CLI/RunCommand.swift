import Apus
import ArgumentParser

/// `apus run`: a reply, streamed.
struct RunCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Answer a prompt, or continue a text.",
    discussion: """
      The prompt is a text from -p, from -f, or from standard input. It is put into the model's chat \
      template; --raw continues it as it is.

      Examples:
        apus run -p "Why is the sky blue?"
        apus run model.gguf --raw -p "Once upon a time" --temperature 0 -n 40
        apus run model.gguf -f question.txt --device cpu --json
      """)

  @OptionGroup var source: ModelArgument

  @OptionGroup var text: TextArguments

  @OptionGroup var reply: ReplyArguments

  @OptionGroup var context: ContextArgument

  @Flag(help: "Continue the prompt as it is, without the chat template.")
  var raw = false

  @OptionGroup var session: SessionArguments

  @Flag(help: "Print where each operation runs, and why, and stop.")
  var placement = false

  @Option(
    help: ArgumentHelp(
      "Write a trace of every launch for ui.perfetto.dev or chrome://tracing.", valueName: "file"))
  var trace: String?

  @OptionGroup var dump: DumpArguments

  @OptionGroup var output: OutputArguments

  @OptionGroup(title: "Sampling") var sampling: SamplingArguments

  @OptionGroup var speculation: SpeculationArguments

  @OptionGroup var load: LoadArguments

  func validate() throws {
    if raw && reply.system != nil {
      throw ValidationError("--system needs the chat template, which --raw leaves out")
    }
  }

  func run() async throws {
    Interrupt.install()
    let path = try source.path
    var loadOptions = load.options
    loadOptions.contextLength = context.context
    try speculation.set(&loadOptions)
    try session.check(loadOptions)
    if placement {
      let model = try await LanguageModel.load(path, options: loadOptions)
      printPlacement(model)
      await model.close()
      return
    }
    let bytes = try text.bytes()
    Terminal.progress("loading \(path) …")
    let result: Result<LanguageModel, ApusError>
    do throws(ApusError) {
      result = .success(try await LanguageModel.load(path, options: loadOptions))
    } catch { result = .failure(error) }
    Terminal.progress("")
    let model = try result.get()
    for notice in model.notices { Terminal.note("apus: \(notice)") }
    do {
      let notes = try await session.restore(into: model)
      let asked = try question(model, bytes, behind: notes)
      if trace != nil { try await model.startRecording() }
      // As in a chat, a seed for each turn.
      let turn = session.session == nil ? 0 : asked?.count ?? 0
      let prompt = asked.map { Prompt.conversation($0) } ?? .raw(bytes)
      // A prompt that was stopped before its answer began leaves the session as it was.
      if let said = try await answer(model, prompt, turn: turn) {
        let conversation = asked.map { $0 + [Message(role: "assistant", content: said)] }
        try await session.save(
          model, notes: conversation.map { Transcript(model: model.name, messages: $0).bytes } ?? []
        )
      }
      if let trace {
        let report = try await model.stopRecording(measuresDevices: false)
        try Output.replace(trace, with: Array(report.trace.utf8), mode: 0o644)
      }
      try await dump.write(model)
    } catch {
      await model.close()
      throw error
    }
    await model.close()
  }

  /// The messages up to the prompt, those of the session first; nil where the prompt is a text to continue.
  private func question(
    _ model: LanguageModel, _ bytes: [UInt8], behind notes: [UInt8]?
  ) throws(ApusError) -> [Message]? {
    guard !raw, model.hasChatTemplate else {
      guard notes?.isEmpty != false else {
        throw ApusError(
          .request, "the session holds a conversation: leave --raw out, or take another --session")
      }
      if !raw { Terminal.note("apus: the model has no chat template; continuing raw text") }
      return nil
    }
    let earlier = try notes.flatMap { notes throws(ApusError) in
      try session.conversation(notes, system: reply.system)
    }
    let opening = reply.system.map { [Message(role: "system", content: $0)] } ?? []
    return (earlier ?? opening) + [
      Message(role: "user", content: String(decoding: bytes, as: UTF8.self))
    ]
  }

  /// Prints an answer.
  ///
  /// - Returns: Its text, or nil where it was stopped before it began.
  private func answer(
    _ model: LanguageModel, _ prompt: Prompt, turn: Int
  ) async throws -> String? {
    var options = reply.options(sampling, speculation, limit: 128)
    options.seed &+= UInt64(turn)
    var answer = ""
    var summary: GenerationSummary?
    let events = model.generate(
      prompt, options: options, until: { Interrupt.isRaised || Terminal.isGone })
    for try await event in events {
      switch event {
      case .text(let text):
        answer += text
        if !output.json { Terminal.speak(text) }
      case .finished(let end): summary = end
      }
    }
    let isStopped = summary == nil || summary?.finish == .cancelled
    let said = answer.isEmpty && isStopped ? nil : answer
    guard let summary else { return said }
    let memory = await model.memory()
    if output.json {
      try printJSON(RunReport(answer, model, summary, memory))
      return said
    }
    Terminal.write("\n")
    if Terminal.isGone { return said }
    if let remark = summary.finish.remark { Terminal.note("apus: \(remark)") }
    Terminal.note(summaryLine(model, summary, memory, summary.acceptance(options)))
    return said
  }

  private func summaryLine(
    _ model: LanguageModel, _ summary: GenerationSummary, _ memory: MemoryUsage,
    _ acceptance: String
  ) -> String {
    let mapped = memory.mapped > 0 ? " + \(ByteCount(memory.mapped)) mapped" : ""
    let speed = summary.tokensPerSecond.map { "\(tenths($0)) tokens/s" } ?? "one token"
    return "[\(model.name.inOneLine) · \(model.device.name): \(model.device.hardware) · "
      + "\(model.device.driver) · first token after "
      + "\(tenths(summary.timeToFirstToken / .milliseconds(1))) ms · \(speed)\(acceptance) · "
      + "\(ByteCount(memory.buffers))\(mapped)]"
  }
}

/// One decimal, which is as much as such figures are worth.
func tenths(_ value: Double) -> String {
  let tenths = (value * 10).rounded()
  guard abs(tenths) < 1e15 else { return "\(value)" }
  let whole = Int(tenths)
  return "\(whole / 10).\(abs(whole % 10))"
}

/// What `apus run --json` prints.
private struct RunReport: Encodable {
  var text: String
  var finish: String
  var model: String
  var device: String
  var hardware: String
  var driver: String
  var prompt_tokens: Int
  var tokens: Int
  var time_to_first_token_ms: Double
  var tokens_per_second: Double?
  var proposed_tokens: Int
  var accepted_tokens: Int
  var allocated_bytes: Int
  var mapped_bytes: Int

  init(
    _ text: String, _ model: LanguageModel, _ summary: GenerationSummary, _ memory: MemoryUsage
  ) {
    self.text = text
    finish = summary.finish.name
    self.model = model.name
    device = model.device.name
    hardware = model.device.hardware
    driver = model.device.driver
    prompt_tokens = summary.promptTokens
    tokens = summary.tokens
    time_to_first_token_ms = summary.timeToFirstToken / .milliseconds(1)
    tokens_per_second = summary.tokensPerSecond
    proposed_tokens = summary.proposedTokens
    accepted_tokens = summary.acceptedTokens
    allocated_bytes = memory.allocated
    mapped_bytes = memory.mapped
  }
}

extension GenerationSummary.Finish {
  /// A word for scripts.
  fileprivate var name: String {
    switch self {
    case .endOfGeneration: "end"
    case .stop: "stop"
    case .limit: "limit"
    case .contextFull: "context_full"
    case .cancelled: "cancelled"
    }
  }

  /// A sentence for people, where the end may surprise.
  fileprivate var remark: String? {
    switch self {
    case .endOfGeneration, .stop: nil
    case .limit: "stopped at the token limit; -n raises it"
    case .contextFull(let tokens):
      "stopped because the context of \(tokens) tokens is full; -c makes it longer"
    case .cancelled: "stopped"
    }
  }
}
