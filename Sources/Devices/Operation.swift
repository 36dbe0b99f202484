package import ModelGraph
import Tensors

/// What a device is asked to do: the pure ops of a graph, and what planning lowers them to.
package enum Operation: Sendable, Hashable {
  /// Any pure op but attention, which needs a cache. A linear op whose input operand is
  /// `.int8Blocks` computes with integers.
  ///
  /// Inputs are the op's, weights are `op.weights` followed by `op.constants`.
  case pure(Op)
  /// x → int8 blocks, by the rule of `Int8Activations`.
  case quantize
  /// x → each head of it rotated.
  case rotateHeads(HeadRotation)
  /// k, v, slots (i32, rows × 1) → the page pool. Slot s is token s % 16 of page s / 16; a negative
  /// slot is skipped.
  case writeKV(KVLayout)
  /// source slots, target slots (i32, rows × 1 each), page pool of `KVLayout.latest` → page pool: each row's key and
  /// value, as `writeKV` would store what the first pool gives. A row with a negative slot is skipped. Rows of one page
  /// follow one another; where an element of its keys is quantised over them, the last makes these for all (`KVRange`).
  case copyKV(KVLayout)
  /// slots (i32, rows × 1), page pool → bounds of each page whose last token is among the rows: the
  /// least and the largest of each element of its keys.
  case boundPages(KVLayout)
  /// q, page bounds, end, table (i32, rows × 1 each), page tables (i32) → scores (f32, rows × kv
  /// heads × pages of the pool): no query of a kv head's has a larger product with a key of the page,
  /// but for rounding.
  ///
  /// Of a row that sees n pages the first n - 1 are scored, all of them full; up to the next multiple of
  /// 16 there is -∞ behind them. A row that sees no more pages than `Attention.pages` keeps has none.
  case scorePages(Attention, KVLayout)
  /// scores, end, table, page tables → the chosen pages of each kv head (i32, rows × kv heads × count).
  ///
  /// They are the row's first page, its last two or all of its window (`ChosenPages.window`) where that is more, and
  /// those with the best scores among the others, in order of tokens; of pages with equal scores the first ones.
  /// `count` has room for the first ones. Where all fit, all are chosen. What is behind them means nothing.
  case choosePages(Attention)
  /// q, page pool, begin, end, table (i32, rows × 1 each), page tables (i32) → attended values.
  ///
  /// Row r sees the tokens in the half-open interval [begin, end) of its sequence; token t lies in
  /// page `tables[table + t / 16]`. A row that sees nothing yields zeros. Sums are cut into spans of
  /// `KVLayout.spanTokens`.
  ///
  /// Chosen pages (`Attention.pages`) are page tables too, and begin and end count in what is chosen:
  /// choosing all pages gives the same bits as choosing none. Where kv heads have tables apart, that of
  /// kv head h begins h × count behind the row's.
  ///
  /// In stages (`Attention.stage`), all but the last leave for each head its sums, which are not divided, their peak and
  /// their total (f32, rows × heads × (width + 2)); all but the first take that as their seventh input, and merge their
  /// own spans behind it.
  case attend(Attention, KVLayout)
  /// q, page pool, begin, end, table, page tables, as attention has them, observed rows (i32, count × 1; -1 for
  /// none) → for each observed row and query head the peak of its scores and the inverse of its softmax's total
  /// (f32, count × heads × 2). What is not observed, or sees nothing, has zeros.
  ///
  /// Peak and total are gathered in attention's order; chosen pages mean nothing here.
  case weighRows(Attention, KVLayout)
  /// The same, and weights of observed rows → what they attend to each token (f32, kv heads × tokens, the tokens a
  /// multiple of 16).
  ///
  /// Token t of kv head h has the sum of exp(score - peak) × inverse total over the observed rows, in the order of the
  /// list, and the query heads that share h, in theirs; each row counts tokens in its own sequence. Rows that do not
  /// see t add nothing, and where none does there is 0. There is never a matrix of rows × tokens.
  case sumColumns(Attention, KVLayout)
  /// Columns (f32, kv heads × tokens), observed rows (i32, count × 1), end (i32, rows × 1) → the tokens that the rows
  /// attend to (i32, 3 × (16 + tokens)). Rows are of one sequence and follow one another.
  ///
  /// Row 0 has the number of tokens, and behind 16 numbers the tokens in order. Row 1 has for each token that the
  /// last row sees its share of what the observed rows attend to, in parts of 2³⁰, row 2 the same divided by the
  /// part of the observed rows that see it; both with zeros up to the next multiple of 16. All else means nothing.
  /// ``TokenChoice`` says how many tokens there are, and which.
  case chooseTokens(TokenChoice)
  /// What `chooseTokens` gave, end → a number for each row (i32, rows × 1): ``TokenPlace`` says which.
  case placeTokens(TokenPlace)
  /// What `chooseTokens` gave, page pool, table, page tables → a page pool of as many pages that begins with the
  /// chosen tokens, page by page in order. What is behind them means nothing.
  case gatherTokens(KVLayout)
  /// Several operations at once; the instruction carries them as its expansion.
  case fused(Fusion)

  /// The operation's name in reports.
  package var name: String {
    switch self {
    case .pure(let op): op.name
    case .quantize: "quantize"
    case .rotateHeads: "rotate_heads"
    case .writeKV: "write_kv"
    case .copyKV: "copy_kv"
    case .boundPages: "bound_pages"
    case .scorePages: "score_pages"
    case .choosePages: "choose_pages"
    case .attend: "attend"
    case .weighRows: "weigh_rows"
    case .sumColumns: "sum_columns"
    case .chooseTokens: "choose_tokens"
    case .placeTokens: "place_tokens"
    case .gatherTokens: "gather_tokens"
    case .fused(let fusion): fusion.name
    }
  }

  /// The attention, of an operation that attends.
  package var attention: Attention? {
    switch self {
    case .attend(let attention, _), .fused(.attendQuantize(let attention, _)): attention
    default: nil
    }
  }

  /// The storage formats that distinguish this operation from others of its name, for reports.
  package func typeName(_ input: Format?) -> String {
    switch self {
    case .pure(.linear(let linear)):
      linear.weight.type.name + (input == .int8Blocks ? " × int8" : " × f32")
    case .pure(.embedRows(let embed)): embed.table.type.name
    case .writeKV(let layout), .copyKV(let layout), .attend(_, let layout), .boundPages(let layout),
      .scorePages(_, let layout), .weighRows(_, let layout), .sumColumns(_, let layout),
      .gatherTokens(let layout):
      layout.element.rawValue
    case .quantize: "int8"
    case .choosePages, .chooseTokens, .placeTokens: "i32"
    case .fused(let fusion): fusion.typeName
    case .pure, .rotateHeads: "f32"
    }
  }
}

