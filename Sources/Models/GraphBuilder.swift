import GGUF
import ModelGraph
import Tensors

/// Appends the operations that architectures share, looking weights up as it goes.
struct GraphBuilder {
  let file: GGUFFile
  let hyperparameters: Hyperparameters
  let activations: ActivationFormat
  /// Tokens that the run will hold at most.
  let contextLength: Int
  var graph: Graph
  private var layer: Int?

  init(_ hyperparameters: Hyperparameters, _ activations: ActivationFormat, contextLength: Int) {
    file = hyperparameters.metadata.file
    self.hyperparameters = hyperparameters
    self.activations = activations
    self.contextLength = contextLength
    graph = Graph(layerCount: hyperparameters.layerCount)
  }

  /// Names of weights and nodes that follow belong to this layer.
  mutating func enter(layer: Int?) { self.layer = layer }

  /// The full name of a weight of the current layer.
  private func weightName(_ label: String, _ suffix: String) -> String {
    layer.map { "blk.\($0).\(label).\(suffix)" } ?? "\(label).\(suffix)"
  }

  func optionalWeight(_ label: String, _ suffix: String = "weight") -> Weight? {
    file.weight(named: weightName(label, suffix))
  }

  func weight(_ label: String) throws(ModelError) -> Weight {
    guard let weight = optionalWeight(label) else {
      throw .file(file.error(.missingTensor(weightName(label, "weight"))))
    }
    return weight
  }

  mutating func append(
    _ op: Op, _ inputs: [ValueID], _ label: String
  ) throws(ModelError) -> ValueID {
    do throws(GraphError) {
      return try graph.append(op, inputs, label: label, layer: layer)
    } catch { throw .graph(path: file.path, error) }
  }

  mutating func embed(scale: Float = 1) throws(ModelError) -> ValueID {
    let embed = EmbedRows(table: try weight("token_embd"), scale: scale)
    return try append(.embedRows(embed), [graph.tokens], "token_embd")
  }

  /// The norm of rows, or of heads where its weight is as wide as a head.
  mutating func norm(_ x: ValueID, _ label: String) throws(ModelError) -> ValueID {
    let norm = RMSNorm(weight: try weight(label), epsilon: hyperparameters.epsilon)
    return try append(.rmsNorm(norm), [x], label)
  }

  mutating func add(_ x: ValueID, _ y: ValueID, _ label: String) throws(ModelError) -> ValueID {
    try append(.add, [x, y], label)
  }

  mutating func linear(_ x: ValueID, _ label: String) throws(ModelError) -> ValueID {
    try linear(x, try weight(label), bias: optionalWeight(label, "bias"), label)
  }

  mutating func linear(
    _ x: ValueID, _ weight: Weight, bias: Weight?, _ label: String
  ) throws(ModelError) -> ValueID {
    let layer = Linear(weight: weight, bias: bias, activations: activations)
    return try append(.linear(layer), [x], label)
  }

  /// Linear layers whose matrices lie in one tensor of the file, one below the other.
  mutating func linears(
    _ x: ValueID, fused name: String, _ parts: [(label: String, rows: Int)]
  ) throws(ModelError) -> [ValueID] {
    let (matrix, bias) = (try weight(name), optionalWeight(name, "bias"))
    let rows = parts.reduce(0) { $0 + $1.rows }
    guard matrix.rows == rows, bias.map({ $0.width == rows && $0.rows == 1 }) ?? true else {
      throw .inconsistent(
        path: file.path,
        reason: "'\(matrix.name)' has \(matrix.rows) rows, where its parts have \(rows)")
    }
    var first = 0
    var values: [ValueID] = []
    for part in parts {
      let range = first..<first + part.rows
      first = range.upperBound
      guard let slice = matrix.slice(rows: range) else {
        preconditionFailure("the parts are as long as the whole")
      }
      values.append(
        try linear(
          x, slice, bias: bias?.slice(elements: range) ?? optionalWeight(part.label, "bias"),
          part.label))
    }
    return values
  }

  /// The output head: its own matrix, or the embedding table where the file ties them.
  private mutating func head(_ x: ValueID) throws(ModelError) -> ValueID {
    guard let matrix = optionalWeight("output") else {
      return try linear(x, try weight("token_embd"), bias: nil, "output")
    }
    return try linear(x, matrix, bias: optionalWeight("output", "bias"), "output")
  }

  /// The graph with its logits, from what the last layer gives.
  consuming func finish(_ x: ValueID) throws(ModelError) -> Graph {
    enter(layer: nil)
    // Only the wanted rows go through the head: it is the largest matrix of a small model.
    let wanted = try append(.selectRows, [x, graph.outputRows], "wanted_rows")
    let normed = try norm(wanted, "output_norm")
    graph.logits = try head(normed)
    return graph
  }
}
