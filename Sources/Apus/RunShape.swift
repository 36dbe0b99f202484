import Devices
import GGUF
import ModelGraph
import Models
import Planning
import Residency

/// The sizes of a run: what the user asked for, within what the model allows.
struct RunShape {
  /// Tokens that a conversation may hold.
  private(set) var context: Int
  /// Tokens that the model was trained for.
  private let trained: Int
  private var batch: Int
  private let outputs: Int
  private let element: KVLayout.Element
  private let rotates: Bool
  private let mode: LoadMode
  let policy: CachePolicy
  private let report: CacheReport
  /// The share of attention that a prompt's rows keep, in parts of ``TokenChoice/whole``, or nil for all of it.
  private let share: Int?

  /// Context where the user says nothing; the whole of a long-context model would take much memory.
  private static let defaultContext = 4096
  /// A context that no model was trained for ends here: a position times a frequency is in single precision.
  private static let farthest = 1 << 20
  /// A step of more rows would let a cancel wait for long.
  private static let largestBatch = 1 << 16

  /// Reads the model in a file for a run: what some models compute depends on the length of its
  /// context.
  static func read(
    _ file: GGUFFile, _ options: LoadOptions
  ) throws(ApusError) -> (model: Model, shape: RunShape) {
    let trained: Int
    do throws(ModelError) { trained = try Model.contextLength(of: file) } catch {
      throw ApusError(error)
    }
    let shape = try RunShape(options, trained: trained)
    do throws(ModelError) {
      return (
        try Model(
          file, activations: ActivationFormat(options.activations),
          contextLength: shape.promptLimit),
        shape
      )
    } catch { throw ApusError(error) }
  }

  private init(_ options: LoadOptions, trained: Int) throws(ApusError) {
    guard (1...Self.largestBatch).contains(options.batch) else {
      throw ApusError(.request, "a batch (-b) has 1 to \(Self.largestBatch) tokens")
    }
    policy = try CachePolicy(options)
    context = try Self.context(options.contextLength, trained, policy)
    self.trained = trained
    batch = options.batch
    outputs = options.outputRows
    element = KVLayout.Element(options.storedAs)
    rotates = options.kvRotated
    mode = options.mode
    report = options.cacheReport
    share = try options.keptShare()
    guard share == nil || policy.method == .full else {
      throw ApusError(
        .request,
        "--prefill-sparse zipvl does not go with --kv-policy \(policy.method.rawValue) yet: leave one out"
      )
    }
    guard !rotates || !element.keysByElement else {
      throw ApusError(
        .request,
        "--kv-rotate mixes the elements of keys, which --kv-type k2v2 keeps apart: leave one out")
    }
    guard share == nil || !element.hasCodes else {
      throw ApusError(
        .request,
        "--prefill-sparse zipvl does not go with keys and values as codes yet: take --kv-type f16, bf16 or f32"
      )
    }
  }

  private static func context(
    _ wanted: Int?, _ trained: Int, _ policy: CachePolicy
  ) throws(ApusError) -> Int {
    guard let wanted else { return min(trained, defaultContext) }
    guard wanted > 0 else { throw ApusError(.request, "a context (-c) of \(wanted) holds nothing") }
    guard policy.allows(context: wanted, trained: trained) else {
      throw ApusError(
        .request,
        "the model was trained for \(trained) tokens of context; -c \(wanted) is more, which generated tokens may "
          + "reach with --kv-policy sinks-turned and a --kv-budget of \(trained) at most")
    }
    guard wanted <= max(trained, farthest) else {
      throw ApusError(
        .request,
        "positions are told apart up to \(farthest) tokens; -c \(wanted) is more than that, and than the model was trained for"
      )
    }
    // Positions are 32-bit numbers on every device.
    guard wanted <= Int32.max else {
      throw ApusError(.request, "a context (-c) of \(wanted) is more than \(Int32.max)")
    }
    return wanted
  }

  /// Tokens of a prompt at most: a prompt reads all that it sees, and no more than the model was trained for.
  var promptLimit: Int { min(context, trained) }

  /// Tokens that are computed at once, at most.
  var rows: Int { min(batch, context) }

  /// The planner of this run.
  var planner: Planner {
    var planner = Planner(
      bounds: SymbolSizes(rows: rows, outputs: min(outputs, rows)),
      pageCount: (context + KVLayout.pageTokens - 1) / KVLayout.pageTokens, element: element)
    planner.rotates = rotates
    planner.keepsLatest = element.keepsLatest
    planner.mapsWeights = mode == .mmap
    planner.keepsChoices = report == .notes
    planner.reading = policy.pages.map {
      PageReading(
        // A row holds no more.
        pages: min($0, planner.pageCount),
        chooser: report == .replays && !policy.evicts ? .lists : policy.chooser,
        firstLayer: policy.denseLayers, window: policy.window,
        turnsSinks: policy.method == .sinksTurned && planner.pageCount > 1)
    }
    planner.sparsity = share.map {
      PromptSparsity(share: $0, probes: ObservedRows.count(of: rows))
    }
    return planner
  }

