import GGUF
import ModelGraph
import Tensors

/// Appends the operations that architectures share, looking weights up as it goes.
struct GraphBuilder {
  let file: GGUFFile
  let hyperparameters: Hyperparameters
  let activations: ActivationFormat
  var graph: Graph
  private var layer: Int?

  init(_ file: GGUFFile, _ hyperparameters: Hyperparameters, _ activations: ActivationFormat) {
    self.file = file
    self.hyperparameters = hyperparameters
    self.activations = activations
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

  mutating func embed() throws(ModelError) -> ValueID {
    try append(.embedRows(EmbedRows(table: try weight("token_embd"))), [graph.tokens], "token_embd")
  }

  mutating func norm(_ x: ValueID, _ label: String) throws(ModelError) -> ValueID {
    let norm = RMSNorm(weight: try weight(label), epsilon: hyperparameters.epsilon)
    return try append(.rmsNorm(norm), [x], label)
  }

  mutating func linear(_ x: ValueID, _ label: String) throws(ModelError) -> ValueID {
    try linear(x, try weight(label), bias: optionalWeight(label, "bias"), label)
  }

  mutating func linear(
    _ x: ValueID, _ weight: Weight, bias: Weight? = nil, _ label: String
  ) throws(ModelError) -> ValueID {
    let layer = Linear(weight: weight, bias: bias, activations: activations)
    return try append(.linear(layer), [x], label)
  }

  /// Frequencies in radians per position: base^(−2i/d), divided by linear scaling and by the
  /// factors that the file may carry (Llama 3.1's `rope_freqs`).
  mutating func ropeFrequencies() throws(ModelError) -> ConstantID {
    let half = hyperparameters.ropeDimensions / 2
    var frequencies = (0..<half).map { i in
      power(hyperparameters.ropeBase, -Double(i) / Double(half)) / hyperparameters.ropeLinearScale
    }
    if let factors = file.weight(named: "rope_freqs.weight") {
      guard factors.type == .f32, factors.rows == 1, factors.width == half else {
        throw .inconsistent(
          path: file.path, reason: "'rope_freqs.weight' must hold \(half) F32 factors")
      }
      let values = ElementType.f32.decoded(file.bytes(of: factors), count: half)
      for i in 0..<half { frequencies[i] /= Double(values[i]) }
    }
    return graph.constant("rope_frequencies", frequencies.map { Float($0) })
  }

  mutating func rope(
    _ x: ValueID, headCount: Int, _ pairing: Rope.Pairing, _ frequencies: ConstantID,
    _ label: String
  ) throws(ModelError) -> ValueID {
    let rope = Rope(
      headCount: headCount, headWidth: hyperparameters.headWidth,
      dimensions: hyperparameters.ropeDimensions, pairing: pairing, frequencies: frequencies)
    return try append(.rope(rope), [x, graph.positions], label)
  }

  /// The output head: its own matrix, or the embedding table where the file ties them.
  mutating func head(_ x: ValueID) throws(ModelError) -> ValueID {
    if let output = optionalWeight("output") { return try linear(x, output, "output") }
    return try linear(x, try weight("token_embd"), "output")
  }
}
