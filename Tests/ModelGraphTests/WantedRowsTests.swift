import ModelGraph
import Tensors
import Testing

/// A layer with attention and a gated part, each added to what it reads, whose rows are selected
/// before the head.
private func graph(readingAfterwards: Bool = false) throws -> Graph {
  func linear(_ name: String, rows: Int = 4) throws -> Op {
    let weight = try #require(Weight(name: name, type: .f32, rows: rows, width: 4))
    return .linear(Linear(weight: weight, bias: nil, activations: .f32))
  }
  var graph = Graph(layerCount: 1)
  let table = try #require(Weight(name: "token_embd", type: .f32, rows: 8, width: 4))
  var x = try graph.append(
    .embedRows(EmbedRows(table: table)), [graph.tokens], label: "token_embd")
  let attention = Attention(headCount: 1, kvHeadCount: 1, headWidth: 4, scale: 1)
  let attended = try graph.append(.attention(attention), [x, x, x], label: "attention", layer: 0)
  let output = try graph.append(try linear("attn_output"), [attended], label: "attn_output")
  x = try graph.append(.add, [x, output], label: "attn_residual", layer: 0)
  let gate = try graph.append(try linear("ffn_gate"), [x], label: "ffn_gate", layer: 0)
  let up = try graph.append(try linear("ffn_up"), [x], label: "ffn_up", layer: 0)
  let gated = try graph.append(.gated(.silu), [gate, up], label: "ffn_gated", layer: 0)
  x = try graph.append(.add, [x, gated], label: "ffn_residual", layer: 0)
  let wanted = try graph.append(.selectRows, [x, graph.outputRows], label: "wanted_rows")
  graph.logits = try graph.append(try linear("output", rows: 8), [wanted], label: "output")
  if readingAfterwards { _ = try graph.append(.add, [x, x], label: "reader", layer: 0) }
  return graph
}

@Suite struct WantedRowsTests {
  @Test func whatFollowsTheLastAttentionIsComputedOfWantedRowsOnly() throws {
    let before = try graph()
    let after = try before.selectingEarly()
    try after.verify()
    #expect(
      after.nodes.map(\.label) == [
        "token_embd", "attention", "attn_output", "attn_residual", "wanted_rows", "ffn_gate",
        "ffn_up", "ffn_gated", "ffn_residual", "output",
      ])
    let rows = after.nodes.map { after[$0.output].rows }
    #expect(rows[..<4].allSatisfy { $0 == .symbol(.rows) })
    #expect(rows[4...].allSatisfy { $0 == .symbol(.outputs) })
    let wanted = after.nodes[4]
    #expect(wanted.inputs == [after.nodes[3].output, after.outputRows])
    #expect(after.nodes[5].inputs == [wanted.output] && after.nodes[6].inputs == [wanted.output])
    #expect(after.nodes[8].inputs == [wanted.output, after.nodes[7].output])
    #expect(after.nodes[9].inputs == [after.nodes[8].output])
    // Nothing is left to be moved.
    #expect(try after.selectingEarly() == after)
  }

  @Test func rowsThatOthersReadAreComputedInFull() throws {
    let before = try graph(readingAfterwards: true)
    #expect(try before.selectingEarly() == before)
  }
}
