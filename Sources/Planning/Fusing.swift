import Devices
import ModelGraph
import Tensors

extension LoweredGraph {
  /// The graph with neighbouring operations made one, where all are placed on the same device and it
  /// has a kernel for them; and the placements of what is left.
  func fused(
    _ placements: [Placement], on devices: [any Device]
  ) -> (LoweredGraph, [Placement]) {
    var fuser = Fuser(self, placements, devices)
    // Later patterns build on what the first ones joined.
    fuser.join(Fuser.normQuantize)
    fuser.join(Fuser.gatedQuantize)
    fuser.join(Fuser.attendQuantize)
    fuser.join(Fuser.linearAdd)
    fuser.join(Fuser.gatedUnit)
    fuser.join(Fuser.attentionInputs)
    return fuser.result
  }
}

/// Finds patterns among placed nodes and replaces each by one node, at the place of its last part.
private struct Fuser {
  /// What a pattern found around a node.
  struct Match {
    var fusion: Fusion
    /// In the order in which they run.
    var parts: [Int]
    var inputs: [Source]
    var output: Source
    /// Names the whole.
    var label: String
  }

  private var graph: LoweredGraph
  private var nodes: [LoweredNode?]
  private var placements: [Placement]
  private let devices: [any Device]
  private var makers: [Source: Int] = [:]
  private var readers: [Source: [Int]] = [:]

  init(_ graph: LoweredGraph, _ placements: [Placement], _ devices: [any Device]) {
    self.graph = graph
    self.placements = placements
    self.devices = devices
    nodes = graph.nodes
    for (index, node) in graph.nodes.enumerated() {
      makers[node.output] = index
      for input in node.inputs { readers[input, default: []].append(index) }
    }
  }

  var result: (LoweredGraph, [Placement]) {
    var fused = graph
    fused.nodes = nodes.compactMap { $0 }
    return (fused, zip(nodes, placements).compactMap { $0 == nil ? nil : $1 })
  }

  /// Replaces whatever the pattern finds.
  mutating func join(_ pattern: (Fuser) -> (Int) -> Match?) {
    for index in nodes.indices {
      if let match = pattern(self)(index) { replace(match) }
    }
  }

  private mutating func replace(_ match: Match) {
    guard let last = match.parts.max() else { return }
    let parts = match.parts.compactMap { nodes[$0] }
    let device = placements[last].device
    let operation = Operation.fused(match.fusion)
    // Whoever reads what comes out must stand behind all parts.
    let outputs = parts.map(\.output)
    let outside = outputs.flatMap { readers[$0] ?? [] }.filter { !match.parts.contains($0) }
    let node = LoweredNode(
      operation: operation, inputs: match.inputs, weights: parts.flatMap(\.weights),
      constants: parts.flatMap(\.constants), output: match.output, label: match.label,
      layer: nodes[last]?.layer, expansion: parts)
    guard outside.allSatisfy({ $0 > last }),
      match.parts.allSatisfy({ placements[$0].device == device }),
      case .native(let variant) = devices[device].support(operation, input: graph.format(node))
    else { return }
    for part in match.parts { nodes[part] = nil }
    nodes[last] = node
    makers[match.output] = last
    for input in Set(match.inputs) {
      readers[input] = (readers[input] ?? []).filter { !match.parts.contains($0) } + [last]
    }
    placements[last] = Placement(
      label: match.label, layer: node.layer,
      key: OperationKey(operation, input: graph.format(node)), device: device, variant: variant,
      declined: placements[last].declined, attention: operation.attention)
  }

  /// The node that makes a value which nobody but `reader` reads.
  private func onlyFor(_ reader: Int, _ source: Source) -> (index: Int, node: LoweredNode)? {
    guard case .value(let value) = source, value != graph.logits, readers[source] == [reader],
      let index = makers[source], let node = nodes[index]
    else { return nil }
    return (index, node)
  }

