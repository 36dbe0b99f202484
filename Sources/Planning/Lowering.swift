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
  /// The same as slots and tables, in the pool of layers that look back over a window only, or of the latest tokens.
  case windowSlots
  case windowTables
  /// Positions of rows among so many pages, which are all that is read: the first and the last ones.
  case cachePositions(pages: Int)
  /// Where what each row sees of a text's first page ends.
  case sinkEnd
  /// Where the window begins that each row is in, where those are cut from the beginning of the text on.
  case latestBegin
  /// Of rows that read chosen pages: where what they see ends, counted in those; where each row's list
  /// begins, if lists are so long; and the lists, where the step brings them.
  case chosenEnd(pages: Int)
  case chosenTable(stride: Int)
  case chosenTables(pages: Int)
  /// Rows whose attention is looked at: so many, or one for each row of the step; -1 for none.
  case observed(count: Int?)
  /// All rows of the step.
  case allRows
  /// Of the one row that reads what is kept of a prompt, in a layer of those that keep pages: where what it sees
  /// ends, counted in them, and the lists of its kv heads.
  case keptEnd(place: Int)
  case keptTables(place: Int, heads: Int, stride: Int)
  /// The lists of one layer, a row's kv heads side by side, where the step brings them for each.
  case layerTables(layer: Int, stride: Int)
  /// The pages of a pool in order.
  case wholeTables
}

extension StepPlane {
  /// How many rows are observed, where that does not depend on the step.
  fileprivate var observedCount: Int? { if case .observed(let count) = self { count } else { nil } }
}

/// Where a lowered operation finds an operand.
enum Source: Hashable {
  /// A value of `LoweredGraph.values`.
  case value(Int)
  case step(StepPlane)
  /// The page pool of a layer.
  case pool(layer: Int)
  /// That of the latest tokens, where they are kept as they came.
  case latest(layer: Int)
  /// The bounds of its keys, page by page.
  case bounds(layer: Int)
  /// What observed rows attend to each token.
  case columns(layer: Int)
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
  private(set) var logits: Int

  /// The planes of the step buffer that are read.
  var planes: Set<StepPlane> {
    Set(
      nodes.flatMap(\.parts).flatMap(\.inputs).compactMap {
        if case .step(let plane) = $0 { plane } else { nil }
      })
  }

  private var sources: [ValueID: Source]
  private var quantized: [ValueID: Source] = [:]

  private let element: KVLayout.Element
  private let rotates: Bool
  private let keepsLatest: Bool
  private let reading: PageReading?
  private let isChosen: Bool
  private let weighs: Bool
  private let pageCount: Int
  /// Layers so far that keep a part of a prompt's pages.
  private var keptLayers = 0
  private let sparsity: PromptSparsity?

  /// Lowers a verified graph: with `keepsLatest`, rows read the tokens of their own window from a pool of halves; with
  /// `isChosen`, rows read chosen pages in the layers where `reading` says
  /// so, and with `weighs` it is computed what they would attend to among all pages; with `sparsity`, rows of a prompt
  /// attend to a part of what they see.
  init(
    _ graph: Graph, element: KVLayout.Element, rotates: Bool = false, keepsLatest: Bool = false,
    reading: PageReading? = nil, isChosen: Bool = false, weighs: Bool = false,
    sparsity: PromptSparsity? = nil,
    pageCount: Int = 0
  ) {
    self.element = element
    self.rotates = rotates
    self.keepsLatest = keepsLatest
    self.reading = reading
    self.isChosen = isChosen
    self.weighs = weighs
    self.pageCount = pageCount
    self.sparsity = sparsity
    guard let head = graph.logits else { preconditionFailure("a verified graph has logits") }
    sources = [
      graph.tokens: .step(.tokens), graph.positions: .step(.positions),
      graph.outputRows: .step(.outputRows),
    ]
    logits = 0
    for node in graph.nodes { lower(node, graph) }
    guard case .value(let index)? = sources[head] else {
      preconditionFailure("a verified graph computes its logits")
    }
    logits = index
  }

