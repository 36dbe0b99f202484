import Devices
import ModelGraph
import Tensors

/// What the table's measures stand for in one launch.
struct Measures {
  var instruction: Instruction
  var sizes: SymbolSizes

  subscript(_ measure: Measure) -> Int {
    switch measure {
    case .one: 1
    case .rows: rows
    case .inputWidth: instruction.inputs[0].width
    case .outputWidth: instruction.output.width
    case .normWidth: normWidth
    case .normGroups: rows * (instruction.output.width / normWidth)
    case .elements: rows * instruction.output.width
    case .blocks: instruction.inputs[0].width / Int8Activations.blockLength
    case .heads: heads.count
    case .kvHeads: heads.kv
    case .headWidth: heads.width
    case .headsShared: heads.count / heads.kv
    case .spans: spans
    case .kvHeadSpans: heads.kv * spans
    case .poolPages: poolPages
    case .writtenPages: sizes[instruction.output.rows]
    case .chosenPages: attention?.pages?.count ?? 0
    case .chosenWindow: attention?.pages?.window ?? 1
    case .tableStride: attention?.tableStride ?? 0
    case .scoreStride: scoreStride
    case .pageLots: pageLots
    case .kvHeadLots: heads.kv * pageLots
    case .observedRows: sizes[instruction.inputs[6].rows]
    case .columnWindows: columnWindows
    case .kvHeadWindows: heads.kv * columnWindows
    case .probes: sizes[instruction.inputs[1].rows]
    case .seeingRows: sizes[instruction.inputs[2].rows]
    case .tokenShare: if case .chooseTokens(let choice) = operation { choice.share } else { 0 }
    case .kvHeadPages: heads.kv * poolPages
    case .tileRows: tileRows
    case .rowTiles: (rows + tileRows - 1) / tileRows
    case .ropeDimensions: if case .pure(.rope(let rope)) = operation { rope.dimensions } else { 0 }
    case .headUnits: heads.count + 2 * heads.kv
    case .outputBlocks: instruction.output.width / Int8Activations.blockLength
    case .hasBias: instruction.weights.count > 1 ? 1 : 0
    case .isRotated: isRotated ? 1 : 0
    case .stage: stage
    }
  }

  subscript(_ parameter: Parameter) -> Float {
    switch (parameter, operation) {
    case (.epsilon, .pure(.rmsNorm(let norm))): norm.epsilon
    case (.scale, .attend(let attention, _)), (.scale, .scorePages(let attention, _)),
      (.scale, .fused(.attendQuantize(let attention, _))), (.scale, .weighRows(let attention, _)),
      (.scale, .sumColumns(let attention, _)):
      attention.scale
    case (.scale, .pure(.embedRows(let embed))): embed.scale
    case (.magnitude, .pure(.rope(let rope))): rope.magnitude
    default: preconditionFailure("\(operation.name) has no \(parameter)")
    }
  }

  /// The measures of a part of a fused operation.
  func part(_ index: Int) -> Measures {
    Measures(instruction: instruction.parts[index], sizes: sizes)
  }

  /// How many work-items keep a CPU device busy. A second worker is awake some 30 µs after the first,
  /// and gains little where memory is the limit, so a short launch goes to one. Else each gets several
  /// equal shares.
  func items(_ computeUnits: Int) -> Int {
    if let microseconds, microseconds < Self.worthSharing { return 1 }
    return computeUnits * 8
  }

  /// Into how many shares workers cut what else would be a launch, to take one after the other: small ones,
  /// so that nobody waits long for the last, but large enough for what each of them does first.
  func shares(_ workers: Int) -> Int {
    if workers == 1 { return 1 }
    return min(workers * 16, max(workers * 2, (microseconds ?? 0) / 8))
  }

  /// Microseconds of work from which on it pays to wake a second worker.
  private static let worthSharing = 120

  /// About how many microseconds one core reads or computes, where that is known.
  private var microseconds: Int? {
    // Bytes a microsecond that one core reads, operations that it computes.
    let weights = operation.multiplied
    if !weights.isEmpty {
      let reading = weights.reduce(0) { $0 + $1.bytes } / 36_000
      let computing = weights.reduce(0) { $0 + 2 * rows * $1.rows * $1.width } / 600_000
      return max(reading, computing)
    }
    switch operation {
    case .attend(_, let layout), .fused(.attendQuantize(_, let layout)):
      return rows * spans * KVLayout.spanTokens * layout.tokenBytes / 36_000
    case .scorePages(_, let layout): return rows * pageLots * 16 * layout.boundsBytes / 36_000
    case .boundPages, .choosePages: return 0
    default: return nil
    }
  }

