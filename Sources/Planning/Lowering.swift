import Devices
import ModelGraph
import Tensors

/// One plane of the step buffer: the numbers that change with every step.
package enum StepPlane: Sendable, Hashable {
  case tokens
  case positions
  case slots
  /// Where what each row sees begins: one plane for each window of the model's layers, nil for all
  /// that came before.
  case begin(window: Int?)
  case end
  case table
  case outputRows
  case tables
}

/// Where a lowered operation finds an operand.
enum Source: Hashable {
  /// A value of `LoweredGraph.values`.
  case value(Int)
  case step(StepPlane)
  /// The page pool of a layer.
  case pool(layer: Int)
}

struct LoweredValue {
  var rows: Dimension
  var width: Int
  var format: Format
}

struct LoweredNode {
  var operation: Operation
  var inputs: [Source]
  var weights: [Weight]
  var constants: [ConstantID]
  var output: Source
  var label: String
  var layer: Int?
  /// Of a fused operation, the nodes that it stands for; their weights are listed in it too.
  var expansion: [LoweredNode] = []

  /// Itself, or what it stands for.
  var parts: [LoweredNode] { expansion.isEmpty ? [self] : expansion.flatMap(\.parts) }
}

/// A graph after lowering: attention has become cache writes and attended reads, and inputs of
/// integer linear layers are quantised once, however many layers share them.
struct LoweredGraph {
  private(set) var values: [LoweredValue] = []
  var nodes: [LoweredNode] = []
  /// The layout of each layer's page pool.
  private(set) var pools: [Int: KVLayout] = [:]
  private(set) var logits: Int

  /// The windows of attention, nil for all that came before.
  var windows: Set<Int?> {
    Set(
      nodes.flatMap(\.parts).compactMap { node -> Int?? in
        if case .attend(let attention, _) = node.operation { .some(attention.window) } else { nil }
      })
  }

  private var sources: [ValueID: Source]
  private var quantized: [ValueID: Source] = [:]

  init(_ graph: Graph, element: KVLayout.Element) {
    guard let head = graph.logits else { preconditionFailure("a verified graph has logits") }
    sources = [
      graph.tokens: .step(.tokens), graph.positions: .step(.positions),
      graph.outputRows: .step(.outputRows),
    ]
    logits = 0
    for node in graph.nodes { lower(node, graph, element) }
    guard case .value(let index)? = sources[head] else {
      preconditionFailure("a verified graph computes its logits")
    }
    logits = index
  }

  private mutating func lower(_ node: Node, _ graph: Graph, _ element: KVLayout.Element) {
    let value = graph[node.output]
    switch node.op {
    case .attention(let attention):
      guard let layer = node.layer else { preconditionFailure("attention has a layer") }
      let layout = KVLayout(
        headCount: attention.kvHeadCount, headWidth: attention.headWidth, element: element)
      pools[layer] = layout
      emit(
        .writeKV(layout), [source(node.inputs[1]), source(node.inputs[2]), .step(.slots)],
        into: .pool(layer: layer), node, label: "write_kv")
      let seen: [Source] = [
        .step(.begin(window: attention.window)), .step(.end), .step(.table), .step(.tables),
      ]
      sources[node.output] = emit(
        .attend(attention, layout), [source(node.inputs[0]), .pool(layer: layer)] + seen,
        into: new(value), node)
    case .linear(let linear) where linear.activations == .int8:
      let input = node.inputs[0]
      let rows = graph[input].rows
      if quantized[input] == nil {
        let blocks = LoweredValue(rows: rows, width: linear.weight.width, format: .int8Blocks)
        quantized[input] = emit(
          .quantize, [source(input)], into: new(blocks), node, label: "quantize")
      }
      sources[node.output] = emit(
        .pure(node.op), [quantized[input] ?? source(input)], into: new(value), node)
    default:
      sources[node.output] = emit(
        .pure(node.op), node.inputs.map { source($0) }, into: new(value), node)
    }
  }

  private func source(_ id: ValueID) -> Source {
    guard let source = sources[id] else {
      preconditionFailure("a verified graph computes values before it uses them")
    }
    return source
  }

  private mutating func new(_ value: Value) -> Source {
    new(LoweredValue(rows: value.rows, width: value.width, format: .f32))
  }

  private mutating func new(_ value: LoweredValue) -> Source {
    values.append(value)
    return .value(values.count - 1)
  }

  @discardableResult
  private mutating func emit(
    _ operation: Operation, _ inputs: [Source], into output: Source, _ node: Node,
    label: String? = nil
  ) -> Source {
    let isPure = if case .pure = operation { true } else { false }
    nodes.append(
      LoweredNode(
        operation: operation, inputs: inputs, weights: isPure ? node.op.weights : [],
        constants: isPure ? node.op.constants : [], output: output, label: label ?? node.label,
        layer: node.layer))
    return output
  }
}