  /// What the user should know of how this model's keys are kept.
  func advice(for graph: Graph) -> [String] {
    let isCostly = element.keyBits < 8 && !element.keysByElement
    let hasBiases = graph.nodes.contains {
      if case .linear(let linear) = $0.op {
        linear.bias != nil && $0.label == "attn_k"
      } else {
        false
      }
    }
    guard isCostly, hasBiases else { return [] }
    return [
      "--kv-type \(element) costs this model much, more so with --kv-rotate, as its keys have biases: "
        + "--kv-type q8, or k2v2 for less memory, is nearer to f16"
    ]
  }

  /// The same run with a shorter context or smaller batches.
  func with(context: Int? = nil, batch: Int? = nil) -> RunShape {
    var shape = self
    shape.context = max(1, context ?? self.context)
    shape.batch = batch ?? self.batch
    return shape
  }
}

extension LoadOptions {
  /// How keys and values are kept. Half precision would be the one coarse rounding left in f32 arithmetic, so
  /// it takes somebody who asks for it.
  var storedAs: KVType { kvType ?? (activations == .f32 ? .f32 : .f16) }
}

extension LoadOptions {
  /// The share of a prompt's rows where nobody says another: ZipVL's own.
  public static let usualTau = 0.975

  /// The share of attention that a prompt's rows keep, or nil for all of it.
  fileprivate func keptShare() throws(ApusError) -> Int? {
    try checkTau(for: [kvPolicy])
    guard prefillSparsity == .zipvl else { return nil }
    return Int(((tau ?? Self.usualTau) * Double(TokenChoice.whole)).rounded(.up))
  }

  /// Whether `tau` is a share, and something takes it: the prompt's rows or one of these policies.
  func checkTau(for policies: [KVPolicy]) throws(ApusError) {
    guard let tau else { return }
    guard prefillSparsity == .zipvl || policies.contains(.zipvl) else {
      throw ApusError(
        .request, "--tau \(tau) goes with --prefill-sparse zipvl or --kv-policy zipvl")
    }
    guard tau > 0, tau <= 1 else {
      throw ApusError(
        .request, "--tau is a share of attention: above 0 and 1 at most, not \(tau)")
    }
  }
}

extension KVLayout.Element {
  fileprivate init(_ type: KVType) {
    switch type {
    case .f16: self = .f16
    case .bf16: self = .bf16
    case .f32: self = .f32
    case .i16: self = .i16
    case .q8: self = .q8
    case .q4: self = .q4
    case .k4v2: self = .k4v2
    case .k2v2: self = .k2v2
    }
  }
}

extension KVLayout.Element {
  /// Whether it loses so much that rows read the tokens of their own window as they came.
  fileprivate var keepsLatest: Bool { keyBits < 8 }
}

extension LoadOptions {
  /// Pages of a window that rows read in any case.
  var windowPages: Int {
    KVLayout.Element(storedAs).keepsLatest ? Planner.latestTokens / KVLayout.pageTokens : 1
  }
}

extension CachePolicy {
  /// Whether a text may have so many tokens, with a model that was trained for `trained`.
  func allows(context: Int, trained: Int) -> Bool {
    context <= trained
      || keepsDistancesShort && (pages ?? 0) * KVLayout.pageTokens <= trained
  }

  /// Who knows which pages are read.
  fileprivate var chooser: PageReading.Chooser {
    if evicts { return .mass(rows: observedRows) }
    return method == .quest ? .scores : .step
  }

  /// The policy that a user asks for.
  fileprivate init(_ options: LoadOptions) throws(ApusError) {
    let method: Method =
      switch options.kvPolicy {
      case .full: .full
      case .sinks: .sinks
      case .sinksTurned: .sinksTurned
      case .quest: .quest
      case .h2o: .h2o
      case .snapkv: .snapkv
      case .pyramid: .pyramid
      case .zipvl: .zipvl
      case .random: .random
      }
    do throws(PolicyError) {
      try self.init(
        method, budget: options.kvBudget, pageTokens: KVLayout.pageTokens,
        window: options.windowPages, share: options.tau ?? 1)
    } catch { throw ApusError(.request, "\(error)") }
  }
}