/// What a self-test's verdict is about: an operation on elements of a type.
package struct OperationKey: Sendable, Hashable, CustomStringConvertible {
  package let name: String
  package let type: String

  package init(_ operation: Operation, input: Format?) {
    name = operation.name
    type = operation.typeName(input)
  }

  package var description: String { "\(name) \(type)" }
}

/// One operation bound to memory.
package struct Instruction: Sendable, Hashable {
  package var operation: Operation
  package var inputs: [Operand]
  /// Weights, then constants, in the order in which the op names them.
  package var weights: [Region]
  package var output: Operand
  /// Scratch memory of `Device.workspaceBytes`, whose content means nothing before and after; nil
  /// where the device asked for none.
  package var workspace: Region?
  package var label: String
  package var layer: Int?
  /// Of a fused operation, the instructions that it stands for, with memory for what passes between
  /// them. It reads weights through them and has none of its own.
  package var expansion: [Instruction]

  package init(
    _ operation: Operation, inputs: [Operand], weights: [Region] = [], output: Operand,
    label: String, layer: Int? = nil, expansion: [Instruction] = []
  ) {
    self.operation = operation
    self.inputs = inputs
    self.weights = weights
    self.output = output
    self.label = label
    self.layer = layer
    self.expansion = expansion
  }

  /// The most scratch memory that it or a part of it needs: parts run one after the other.
  package func workspaceBytes(on device: any Device, bounds: SymbolSizes) -> Int {
    expansion.reduce(device.workspaceBytes(self, bounds: bounds)) {
      max($0, $1.workspaceBytes(on: device, bounds: bounds))
    }
  }

  /// Gives it and its parts that memory.
  package mutating func lend(_ workspace: Region) {
    self.workspace = workspace
    for index in expansion.indices { expansion[index].lend(workspace) }
  }

  /// Itself, or what it stands for: no fused operation is among them.
  package var parts: [Instruction] {
    expansion.isEmpty ? [self] : expansion.flatMap(\.parts)
  }
}

extension [Instruction] {
  /// Whether another list is this very one, and not only equal: to compare lists takes longer than to run them. A
  /// list that is kept stays where it lies, so none comes to lie in its place.
  package func isThe(very other: [Instruction]) -> Bool {
    count == other.count
      && withUnsafeBufferPointer { mine in
        other.withUnsafeBufferPointer { mine.baseAddress == $0.baseAddress }
      }
  }
}

/// Whether a device runs an operation.
package enum Support: Sendable, Hashable {
  /// It does, by the named variant.
  case native(variant: String)
  /// It does not, and why.
  case declined(reason: String)
}
