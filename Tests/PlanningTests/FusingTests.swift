import Devices
import ModelGraph
import Planning
import ReferenceBackend
import Tensors
import Testing

/// Which operations become one, and what that leaves as it was.
@Suite struct FusingTests {
  private func weight(_ name: String, _ rows: Int, _ type: ElementType = .q8_0) throws -> Weight {
    try #require(Weight(name: name, type: type, rows: rows, width: 32))
  }

  /// A whole layer. With `sharesNorm`, the norm before attention is read by the residual too.
  private func graph(sharesNorm: Bool = false) throws -> Graph {
    var graph = Graph(layerCount: 1)
    let frequencies = graph.constant("frequencies", [1, 0.5])
    func append(_ op: Op, _ inputs: [ValueID], _ label: String) throws -> ValueID {
      try graph.append(op, inputs, label: label, layer: 0)
    }
    func linear(_ x: ValueID, _ name: String) throws -> ValueID {
      try append(.linear(Linear(weight: try weight(name, 32), activations: .int8)), [x], name)
    }
    func norm(_ x: ValueID, _ name: String) throws -> ValueID {
      try append(.rmsNorm(RMSNorm(weight: try weight(name, 1, .f32), epsilon: 1e-5)), [x], name)
    }
    let rope = Rope(
      headCount: 2, headWidth: 16, dimensions: 4, pairing: .halves, frequencies: frequencies)
    let x = try graph.append(
      .embedRows(EmbedRows(table: try weight("embd", 10))), [graph.tokens], label: "embd")
    let normed = try norm(x, "attn_norm")
    let (q, k, v) = (try linear(normed, "q"), try linear(normed, "k"), try linear(normed, "v"))
    let attended = try append(
      .attention(Attention(headCount: 2, kvHeadCount: 2, headWidth: 16, scale: 0.25)),
      [
        try append(.rope(rope), [q, graph.positions], "rope_q"),
        try append(.rope(rope), [k, graph.positions], "rope_k"), v,
      ], "attention")
    let middle = try append(
      .add, [sharesNorm ? normed : x, try linear(attended, "o")], "residual")
    let normedAgain = try norm(middle, "ffn_norm")
    let gated = try append(
      .gated(.silu), [try linear(normedAgain, "gate"), try linear(normedAgain, "up")], "gated")
    let end = try append(.add, [middle, try linear(gated, "down")], "end")
    let wanted = try graph.append(.selectRows, [end, graph.outputRows], label: "wanted")
    graph.logits = try graph.append(
      .linear(Linear(weight: try weight("embd", 10), activations: .int8)), [wanted], label: "head")
    try graph.verify()
    return graph
  }

  private func plan(_ graph: Graph, fuses: Bool = true) throws -> ExecutionPlan {
    var planner = Planner(
      bounds: SymbolSizes(rows: 8, outputs: 2), pageCount: 4, element: .f16)
    planner.fuses = fuses
    return try planner.plan(graph, on: [ReferenceDevice()])
  }

  private func instructions(_ plan: ExecutionPlan) -> [Instruction] {
    plan.steps.flatMap { step -> [Instruction] in
      if case .run(_, let list) = step { list } else { [] }
    }
  }

  @Test func aLayerIsFiveOperations() throws {
    let plan = try plan(graph())
    #expect(
      plan.placements.filter { $0.layer == 0 }.map(\.key.name) == [
        "attention_inputs", "attend_quantize", "linear_add", "gated_unit", "linear_add",
      ])
    #expect(plan.placements.count == instructions(plan).count)
  }

  /// Run one by one, the parts are the instructions of the plan that does not fuse.
  @Test func partsAreWhatTheyWere() throws {
    for sharesNorm in [false, true] {
      let graph = try graph(sharesNorm: sharesNorm)
      let parts = instructions(try plan(graph)).flatMap(\.parts)
      let apart = instructions(try plan(graph, fuses: false))
      #expect(parts.map(\.operation.name).sorted() == apart.map(\.operation.name).sorted())
      #expect(parts.map(\.label).sorted() == apart.map(\.label).sorted())
      for part in parts {
        #expect(part.weights.count == apart.first { $0.label == part.label }?.weights.count)
      }
    }
  }

  /// A norm that something else reads stays in memory.
  @Test func whatOthersReadIsNotFusedAway() throws {
    let plan = try plan(graph(sharesNorm: true))
    #expect(
      plan.placements.filter { $0.layer == 0 }.map(\.key.name) == [
        "rms_norm", "quantize", "attention_inputs", "attend_quantize", "linear_add", "gated_unit",
        "linear_add",
      ])
  }

  @Test func memoryIsTheSameButForScratch() throws {
    let graph = try graph()
    let (fused, apart) = (try plan(graph).need(on: 0), try plan(graph, fuses: false).need(on: 0))
    #expect(fused.weights == apart.weights && fused.mapped == apart.mapped)
    #expect(fused.cache == apart.cache)
  }

  /// A layer whose pages are scored has three operations more, and the others stay as they are.
  @Test(arguments: [PageReading.Chooser.scores, .step])
  func aChosenLayerFusesAsAnyOther(chooser: PageReading.Chooser) throws {
    let graph = try graph()
    var planner = Planner(bounds: SymbolSizes(rows: 40, outputs: 2), pageCount: 20, element: .f16)
    let plain = try planner.plan(graph, on: [ReferenceDevice()])
    #expect(plain.chosen == nil)
    planner.reading = PageReading(pages: 3, chooser: chooser, firstLayer: 0)
    let plan = try planner.plan(graph, on: [ReferenceDevice()])
    let chosen = try #require(plan.chosen)
    let bounds = chooser == .scores ? ["bound_pages"] : []
    let choice = chooser == .scores ? ["bound_pages", "score_pages", "choose_pages"] : []
    let rest = ["attend_quantize", "linear_add", "gated_unit", "linear_add"]
    func names(_ placements: [Placement]) -> [String] {
      placements.filter { $0.layer == 0 }.map(\.key.name)
    }
    #expect(names(plan.placements) == ["attention_inputs"] + bounds + rest)
    #expect(names(chosen.placements) == ["attention_inputs"] + choice + rest)
    #expect(chosen.bounds.rows == PageReading.rowLimit)
    // What is to be tested before a run: everything that either list does.
    let tested = try planner.operations(of: graph, on: ReferenceDevice())
    #expect(tested.isSuperset(of: (plan.placements + chosen.placements).map(\.key)))
    // Bounds of keys are cache: a 16th of it, at two heads of one vector.
    let layout = KVLayout(headCount: 2, headWidth: 16, element: .f16)
    #expect(layout.boundsBytes * 16 == layout.pageBytes)
    let extra = chooser == .scores ? 20 * layout.boundsBytes : 0
    #expect(plan.need(on: 0).cache == plain.need(on: 0).cache + extra)
    #expect(plan.cacheBytesPerToken == plain.cacheBytesPerToken + extra / (20 * 16))
    // A layer that reads all has no list and no bounds.
    planner.reading?.firstLayer = 1
    let dense = try planner.plan(graph, on: [ReferenceDevice()])
    #expect(names(dense.chosen?.placements ?? []) == ["attention_inputs"] + rest)
    #expect(dense.need(on: 0).cache == plain.need(on: 0).cache)
  }
}
