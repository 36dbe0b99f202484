import Devices
import GGUF
import Models
import Planning
import Runtime
import Tokenization

/// Why something could not be done, with a sentence that says what to do about it.
public struct ApusError: Error, Sendable, CustomStringConvertible {
  /// What kind of thing is at fault.
  public enum Kind: String, Sendable {
    /// A model file that cannot be opened, or is damaged.
    case file
    /// A sound file with a model that Apus does not run.
    case model
    /// A device that is absent, refuses or fails.
    case device
    /// A request that cannot be served: too long, empty, contradictory.
    case request
  }

  /// What is at fault.
  public let kind: Kind
  /// The sentence.
  public let description: String

  /// An error of a kind.
  public init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }

  init(_ error: GGUFError) { self.init(.file, error.description) }

  init(_ error: ModelError) {
    if case .file(let error) = error { self.init(error) } else { self.init(.model, "\(error)") }
  }

  init(_ error: DeviceError) { self.init(.device, error.description) }

  init(_ error: PlanningError) { self.init(.device, error.description) }

  init(_ error: EngineError) {
    switch error {
    case .device, .planning, .notANumber: self.init(.device, error.description)
    case .weights: self.init(.file, error.description)
    case .scheduling, .emptyPrompt, .promptTooLong, .promptBeyondModel, .tokenOutOfRange,
      .tooManyProposals, .proposalsUnderPolicy:
      self.init(.request, error.description)
    }
  }

  init(_ error: TokenizationError, path: String) {
    self.init(.model, "\(path): \(error.description)")
  }

  init(_ error: TemplateError, path: String) {
    self.init(.model, "\(path): the chat template fails: \(error.description); --raw does without")
  }
}