  /// The same for a linear layer over int8 blocks.
  private func linear(
    _ source: Source, onlyFor reader: Int
  ) -> (index: Int, node: LoweredNode, layer: Linear)? {
    guard let (index, node) = onlyFor(reader, source),
      case .pure(.linear(let layer)) = node.operation, graph.format(node) == .int8Blocks
    else { return nil }
    return (index, node, layer)
  }

  /// What makes the shared input of some layers, where that is a norm which only they read.
  private func norm(_ source: Source, readBy layers: [Int]) -> (Int, LoweredNode, RMSNorm)? {
    guard let index = makers[source], let node = nodes[index],
      case .fused(.normQuantize(let norm)) = node.operation,
      Set(readers[source] ?? []) == Set(layers)
    else { return nil }
    return (index, node, norm)
  }

  // MARK: Patterns

  static func normQuantize(_ fuser: Fuser) -> (Int) -> Match? {
    { index in
      guard let quantize = fuser.nodes[index], quantize.operation == .quantize,
        let (first, node) = fuser.onlyFor(index, quantize.inputs[0]),
        case .pure(.rmsNorm(let norm)) = node.operation,
        case .value(let value) = node.output, fuser.graph.values[value].width == norm.weight.width
      else { return nil }
      return Match(
        fusion: .normQuantize(norm), parts: [first, index], inputs: node.inputs,
        output: quantize.output, label: node.label)
    }
  }

  static func attendQuantize(_ fuser: Fuser) -> (Int) -> Match? {
    { index in
      guard let quantize = fuser.nodes[index], quantize.operation == .quantize,
        let rotated = fuser.rotated(quantize.inputs[0], onlyFor: index),
        let (first, node) = fuser.onlyFor(rotated.reader, rotated.input),
        case .attend(let attention, let layout) = node.operation,
        layout.isRotated == (rotated.rotation != nil)
      else { return nil }
      return Match(
        fusion: .attendQuantize(attention, layout),
        parts: [first] + [rotated.rotation].compactMap { $0 } + [index], inputs: node.inputs,
        output: quantize.output, label: node.label)
    }
  }

  static func linearAdd(_ fuser: Fuser) -> (Int) -> Match? {
    { index in
      guard let add = fuser.nodes[index], add.operation == .pure(.add) else { return nil }
      for (term, other) in [(1, 0), (0, 1)] {
        guard let (first, node, layer) = fuser.linear(add.inputs[term], onlyFor: index)
        else { continue }
        return Match(
          fusion: .linearAdd(layer), parts: [first, index],
          inputs: node.inputs + [add.inputs[other]], output: add.output, label: node.label)
      }
      return nil
    }
  }

  static func gatedQuantize(_ fuser: Fuser) -> (Int) -> Match? {
    { index in
      guard let quantize = fuser.nodes[index], quantize.operation == .quantize,
        let (first, node) = fuser.onlyFor(index, quantize.inputs[0]),
        case .pure(.gated(let activation)) = node.operation
      else { return nil }
      return Match(
        fusion: .gatedQuantize(activation), parts: [first, index], inputs: node.inputs,
        output: quantize.output, label: node.label)
    }
  }

  static func gatedUnit(_ fuser: Fuser) -> (Int) -> Match? {
    { index in
      guard let node = fuser.nodes[index],
        case .fused(.gatedQuantize(let activation)) = node.operation,
        let gate = fuser.linear(node.inputs[0], onlyFor: index),
        let up = fuser.linear(node.inputs[1], onlyFor: index),
        gate.node.inputs == up.node.inputs
      else { return nil }
      let norm = fuser.norm(gate.node.inputs[0], readBy: [gate.index, up.index])
      return Match(
        fusion: .gatedUnit(
          Fusion.GatedUnit(
            norm: norm?.2, gate: gate.layer, up: up.layer, activation: activation)),
        parts: (norm.map { [$0.0] } ?? []) + [gate.index, up.index, index],
        inputs: norm?.1.inputs ?? gate.node.inputs, output: node.output, label: node.label)
    }
  }

