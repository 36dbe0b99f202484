import Devices
import GGUF
import ModelGraph
import Models
import Planning
import Runtime
import Tensors

/// A smaller model that guesses what another will pick: its file, read and not loaded yet.
struct DraftModel: Sendable {
  let model: Model
  let shape: RunShape
  let options: LoadOptions
  private let file: GGUFFile

  /// Reads what ``LoadOptions/draft`` names.
  ///
  /// - Parameters:
  ///   - options: How the model is loaded for which it guesses.
  ///   - target: The file of that model.
  ///   - context: Tokens that a conversation may hold.
  /// - Returns: Nil where nothing is named.
  /// - Throws: ``ApusError`` where it cannot be read or has other tokens.
  static func read(
    _ options: LoadOptions, for target: GGUFFile, context: Int
  ) throws(ApusError) -> DraftModel? {
    guard let path = options.draft else { return nil }
    let file = try GGUFFile.open(path)
    try checkTokens(of: file, against: target)
    let trained: Int
    do throws(ModelError) { trained = try Model.contextLength(of: file) } catch {
      throw ApusError(error)
    }
    var options = options.with(.full)
    options.draft = nil
    // It guesses behind one token at a time; where its context ends, nothing is guessed any more.
    options.outputRows = 1
    options.contextLength = min(context, trained)
    let (model, shape) = try RunShape.read(file, options)
    return DraftModel(model: model, shape: shape, options: options, file: file)
  }

  /// Brings the draft to the device of the model for which it guesses. To be called on the engine's thread.
  ///
  /// - Parameters:
  ///   - loop: That model.
  ///   - budget: The memory that is left.
  /// - Returns: What the user should know about the choice of devices.
  /// - Throws: ``ApusError`` where there is no room for it, or the device fails.
  func load(into loop: EngineLoop, _ budget: MemoryBudget) throws(ApusError) -> [String] {
    var options = options
    let name = loop.traits[loop.plan.logits.device].name
    options.device = DeviceChoice(name) ?? options.device
    do throws(ApusError) {
      let opened = try DeviceOpener(options: options).open(
        model.graph, shape,
        weights: options.mode == .copy ? file.reader(of: model.graph.weights) : file,
        budget: budget)
      loop.draft = opened.loop
      return opened.notices.map { "the draft model: \($0)" }
    } catch { throw ApusError(error.kind, "the draft model: \(error)") }
  }

  /// Refuses a draft whose tokens are others: it would guess numbers that mean something else. One vocabulary may have
  /// more at its end, which files are filled up with.
  private static func checkTokens(
    of draft: GGUFFile, against target: GGUFFile
  ) throws(ApusError) {
    let (own, others): ([String], [String])
    do throws(GGUFError) {
      own = try draft.texts("tokenizer.ggml.tokens") ?? []
      others = try target.texts("tokenizer.ggml.tokens") ?? []
    } catch { throw ApusError(error) }
    let advice =
      "a draft model (--draft) needs the tokens of the model for which it guesses: "
      + "take a smaller one of the same family"
    guard !own.isEmpty else { throw ApusError(.model, "\(draft.path) has no tokens; \(advice)") }
    guard let place = zip(own, others).enumerated().first(where: { $1.0 != $1.1 })?.offset else {
      return
    }
    throw ApusError(
      .model,
      "token \(place) is \"\(own[place])\" in \(draft.path), and \"\(others[place])\" in \(target.path); "
        + advice)
  }
}