  private var operation: Operation { instruction.operation }

  /// Where the output counts pages, rows are those of the input.
  private var rows: Int {
    if case .boundPages = operation, sizes.fillsPages == false { return 0 }
    return sizes[
      instruction.output.format.countsPages ? instruction.inputs[0].rows : instruction.output.rows]
  }

  private var normWidth: Int {
    guard case .pure(.rmsNorm(let norm)) = operation else {
      preconditionFailure("\(operation.name) has no norm")
    }
    return norm.weight.width
  }

  private var heads: (count: Int, kv: Int, width: Int) {
    switch operation {
    case .pure(.rope(let rope)): (rope.headCount, rope.headCount, rope.headWidth)
    case .rotateHeads(let rotation):
      (rotation.headCount, rotation.headCount, rotation.headWidth)
    case .chooseTokens(let choice): (choice.headCount, choice.kvHeadCount, 0)
    case .writeKV(let layout), .copyKV(let layout), .boundPages(let layout),
      .gatherTokens(let layout):
      (layout.headCount, layout.headCount, layout.headWidth)
    case .fused(.attentionInputs(let inputs)):
      (inputs.rope.headCount, inputs.layout.headCount, inputs.layout.headWidth)
    case .attend(let attention, _), .fused(.attendQuantize(let attention, _)),
      .scorePages(let attention, _), .choosePages(let attention), .weighRows(let attention, _),
      .sumColumns(let attention, _):
      (attention.headCount, attention.kvHeadCount, attention.headWidth)
    default: preconditionFailure("\(operation.name) has no heads")
    }
  }

  private var stage: Int {
    (attention?.stage.leaves == true ? 1 : 0) + (attention?.stage.follows == true ? 2 : 0)
  }

  /// What another stage of attention has left, or anything that is there.
  var left: Operand { instruction.inputs[attention?.stage.follows == true ? 6 : 0] }

  private var isRotated: Bool {
    switch operation {
    case .fused(.attentionInputs(let inputs)): inputs.layout.isRotated
    case .fused(.attendQuantize(_, let layout)): layout.isRotated
    default: false
    }
  }

  private var poolPages: Int {
    (instruction.inputs + [instruction.output]).first {
      if case .pages = $0.format { true } else { false }
    }.map { sizes[$0.rows] } ?? 0
  }

  /// Spans that the step's rows may see: those of a page table where nobody has counted.
  private var spans: Int {
    if attention?.isWindowStage == true { return 1 }
    let pages = attention?.pages?.count ?? sizes[instruction.inputs[5].rows]
    let held = pages * KVLayout.pageTokens
    return AttentionParts.spans(tokens: min(held, sizes.depth ?? held))
  }

  /// Lots of 16 pages that the step's rows may see.
  private var pageLots: Int {
    let held = sizes[instruction.inputs[1].rows]
    return (min(held, sizes.depth.map(KVLayout.pages) ?? held) + 15) / 16
  }

  private var scoreStride: Int {
    if case .choosePages = operation { return instruction.inputs[0].width / heads.kv }
    return instruction.output.width / heads.kv
  }

  private var columnWindows: Int {
    (instruction.output.width + KVLayout.windowTokens - 1) / KVLayout.windowTokens
  }

  private var attention: Attention? {
    switch operation {
    case .attend(let attention, _), .fused(.attendQuantize(let attention, _)),
      .scorePages(let attention, _), .choosePages(let attention):
      attention
    default: nil
    }
  }

  /// Whether rows are few, each of a sequence of its own, and some see more than one span: then spans
  /// are worked on apart.
  var leavesParts: Bool {
    guard instruction.workspace != nil, rows <= AttentionParts.rowLimit else { return false }
    // One work-item would do all of the spans that a single row chose.
    if rows == 1, attention?.pages != nil, (microseconds ?? 0) < Self.worthSharing { return false }
    return (sizes.runs ?? (rows == 1 ? 1 : 0)) == rows && spans > 1
  }

  /// Enough to share what is read, few enough for the cache that is nearest.
  private var tileRows: Int { max(1, min(48, 48 / (heads.count / heads.kv))) }
}

extension Operation {
  /// The matrices that an operation multiplies by.
  fileprivate var multiplied: [Weight] {
    switch self {
    case .pure(.linear(let layer)), .fused(.linearAdd(let layer)): [layer.weight]
    case .fused(.gatedUnit(let unit)): [unit.gate.weight, unit.up.weight]
    case .fused(.attentionInputs(let inputs)):
      [inputs.queries.weight, inputs.keys.weight, inputs.values.weight]
    default: []
    }
  }
}