  static func attentionInputs(_ fuser: Fuser) -> (Int) -> Match? {
    { index in
      guard let write = fuser.nodes[index], case .writeKV(let layout) = write.operation,
        let rotatedKey = fuser.rotated(write.inputs[0], onlyFor: index),
        let rotatedValue = fuser.rotated(write.inputs[1], onlyFor: index),
        let (turnKey, keyNode) = fuser.onlyFor(rotatedKey.reader, rotatedKey.input),
        case .pure(.rope(let keyRope)) = keyNode.operation,
        let key = fuser.linear(keyNode.inputs[0], onlyFor: turnKey),
        let value = fuser.linear(rotatedValue.input, onlyFor: rotatedValue.reader),
        let (queries, queriesNode) = fuser.queries(of: write.output),
        let rotatedQuery = fuser.rotation(queries, queriesNode),
        let turnQuery = rotatedQuery.turn, let queryNode = fuser.nodes[turnQuery],
        case .pure(.rope(let rope)) = queryNode.operation,
        let query = fuser.linear(queryNode.inputs[0], onlyFor: turnQuery),
        query.node.inputs == key.node.inputs, value.node.inputs == key.node.inputs,
        keyRope.turnsLike(rope), queryNode.inputs[1] == keyNode.inputs[1]
      else { return nil }
      let rotations = [rotatedQuery.rotation, rotatedKey.rotation, rotatedValue.rotation]
        .compactMap { $0 }
      guard rotations.count == (layout.isRotated ? 3 : 0) else { return nil }
      let layers = [query.index, key.index, value.index]
      let norm = fuser.norm(key.node.inputs[0], readBy: layers)
      return Match(
        fusion: .attentionInputs(
          Fusion.AttentionInputs(
            norm: norm?.2, queries: query.layer, keys: key.layer, values: value.layer, rope: rope,
            layout: layout)),
        parts: (norm.map { [$0.0] } ?? []) + layers + [turnQuery, turnKey] + rotations
          + [index],
        inputs: [
          norm?.1.inputs[0] ?? key.node.inputs[0], queryNode.inputs[1], write.inputs[2],
          write.output,
        ], output: queriesNode.output, label: query.node.label)
    }
  }

  /// What a reader takes: a value, or what is rotated to it for nobody else; nil where others read that too.
  private func rotated(
    _ source: Source, onlyFor reader: Int
  ) -> (rotation: Int?, reader: Int, input: Source)? {
    guard case .value = source, let index = makers[source], let node = nodes[index],
      case .rotateHeads = node.operation
    else { return (nil, reader, source) }
    return onlyFor(reader, source) == nil ? nil : (index, index, node.inputs[0])
  }

  /// Of a node that makes queries the one that turns them, which is itself or what it rotates.
  private func rotation(_ index: Int, _ node: LoweredNode) -> (rotation: Int?, turn: Int?)? {
    guard case .rotateHeads = node.operation else { return (nil, index) }
    return (index, onlyFor(index, node.inputs[0])?.index)
  }

  /// The turned queries of the attention over a pool, whoever else may read them.
  private func queries(of pool: Source) -> (Int, LoweredNode)? {
    for reader in readers[pool] ?? [] {
      guard let node = nodes[reader], node.operation.attention != nil,
        case .value(let value) = node.inputs[0], value != graph.logits,
        let index = makers[node.inputs[0]], let queries = nodes[index]
      else { continue }
      return (index, queries)
    }
    return nil
  }
}

extension Rope {
  /// Whether heads of another tensor turn by the same angles.
  fileprivate func turnsLike(_ other: Rope) -> Bool {
    var same = other
    same.headCount = headCount
    return same == self
  }
}

extension LoweredNode {
  /// The values that a node makes: its own, and those that pass between its parts.
  var made: [Int] {
    Set(([self] + expansion.flatMap(\.allNodes)).map(\.output)).compactMap {
      if case .value(let value) = $0 { value } else { nil }
    }.sorted()
  }

  private var allNodes: [LoweredNode] { [self] + expansion.flatMap(\.allNodes) }
}
