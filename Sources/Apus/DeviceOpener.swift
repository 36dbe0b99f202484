import CPUBackend
import Devices
import DiskCache
import GGUF
import ModelGraph
import Models
import OpenCLBackend
import Planning
import ReferenceBackend
import Runtime
import Tensors

/// Finds devices in the order in which they are tried, checks them, and plans a model on them.
///
/// Beside `DeviceInventory`, which lists them for people, the only place that knows which backends
/// exist.
struct DeviceOpener {
  let options: LoadOptions

  /// Where built programs and verdicts are kept, if that is wanted and possible.
  private var programs: DiskCache? {
    options.usesDiskCache ? try? ProgramStore.shared.get() : nil
  }

  /// A device that may be tried.
  struct Candidate {
    var name: String
    var open: () throws(DeviceError) -> any Device
  }

  /// A model with its memory made, and what the user should know about the choice of devices.
  struct Opened {
    var loop: EngineLoop
    var notices: [String]
  }

  /// Opens as few devices as the model needs: the first in order that works, and later ones only
  /// for operations that it declines. What does not fit is refused before anything is allocated.
  func open(
    _ graph: Graph, _ shape: RunShape, weights: any WeightSource, budget: MemoryBudget
  ) throws(ApusError) -> Opened {
    let keys = try operations(of: graph, shape.planner)
    let test = SelfTest(verdicts: programs)
    var devices: [any Device] = []
    var problems: [String] = []
    var remedy: String?
    // What is wrong with tunings changes no results.
    var complaints: [String] = []
    for candidate in candidates(&problems) {
      if !options.allowsFallback, let problem = problems.first {
        throw ApusError(
          .device, "\(problem)\(remedy.map { "; \($0)" } ?? "") (--no-fallback)")
      }
      // The reference needs no less than the CPU.
      if remedy != nil, candidate.name == "reference" { continue }
      do throws(DeviceError) {
        let device = try candidate.open()
        if let complaint = tune(device) { complaints.append(complaint) }
        devices.append(device)
      } catch {
        problems.append("\(error)")
        continue
      }
      var plan: ExecutionPlan?
      do throws(PlanningError) {
        let whole = try shape.planner.plan(graph, on: devices)
        if let shortage = budget.shortage(of: whole, on: devices.map(\.traits)) {
          problems.append(shortage)
          remedy = remedy ?? budget.remedy(graph, shape, on: devices)
          devices.removeLast()
          continue
        }
        plan = whole
      } catch {
        problems.append("\(error)")
        // What a device declines, another may take; what it has no room for, it cannot share.
        guard case .unplaced = error else {
          devices.removeLast()
          continue
        }
        plan = nil
      }
      if let device = devices.last {
        let tested = test.run(on: device, keys)
        if let failure = tested.failure {
          problems.append("\(candidate.name) fails its self-test: \(failure)")
          devices.removeLast()
          continue
        }
        // The placements name the kernels that are left.
        if tested.fellBack { plan = try? shape.planner.plan(graph, on: devices) }
      }
      guard let plan else { continue }
      do throws(EngineError) {
        let loop = try EngineLoop(
          plan, devices: devices, weights: weights, contextLength: shape.context,
          promptLimit: shape.promptLimit, policy: shape.policy)
        return Opened(
          loop: loop,
          notices: problems.map { "\($0); using \(candidate.name)" } + complaints
            + shape.advice(for: graph))
      } catch {
        // No other device could read the file.
        if case .weights = error { throw ApusError(error) }
        problems.append("\(error)")
        devices.removeLast()
      }
    }
    // What all devices decline is said once.
    var said: Set<String> = []
    let reasons = (problems + [remedy].compactMap { $0 }).filter { said.insert($0).inserted }
    throw ApusError(.device, reasons.joined(separator: "; "))
  }

  /// The operations and types that a model needs, on whatever device: fused ones and their parts.
  private func operations(
    of graph: Graph, _ planner: Planner
  ) throws(ApusError) -> Set<OperationKey> {
    do throws(PlanningError) {
      return try planner.operations(of: graph, on: ReferenceDevice())
    } catch { throw ApusError(error) }
  }

  /// Opens the first device, compiles its kernels for a model, and closes it again.
  func warmUp(_ path: String) throws(ApusError) {
    let (model, shape) = try RunShape.read(GGUFFile.open(path), options)
    let keys = try operations(of: model.graph, shape.planner)
    var problems: [String] = []
    guard let first = candidates(&problems).first else { return }
    do throws(DeviceError) {
      let device = try first.open()
      _ = tune(device)
      _ = SelfTest(verdicts: nil).run(on: device, keys)
    } catch {
      throw ApusError(error)
    }
  }

  /// Tells a device what is known to be fastest on it; says what is wrong with what is known.
  private func tune(_ device: any Device) -> String? {
    guard options.usesTuning, let device = device as? OpenCLDevice else { return nil }
    let found = TuningStore.ofUser.find(.init(device))
    if !found.tuning.choices.isEmpty { device.use(found.tuning) }
    return found.complaint
  }

  /// Does ahead, where a device of OpenCL may be taken, what ``open(_:_:weights:budget:)`` would begin with.
  func prepare() {
    switch options.device {
    case .auto, .opencl: OpenCLDevices.prepare()
    case .cpu, .reference: break
    }
  }

  /// Loads OpenCL's drivers where a device of theirs may be taken; says whether it was so.
  func loadsDrivers() -> Bool {
    switch options.device {
    case .auto, .opencl: OpenCLDevices.list().reason == nil
    case .cpu, .reference: false
    }
  }

  /// The devices to try, in order.
  func candidates(_ problems: inout [String]) -> [Candidate] {
    let (options, programs) = (options, programs)
    let cpu = Candidate(name: "cpu") { () throws(DeviceError) in
      CPUDevice(threads: options.threads)
    }
    let reference = Candidate(name: "reference") { () throws(DeviceError) in ReferenceDevice() }
    func opencl(_ index: Int) -> Candidate {
      Candidate(name: "opencl:\(index)") { () throws(DeviceError) in
        try OpenCLDevice(
          index: index, threads: options.threads, programs: programs,
          steps: options.persistentKernel.steps)
      }
    }
    switch options.device {
    case .reference: return [reference]
    case .cpu: return [cpu, reference]
    case .opencl(let index): return [opencl(index), cpu, reference]
    case .auto:
      let found = OpenCLDevices.list()
      if let reason = found.reason { problems.append(reason) }
      return found.devices.map { opencl($0.index) } + [cpu, reference]
    }
  }
}

extension PersistentKernel {
  fileprivate var steps: StepMode {
    switch self {
    case .auto: .automatic
    case .on: .oneLaunch
    case .off: .launches
    }
  }
}
