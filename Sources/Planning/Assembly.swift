import Devices
import ModelGraph
import Tensors

/// Builds a plan from placed nodes: first the memory that stays, then the instructions.
struct Assembly {
  private(set) var plan: ExecutionPlan
  /// The list of instructions that is worked on.
  private var lowered: LoweredGraph
  private var placements: [Placement]
  /// The bounds of its values.
  private var bounds: SymbolSizes
  /// The lists for steps of other kinds.
  private var others: [(list: Planner.OtherList, lowered: LoweredGraph, placements: [Placement])] =
    []
  private let devices: [any Device]
  private let planner: Planner
  private var nextID: [Int]
  private var weights: [Resident: Region] = [:]
  private var constants: [ResidentConstant: Region] = [:]
  private var pools: [Int: Operand] = [:]
  private var latest: [Int: Operand] = [:]
  private var pageBounds: [Int: Operand] = [:]
  private var columns: [Int: Operand] = [:]

  private struct Resident: Hashable {
    var device: Int
    var weight: Weight
  }

  private struct ResidentConstant: Hashable {
    var device: Int
    var constant: ConstantID
  }

  init(
    _ lowered: LoweredGraph, _ placements: [Placement], _ devices: [any Device],
    _ planner: Planner, window: WindowPool?
  ) {
    self.lowered = lowered
    self.placements = placements
    self.devices = devices
    self.planner = planner
    bounds = planner.bounds
    nextID = Array(repeating: 0, count: devices.count)
    let nowhere = Operand(
      region: Region(buffer: BufferID(index: 0)), rows: .fixed(0), width: 0, format: .f32)
    plan = ExecutionPlan(
      stepLayout: StepLayout(
        bounds: planner.bounds, tableCapacity: planner.pageCount, reading: lowered.planes),
      logits: (0, nowhere), bounds: planner.bounds)
    plan.placements = placements
    plan.window = window
  }

  /// Adds the instructions for steps of another kind.
  mutating func add(
    _ list: Planner.OtherList, _ lowered: LoweredGraph, _ placements: [Placement]
  ) {
    others.append((list, lowered, placements))
    plan.stepLayout = StepLayout(
      bounds: planner.bounds, tableCapacity: planner.pageCount,
      reading: others.reduce(self.lowered.planes) { $0.union($1.lowered.planes) })
  }

  private mutating func newID(on device: Int) -> BufferID {
    defer { nextID[device] += 1 }
    return BufferID(index: nextID[device])
  }

  /// Adds a buffer to the plan, if the device can hold it in one piece.
  private mutating func reserve(
    _ id: BufferID, _ bytes: Int, on device: Int, _ purpose: ExecutionPlan.Purpose,
    _ label: String, advice: String = "choose another device (--device cpu) or a smaller model"
  ) throws(PlanningError) {
    let traits = devices[device].traits
    // No process addresses more than 2⁴⁷ bytes; below that, sums over all buffers fit an `Int`.
    let largest = min(traits.largestAllocation, 1 << 47)
    guard bytes <= largest else {
      throw .tooLarge(
        what: label, bytes: bytes, device: traits.name, largest: largest, advice: advice)
    }
    plan.buffers.append(
      ExecutionPlan.Buffer(device: device, id: id, bytes: bytes, purpose: purpose, label: label))
  }

  // MARK: Memory that stays

  /// Maps weights where a device reads them in place, and packs the others into slabs; copies
  /// constants everywhere they are read.
  mutating func placeWeights(constants values: [Constant]) throws(PlanningError) {
    for device in devices.indices {
      let nodes = zip(lowered.nodes, placements).filter { $1.device == device }
        .flatMap(\.0.parts)
      var slab = Slab(id: newID(on: device), devices[device].traits)
      var readers: [Weight: [Operation]] = [:]
      for node in nodes {
        for weight in Set(node.weights) { readers[weight, default: []].append(node.operation) }
      }
      for weight in nodes.flatMap(\.weights) {
        let resident = Resident(device: device, weight: weight)
        if weights[resident] != nil { continue }
        if planner.mapsWeights && devices[device].traits.readsMappedWeights
          && devices[device].readsMapped(weight, by: readers[weight] ?? [])
        {
          let id = newID(on: device)
          plan.maps.append(ExecutionPlan.Map(device: device, weight: weight, id: id))
          weights[resident] = Region(buffer: id)
          continue
        }
        let bytes = devices[device].residentBytes(weight)
        if !slab.holds(bytes) {
          try close(slab, on: device)
          slab = Slab(id: newID(on: device), devices[device].traits)
        }
        weights[resident] = slab.append(weight, bytes)
      }
      try close(slab, on: device)
      for constant in nodes.flatMap(\.constants) {
        let resident = ResidentConstant(device: device, constant: constant)
        if constants[resident] != nil { continue }
        let numbers = values[constant.index].values
        let region = Region(buffer: newID(on: device))
        try reserve(
          region.buffer, numbers.count * 4, on: device, .weights, values[constant.index].name)
        plan.fills.append(ExecutionPlan.Fill(device: device, values: numbers, region: region))
        constants[resident] = region
      }
    }
  }

