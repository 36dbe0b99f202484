import CPUBackend
import Devices
import GGUF
import ModelGraph
import Models
import Planning
import Residency
import Runtime
import Tensors

/// What to time, as llama-bench names it: `pp512` is a prompt of 512 tokens that are computed together,
/// `tg128` are 128 tokens that come one by one; with ` @ d2048` behind 2048 tokens in the cache.
public struct BenchmarkTest: Sendable, Hashable, CustomStringConvertible {
  /// Tokens of a prompt.
  public var prompt: Int
  /// Tokens that are generated behind it.
  public var generated: Int
  /// Tokens in the cache before the clock starts.
  public var depth: Int

  /// A test of at least one token.
  public init(prompt: Int = 0, generated: Int = 0, depth: Int = 0) {
    self.prompt = prompt
    self.generated = generated
    self.depth = depth
  }

  /// Tokens that are counted.
  public var tokens: Int { prompt + generated }

  /// The test's name.
  public var description: String {
    let parts = [prompt > 0 ? "pp\(prompt)" : nil, generated > 0 ? "tg\(generated)" : nil]
    return parts.compactMap { $0 }.joined(separator: "+") + (depth > 0 ? " @ d\(depth)" : "")
  }
}

/// How long the repetitions of a test took.
public struct BenchmarkResult: Sendable {
  /// What was timed.
  public var test: BenchmarkTest
  /// A duration for each repetition; none where the run was stopped before the first was over.
  public var durations: [Duration]

  /// Nanoseconds of each repetition.
  public var nanoseconds: [Double] { durations.map { $0 / .nanoseconds(1) } }
  /// Tokens per second of each repetition.
  public var tokensPerSecond: [Double] { nanoseconds.map { Double(test.tokens) / ($0 * 1e-9) } }
}

/// The host's processor, for reports.
public struct HostProcessor: Sendable {
  /// The brand that it reports.
  public var name: String
  /// The instruction set that the CPU backend uses on it: `portable`, `avx2`, `avx512-vnni`, ….
  public var instructionSet: String
  /// CPUs that this process may use.
  public var usableCPUs: Int

  /// The processor of this machine.
  public static var current: HostProcessor {
    HostProcessor(
      name: Processor.name, instructionSet: InstructionSet.best.name,
      usableCPUs: Processor.usableCPUs)
  }
}

/// A model that is loaded to be timed. It needs no vocabulary and no text: tokens are numbers that are
/// the same in every run.
///
/// ```swift
/// let benchmark = try await Benchmark.load("model.gguf")
/// let result = try await benchmark.time(BenchmarkTest(prompt: 512), repetitions: 5)
/// print(result.tokensPerSecond)
/// await benchmark.close()
/// ```
public final class Benchmark: Sendable {
  /// The model's name.
  public let name: String
  /// The architecture that the file names: `llama`, ….
  public let architecture: String
  /// The element type that most bytes of the weights have.
  public let elementType: String
  /// Numbers in all weights.
  public let parameterCount: Int
  /// Bytes of all weights in the file's layout.
  public let weightBytes: Int
  /// Where the model runs.
  public let device: DeviceDescription
  /// What the user should know: devices that were passed over, and why.
  public let notices: [String]
  /// Tokens of context.
  public let contextLength: Int
  /// Tokens of a prompt that are computed at once, at most.
  public let batch: Int
  /// How keys and values are kept.
  public let kvType: KVType
  /// Whether their elements are mixed before.
  public let kvRotated: Bool
  /// Which tokens of the cache a new token reads, and how many at most.
  public let kvPolicy: KVPolicy
  /// Nil where it reads all.
  public let kvBudget: Int?
  private let reads: DecodeReads?
  private let started: StartedEngine

  private init(
    _ model: Model, _ shape: RunShape, _ started: StartedEngine, _ options: LoadOptions
  ) {
    (kvPolicy, kvBudget) = (options.kvPolicy, options.kvBudget)
    (kvType, kvRotated) = (options.storedAs, options.kvRotated)
    name = model.name
    architecture = model.architecture
    parameterCount = model.parameterCount
    weightBytes = model.weightBytes
    var bytes: [ElementType: Int] = [:]
    for weight in model.graph.weights { bytes[weight.type, default: 0] += weight.bytes }
    let most = bytes.max { ($0.value, $1.key.rawValue) < ($1.value, $0.key.rawValue) }
    elementType = most?.key.name ?? ""
    device = started.device
    notices = started.notices
    contextLength = shape.context
    batch = started.plan.bounds.rows
    reads =
      shape.policy.share < 1
      ? nil
      : DecodeReads(
        model.graph, shape.planner.reading, element: shape.planner.element,
        keepsLatest: started.plan.stepLayout.keepsLatest)
    self.started = started
  }

  /// Loads a GGUF file.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - options: Device, context, threads and arithmetic, as for ``LanguageModel``.
  /// - Returns: The model, ready to be timed.
  /// - Throws: ``ApusError`` saying what to do.
  public static func load(
    _ path: String, options: LoadOptions = LoadOptions()
  ) async throws(ApusError) -> Benchmark {
    let file = try GGUFFile.open(path)
    let (model, shape) = try RunShape.read(file, options)
    let started = try await StartedEngine.start(
      model, shape, options,
      weights: options.mode == .copy ? file.reader(of: model.graph.weights) : file)
    return Benchmark(model, shape, started, options)
  }

