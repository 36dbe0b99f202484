import ModelGraph
import Tensors
import Testing

@Suite struct ModelGraphTests {
  private func weight(_ rows: Int, _ width: Int, _ type: ElementType = .f32) throws -> Weight {
    try #require(Weight(name: "w\(rows)x\(width)", type: type, rows: rows, width: width))
  }

  /// tokens → embedding → linear → logits.
  private func smallGraph() throws -> Graph {
    var graph = Graph(layerCount: 1)
    let x = try graph.append(
      .embedRows(EmbedRows(table: try weight(10, 8))), [graph.tokens], label: "embed")
    graph.logits = try graph.append(
      .linear(Linear(weight: try weight(10, 8), activations: .f32)), [x], label: "head")
    return graph
  }

  @Test func aSoundGraphPasses() throws {
    let graph = try smallGraph()
    try graph.verify()
    #expect(graph.weights.map(\.name) == ["w10x8"])
    #expect(graph[try #require(graph.logits)].width == 10)
  }

  @Test func floatWeightsKeepFloatActivations() throws {
    #expect(Linear(weight: try weight(4, 32), activations: .int8).activations == .f32)
    #expect(Linear(weight: try weight(4, 32, .q8_0), activations: .int8).activations == .int8)
  }

  @Test func shapesThatDoNotFitNameTheirNode() throws {
    var graph = Graph(layerCount: 1)
    let x = try graph.append(
      .embedRows(EmbedRows(table: try weight(10, 8))), [graph.tokens], label: "embed")
    let narrow = try weight(4, 6)
    let error = #expect(throws: GraphError.self) {
      try graph.append(
        .linear(Linear(weight: narrow, activations: .f32)), [x], label: "attn_q", layer: 3)
    }
    #expect(error?.node == "attn_q.3")
    let attention = Attention(headCount: 3, kvHeadCount: 2, headWidth: 4, scale: 1)
    #expect(throws: GraphError.self) {
      try graph.append(.attention(attention), [x, x, x], label: "attention", layer: 0)
    }
    #expect(throws: GraphError.self) { try graph.append(.add, [x, graph.tokens], label: "add") }
  }

  @Test func theVerifierFindsWhatWasBrokenLater() throws {
    var noLogits = try smallGraph()
    noLogits.logits = nil
    #expect(throws: GraphError.self) { try noLogits.verify() }

    var disordered = try smallGraph()
    disordered.nodes.swapAt(0, 1)
    #expect(throws: GraphError.self) { try disordered.verify() }

    var reshaped = try smallGraph()
    reshaped.values[reshaped.nodes[0].output.index].width = 9
    #expect(throws: GraphError.self) { try reshaped.verify() }
  }
}