  private mutating func close(_ slab: Slab, on device: Int) throws(PlanningError) {
    guard !slab.content.isEmpty else { return }
    let label = slab.content.count == 1 ? "weight '\(slab.content[0].weight.name)'" : "weight slab"
    try reserve(slab.id, slab.bytes, on: device, .weights, label)
    for (weight, region) in slab.content {
      let rows = weight.rows(within: planner.partBytes)
      plan.loads.append(
        ExecutionPlan.Load(device: device, weight: weight, region: region, partRows: rows))
      let bytes = rows * weight.rowBytes + devices[device].stagingBytes(weight, rows: rows)
      plan.staging[device] = max(plan.staging[device] ?? 0, bytes)
    }
  }

  /// A page pool for each layer, on the device that attends there.
  mutating func placePools() throws(PlanningError) {
    let parts = zip(lowered.nodes, placements).flatMap { node, placement in
      node.parts.map { ($0, placement) }
    }
    for (node, placement) in parts {
      switch (node.operation, node.output) {
      case (.writeKV(let layout), .latest(let layer)):
        latest[layer] = try pages(
          .pages(layout), on: placement.device, "latest keys and values of layer \(layer)",
          isWindow: true)
      case (.writeKV(let layout), .pool(let layer)), (.copyKV(let layout), .pool(let layer)):
        pools[layer] = try pages(
          .pages(layout), on: placement.device, "key-value cache of layer \(layer)",
          isWindow: node.inputs.contains(.step(.windowSlots)) && latest[layer] == nil)
      case (.boundPages(let layout), .bounds(let layer)):
        pageBounds[layer] = try pages(
          .pageBounds(layout), on: placement.device, "bounds of keys of layer \(layer)")
      case (.sumColumns(let attention, _), .columns(let layer)):
        columns[layer] = try sums(attention.kvHeadCount, on: placement.device, layer)
      default: continue
      }
    }
  }

  /// A row for each page, or for those of a window.
  private mutating func pages(
    _ format: Format, on device: Int, _ label: String, isWindow: Bool = false
  ) throws(PlanningError) -> Operand {
    let id = newID(on: device)
    // Widths come from the file; a product that no memory could hold is too large, not a trap.
    let count = isWindow ? plan.window?.pages ?? planner.pageCount : planner.pageCount
    let (bytes, overflow) = count.multipliedReportingOverflow(by: format.rowBytes(1))
    try reserve(
      id, overflow ? .max : bytes, on: device, .keyValueCache, label,
      advice: "a shorter context (-c) needs less")
    let operand = Operand(
      region: Region(buffer: id), rows: .fixed(count), width: 1, format: format)
    plan.caches.append(
      ExecutionPlan.Cache(device: device, operand: operand, isWindow: isWindow))
    return operand
  }

  /// A number for each kv head and token. Not a part of the cache: it means something between two steps of a prompt.
  private mutating func sums(
    _ heads: Int, on device: Int, _ layer: Int
  ) throws(PlanningError) -> Operand {
    let id = newID(on: device)
    let (tokens, overflow) = planner.pageCount.multipliedReportingOverflow(
      by: KVLayout.pageTokens * 4)
    let (bytes, more) = tokens.multipliedReportingOverflow(by: heads)
    try reserve(
      id, overflow || more ? .max : bytes, on: device, .scratch,
      "attention to tokens in layer \(layer)", advice: "a shorter context (-c) needs less")
    let operand = Operand(
      region: Region(buffer: id), rows: .fixed(heads), width: tokens / 4, format: .f32)
    plan.columns.append(ExecutionPlan.Cache(device: device, operand: operand))
    return operand
  }

