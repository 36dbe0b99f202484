import Apus
import ArgumentParser

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The file that keeps a conversation's keys and values, for commands that go on with one.
struct SessionArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Go on with the session in this file, if there is one, and keep this one there.",
      discussion: """
        Keys and values are kept along with the conversation, so nothing of it is computed again; replies are what they \
        would have been. With 'run' a prompt is the conversation's next message; with --raw a text, and of the session \
        stays what both begin with. It goes with one model file and one way to compute, and takes the bytes of the cache: 'apus plan' \
        says how many for a token.
        """, valueName: "file"))
  var session: String?

  /// Refuses what no session goes on from.
  func check(_ options: LoadOptions) throws(ApusError) {
    guard session != nil, options.prefillSparsity != .none else { return }
    throw ApusError(
      .request,
      "--session does not go with --prefill-sparse \(options.prefillSparsity.rawValue) yet: leave one out"
    )
  }

  /// Restores the session, where the file exists.
  ///
  /// - Returns: What was kept along with it, or nil.
  func restore(into model: LanguageModel) async throws(ApusError) -> [UInt8]? {
    guard let session else { return nil }
    if let complaint = model.sessionComplaint { throw ApusError(.request, complaint) }
    let path = Input.expanded(session)
    guard access(path, F_OK) == 0 else { return nil }
    let (notes, tokens) = try await model.restoreSession(try Input.bytes(path), path: path)
    Terminal.note("apus: \(path) goes on: \(tokens) tokens are in the cache")
    return notes
  }

  /// The conversation that was kept along with the session, or nil where nothing has been said in it.
  func conversation(_ notes: [UInt8], system: String?) throws(ApusError) -> [Message]? {
    guard !notes.isEmpty else {
      throw ApusError(
        .request,
        "the session holds a plain text: 'apus run --raw' goes on with it; take another --session for a conversation"
      )
    }
    let messages = try Transcript(notes, path: "the session's conversation").messages
    guard system == nil || messages.isEmpty else {
      throw ApusError(
        .request, "the session's conversation has begun: leave --system out to go on with it")
    }
    return messages.isEmpty ? nil : messages
  }

  /// Writes the session, whole or not at all.
  func save(_ model: LanguageModel, notes: [UInt8]) async throws(ApusError) {
    guard let session else { return }
    // A conversation is nobody else's business.
    try Output.replace(
      Input.expanded(session), with: try await model.session(notes: notes), mode: 0o600)
  }
}
