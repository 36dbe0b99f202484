import Apus
import ArgumentParser

/// How many tokens are guessed.
struct SpeculationArguments: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Tokens at most that are guessed from the text and computed at once (0: none).",
      discussion: """
        What followed the last tokens where they occurred before is computed along with the token that was \
        picked, and what the model picks too takes no step of its own: faster where an answer repeats its prompt. \
        The text is the same. 15 is a good number; the page on speculation says why.
        """, valueName: "tokens"))
  var speculate = 0

  func validate() throws {
    var options = GenerationOptions()
    options.speculation = speculate
    if let complaint = options.complaint { throw ValidationError(complaint) }
  }

  /// Plans for steps that compute what is guessed.
  ///
  /// - Throws: `ValidationError` where the other options leave no room for it.
  func set(_ options: inout LoadOptions) throws {
    guard speculate > 0 else { return }
    guard options.kvPolicy == .full else {
      throw ValidationError(
        "--speculate computes several tokens at once, and --kv-policy \(options.kvPolicy.rawValue) chooses what "
          + "each one reads: leave one of them out")
    }
    guard speculate < options.batch else {
      throw ValidationError(
        "--speculate \(speculate) computes a token more at once, and a batch (-b) has \(options.batch)"
      )
    }
    options.outputRows = speculate + 1
  }
}

extension GenerationSummary {
  /// How many proposed tokens were right, for the line of timings; empty where none were to be proposed.
  func acceptance(_ options: GenerationOptions) -> String {
    options.speculation > 0
      ? " · \(acceptedTokens) of \(proposedTokens) proposed tokens accepted" : ""
  }
}