  /// A step buffer for each device that has something to do.
  mutating func placeStepBuffers() throws(PlanningError) {
    let used = placements + others.flatMap(\.placements)
    for device in Set(used.map(\.device)).sorted() {
      let id = newID(on: device)
      try reserve(id, plan.stepLayout.bytes, on: device, .step, "step buffer")
      plan.stepBuffers[device] = id
    }
  }

  // MARK: Instructions

  /// A value on a device; a copy elsewhere is another instance.
  private struct Instance: Hashable {
    var value: Int
    var device: Int
  }

  private enum Item {
    case transfer(value: Int, from: Int, to: Int)
    case node(Int)
  }

  /// Binds all instructions. Lists never run at the same time, so they share scratch memory.
  mutating func placeInstructions() throws(PlanningError) {
    let scratch = devices.indices.map { newID(on: $0) }
    var peaks = devices.map { _ in 0 }
    (plan.steps, plan.logits) = steps(scratch, &peaks)
    for other in others {
      (lowered, placements) = (other.lowered, other.placements)
      bounds = planner.bounds
      if other.list == .chosen {
        bounds.rows = min(bounds.rows, planner.reading?.rows ?? PageReading.rowLimit)
        bounds.outputs = min(bounds.outputs, bounds.rows)
      }
      let (steps, logits) = steps(scratch, &peaks)
      let made = ExecutionPlan.Chosen(
        steps: steps, placements: placements, logits: logits, bounds: bounds)
      switch other.list {
      case .chosen: plan.chosen = made
      case .sparse: plan.sparse = made
      }
    }
    for (device, peak) in peaks.enumerated() where peak > 0 {
      try reserve(scratch[device], peak, on: device, .scratch, "scratch")
    }
  }

  /// Orders transfers and nodes, shares scratch memory between values whose lives do not
  /// overlap, and binds every operand.
  private func steps(
    _ scratch: [BufferID], _ peaks: inout [Int]
  ) -> (steps: [ExecutionPlan.Step], logits: (device: Int, operand: Operand)) {
    let (items, home) = ordered()
    let lastUses = lastUses(items, home)
    let dying = Dictionary(grouping: lastUses.keys) { lastUses[$0] ?? 0 }
    var arenas = devices.map { Arena(alignment: $0.traits.alignment) }
    var offsets: [Instance: Int] = [:]
    var steps: [ExecutionPlan.Step] = []
    // What runs on one device without a transfer between.
    var run: (device: Int, list: [Instruction])?

    func endRun() {
      if let run { steps.append(.run(device: run.device, run.list)) }
      run = nil
    }
    func take(_ instance: Instance) {
      let value = lowered.values[instance.value]
      let bytes = bounds[value.rows] * value.format.rowBytes(value.width)
      offsets[instance] = arenas[instance.device].take(bytes)
    }
    func operand(_ instance: Instance) -> Operand {
      let value = lowered.values[instance.value]
      return Operand(
        region: Region(buffer: scratch[instance.device], offset: offsets[instance] ?? 0),
        rows: value.rows, width: value.width, format: value.format)
    }
    for (index, item) in items.enumerated() {
      switch item {
      case .transfer(let value, let from, let to):
        take(Instance(value: value, device: to))
        endRun()
        steps.append(
          .transfer(
            operand(Instance(value: value, device: from)), from: from,
            operand(Instance(value: value, device: to)), to: to))
      case .node(let node):
        let device = placements[node].device
        // What passes between the parts of a fused operation lives no longer than that.
        let made = lowered.nodes[node].made.map { Instance(value: $0, device: device) }
        for instance in made { take(instance) }
        var instruction = instruction(lowered.nodes[node], on: device) {
          operand(Instance(value: $0, device: device))
        }
        let workspace = instruction.workspaceBytes(on: devices[device], bounds: bounds)
        if workspace > 0 {
          let offset = arenas[device].take(workspace)
          instruction.lend(Region(buffer: scratch[device], offset: offset))
          arenas[device].giveBack(offset)
        }
        for instance in made where lowered.nodes[node].output != .value(instance.value) {
          if let offset = offsets[instance] { arenas[device].giveBack(offset) }
        }
        if run?.device != device {
          endRun()
          run = (device, [])
        }
        run?.list.append(instruction)
      }
      for instance in dying[index] ?? [] {
        if let offset = offsets[instance] { arenas[instance.device].giveBack(offset) }
      }
    }
    endRun()
    for (device, arena) in arenas.enumerated() { peaks[device] = max(peaks[device], arena.peak) }
    let logits = Instance(value: lowered.logits, device: home[lowered.logits] ?? 0)
    return (steps, (logits.device, operand(logits)))
  }

