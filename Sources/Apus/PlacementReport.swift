import Devices
import ModelGraph
import Planning
import Residency

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
  /// What attention reads: `all tokens`, `quest, 1024 tokens`; nil for anything else.
  public var reads: String?
  /// Why devices earlier in order did not take it, or nil where the first did.
  public var reason: String?
}

extension LanguageModel {
  /// Where each operation runs, and why; layers that agree are one line.
  public func placementReport() -> [PlacementLine] {
    var lines: [PlacementLine] = []
    var places: [PlacementLine: Int] = [:]
    // Where a policy chooses, prompts read all all the same: what differs for new tokens comes last.
    let usual = Set(plan.placements.map(\.sameness))
    let others = plan.chosen?.placements.filter { !usual.contains($0.sameness) } ?? []
    let sparse = plan.sparse?.placements.filter { !usual.contains($0.sameness) } ?? []
    let chosen = Set(others.filter { $0.attention != nil }.compactMap(\.layer))
    let kept = keptTokens
    for placement in plan.placements + others + sparse {
      let ofPrompt = placement.label == "attention of a prompt" ? "zipvl, tau \(tau)" : nil
      let line = PlacementLine(
        label: placement.label, operation: placement.key.description, count: 0,
        device: devices[placement.device].name, variant: placement.variant,
        reads: ofPrompt
          ?? kept[placement.layer ?? -1].flatMap { tokens in
            placement.attention?.pages.map { _ in
              "\(policy.rawValue), \(inWords(tokens)) of a prompt and all behind it"
            }
          } ?? placement.reads(policy, isOther: chosen.contains(placement.layer ?? -1)),
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

  /// So many tokens, in words.
  private func inWords(_ tokens: Int) -> String {
    guard policy == .zipvl else { return "\(tokens) tokens" }
    return cachePolicy.share < 1
      ? "at most \(tokens) tokens on average, tau \(cachePolicy.share),"
      : "\(tokens) tokens on average"
  }

  /// For each layer that keeps a part of a prompt, how many tokens of one that fills the context.
  private var keptTokens: [Int: Int] {
    guard cachePolicy.evicts else { return [:] }
    let layers = Set(
      plan.chosen?.placements.filter { $0.attention?.pages != nil }.compactMap(\.layer) ?? []
    ).sorted()
    let pages = cachePolicy.kept(of: KVLayout.pages(contextLength), layers: layers.count)
    return Dictionary(
      uniqueKeysWithValues: zip(layers, pages.map { $0 * KVLayout.pageTokens }))
  }

  /// How each device computes a token that comes alone, where it has a choice: sentences.
  public func stepReport() -> [String] {
    devices.compactMap { device in
      device.steps.map { "\(device.name) generates a token \($0)" }
    }
  }
}

extension Placement {
  /// What attention reads, in words; a layer may read something else for tokens behind a prompt.
  fileprivate func reads(_ policy: KVPolicy, isOther: Bool) -> String? {
    guard let attention else { return nil }
    if attention.isSinkStage { return "the first \(KVLayout.pageTokens), turned" }
    if let pages = attention.pages {
      return "\(policy.rawValue), \(pages.count * KVLayout.pageTokens) tokens"
    }
    if let window = attention.window { return "the last \(window) tokens" }
    if attention.isWindowStage { return "the tokens of its own \(Planner.latestTokens)" }
    let all = isOther ? "all tokens of a prompt" : "all tokens"
    return attention.stage == .last ? "\(all) before those" : all
  }

  /// What two lists of instructions have in common where they place the same.
  fileprivate var sameness: [String] {
    [
      "\(label)", "\(layer ?? -1)", "\(key)", "\(attention?.pages?.count ?? 0)",
      "\(attention?.stage ?? .whole)", "\(device)", variant,
    ]
  }
}
