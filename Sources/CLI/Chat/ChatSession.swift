import Apus

/// A conversation with a model: the messages so far, and what to do with each entry.
struct ChatSession {
  private let model: LanguageModel
  private let options: GenerationOptions
  private let opening: [Message]
  private let showsTimings: Bool
  private(set) var messages: [Message]

  /// A conversation that begins with a system message, where there is one.
  init(
    _ model: LanguageModel, options: GenerationOptions, system: String?, showsTimings: Bool
  ) {
    self.model = model
    self.options = options
    self.showsTimings = showsTimings
    opening = system.map { [Message(role: "system", content: $0)] } ?? []
    messages = opening
  }

  /// Does what was entered.
  ///
  /// - Returns: Whether the conversation goes on.
  mutating func take(_ text: String) async throws(ApusError) -> Bool {
    switch ChatInput(text) {
    case .nothing: break
    case .message(let message): try await answer(message)
    case .help: Terminal.note(ChatInput.commands)
    case .reset:
      messages = opening
      Terminal.note("apus: the conversation is forgotten")
    case .save(let path): try save(path)
    case .load(let path): try load(path)
    case .exit: return false
    case .mistake(let sentence): throw ApusError(.request, sentence)
    }
    return true
  }

  /// The messages, as a file has them.
  var transcript: [UInt8] { Transcript(model: model.name, messages: messages).bytes }

  /// Goes on with such messages.
  mutating func resume(_ earlier: [Message]) { messages = earlier }

  private func save(_ path: String) throws(ApusError) {
    let path = Input.expanded(path)
    try Output.replace(path, with: transcript, mode: 0o666)
    Terminal.note("apus: saved \(count) to \(path)")
  }

  /// Goes on with a conversation that was saved; its system message is part of it.
  mutating func load(_ path: String) throws(ApusError) {
    let path = Input.expanded(path)
    messages = try Transcript(Input.bytes(path), path: path).messages
    Terminal.note("apus: loaded \(count) from \(path)")
  }

  private var count: String { messages.count == 1 ? "1 message" : "\(messages.count) messages" }

  private mutating func answer(_ message: String) async throws(ApusError) {
    let asked = messages + [Message(role: "user", content: message)]
    let tokens = try model.tokenCount(of: .conversation(asked))
    guard tokens <= model.promptLimit else {
      let isLong = model.promptLimit < model.contextLength
      throw ApusError(
        .request,
        "with this message the conversation has \(tokens) tokens, and "
          + (isLong ? "a prompt of this model holds" : "the context holds")
          + " \(model.promptLimit): the message was not sent. /save FILE keeps the conversation, "
          + "/reset begins a new one"
          + (isLong ? "" : ", and -c makes the context longer at the next start"))
    }
    Interrupt.clear()
    var options = options
    // A seed for each turn, so that turns are not alike.
    options.seed &+= UInt64(asked.count)
    var reply = ""
    var summary: GenerationSummary?
    do {
      let events = model.generate(
        .conversation(asked), options: options,
        until: { Interrupt.isRaised || Terminal.isGone })
      for try await event in events {
        switch event {
        case .text(let text):
          reply += text
          Terminal.speak(text)
        case .finished(let end): summary = end
        }
      }
    } catch {
      if !reply.isEmpty { Terminal.write("\n") }
      throw error as? ApusError ?? ApusError(.request, "\(error)")
    }
    Terminal.write("\n")
    if Terminal.isGone { return }
    // What was said is part of the conversation, also where it was cut short.
    if reply.isEmpty, summary?.finish == .cancelled {
      Terminal.note("apus: stopped; the message is not part of the conversation")
    } else {
      messages = asked + [Message(role: "assistant", content: reply)]
    }
    if let summary { remark(summary) }
  }

  private func remark(_ summary: GenerationSummary) {
    switch summary.finish {
    case .endOfGeneration, .stop, .cancelled: break
    case .limit: Terminal.note("apus: stopped at the token limit; -n raises it")
    case .contextFull(let tokens):
      Terminal.note(
        "apus: the answer ends here because the context of \(tokens) tokens is full. /save FILE "
          + "keeps the conversation, /reset begins a new one, and -c makes the context longer at "
          + "the next start")
    }
    guard showsTimings else { return }
    let dropped = summary.droppedTokens > 0 ? ", \(summary.droppedTokens) dropped" : ""
    let speed = summary.tokensPerSecond.map { "\(tenths($0)) tokens/s" } ?? "one token"
    Terminal.note(
      "[\(summary.promptTokens) tokens, \(summary.reusedTokens) of them from the cache\(dropped) · first "
        + "token after \(tenths(summary.timeToFirstToken / .milliseconds(1))) ms · \(speed)"
        + "\(summary.acceptance(options))]")
  }
}
