import Devices
import ModelGraph
import Tensors

/// Every kernel that this backend has. A new one adds a row here, a file and its `#embed` line.
package enum KernelTable {
  /// Rows of one kind stand in order of preference.
  package static let rows: [KernelRow] =
    linear + fused + ElementType.allCases.map(embedRows)
    + [true, false].map(rope) + GatedActivation.allCases.map(gated)
    + KVLayout.Element.allCases.flatMap(attention) + pages + columns + tokens
    + [
      KernelRow(
        kind: .rmsNorm, variant: "row", program: "pointwise/rms_norm", entry: "rms_norm",
        arguments: [.input(0), .weight(0), .output, .count(.normWidth), .number(.epsilon)],
        x: Extent(.normGroups)),
      KernelRow(
        kind: .add, variant: "vector", program: "pointwise/add", entry: "add",
        arguments: [.input(0), .input(1), .output, .count(.elements), .each],
        x: Extent(.elements, step: 1024, spreads: true)),
      KernelRow(
        kind: .rotateHeads, variant: "row", program: "pointwise/rotate_heads",
        entry: "rotate_heads", shared: ["common/rotation"],
        defines: [Define("HEAD_WIDTH", .headWidth)],
        arguments: [.input(0), .output, .count(.heads)], x: Extent(.rows)),
      KernelRow(
        kind: .selectRows, variant: "row", program: "pointwise/select_rows", entry: "select_rows",
        arguments: [.input(0), .input(1), .output, .count(.inputWidth)], x: Extent(.rows)),
      KernelRow(
        kind: .quantize, variant: "block", program: "quant/quantize", entry: "quantize",
        shared: ["common/int8_blocks"],
        arguments: [.input(0), .output, .count(.inputWidth), .each],
        x: Extent(.blocks, step: 32, spreads: true), y: Extent(.rows)),
    ]

  /// What one work-item of a linear kernel computes at once: outputs × tokens, and the most and the fewest
  /// rows that it is meant for.
  private struct Tile {
    var outputs: Int
    var tokens: Int
    var rowLimit = Int.max
    var leastRows = 1

    static func one(_ outputs: Int) -> Tile { Tile(outputs: outputs, tokens: 1, rowLimit: 1) }
  }

  /// One token at a time for decoding, many for prompts. Measured on PoCL: taller register tiles spill.
  private static let linear: [KernelRow] = ElementType.allCases.flatMap { type in
    guard let layout = ResidentLayout(type) else {
      return [Tile.one(4), Tile(outputs: 4, tokens: 4)].map {
        linear(
          type, $0, program: "gemm/linear_float",
          weight(type) + [Define("TILE_OUTPUTS", $0.outputs), Define("TILE_TOKENS", $0.tokens)])
      }
    }
    func tiles(_ tile: Tile) -> [Define] {
      layout.defines + [
        Define("TILES", tile.outputs / ResidentLayout.tileRows), Define("TOKENS", tile.tokens),
      ]
    }
    let vnni = [Tile.one(16), Tile(outputs: 32, tokens: 4)].map {
      sums(type, needs: .vnni, $0, tiles($0) + [Define("VNNI", 1)])
    }
    // Weights wait unpacked for all tokens of a work-item; for fewer of these that is not worth it. What is
    // quick to unpack has them for the tuner only.
    let large = Tile(outputs: 32, tokens: 48, leastRows: 5)
    let unpacked = sums(
      type, needs: .vnni, large,
      tiles(large) + [
        Define("VNNI", 1), Define("UNPACKS", 1), Define("MEET", layout.hasPairsOfGroups ? 4 : 6),
      ])
    let bytes = vnni[0] + (layout.isQuickToUnpack ? vnni[1] + unpacked : unpacked + vnni[1])
    let avx2 = [Tile.one(16), Tile(outputs: 16, tokens: 64)].flatMap {
      sums(type, needs: .avx2, $0, tiles($0) + [Define("AVX2", 1)])
    }
    let lanes = [Feature.integerDot, .lanes].flatMap { feature in
      [Tile.one(1), Tile(outputs: 1, tokens: 8)].map {
        var row = linear(
          type, int8: true, needs: feature, $0, program: "gemm/linear_lanes",
          layout.defines + [
            Define("TOKENS", $0.tokens), Define("INTEGER_DOT", feature == .integerDot ? 1 : 0),
          ])
        row.arguments.removeLast()
        row.shared = []
        row.x = Extent(.outputWidth)
        row.groupWidth = 32
        return row
      }
    }
    let plain = [Tile.one(16), Tile(outputs: 32, tokens: 6)].flatMap {
      sums(type, $0, tiles($0))
    }
    let float = [Tile.one(32), Tile(outputs: 16, tokens: 8)].map {
      linear(type, $0, program: "gemm/linear_tiles", tiles($0))
    }
    return bytes + avx2 + lanes + plain + float
  }

  /// How a program learns what its weights are.
  private static func weight(_ type: ElementType) -> [Define] {
    ResidentLayout(type)?.defines ?? [Define("WEIGHT", Int(type.rawValue))]
  }

  /// A row for the layer alone and one for a sum with something else on top.
  private static func sums(
    _ type: ElementType, needs: Feature? = nil, _ tile: Tile, _ defines: [Define]
  ) -> [KernelRow] {
    var plain = linear(
      type, int8: true, needs: needs, tile, program: "gemm/linear_int8", defines)
    var adding = plain
    let sizes = plain.arguments.suffix(4)
    plain.arguments =
      [
        .input(0), .weight(0), .bias, .count(.hasBias), .input(0), .output,
      ] + sizes
    adding.kind = .linearAdd(type)
    adding.needs = needs ?? .fused
    adding.defines.append(Define("ADDS", 1))
    adding.arguments =
      [
        .input(0), .part(0, .weight(0)), .part(0, .bias), .part(0, .count(.hasBias)), .input(1),
        .output,
      ] + sizes
    return [plain, adding]
  }

  /// Texts with products of tiles and int8 activations.
  static let tileDot = ["common/code_products", "common/tile_dot"]

  private static func linear(
    _ type: ElementType, int8: Bool = false, needs: Feature? = nil, _ tile: Tile, program: String,
    _ defines: [Define]
  ) -> KernelRow {
    KernelRow(
      kind: .linear(type, int8: int8),
      variant: (needs.map { "\($0) " } ?? "") + "\(tile.outputs)×\(tile.tokens)",
      program: program, entry: "linear", needs: needs,
      shared: int8 ? tileDot + ["common/many_rows"] : [],
      defines: defines,
      arguments: [
        .input(0), .weight(0), .bias, .count(.hasBias), .output, .count(.rows),
        .count(.inputWidth), .count(.outputWidth), .each,
      ],
      x: Extent(.outputWidth, step: tile.outputs, spreads: true),
      y: Extent(.rows, step: tile.tokens),
      rowLimit: tile.rowLimit, leastRows: tile.leastRows)
  }

  private static func embedRows(_ type: ElementType) -> KernelRow {
    KernelRow(
      kind: .embedRows(type), variant: "row",
      program: type.isQuantized ? "quant/embed_tiles" : "quant/embed_rows", entry: "embed_rows",
      defines: weight(type),
      arguments: [.input(0), .weight(0), .output, .count(.outputWidth), .number(.scale)],
      x: Extent(.rows))
  }

  private static func rope(adjacent: Bool) -> KernelRow {
    KernelRow(
      kind: .rope(adjacent: adjacent), variant: "row", program: "pointwise/rope", entry: "rope",
      defines: [Define("PAIRING", adjacent ? 0 : 1)],
      arguments: [
        .input(0), .input(1), .weight(0), .output, .count(.heads), .count(.headWidth),
        .count(.ropeDimensions), .number(.magnitude),
      ],
      x: Extent(.rows))
  }

  private static func gated(_ activation: GatedActivation) -> KernelRow {
    KernelRow(
      kind: .gated(activation), variant: "vector", program: "pointwise/gated", entry: "gated",
      defines: [Define("ACTIVATION", activation == .silu ? 0 : 1)],
      arguments: [.input(0), .input(1), .output, .count(.elements), .each],
      x: Extent(.elements, step: 512, spreads: true))
  }

  private static func attention(_ element: KVLayout.Element) -> [KernelRow] {
    let type = element.define
    let write = KernelRow(
      kind: .writeKV(element), variant: "row", program: "attention/write_kv", entry: "write_kv",
      shared: element.texts + ["common/page_writes"], defines: [type],
      arguments: [
        .input(0), .input(1), .input(2), .output, .count(.poolPages), .count(.kvHeads),
        .count(.headWidth),
      ],
      x: Extent(.kvHeads), y: Extent(.rows))
    var writeOnCPU = write
    writeOnCPU.variant = "vnni row"
    writeOnCPU.needs = .vnni
    writeOnCPU.defines.append(Define("VNNI", 1))
    let copy = KernelRow(
      kind: .copyKV(element), variant: "row", program: "attention/copy_kv", entry: "copy_kv",
      shared: element.texts + ["common/page_writes"], defines: [type],
      arguments: [
        .input(0), .input(1), .input(2), .count(.poolPages), .output, .count(.writtenPages),
        .count(.kvHeads), .count(.headWidth),
      ],
      x: Extent(.kvHeads), y: Extent(.rows))
    // The instruction is about halves.
    return (element == .f16 ? [writeOnCPU] : []) + (element.keysByElement ? [] : [write]) + [copy]
      + [Feature.vnni, .avx2, .tiles].flatMap { attendOnCPU(element, type, needs: $0) } + [
        KernelRow(
          kind: .attend(element), variant: "row", program: "attention/attend", entry: "attend",
          shared: element.attention,
          defines: [
            type, Define("HEAD_WIDTH", .headWidth), Define("HEADS", 1), Define("UNROLLED", 0),
            Define("STAGE", .stage),
          ],
          arguments: seen + [.left, .output, .count(.heads), .count(.kvHeads), .number(.scale)],
          x: Extent(.heads), y: Extent(.rows))
      ]
  }

  /// What attention reads.
  private static let seen: [Argument] =
    (0..<6).map { .input($0) } + [
      .count(.tableStride), .count(.poolPages),
    ]

  /// Attention where private memory is cheap: spans of few rows apart, one row whole, tiles of many.
  private static func attendOnCPU(
    _ element: KVLayout.Element, _ type: Define, needs: Feature
  ) -> [KernelRow] {
    let defines =
      [
        type, Define("HEAD_WIDTH", .headWidth), Define("HEADS", .headsShared),
        Define("STAGE", .stage),
      ] + Optional(needs).assembly
    func row(
      _ kind: OperationKind, _ variant: String, _ program: String, _ entry: String,
      _ arguments: [Argument], x: Extent, y: Measure = .rows
    ) -> KernelRow {
      KernelRow(
        kind: kind, variant: Optional(needs).prefix + variant, program: "attention/" + program,
        entry: entry,
        needs: needs,
        shared: ["common/int8_blocks", "common/rotation"] + element.attention,
        defines: defines,
        arguments: arguments,
        x: x, y: Extent(y))
    }
    // With int8 blocks for what comes out where that is all that is wanted of it.
    let few = [false, true].flatMap { quantizes in
      let attend = quantizes ? OperationKind.attendQuantize(element) : .attend(element)
      let follow = OperationKind.mergeParts(element, quantizes: quantizes)
      var parts = row(
        attend, "spans", "attend_rows", "attend_parts",
        seen + [.workspace, .count(.spans), .count(.kvHeads), .number(.scale), .each],
        x: Extent(.kvHeadSpans, spreads: true))
      parts.then = follow
      let merge = row(
        follow, "spans", "attend_rows", "merge_parts",
        [.input(2), .input(3), .workspace, .left, .output, .count(.spans), .count(.heads), .each],
        x: Extent(.heads, spreads: true))
      var one = row(
        attend, "row", "attend_rows", "attend_rows",
        seen + [.left, .output, .count(.kvHeads), .number(.scale), .each],
        x: Extent(.kvHeads, spreads: true))
      one.rowLimit = 1
      return [parts, merge, one].map {
        var row = $0
        row.defines.append(Define("QUANTIZED", quantizes ? 1 : 0))
        if quantizes { row.defines.append(Define("ROTATED", .isRotated)) }
        return row
      }
    }
    var tiles = row(
      .attend(element), "rows", "attend_tiles", "attend_tiles",
      seen + [.left, .output, .count(.rows), .count(.heads), .count(.kvHeads), .number(.scale)],
      x: Extent(.kvHeads), y: .rowTiles)
    tiles.defines.append(Define("ROWS", .tileRows))
    return few + [tiles]
  }

  /// The rows that a device may reach: by kind, those whose needs are met, up to the first that serves
  /// every launch.
  static func reached(
    by features: Set<Feature>, without dropped: Set<Int>
  ) -> [OperationKind: [Int]] {
    let met = rows.indices.filter {
      !dropped.contains($0) && (rows[$0].needs.map(features.contains) ?? true)
    }
    return Dictionary(grouping: met) { rows[$0].kind }.mapValues { numbers in
      let last = numbers.firstIndex { rows[$0].isUnlimited } ?? numbers.count - 1
      return Array(numbers[...last])
    }
  }
}
