import Devices
import GGUF
import ModelGraph
import Models
import Planning
import Runtime
import Tensors

/// What a model would take, before any of it is allocated: the same plan that loading it carries out,
/// added up.
///
/// Devices are opened to be asked for their layouts; no weight is read and no kernel compiled.
public struct MemoryPlan: Sendable {
  /// What one device would hold, in bytes.
  public struct DeviceNeed: Sendable, Hashable {
    /// The device: `opencl:0`, `cpu`, `reference`.
    public var device: String
    /// Weights in the device's own layout, in its buffers.
    public var weights: Int
    /// Weights that are read where the file is mapped.
    public var mapped: Int
    /// Keys and values of the context.
    public var cache: Int
    /// Values of a step.
    public var scratch: Int
    /// What loading takes on the host: a part of one weight, as it is in the file and as the device
    /// wants it.
    public var staging: Int
    /// The most at any time while the model is loaded.
    public var loadPeak: Int
  }

  /// One choice of a device, with those that would help it out.
  public struct Choice: Sendable {
    /// The devices that would hold something.
    public var devices: [DeviceNeed]
    /// The most that a value takes on the host when it is copied there: logits, mostly.
    public var readBack: Int
    /// The most at any time, everything included.
    public var peak: Int
    /// Why it does not fit and what would, or nil where it fits.
    public var shortage: String?
    /// What to expect where it fits barely, or nil.
    public var remark: String?
    /// Bytes that the process gained when the device was opened, or nil where the system does not
    /// say. They are in no other figure.
    public var opening: Int?
  }

  /// The model's name.
  public let name: String
  /// Numbers in all weights.
  public let parameterCount: Int
  /// Bytes of all weights in the file.
  public let weightBytes: Int
  /// The draft model's name (``LoadOptions/draft``), or nil where there is none. What it takes is in all figures of
  /// ``choices``.
  public let draft: String?
  /// Tokens of context.
  public let contextLength: Int
  /// Tokens that are computed at once, at most.
  public let batch: Int
  /// Bytes of keys and values that one token more of context takes, the draft model's among them. Layers that look
  /// back over a window only need no more for it.
  public let cacheBytesPerToken: Int
  /// Bytes that the host has left, or nil where the system does not say.
  public let hostMemory: Int?
  /// For each device that may be taken, in order; at least one.
  public let choices: [Choice]
  /// Devices that cannot be opened or do not run the model, and why.
  public let problems: [String]
  /// Bytes that OpenCL's drivers took together when they were loaded, or nil where there are none or
  /// the system does not say.
  public let drivers: Int?

  /// Plans a model.
  ///
  /// - Parameters:
  ///   - path: A GGUF file.
  ///   - options: As for ``LanguageModel/load(_:options:)``. With the device `auto`, every device
  ///     but the reference is a choice.
  /// - Throws: ``ApusError`` where the file is no model that Apus runs, no device takes it, or options
  ///   contradict it.
  public init(path: String, options: LoadOptions = LoadOptions()) throws(ApusError) {
    let file = try GGUFFile.open(path)
    let (model, shape) = try RunShape.read(file, options)
    let draft = try DraftModel.read(options, for: file, context: shape.context)
    let budget = MemoryBudget(options)
    var problems: [String] = []
    let opener = DeviceOpener(options: options)
    let before = SystemMemory.footprint
    drivers = opener.loadsDrivers() ? SystemMemory.growth(since: before) : nil
    let candidates = opener.candidates(&problems)
    let firsts =
      switch options.device {
      case .auto: candidates.filter { $0.name != "reference" }
      default: Array(candidates.prefix(1))
      }
    var choices: [Choice] = []
    var (cacheBytes, rows) = (0, 0)
    for first in firsts {
      let before = SystemMemory.footprint
      var devices: [any Device] = []
      do throws(DeviceError) { devices = [try first.open()] } catch {
        problems.append("\(error)")
        continue
      }
      let opening = SystemMemory.growth(since: before)
      var helpers = candidates.drop { $0.name != first.name }.dropFirst()
      if !options.allowsFallback { helpers = [] }
      do throws(PlanningError) {
        let plan = try Self.plan(model.graph, shape.planner, &devices, helpers)
        var plans = [plan]
        if let draft {
          plans.append(try Self.plan(draft.model.graph, draft.shape.planner, &devices, helpers))
        }
        let traits = devices.map(\.traits)
        var shortage = budget.shortage(of: plan, on: traits).map {
          "\($0); \(budget.remedy(model.graph, shape, on: devices))"
        }
        if let draft, shortage == nil {
          let rest = budget.beside(plan, on: traits)
          shortage = rest.shortage(of: plans[1], on: traits).map {
            "the draft model: \($0); \(rest.remedy(draft.model.graph, draft.shape, on: devices))"
          }
        }
        choices.append(
          Choice(
            devices: traits.indices.map { index in
              let need = plans.reduce(MemoryNeed()) { $0 + $1.need(on: index) }
              return DeviceNeed(need, traits[index])
            },
            readBack: plans.map(\.readBack).max() ?? 0, peak: ExecutionPlan.peak(of: plans),
            shortage: shortage,
            remark: shortage == nil ? budget.remark(on: plan, on: traits) : nil, opening: opening))
        cacheBytes = plans.reduce(0) { $0 + $1.cacheBytesPerToken }
        rows = plan.bounds.rows
      } catch { problems.append("\(error)") }
    }
    if choices.isEmpty { throw ApusError(.device, problems.joined(separator: "; ")) }
    name = model.name
    self.draft = draft?.model.name
    parameterCount = model.parameterCount
    weightBytes = model.weightBytes
    contextLength = shape.context
    batch = rows
    cacheBytesPerToken = cacheBytes
    hostMemory = budget.host
    self.choices = choices
    self.problems = problems
  }
}

