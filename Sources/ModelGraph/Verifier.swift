import Tensors

/// A node of a graph that does not fit together.
package struct GraphError: Error, Sendable, Hashable, CustomStringConvertible {
  package var node: String
  package var reason: String

  package init(node: String, reason: String) {
    self.node = node
    self.reason = reason
  }

  package var description: String {
    "the model's graph does not fit together at '\(node)': \(reason)"
  }
}

extension Op {
  /// The shape rule: rows and width of the output, or an error naming the node.
  func outputShape(
    _ inputs: [Value], label: String, layer: Int?
  ) throws(GraphError) -> (rows: Dimension, width: Int) {
    let node = layer.map { "\(label).\($0)" } ?? label
    func require(_ holds: Bool, _ reason: @autoclosure () -> String) throws(GraphError) {
      if !holds { throw GraphError(node: node, reason: reason()) }
    }
    func operands(_ types: ValueType...) throws(GraphError) {
      try require(
        inputs.map(\.type) == types,
        "\(name) takes operands \(types.map(\.rawValue)), not \(inputs.map(\.type.rawValue))")
    }
    switch self {
    case .embedRows(let embed):
      try operands(.i32)
      return (inputs[0].rows, embed.table.width)
    case .rmsNorm(let norm):
      try operands(.f32)
      try require(
        norm.weight.rows == 1 && inputs[0].width % norm.weight.width == 0
          && norm.weight.type == .f32,
        "the norm's weight '\(norm.weight.name)' must be \(inputs[0].width) F32 numbers, or as many "
          + "as a head is wide")
      return (inputs[0].rows, inputs[0].width)
    case .linear(let linear):
      try operands(.f32)
      try require(
        linear.weight.width == inputs[0].width,
        "'\(linear.weight.name)' takes \(linear.weight.width) inputs, but gets \(inputs[0].width)")
      if let bias = linear.bias {
        try require(
          bias.rows == 1 && bias.width == linear.weight.rows && bias.type == .f32,
          "the bias '\(bias.name)' must be \(linear.weight.rows) F32 numbers")
      }
      return (inputs[0].rows, linear.weight.rows)
    case .rope(let rope):
      try operands(.f32, .i32)
      try require(
        rope.headCount * rope.headWidth == inputs[0].width && rope.dimensions <= rope.headWidth
          && rope.dimensions % 2 == 0 && rope.dimensions > 0,
        "\(rope.headCount) heads of \(rope.headWidth), \(rope.dimensions) turning, "
          + "do not fit a width of \(inputs[0].width)")
      return (inputs[0].rows, inputs[0].width)
    case .attention(let attention):
      try operands(.f32, .f32, .f32)
      let (q, k, v) = (inputs[0], inputs[1], inputs[2])
      try require(
        attention.kvHeadCount > 0 && attention.headCount % attention.kvHeadCount == 0
          && q.width == attention.headCount * attention.headWidth
          && k.width == attention.kvHeadCount * attention.headWidth && v.width == k.width
          && attention.window ?? 1 > 0,
        "\(attention.headCount) query and \(attention.kvHeadCount) key-value heads of "
          + "\(attention.headWidth) do not fit widths \(q.width), \(k.width), \(v.width)")
      return (q.rows, q.width)
    case .add, .gated:
      try operands(.f32, .f32)
      try require(
        inputs[0].rows == inputs[1].rows && inputs[0].width == inputs[1].width,
        "operands of \(name) differ in shape: \(inputs[0].rows)×\(inputs[0].width) and "
          + "\(inputs[1].rows)×\(inputs[1].width)")
      return (inputs[0].rows, inputs[0].width)
    case .selectRows:
      try operands(.f32, .i32)
      return (inputs[1].rows, inputs[0].width)
    }
  }
}

extension Graph {
  /// Checks the whole graph again, as after every pass: operands exist before they are used,
  /// shapes follow the rules, attention layers are numbered, and there are logits.
  package func verify() throws(GraphError) {
    var defined: Set<ValueID> = [tokens, positions, outputRows]
    for node in nodes {
      let name = node.layer.map { "\(node.label).\($0)" } ?? node.label
      for input in node.inputs where !defined.contains(input) {
        throw GraphError(node: name, reason: "an operand is used before it is computed")
      }
      for constant in node.op.constants where !constants.indices.contains(constant.index) {
        throw GraphError(node: name, reason: "it names a constant that does not exist")
      }
      if case .rope(let rope) = node.op,
        self[rope.frequencies].values.count != rope.dimensions / 2
      {
        throw GraphError(node: name, reason: "it needs \(rope.dimensions / 2) rope frequencies")
      }
      if case .attention = node.op, node.layer.map({ (0..<layerCount).contains($0) }) != true {
        throw GraphError(node: name, reason: "attention needs a layer below \(layerCount)")
      }
      let shape = try node.op.outputShape(
        node.inputs.map { self[$0] }, label: node.label, layer: node.layer)
      guard self[node.output].rows == shape.rows, self[node.output].width == shape.width,
        defined.insert(node.output).inserted
      else { throw GraphError(node: name, reason: "its output has another shape or exists twice") }
    }
    guard let logits, defined.contains(logits) else {
      throw GraphError(node: "output", reason: "the graph has no logits")
    }
  }
}
