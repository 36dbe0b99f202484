package import Devices
import GGUF
package import ModelGraph
package import Models
package import Planning
package import Runtime
import Residency
import Sampling
import Synchronization
import Tensors
import Tokenization

/// A language model, loaded and ready to speak.
///
/// ```swift
/// let model = try await LanguageModel.load("model.gguf")
/// for try await event in model.generate(.chat(user: "Why is the sky blue?", system: nil)) {
///   if case .text(let piece) = event { print(piece, terminator: "") }
/// }
/// await model.close()
/// ```
public final class LanguageModel: Sendable {
  /// The model's name, as its file gives it.
  public let name: String
  /// Tokens that a conversation may hold.
  public let contextLength: Int
  /// Those of them that a prompt may have. Fewer than ``contextLength`` where that is longer than what the model was
  /// trained for, which takes ``KVPolicy/sinksTurned``.
  public let promptLimit: Int
  /// What the user should know: devices that were passed over, and why.
  public let notices: [String]
  /// Where the model runs.
  public let device: DeviceDescription
  /// The file.
  let path: String
  package let model: Model
  package let text: ModelText
  package let engine: Engine
  package let plan: ExecutionPlan
  package let devices: [DeviceTraits]
  /// Which tokens of the cache a new token reads.
  public let policy: KVPolicy
  let cachePolicy: CachePolicy
  /// The share of attention that a prompt's rows keep; 1 where they attend to all tokens.
  public let tau: Double
  /// Whether prompts that begin alike share what is computed of them.
  public let sharesPrefixes: Bool
  /// DRY's breakers in tokens, as they were last asked for.
  let breakers = Mutex<[[String]: [Int32: [[Int32]]]]>([:])

  private init(
    _ path: String, _ model: Model, _ text: ModelText, _ started: StartedEngine,
    _ shape: RunShape, _ options: LoadOptions
  ) {
    self.path = path
    policy = options.kvPolicy
    tau = options.prefillSparsity == .zipvl ? options.tau ?? LoadOptions.usualTau : 1
    sharesPrefixes = options.sharesPrefixes
    name = model.name
    (contextLength, promptLimit) = (shape.context, shape.promptLimit)
    cachePolicy = shape.policy
    notices = started.notices
    device = DeviceDescription(started.devices[started.plan.logits.device])
    self.model = model
    self.text = text
    engine = started.engine
    plan = started.plan
    devices = started.devices
  }

  /// Loads a GGUF file.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - options: Device, context, threads and arithmetic.
  /// - Returns: The model, with its memory made and its weights in place.
  /// - Throws: ``ApusError`` saying what to do.
  public static func load(
    _ path: String, options: LoadOptions = LoadOptions()
  ) async throws(ApusError) -> LanguageModel {
    // Drivers begin while the file is read.
    async let prepared: Void = DeviceOpener(options: options).prepare()
    let file = try GGUFFile.open(path)
    let (model, shape) = try RunShape.read(file, options)
    let draft = try DraftModel.read(options, for: file, context: shape.context)
    // Weights are brought while the vocabulary is read.
    async let start = StartedEngine.result(
      model, shape, options,
      weights: options.mode == .copy ? file.reader(of: model.graph.weights) : file, draft: draft)
    let text = Result { () throws(ApusError) in
      let text = try ModelText(file)
      try text.check(against: model)
      return text
    }
    await prepared
    let started = await start
    if case .failure = text, case .success(let started) = started {
      await started.engine.shutDown()
    }
    return LanguageModel(
      path, model, try text.get(), try started.get(), shape, options)
  }

  /// Whether the file brings a chat template.
  public var hasChatTemplate: Bool { text.templateSource != nil }

  /// What the model has allocated, as the allocators counted it.
  public func memory() async -> MemoryUsage {
    await engine.perform { loop in
      let own = MemoryUsage(loop.memory, loop.plan)
      return loop.draft.map { own + MemoryUsage($0.memory, $0.plan) } ?? own
    }
  }

  /// Frees the device and waits until that is done. The model must not be used afterwards.
  public func close() async { await engine.shutDown() }
}

/// The device that computes a model's output.
public struct DeviceDescription: Sendable {
  /// `opencl:0`, `cpu`, `reference`.
  public let name: String
  /// The hardware, as the driver names it.
  public let hardware: String
  /// Driver and version.
  public let driver: String

  package init(_ traits: DeviceTraits) {
    name = traits.name
    hardware = traits.hardware
    driver = traits.driver
  }
}

extension ActivationFormat {
  package init(_ activations: Activations) {
    self =
      switch activations {
      case .int8: .int8
      case .f32: .f32
      }
  }
}
