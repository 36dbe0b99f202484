import Devices
import Models
import Planning
import Runtime
import Synchronization
import Tensors

/// An engine that runs, and what its thread reported when it had made its memory.
struct StartedEngine: Sendable {
  var engine: Engine
  var plan: ExecutionPlan
  var devices: [DeviceTraits]
  /// What the user should know about the choice of devices.
  var notices: [String]

  private struct Report: Sendable {
    var plan: ExecutionPlan
    var devices: [DeviceTraits]
    var notices: [String]
  }

  /// The device that computes the output.
  var device: DeviceDescription { DeviceDescription(devices[plan.logits.device]) }

  /// Opens devices for a model and brings its weights there, on a thread of its own.
  ///
  /// - Parameters:
  ///   - model: The model.
  ///   - shape: The sizes of its run.
  ///   - options: Device, threads and limits.
  ///   - weights: Where weights come from.
  ///   - draft: What guesses for it, or nil.
  /// - Returns: The engine, with the model's memory made and its weights in place.
  /// - Throws: ``ApusError`` where no device takes the model.
  static func start(
    _ model: Model, _ shape: RunShape, _ options: LoadOptions, weights: any WeightSource,
    draft: DraftModel? = nil
  ) async throws(ApusError) -> StartedEngine {
    // Handed over, and not kept by the closure: whoever needs no mapping lets it go.
    let handover = Mutex<(any WeightSource)?>(weights)
    let draftHandover = Mutex<DraftModel?>(draft)
    let report = Mutex<Report?>(nil)
    let engine = try await Engine { () throws(ApusError) in
      guard let weights = handover.withLock({ $0.take() }) else {
        preconditionFailure("an engine is made once")
      }
      let budget = MemoryBudget(options)
      let opened = try DeviceOpener(options: options).open(
        model.graph, shape, weights: weights, budget: budget)
      let loop = opened.loop
      var notices = opened.notices
      if let draft = draftHandover.withLock({ $0.take() }) {
        notices += try draft.load(into: loop, budget.beside(loop.plan, on: loop.traits))
      }
      report.withLock {
        $0 = Report(plan: loop.plan, devices: loop.traits, notices: notices)
      }
      return loop
    }
    guard let report = report.withLock({ $0 }) else {
      preconditionFailure("an engine that started has a plan")
    }
    return StartedEngine(
      engine: engine, plan: report.plan, devices: report.devices, notices: report.notices)
  }

  /// The same as a value, for who does other things meanwhile.
  static func result(
    _ model: Model, _ shape: RunShape, _ options: LoadOptions, weights: any WeightSource,
    draft: DraftModel?
  ) async -> Result<StartedEngine, ApusError> {
    do throws(ApusError) {
      return .success(try await start(model, shape, options, weights: weights, draft: draft))
    } catch { return .failure(error) }
  }
}