  /// Nodes in order, each behind the transfers that it needs; and where each value is made.
  private func ordered() -> (items: [Item], home: [Int: Int]) {
    var items: [Item] = []
    var home: [Int: Int] = [:]
    var present: Set<Instance> = []
    for (index, node) in lowered.nodes.enumerated() {
      let device = placements[index].device
      for case .value(let value) in node.inputs {
        guard let from = home[value] else { preconditionFailure("nodes are in order") }
        if present.insert(Instance(value: value, device: device)).inserted {
          items.append(.transfer(value: value, from: from, to: device))
        }
      }
      items.append(.node(index))
      if case .value(let value) = node.output {
        home[value] = device
        present.insert(Instance(value: value, device: device))
      }
    }
    return (items, home)
  }

  /// The last item that uses each instance; logits live to the end.
  private func lastUses(_ items: [Item], _ home: [Int: Int]) -> [Instance: Int] {
    var last: [Instance: Int] = [:]
    for (index, item) in items.enumerated() {
      switch item {
      case .transfer(let value, let from, let to):
        last[Instance(value: value, device: from)] = index
        last[Instance(value: value, device: to)] = index
      case .node(let node):
        let device = placements[node].device
        for case .value(let value) in lowered.nodes[node].inputs + [lowered.nodes[node].output] {
          last[Instance(value: value, device: device)] = index
        }
      }
    }
    last[Instance(value: lowered.logits, device: home[lowered.logits] ?? 0)] = items.count
    for (node, placement) in zip(lowered.nodes, placements) where planner.keepsChoices {
      for case .value(let value) in node.parts.flatMap(\.choices) {
        last[Instance(value: value, device: placement.device)] = items.count
      }
    }
    return last
  }

  private func instruction(
    _ node: LoweredNode, on device: Int, _ value: (Int) -> Operand
  ) -> Instruction {
    func bound(_ source: Source) -> Operand {
      switch source {
      case .value(let index): return value(index)
      case .pool(let layer):
        guard let pool = pools[layer] else { preconditionFailure("every layer has a pool") }
        return pool
      case .latest(let layer):
        guard let pool = latest[layer] else {
          preconditionFailure("a layer that keeps the latest tokens has a pool for them")
        }
        return pool
      case .bounds(let layer):
        guard let bounds = pageBounds[layer] else {
          preconditionFailure("a layer whose pages are scored has bounds")
        }
        return bounds
      case .columns(let layer):
        guard let columns = columns[layer] else {
          preconditionFailure("a layer whose rows are observed has sums")
        }
        return columns
      case .step(let plane):
        guard let buffer = plan.stepBuffers[device] else {
          preconditionFailure("every device in use has a step buffer")
        }
        return plan.stepLayout.operand(plane, in: buffer)
      }
    }
    let regions =
      node.weights.compactMap { weights[Resident(device: device, weight: $0)] }
      + node.constants.compactMap { constants[ResidentConstant(device: device, constant: $0)] }
    return Instruction(
      node.operation, inputs: node.inputs.map(bound),
      weights: node.expansion.isEmpty ? regions : [], output: bound(node.output),
      label: node.label, layer: node.layer,
      expansion: node.expansion.map { instruction($0, on: device, value) })
  }
}

extension LoweredNode {
  /// Of what it reads and makes the lists of chosen pages, the scores by which they are chosen, and what tokens are
  /// attended to.
  fileprivate var choices: [Source] {
    switch operation {
    case .attend(let attention, _): attention.pages == nil ? [] : [inputs[5]]
    case .choosePages: [inputs[0]]
    case .sumColumns: [output]
    default: []
    }
  }
}
