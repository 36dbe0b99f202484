import Apus
import ArgumentParser

/// How many tokens are guessed.
struct SpeculationArguments: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Tokens at most that are guessed and computed at once (default: 0, none; with --draft \(Self.draftTokens)).",
      discussion: """
        What followed the last tokens where they occurred before, or what --draft says, is computed along with the \
        token that was picked, and what the model picks too takes no step of its own: faster where an answer repeats \
        its prompt. The text is the same. 15 is a good number without a draft; the page on speculation says why.
        """, valueName: "tokens"))
  var speculate: Int?

  @Option(
    name: [.long, .customLong("model-draft")],
    help: ArgumentHelp(
      "A smaller model with the same tokens that does the guessing.",
      discussion: "It runs on the same device, and memory has to hold both.", valueName: "model"))
  var draft: String?

  /// Tokens that a draft proposes where nobody says how many.
  private static let draftTokens = 8

  /// Tokens at most that are guessed.
  var tokens: Int { speculate ?? (draft == nil ? 0 : Self.draftTokens) }

  func validate() throws {
    var options = GenerationOptions()
    options.speculation = tokens
    if let complaint = options.complaint { throw ValidationError(complaint) }
    if draft != nil, tokens == 0 {
      throw ValidationError(
        "--speculate 0 proposes nothing that --draft could guess: leave one of them out")
    }
  }

  /// Plans for steps that compute what is guessed.
  ///
  /// - Throws: `ValidationError` where the other options leave no room for it.
  func set(_ options: inout LoadOptions) throws {
    guard tokens > 0 else { return }
    let name = draft == nil ? "--speculate" : "--draft"
    guard options.kvPolicy == .full else {
      throw ValidationError(
        "\(name) computes several tokens at once, and --kv-policy \(options.kvPolicy.rawValue) chooses what "
          + "each one reads: leave one of them out")
    }
    guard tokens < options.batch else {
      throw ValidationError(
        "--speculate \(tokens) computes a token more at once, and a batch (-b) has \(options.batch)"
      )
    }
    options.outputRows = tokens + 1
    options.draft = draft.map(Input.expanded)
  }
}

extension GenerationSummary {
  /// How many proposed tokens were right, for the line of timings; empty where none were to be proposed.
  func acceptance(_ options: GenerationOptions) -> String {
    options.speculation > 0
      ? " · \(acceptedTokens) of \(proposedTokens) proposed tokens accepted" : ""
  }
}