extension MemoryPlan {
  /// Plans on the first device and as many of those behind it as are needed.
  private static func plan(
    _ graph: Graph, _ planner: Planner, _ devices: inout [any Device],
    _ helpers: ArraySlice<DeviceOpener.Candidate>
  ) throws(PlanningError) -> ExecutionPlan {
    for helper in helpers {
      do throws(PlanningError) { return try planner.plan(graph, on: devices) } catch {
        guard case .unplaced = error else { throw error }
      }
      // One that cannot be opened cannot help.
      if let device = try? helper.open() { devices.append(device) }
    }
    return try planner.plan(graph, on: devices)
  }
}

extension MemoryPlan.DeviceNeed {
  fileprivate init(_ need: MemoryNeed, _ traits: DeviceTraits) {
    device = traits.name
    weights = need.weights
    mapped = need.mapped
    cache = need.cache
    scratch = need.scratch
    staging = need.staging
    loadPeak = need.loadPeak
  }
}

/// What a loaded model has allocated, in bytes, as the allocators counted it. A driver's own memory is
/// not in it.
public struct MemoryUsage: Sendable, Hashable {
  /// The most that was in buffers, on all devices together.
  public var buffers: Int
  /// Weights that are read where the file is mapped.
  public var mapped: Int
  /// The most that loading took on the host beside them.
  public var staging: Int
  /// The most that a value took on the host when it was copied there.
  public var readBack: Int

  init(_ use: MemoryUse, _ plan: ExecutionPlan) {
    buffers = use.devices.reduce(0) { $0 + $1.buffers }
    mapped = plan.maps.reduce(0) { $0 + $1.weight.bytes }
    staging = use.devices.map(\.staging).max() ?? 0
    readBack = use.readBack
  }

  /// What two models take that are loaded one after the other.
  static func + (a: MemoryUsage, b: MemoryUsage) -> MemoryUsage {
    var sum = a
    sum.buffers += b.buffers
    sum.mapped += b.mapped
    sum.staging = max(a.staging, b.staging)
    sum.readBack = max(a.readBack, b.readBack)
    return sum
  }

  /// What was allocated at most, which ``MemoryPlan/Choice/allocated`` foretells.
  public var allocated: Int { buffers + max(staging, readBack) }
}

extension MemoryPlan.Choice {
  /// What will be allocated at most: everything but mapped weights, the driver's own memory, and the lists of steps
  /// that are one launch (``PersistentKernel``), which take some hundred kilobytes.
  public var allocated: Int { peak - devices.reduce(0) { $0 + $1.mapped } }
}

/// A loaded model held against its plan.
public struct MemoryCheck: Sendable {
  /// What was allocated.
  public var usage: MemoryUsage
  /// Memory of its own that the process gained when the device was opened and its kernels were
  /// compiled, before the model: the driver's baseline. Nil where the system does not say.
  public var driver: Int?
  /// Memory of its own that the process gained after that, by loading the model and running a step.
  /// Drivers may hold buffers that were never written to in no memory at all.
  public var own: Int?
  /// Pages of mapped files that the process gained with the model.
  public var file: Int?
}

extension MemoryPlan {
  /// Loads the model on one device, runs one step and counts.
  ///
  /// - Parameters:
  ///   - path: A GGUF file.
  ///   - options: As for the plan, with one device.
  /// - Returns: What was planned, and what was counted.
  /// - Throws: ``ApusError`` where the model does not load there.
  public static func check(
    path: String, options: LoadOptions
  ) async throws(ApusError) -> MemoryCheck {
    let start = SystemMemory.footprint
    try DeviceOpener(options: options).warmUp(path)
    let driver = SystemMemory.growth(since: start)
    let before = SystemMemory.footprint
    let model = try await LanguageModel.load(path, options: options)
    let result: Result<MemoryCheck, ApusError>
    do throws(ApusError) {
      try await model.runOneStep()
      let after = SystemMemory.footprint
      let own = SystemMemory.growth(since: before)
      let file = before.flatMap { before in after.map { $0.file - before.file } }
      result = .success(
        MemoryCheck(usage: await model.memory(), driver: driver, own: own, file: file))
    } catch { result = .failure(error) }
    await model.close()
    return try result.get()
  }
}

extension LanguageModel {
  /// A few tokens: all memory was made before, and devices that interpret kernels are slow.
  fileprivate func runOneStep() async throws(ApusError) {
    do throws(EngineError) {
      let rows = min(plan.bounds.rows, 16)
      try await engine.perform { loop throws(EngineError) in
        try loop.evaluate(
          [Int32](repeating: 0, count: rows), wantedFrom: max(0, rows - loop.plan.bounds.outputs)
        ) { _, _ in }
      }
    } catch { throw ApusError(error) }
  }
}