  private mutating func lower(_ node: Node, _ graph: Graph) {
    let value = graph[node.output]
    switch node.op {
    case .attention(let attention):
      lower(attention, node, graph, into: new(value))
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

  /// The cache write and what reads it.
  private mutating func lower(
    _ attention: Attention, _ node: Node, _ graph: Graph, into output: Source
  ) {
    guard let layer = node.layer else { preconditionFailure("attention has a layer") }
    let layout = KVLayout(
      headCount: attention.kvHeadCount, headWidth: attention.headWidth, element: element,
      isRotated: rotates)
    let heads = [attention.headCount, attention.kvHeadCount, attention.kvHeadCount]
    let inputs = zip(node.inputs, heads).map { input, count in
      rotates ? rotated(source(input), count, attention, node) : source(input)
    }
    let queries = inputs[0]
    let slots = attention.window == nil ? StepPlane.slots : .windowSlots
    if keepsLatest {
      emit(
        .writeKV(layout.latest), [inputs[1], inputs[2], .step(.windowSlots)],
        into: .latest(layer: layer), node, label: "write_kv")
      emit(
        .copyKV(layout), [.step(.windowSlots), .step(.slots), .latest(layer: layer)],
        into: .pool(layer: layer), node, label: "copy_kv")
    } else {
      emit(
        .writeKV(layout), [inputs[1], inputs[2], .step(slots)], into: .pool(layer: layer), node,
        label: "write_kv")
    }
    sources[node.output] = output
    guard rotates, case .value(let index) = output else {
      return read(attention, layout, queries, layer: layer, node, graph, into: output)
    }
    // What is attended over rotated values is rotated back.
    let attended = new(values[index])
    read(attention, layout, queries, layer: layer, node, graph, into: attended)
    emit(
      .rotateHeads(rotation(attention.headCount, attention)), [attended], into: output, node,
      label: "rotate_heads")
  }

  /// The choice of pages where there is one, and the attended read.
  private mutating func read(
    _ attention: Attention, _ layout: KVLayout, _ queries: Source, layer: Int, _ node: Node,
    _ graph: Graph, into output: Source
  ) {
    let chosen = reading.flatMap { $0.chooses(layer: layer, window: attention.window) ? $0 : nil }
    if chosen?.chooser == .scores {
      emit(
        .boundPages(layout), [.step(.slots), .pool(layer: layer)], into: .bounds(layer: layer),
        node, label: "bound_pages")
    }
    if case .mass(let rows) = chosen?.chooser {
      if isChosen { return readKept(attention, layout, node, layer, queries, into: output) }
      observe(
        .observed(count: rows == .max ? nil : rows), attention, layout, node, layer, queries,
        into: .columns(layer: layer))
    }
    if let sparsity, attention.window == nil {
      return attendToChosenTokens(sparsity, attention, layout, queries, layer, node, into: output)
    }
    guard isChosen, let chosen else {
      let tables = attention.window == nil ? StepPlane.tables : .windowTables
      return attend(
        attention, layout, queries, layer, node, end: keepsLatest ? .latestBegin : .end,
        table: .table, tables: .step(tables), into: output)
    }
    if weighs {
      observe(.allRows, attention, layout, node, layer, queries, into: newColumns(attention))
    }
    var attention = attention
    // The first page is read apart, with queries of its own.
    let sinks = chosen.turnsSinks ? turned(node, graph, pages: chosen.pages) : nil
    let count = chosen.pages - (chosen.turnsSinks ? 1 : 0)
    attention.pages = ChosenPages(
      count: count, areApart: chosen.chooser != .step, window: chosen.window)
    var stride = count
    var tables = Source.step(.chosenTables(pages: count))
    if chosen.chooser == .lists {
      stride *= attention.kvHeadCount
      tables = .step(.layerTables(layer: layer, stride: stride))
    } else if chosen.chooser == .scores {
      let whole = (pageCount + 15) / 16 * 16
      let scores = emit(
        .scorePages(attention, layout),
        [queries, .bounds(layer: layer), .step(.end), .step(.table), .step(.tables)],
        into: new(
          LoweredValue(
            rows: .symbol(.rows), width: attention.kvHeadCount * whole, format: .f32)), node,
        label: "score_pages")
      stride *= attention.kvHeadCount
      tables = emit(
        .choosePages(attention), [scores, .step(.end), .step(.table), .step(.tables)],
        into: new(LoweredValue(rows: .symbol(.rows), width: stride, format: .i32)), node,
        label: "choose_pages")
    }
    attend(
      attention, layout, queries, sinks: sinks, layer, node, end: .chosenEnd(pages: count),
      table: .chosenTable(stride: stride), tables: tables, into: output)
  }

  /// The queries of an attention as they are at their positions among so many pages.
  private mutating func turned(_ node: Node, _ graph: Graph, pages: Int) -> Source {
    guard let rope = graph.nodes.first(where: { $0.output == node.inputs[0] }),
      case .rope = rope.op, case .attention(let attention) = node.op
    else { return source(node.inputs[0]) }
    let queries = emit(
      .pure(rope.op), [source(rope.inputs[0]), .step(.cachePositions(pages: pages))],
      into: new(graph[rope.output]), rope)
    return rotates ? rotated(queries, attention.headCount, attention, node) : queries
  }

  /// The attended read of a layer's pool: where the latest tokens are kept apart, behind that of these, and where there
  /// are `sinks`, which are queries for the first page, behind that.
  private mutating func attend(
    _ attention: Attention, _ layout: KVLayout, _ queries: Source, sinks: Source? = nil,
    _ layer: Int, _ node: Node, end: StepPlane, table: StepPlane, tables: Source,
    into output: Source
  ) {
    var left: [Source] = []
    func part(
      _ pages: ChosenPages?, _ layout: KVLayout, _ inputs: [Source], _ label: String
    ) -> [Source] {
      var part = attention
      (part.stage, part.pages) = (left.isEmpty ? .first : .middle, pages)
      let value = LoweredValue(
        rows: .symbol(.rows), width: part.headCount * part.leftWidth, format: .f32)
      return [
        emit(.attend(part, layout), inputs + left, into: new(value), node, label: label)
      ]
    }
    if keepsLatest {
      left = part(
        nil, layout.latest,
        [
          queries, .latest(layer: layer), .step(.latestBegin), .step(.end), .step(.table),
          .step(.windowTables),
        ], "attention to the latest")
    }
    if let sinks {
      left = part(
        ChosenPages(count: 1, areApart: false), layout,
        [
          sinks, .pool(layer: layer), .step(.begin(window: nil)), .step(.sinkEnd), .step(.table),
          .step(.tables),
        ], "attention to sinks")
    }
    var attention = attention
    if !left.isEmpty { attention.stage = .last }
    emit(
      .attend(attention, layout),
      [
        queries, .pool(layer: layer), .step(.begin(window: attention.window)), .step(end),
        .step(table), tables,
      ] + left, into: output, node)
  }

  private func rotation(_ count: Int, _ attention: Attention) -> HeadRotation {
    HeadRotation(headCount: count, headWidth: attention.headWidth)
  }

  private mutating func rotated(
    _ input: Source, _ count: Int, _ attention: Attention, _ node: Node
  ) -> Source {
    let value = LoweredValue(
      rows: .symbol(.rows), width: count * attention.headWidth, format: .f32)
    return emit(
      .rotateHeads(rotation(count, attention)), [input], into: new(value), node,
      label: "rotate_heads")
  }

  /// A number for each kv head and token.
  private mutating func newColumns(_ attention: Attention) -> Source {
    new(
      LoweredValue(
        rows: .fixed(attention.kvHeadCount), width: pageCount * KVLayout.pageTokens, format: .f32))
  }

  /// What some rows attend to each token.
  private mutating func observe(
    _ rows: StepPlane, _ attention: Attention, _ layout: KVLayout, _ node: Node, _ layer: Int,
    _ queries: Source, into columns: Source
  ) {
    let seen: [Source] = [
      queries, .pool(layer: layer), .step(.begin(window: attention.window)), .step(.end),
      .step(.table), .step(.tables), .step(rows),
    ]
    let weights = emit(
      .weighRows(attention, layout), seen,
      into: new(
        LoweredValue(
          rows: rows.observedCount.map { .fixed($0) } ?? .symbol(.rows),
          width: 2 * attention.headCount, format: .f32)), node, label: "weigh_rows")
    emit(
      .sumColumns(attention, layout), seen + [weights], into: columns, node,
      label: "sum_columns")
  }

  /// The attended read of what a layer keeps of a prompt and of what came behind it.
  private mutating func readKept(
    _ attention: Attention, _ layout: KVLayout, _ node: Node, _ layer: Int, _ queries: Source,
    into output: Source
  ) {
    var attention = attention
    // Lists grow, up to all pages that there are.
    attention.pages = ChosenPages(count: pageCount, areApart: true)
    let stride = pageCount * attention.kvHeadCount
    attend(
      attention, layout, queries, layer, node, end: .keptEnd(place: keptLayers),
      table: .chosenTable(stride: stride),
      tables: .step(
        .keptTables(place: keptLayers, heads: attention.kvHeadCount, stride: pageCount)),
      into: output)
    keptLayers += 1
  }

  /// Attention of a prompt's rows to a part of what they see: what some of them attend to, the tokens that have most
  /// of that, and attention among these, whose keys, values and queries are brought side by side. The others'
  /// rows have zeros.
  private mutating func attendToChosenTokens(
    _ sparsity: PromptSparsity, _ attention: Attention, _ layout: KVLayout, _ queries: Source,
    _ layer: Int, _ node: Node, into output: Source
  ) {
    let heads = attention.headCount
    let held = pageCount * KVLayout.pageTokens
    let (pool, end, table) = (Source.pool(layer: layer), Source.step(.end), Source.step(.table))
    func emit(
      _ operation: Operation, _ inputs: [Source], _ rows: Dimension, _ width: Int,
      _ format: Format, _ label: String
    ) -> Source {
      self.emit(
        operation, inputs,
        into: new(LoweredValue(rows: rows, width: width, format: format)), node, label: label)
    }
    let columns = newColumns(attention)
    observe(
      .observed(count: sparsity.probes), attention, layout, node, layer, queries, into: columns)
    let chosen = emit(
      .chooseTokens(
        TokenChoice(
          headCount: heads, kvHeadCount: attention.kvHeadCount, share: sparsity.share)),
      [columns, .step(.observed(count: sparsity.probes)), end], .fixed(3), TokenChoice.head + held,
      .i32, "choose_tokens")
    let gathered = emit(
      .gatherTokens(layout), [chosen, pool, table, .step(.tables)], .fixed(pageCount), 1,
      .pages(layout), "gather_tokens")
    func place(_ place: TokenPlace) -> Source {
      emit(.placeTokens(place), [chosen, end], .symbol(.rows), 1, .i32, "place_tokens")
    }
    let width = heads * attention.headWidth
    let own = emit(
      .pure(.selectRows), [queries, place(.source)], .symbol(.rows), width, .f32, "chosen_rows")
    // There is one sequence: its table begins at 0.
    let attended = emit(
      .attend(attention, layout),
      [own, gathered, .step(.begin(window: nil)), place(.end), table, .step(.wholeTables)],
      .symbol(.rows), width, .f32, "attention of a prompt")
    self.emit(
      .pure(.selectRows), [attended, place(.target)], into: output, node, label: "placed_rows")
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
