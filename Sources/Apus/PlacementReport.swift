import Devices
import Planning

/// Operations that are placed alike: a line of `apus run --placement`.
public struct PlacementLine: Sendable, Hashable {
  /// What the operation is for: `attn_q`, `ffn_norm`, …
  public var label: String
  /// Operation and element type.
  public var operation: String
  /// Layers that are placed like this.
  public var count: Int
  /// Where they run.
  public var device: String
  /// The kernel variant.
  public var variant: String
  /// Why devices earlier in order did not take it, or nil where the first did.
  public var reason: String?
}

extension LanguageModel {
  /// Where each operation runs, and why; layers that agree are one line.
  public func placementReport() -> [PlacementLine] {
    var lines: [PlacementLine] = []
    var places: [PlacementLine: Int] = [:]
    for placement in plan.placements {
      let line = PlacementLine(
        label: placement.label, operation: placement.key.description, count: 0,
        device: devices[placement.device].name, variant: placement.variant,
        reason: placement.declined.isEmpty ? nil : placement.declined.joined(separator: "; "))
      let index = places[line] ?? lines.count
      if index == lines.count {
        places[line] = index
        lines.append(line)
      }
      lines[index].count += 1
    }
    return lines
  }

  /// How each device computes a token that comes alone, where it has a choice: sentences.
  public func stepReport() -> [String] {
    devices.compactMap { device in
      device.steps.map { "\(device.name) generates a token \($0)" }
    }
  }
}
