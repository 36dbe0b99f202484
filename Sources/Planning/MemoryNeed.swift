import Devices
import Tensors

/// What a plan takes on one device, in bytes.
package struct MemoryNeed: Sendable, Hashable {
  /// Weights and constants in buffers, in the device's own layout.
  package var weights = 0
  /// Weights that are read where the file is mapped.
  package var mapped = 0
  package var cache = 0
  /// Values of a step, and the numbers that come with it.
  package var scratch = 0
  /// On the host while weights are loaded: one part in the file's layout, and in the device's own.
  package var staging = 0

  package init() {}

  /// What is allocated, and stays until the model is closed.
  package var buffers: Int { weights + cache + scratch }

  /// The most at any time while the model is loaded.
  package var loadPeak: Int {
    MemoryFormulas.loadPeak(resident: buffers + mapped, inFlight: staging)
  }

  /// What two plans take beside one another; they are loaded one after the other.
  package static func + (a: MemoryNeed, b: MemoryNeed) -> MemoryNeed {
    var sum = a
    sum.weights += b.weights
    sum.mapped += b.mapped
    sum.cache += b.cache
    sum.scratch += b.scratch
    sum.staging = max(a.staging, b.staging)
    return sum
  }
}

extension ExecutionPlan {
  /// What the plan takes on a device.
  package func need(on device: Int) -> MemoryNeed {
    var need = MemoryNeed()
    for buffer in buffers where buffer.device == device {
      switch buffer.purpose {
      case .weights: need.weights += buffer.bytes
      case .keyValueCache: need.cache += buffer.bytes
      case .scratch, .step: need.scratch += buffer.bytes
      }
    }
    for map in maps where map.device == device { need.mapped += map.weight.bytes }
    need.staging = staging[device] ?? 0
    return need
  }

  /// The most at any time on all devices and the host together. Weights are loaded one after the
  /// other, so only the largest part of one is under way.
  package var peak: Int { Self.peak(of: [self]) }

  /// The same of several plans, which are loaded one after the other.
  package static func peak(of plans: [ExecutionPlan]) -> Int {
    var (resident, inFlight) = (0, 0)
    for plan in plans {
      let used = Set(plan.buffers.map(\.device) + plan.maps.map(\.device))
      inFlight = max(inFlight, plan.readBack)
      for need in used.map({ plan.need(on: $0) }) {
        resident += need.buffers + need.mapped
        inFlight = max(inFlight, need.staging)
      }
    }
    return MemoryFormulas.loadPeak(resident: resident, inFlight: inFlight)
  }

  /// The largest value that a step copies to the host: logits, or what moves between devices.
  package var readBack: Int {
    (steps + (chosen?.steps ?? []) + (sparse?.steps ?? [])).reduce(logits.operand.bytes(bounds)) {
      most, step in
      if case .transfer(let value, _, _, _) = step { max(most, value.bytes(bounds)) } else { most }
    }
  }

  /// Bytes that one token of context takes in the caches of all layers, but for those that look back over a window
  /// only: these hold no more tokens in a longer context.
  package var cacheBytesPerToken: Int {
    let page = caches.filter { !$0.isWindow }.reduce(0) {
      $0 + $1.operand.format.rowBytes($1.operand.width)
    }
    return page / KVLayout.pageTokens
  }
}