  /// Makes a model of random weights, without a file. Weights are made one after the other and lie on
  /// the device only.
  ///
  /// - Parameters:
  ///   - shape: What it is like.
  ///   - options: As for a file; weights are never mapped.
  /// - Returns: The model, ready to be timed.
  /// - Throws: ``ApusError`` saying what to do.
  public static func random(
    _ shape: RandomModelShape, options: LoadOptions = LoadOptions()
  ) async throws(ApusError) -> Benchmark {
    var options = options
    options.mode = .copy
    let file: GGUFFile
    do throws(ModelError) { file = try shape.shape.file(of: shape.type) } catch {
      throw ApusError(error)
    }
    let (model, run) = try RunShape.read(file, options)
    let started = try await StartedEngine.start(
      model, run, options, weights: RandomWeights(model.graph.weights))
    return Benchmark(model, run, started, options)
  }

  /// Bytes that one token reads: all matrices, and keys and values of the tokens that it sees.
  ///
  /// Weights count as they are in the file; of the embedding only one row is read. Nil where a share of attention says how
  /// many tokens are read (``KVPolicy/zipvl`` with ``LoadOptions/tau``), which depends on the text.
  public func bytesRead(byTokenAt depth: Int) -> Int? { reads?.bytes(at: depth) }

  /// Times a test.
  ///
  /// - Parameters:
  ///   - test: What to time; depth and tokens must fit into ``contextLength``.
  ///   - repetitions: How often.
  ///   - warmsUp: Whether a run that is not counted goes first.
  ///   - isCancelled: Asked before every step, on the engine's thread.
  /// - Returns: How long the repetitions took.
  /// - Throws: ``ApusError`` where the test does not fit or the device fails.
  public func time(
    _ test: BenchmarkTest, repetitions: Int, warmsUp: Bool = true,
    until isCancelled: @escaping @Sendable () -> Bool = { false }
  ) async throws(ApusError) -> BenchmarkResult {
    try await time(
      test, repetitions: repetitions, warmsUp: warmsUp, until: isCancelled, pace: { _ in true })
  }

  /// The same, asking before each repetition whether and when to go on, with how long the last one took.
  package func time(
    _ test: BenchmarkTest, repetitions: Int, warmsUp: Bool,
    until isCancelled: @escaping @Sendable () -> Bool,
    pace: @escaping @Sendable (Duration?) -> Bool
  ) async throws(ApusError) -> BenchmarkResult {
    guard test.prompt >= 0, test.generated >= 0, test.depth >= 0, test.tokens > 0, repetitions > 0
    else {
      throw ApusError(
        .request, "a test has at least one token, a depth of 0 or more, and runs once or more")
    }
    let request = TimingRequest(
      depth: test.depth, prompt: test.prompt, generated: test.generated, repetitions: repetitions,
      warmsUp: warmsUp)
    do throws(EngineError) {
      let durations = try await started.engine.perform { loop throws(EngineError) in
        try loop.time(request, isCancelled: isCancelled, pace: pace)
      }
      return BenchmarkResult(test: test, durations: durations)
    } catch { throw ApusError(error) }
  }

  /// Bytes a second that the device reads from memory at this moment, in order and with as many threads
  /// as the model uses; nil for a device of which that says nothing. It takes a second or two.
  ///
  /// Generating reads all weights for each token, so this is its limit; and it drifts, since others use
  /// the same memory.
  public func measureBandwidth() async throws(ApusError) -> Double? {
    do throws(EngineError) {
      return try await started.engine.perform { loop throws(EngineError) in
        try loop.measureBandwidth()
      }
    } catch { throw ApusError(error) }
  }

  /// What the model has allocated, as the allocators counted it.
  public func memory() async -> MemoryUsage {
    MemoryUsage(await started.engine.perform { $0.memory }, started.plan)
  }

  /// Frees the device and waits until that is done. The model must not be used afterwards.
  public func close() async { await started.engine.shutDown() }
}

/// What decoding reads for each token.
private struct DecodeReads: Sendable {
  private var weights = 0
  /// How a layer keeps a token, and how far it looks back.
  private var layers: [(layout: KVLayout, window: Int?, pages: PageReading?)] = []
  /// Whether tokens of a row's own window are read as they came.
  private let keepsLatest: Bool

  init(
    _ graph: Graph, _ reading: PageReading?, element: KVLayout.Element, keepsLatest: Bool
  ) {
    self.keepsLatest = keepsLatest
    for node in graph.nodes {
      switch node.op {
      case .embedRows(let embed): weights += embed.table.rowBytes
      case .attention(let attention):
        layers.append(
          (
            KVLayout(
              headCount: attention.kvHeadCount, headWidth: attention.headWidth, element: element),
            attention.window,
            reading.flatMap {
              $0.chooses(layer: node.layer ?? 0, window: attention.window) ? $0 : nil
            }
          ))
      default: weights += node.op.weights.reduce(0) { $0 + $1.bytes }
      }
    }
  }

  func bytes(at depth: Int) -> Int {
    layers.reduce(weights) { sum, layer in
      let most = layer.window ?? layer.pages.map { $0.pages * KVLayout.pageTokens } ?? depth
      let bounds = most < depth && layer.pages?.chooser == .scores ? KVLayout.pages(depth) : 0
      let own = keepsLatest ? depth % Planner.latestTokens : 0
      return sum + own * (layer.layout.latest.tokenBytes - layer.layout.tokenBytes)
        + min(depth, most) * layer.layout.tokenBytes + bounds * layer.layout.boundsBytes
    }
  }
}
