package import Devices
package import ModelGraph

/// Where one operation runs, and why: a row of the placement report.
package struct Placement: Sendable, Hashable {
  package var label: String
  package var layer: Int?
  package var key: OperationKey
  /// Index in the list of devices.
  package var device: Int
  /// The kernel variant.
  package var variant: String
  /// Why devices earlier in the list did not take it; empty where the first did.
  package var declined: [String]
  /// Where it is attention.
  package var attention: Attention?
}

/// A plan that cannot be made, in a sentence for the user.
package enum PlanningError: Error, Sendable, Hashable, CustomStringConvertible {
  /// No device takes the operation.
  case unplaced(operation: String, reasons: [String])
  /// One thing is larger than the device's largest buffer.
  case tooLarge(what: String, bytes: Int, device: String, largest: Int, advice: String)
  /// Heads of the model are no whole blocks of the type that keys and values shall have.
  case headWidth(Int, element: KVLayout.Element)
  /// Keys are quantised from the latest tokens, which layers that look back over a window do not keep.
  case latestTokens(element: KVLayout.Element)

  package var description: String {
    switch self {
    case .unplaced(let operation, let reasons):
      "no device runs \(operation): " + reasons.joined(separator: "; ")
    case .tooLarge(let what, let bytes, let device, let largest, let advice):
      "\(what) takes \(bytes) bytes, but \(device) allows \(largest) in one buffer; \(advice)"
    case .headWidth(let width, let element):
      "heads of this model are \(width) numbers wide, and \(element) keeps keys and values in blocks of "
        + "\(KVLayout.blockLength): use --kv-type f16"
    case .latestTokens(let element):
      "layers of this model look back over a window, and \(element) quantises keys from the latest tokens, which such "
        + "models do not keep apart: use --kv-type q4 or q8"
    }
  }
}

extension LoweredGraph {
  /// Chooses a device for every node: the first in order that takes it. A layer's cache is
  /// written and read by one device.
  ///
  /// - Parameters:
  ///   - devices: In order of preference.
  ///   - all: The nodes of all graphs that use the same caches.
  /// - Returns: A placement for each node.
  /// - Throws: ``PlanningError`` where no device takes one.
  func placements(
    on devices: [any Device], sharingWith all: [LoweredNode]
  ) throws(PlanningError) -> [Placement] {
    var placements: [Placement] = []
    placements.reserveCapacity(nodes.count)
    var users: [Int: [LoweredNode]] = [:]
    for node in all {
      for layer in node.caches { users[layer, default: []].append(node) }
    }
    for node in nodes {
      let caches = node.caches
      let sharing = caches.isEmpty ? [node] : caches.flatMap { users[$0] ?? [] }
      var reasons: [String] = []
      var chosen: (Int, String)?
      for (index, device) in devices.enumerated() {
        if let reason = declines(device, node, sharing) {
          reasons.append("\(device.traits.name): \(reason)")
          continue
        }
        if case .native(let variant) = device.support(node.operation, input: format(node)) {
          chosen = (index, variant)
          break
        }
      }
      let key = OperationKey(node.operation, input: format(node))
      guard let (device, variant) = chosen else {
        throw .unplaced(operation: "\(key) ('\(node.label)')", reasons: reasons)
      }
      placements.append(
        Placement(
          label: node.label, layer: node.layer, key: key, device: device, variant: variant,
          declined: reasons, attention: node.operation.attention))
    }
    return placements
  }

  /// Why a device does not take a node and those that share a cache with it, or nil where it does.
  private func declines(
    _ device: any Device, _ node: LoweredNode, _ sharing: [LoweredNode]
  ) -> String? {
    for candidate in sharing {
      if case .declined(let reason) = device.support(
        candidate.operation, input: cacheFormat(candidate))
      {
        return candidate.operation == node.operation
          ? reason : "it shares a cache with \(candidate.label): \(reason)"
      }
    }
    return nil
  }

  /// The same for a node that uses a cache, of this graph or another: its values are floats.
  private func cacheFormat(_ node: LoweredNode) -> Format {
    guard case .value = node.inputs.first, !node.caches.isEmpty else { return format(node) }
    return .f32
  }

  /// The format of a node's first input, which decides between integer and float arithmetic.
  func format(_ node: LoweredNode) -> Format {
    switch node.inputs.first {
    case .value(let index): values[index].format
    default: .i32
    }
  }
}

extension LoweredNode {
  /// The layers whose pages, or bounds of pages, a node reads or writes.
  fileprivate var caches: Set<Int> {
    Set(
      (inputs + [output]).compactMap {
        switch $0 {
        case .pool(let layer), .latest(let layer), .bounds(let layer): layer
        case .columns(let layer): layer
        case .value, .step: nil
        }
      })
  }
}
