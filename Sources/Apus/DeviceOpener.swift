import CPUBackend
import Devices
import ModelGraph
import Models
import OpSuite
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

  /// A device that may be tried.
  private struct Candidate {
    var name: String
    var open: () throws(DeviceError) -> any Device
  }

  /// A model with its memory made, and what the user should know about the choice of devices.
  struct Opened {
    var loop: EngineLoop
    var notices: [String]
  }

  /// Opens as few devices as the model needs: the first in order that works, and later ones only
  /// for operations that it declines.
  func open(
    _ graph: Graph, _ planner: Planner, weights: any WeightSource, contextLength: Int
  ) throws(ApusError) -> Opened {
    let keys = try operations(of: graph, planner)
    var devices: [any Device] = []
    var problems: [String] = []
    for candidate in candidates(&problems) {
      if !options.allowsFallback, let problem = problems.first {
        throw ApusError(.device, "\(problem) (--no-fallback)")
      }
      do throws(DeviceError) {
        let device = try candidate.open()
        if let failure = selfTest(device, keys) {
          problems.append("\(candidate.name) fails its self-test: \(failure)")
          continue
        }
        devices.append(device)
      } catch {
        problems.append("\(error)")
        continue
      }
      do throws(EngineError) {
        let loop = try start(graph, planner, devices, weights, contextLength)
        return Opened(
          loop: loop, notices: problems.map { "\($0); using \(candidate.name)" })
      } catch {
        problems.append("\(error)")
        // What a device declines, another may take; what it has no room for, it cannot share.
        if case .planning(.unplaced) = error { continue }
        devices.removeLast()
      }
    }
    throw ApusError(.device, problems.joined(separator: "; "))
  }

  private func start(
    _ graph: Graph, _ planner: Planner, _ devices: [any Device], _ weights: any WeightSource,
    _ contextLength: Int
  ) throws(EngineError) -> EngineLoop {
    let plan: ExecutionPlan
    do throws(PlanningError) { plan = try planner.plan(graph, on: devices) } catch {
      throw .planning(error)
    }
    return try EngineLoop(
      plan, devices: devices, weights: weights, contextLength: contextLength)
  }

  /// The operations and types that a model needs, on whatever device.
  private func operations(
    of graph: Graph, _ planner: Planner
  ) throws(ApusError) -> Set<OperationKey> {
    do throws(PlanningError) {
      return Set(try planner.plan(graph, on: [ReferenceDevice()]).placements.map(\.key))
    } catch { throw ApusError(error) }
  }

  /// The first failure among the tiny cases of the operations that will be used, or nil.
  private func selfTest(_ device: any Device, _ keys: Set<OperationKey>) -> String? {
    if device.traits.kind == .reference { return nil }
    let rows = OpSuite.check(device, keys: keys, tinyOnly: true)
    return rows.first { $0.failure != nil }.map { "\($0.key): \($0.failure ?? "")" }
  }

  private func candidates(_ problems: inout [String]) -> [Candidate] {
    let options = options
    let cpu = Candidate(name: "cpu") { () throws(DeviceError) in
      CPUDevice(threads: options.threads)
    }
    let reference = Candidate(name: "reference") { () throws(DeviceError) in ReferenceDevice() }
    func opencl(_ index: Int) -> Candidate {
      Candidate(name: "opencl:\(index)") { () throws(DeviceError) in
        try OpenCLDevice(index: index, threads: options.threads)
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
