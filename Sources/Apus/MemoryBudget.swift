import Devices
import ModelGraph
import Planning

/// The memory that a run may take, and what to do where it takes more.
struct MemoryBudget {
  /// What the user allows on all devices together.
  var limit: Int?
  /// What the host has left.
  var host: Int?
  /// What a model that is loaded before this one takes of it, on all devices and in buffers of each by its name.
  private var taken: (peak: Int, buffers: [String: Int]) = (0, [:])

  init(_ options: LoadOptions) {
    limit = options.memoryLimit?.value
    host = SystemMemory.available
  }

  /// Why a plan must not be carried out, or nil.
  ///
  /// A limit counts all that a run needs to be fast, mapped weights too. Without one, only what is
  /// allocated counts: mapped weights are read again where memory is short.
  func shortage(of plan: ExecutionPlan, on devices: [DeviceTraits]) -> String? {
    let needs = devices.indices.map { plan.need(on: $0) }
    if let limit {
      let peak = plan.peak + taken.peak
      guard peak > limit else { return nil }
      return "\(list(needs, devices)), the whole run \(ByteCount(peak)), and --mem-limit is "
        + "\(ByteCount(limit))"
    }
    var onHost = 0
    for (need, traits) in zip(needs, devices) {
      onHost += need.staging + (traits.ownMemory == nil ? need.buffers : 0)
      if let own = traits.ownMemory, need.buffers + (taken.buffers[traits.name] ?? 0) > own {
        return "\(list([need], [traits])), and its memory is \(ByteCount(own))"
      }
    }
    guard let host, onHost > host else { return nil }
    return "\(list(needs, devices)), and this machine has \(ByteCount(host)) left"
  }

  /// What is left beside a plan that is carried out.
  func beside(_ plan: ExecutionPlan, on devices: [DeviceTraits]) -> MemoryBudget {
    var rest = self
    rest.taken.peak += plan.peak
    for (index, traits) in devices.enumerated() {
      let buffers = plan.need(on: index).buffers
      rest.taken.buffers[traits.name, default: 0] += buffers
      if traits.ownMemory == nil, let host { rest.host = max(0, (rest.host ?? host) - buffers) }
    }
    return rest
  }

  /// What to expect of a plan that fits, or nil: weights that are mapped and do not stay in memory.
  func remark(on plan: ExecutionPlan, on devices: [DeviceTraits]) -> String? {
    guard let host else { return nil }
    let resident = devices.indices.filter { devices[$0].ownMemory == nil }.reduce(0) {
      let need = plan.need(on: $1)
      return $0 + need.buffers + need.mapped
    }
    guard resident > host else { return nil }
    return "it fits, but slowly: \(ByteCount(resident)) with the mapped weights is more than the "
      + "\(ByteCount(host)) that this machine has left, so they are read again from the disk"
  }

  private func list(_ needs: [MemoryNeed], _ devices: [DeviceTraits]) -> String {
    zip(needs, devices).filter { $0.0.loadPeak > 0 }.map { need, traits in
      let parts = [
        ("weights", need.weights), ("mapped weights", need.mapped),
        ("key-value cache", need.cache), ("scratch", need.scratch), ("staging", need.staging),
      ]
      let words = parts.filter { $0.1 > 0 }.map { "\($0.0) \(ByteCount($0.1))" }
      return "\(traits.name) needs \(ByteCount(need.loadPeak)) (\(words.joined(separator: ", ")))"
    }.joined(separator: "; ")
  }

  /// What would make the run fit on the same devices: a sentence, from plans that were tried.
  func remedy(_ graph: Graph, _ shape: RunShape, on devices: [any Device]) -> String {
    func fits(_ shape: RunShape) -> Bool {
      guard let plan = try? shape.planner.plan(graph, on: devices) else { return false }
      return shortage(of: plan, on: devices.map(\.traits)) == nil
    }
    /// The largest of 1…count for which a plan fits; larger numbers need more.
    func largest(_ count: Int, _ shape: (Int) -> RunShape) -> Int? {
      guard count >= 1, fits(shape(1)) else { return nil }
      var (good, bad) = (1, count + 1)
      while bad - good > 1 {
        let middle = good + (bad - good) / 2
        if fits(shape(middle)) { good = middle } else { bad = middle }
      }
      return good
    }
    let page = KVLayout.pageTokens
    let pages = (shape.context - 1) / page
    var ways: [String] = []
    if let pages = largest(pages, { shape.with(context: $0 * page) }) {
      ways.append("-c \(pages * page)")
    }
    if let batch = largest((shape.rows - 1) / page, { shape.with(batch: $0 * page) }) {
      ways.append("-b \(batch * page)")
    }
    if ways.isEmpty, let pages = largest(pages, { shape.with(context: $0 * page, batch: page) }) {
      ways.append("-c \(pages * page) -b \(page)")
    }
    if !ways.isEmpty { return ways.joined(separator: " or ") + " would fit" }
    return "no context is short enough: choose another device or a smaller model"
  }
}
