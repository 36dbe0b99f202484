import Apus
import ArgumentParser

/// `apus chat`: a conversation in the terminal.
struct ChatCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "chat", abstract: "Hold a conversation with a model.",
    discussion: """
      Each line is a message; '/help' lists the commands. Ctrl-C stops an answer, Ctrl-D ends the \
      conversation. What is entered is kept in $XDG_STATE_HOME/apus/chat-history, by default under \
      ~/.local/state. Where standard input is not a terminal, its lines are the messages and only \
      the answers are written.

      Examples:
        apus chat
        apus chat model.gguf --system "You answer in one sentence." --temp 0
        printf '%s\\n' 'Name a colour.' 'And another one.' | apus chat
      """)

  @OptionGroup var source: ModelArgument

  @OptionGroup var reply: ReplyArguments

  @OptionGroup var context: ContextArgument

  @Option(help: "Go on with a conversation that '/save' wrote.")
  var loadChat: String?

  @OptionGroup var session: SessionArguments

  @Flag(help: "Neither read nor write the file of earlier entries.")
  var noHistory = false

  @Flag(
    help:
      "Compute the whole conversation again with each message, and keep nothing of it in the cache."
  )
  var noPrefixCache = false

  @Flag(help: "Say after each answer how long it took.")
  var timings = false

  @OptionGroup(title: "Sampling") var sampling: SamplingArguments

  @OptionGroup var speculation: SpeculationArguments

  @OptionGroup var load: LoadArguments

  func validate() throws {
    if reply.system != nil && loadChat != nil {
      throw ValidationError(
        "a conversation that is loaded has its own system message: leave "
          + "--system or --load-chat out")
    }
    if session.session != nil && loadChat != nil {
      throw ValidationError("a session is a conversation: leave --session or --load-chat out")
    }
    if session.session != nil && noPrefixCache {
      throw ValidationError("--no-prefix-cache keeps nothing that --session could write")
    }
  }

  func run() async throws {
    Interrupt.install()
    let path = try source.path
    var loadOptions = load.options
    loadOptions.contextLength = context.context
    loadOptions.sharesPrefixes = !noPrefixCache
    try speculation.set(&loadOptions)
    try session.check(loadOptions)
    Terminal.progress("loading \(path) …")
    let result: Result<LanguageModel, ApusError>
    do throws(ApusError) {
      result = .success(try await LanguageModel.load(path, options: loadOptions))
    } catch { result = .failure(error) }
    Terminal.progress("")
    let model = try result.get()
    for notice in model.notices { Terminal.note("apus: \(notice)") }
    let outcome: Result<Void, any Error>
    do { outcome = .success(try await converse(model, path)) } catch { outcome = .failure(error) }
    TerminalMode.restore()
    await model.close()
    try outcome.get()
  }

  private func converse(_ model: LanguageModel, _ path: String) async throws {
    guard model.hasChatTemplate else {
      throw ApusError(
        .model,
        "\(path) has no chat template, so it cannot hold a conversation; 'apus run --raw' continues "
          + "plain text")
    }
    let isInteractive = TerminalMode.isInteractive && TerminalMode.prepare()
    let history = noHistory || !isInteractive ? nil : LineHistory.standard
    var session = ChatSession(
      model, options: reply.options(sampling, speculation, limit: .max), system: reply.system,
      showsTimings: timings)
    if let loadChat { try session.load(loadChat) }
    if let notes = try await self.session.restore(into: model) {
      if let messages = try self.session.conversation(notes, system: reply.system) {
        session.resume(messages)
      }
    }
    let outcome: Result<Void, any Error>
    do { outcome = .success(try await take(&session, isInteractive, history, model)) } catch {
      outcome = .failure(error)
    }
    // Whatever ended it, what was said stays.
    try await self.session.save(model, notes: session.transcript)
    try outcome.get()
  }

  /// Takes entries until there are no more.
  private func take(
    _ session: inout ChatSession, _ isInteractive: Bool, _ history: LineHistory?,
    _ model: LanguageModel
  ) async throws {
    var reader = LineReader(isInteractive: isInteractive, history: history?.load() ?? [])
    if isInteractive {
      Terminal.note(
        "\(model.name.inOneLine) on \(model.device.name). /help lists commands, Ctrl-D ends.")
    }
    var canWriteHistory = true
    while !Terminal.isGone {
      switch reader.read(prompt: "> ") {
      case .ended: return
      case .interrupted:
        guard isInteractive else { return }
        Terminal.note("apus: Ctrl-D or /exit ends the conversation")
      case .text(let text):
        if isInteractive, ChatInput(text) != .nothing {
          reader.remember(text)
          do throws(ApusError) {
            if canWriteHistory { try history?.append(text) }
          } catch {
            canWriteHistory = false
            Terminal.note("apus: entries are not kept: \(error)")
          }
        }
        do throws(ApusError) {
          guard try await session.take(text) else { return }
        } catch {
          // A script should notice; a person can try again.
          guard isInteractive else { throw error }
          Terminal.note("apus: \(error)")
        }
        if !isInteractive, Interrupt.isRaised { return }
        Interrupt.clear()
      }
    }
  }
}
