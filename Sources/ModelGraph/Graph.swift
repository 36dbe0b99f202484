package import Tensors

/// A value of a graph, by its place in `Graph.values`.
package struct ValueID: Sendable, Hashable {
  package let index: Int

  package init(index: Int) { self.index = index }
}

/// A constant of a graph, by its place in `Graph.constants`.
package struct ConstantID: Sendable, Hashable {
  package let index: Int

  package init(index: Int) { self.index = index }
}

/// What the numbers of a value are.
package enum ValueType: String, Sendable, Hashable {
  case f32
  case i32
}

/// A matrix that flows between operations.
package struct Value: Sendable, Hashable {
  package var name: String
  package var rows: Dimension
  package var width: Int
  package var type: ValueType
}

/// Numbers that a model computes from its metadata, such as rope frequencies.
package struct Constant: Sendable, Hashable {
  package var name: String
  package var values: [Float]
}

/// One operation with its operands.
package struct Node: Sendable, Hashable {
  package var op: Op
  package var inputs: [ValueID]
  package var output: ValueID
  /// The layer it belongs to, or nil before the first and after the last.
  package var layer: Int?
  /// Names the operation in reports: `attn_q`, `ffn_norm`, …
  package var label: String
}

/// A model as pure operations in execution order.
package struct Graph: Sendable, Hashable {
  package var values: [Value] = []
  package var constants: [Constant] = []
  package var nodes: [Node] = []
  package var tokens: ValueID
  package var positions: ValueID
  package var outputRows: ValueID
  /// Set by the architecture once the head is built.
  package var logits: ValueID?
  /// Attention layers, each with its own keys and values.
  package var layerCount: Int

  /// A graph with the three inputs that every step has.
  package init(layerCount: Int) {
    self.layerCount = layerCount
    values = [
      Value(name: "tokens", rows: .symbol(.rows), width: 1, type: .i32),
      Value(name: "positions", rows: .symbol(.rows), width: 1, type: .i32),
      Value(name: "output_rows", rows: .symbol(.outputs), width: 1, type: .i32),
    ]
    tokens = ValueID(index: 0)
    positions = ValueID(index: 1)
    outputRows = ValueID(index: 2)
  }

  /// Adds a constant and returns its id.
  package mutating func constant(_ name: String, _ values: [Float]) -> ConstantID {
    constants.append(Constant(name: name, values: values))
    return ConstantID(index: constants.count - 1)
  }

  /// Appends an operation; its output takes its shape from the shape rule of `op`.
  ///
  /// - Throws: ``GraphError`` naming the node whose operands do not fit.
  package mutating func append(
    _ op: Op, _ inputs: [ValueID], label: String, layer: Int? = nil
  ) throws(GraphError) -> ValueID {
    let shape = try op.outputShape(inputs.map { values[$0.index] }, label: label, layer: layer)
    let output = ValueID(index: values.count)
    let name = layer.map { "\(label).\($0)" } ?? label
    values.append(Value(name: name, rows: shape.rows, width: shape.width, type: .f32))
    nodes.append(Node(op: op, inputs: inputs, output: output, layer: layer, label: label))
    return output
  }

  package subscript(_ id: ValueID) -> Value { values[id.index] }
  package subscript(_ id: ConstantID) -> Constant { constants[id.index] }

  /// Every weight that the graph names, once, in order of first use.
  package var weights: [Weight] {
    var seen: Set<Weight> = []
    return nodes.flatMap(\.op.weights).filter { seen.insert($0).inserted }
  }
}

extension Op {
  /// The weights that the operation reads.
  package var weights: [Weight] {
    switch self {
    case .embedRows(let embed): [embed.table]
    case .rmsNorm(let norm): [norm.weight]
    case .linear(let linear): [linear.weight] + (linear.bias.map { [$0] } ?? [])
    case .rope, .attention, .add, .gated, .selectRows: []
    }
  }

  /// The constants that the operation reads.
  package var constants: [ConstantID] {
    if case .rope(let rope) = self { [rope.frequencies] } else { [] }
  }

  /// The operation's name in reports.
  package var name: String {
    switch self {
    case .embedRows: "embed_rows"
    case .rmsNorm: "rms_norm"
    case .linear: "linear"
    case .rope: "rope"
    case .attention: "attention"
    case .add: "add"
    case .gated(let activation): "gated_\(activation.rawValue)"
    case .selectRows: "select_rows"
    }
  }
}
