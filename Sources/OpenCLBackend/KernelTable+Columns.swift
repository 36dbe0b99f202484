import Devices
import ModelGraph
import Tensors

/// Kernels that say what rows attend to each token.
extension KernelTable {
  static let columns: [KernelRow] = KVLayout.Element.allCases.flatMap { element in
    [Feature.vnni, .avx2, .tiles, nil].flatMap { observe(element, needs: $0) }
  }

  private static func observe(
    _ element: KVLayout.Element, needs: Feature?
  ) -> [KernelRow] {
    func row(
      _ kind: OperationKind, _ entry: String, _ arguments: [Argument], x: Extent, y: Extent
    ) -> KernelRow {
      KernelRow(
        kind: kind, variant: needs.prefix + "row",
        program: "attention/sum_columns", entry: entry, needs: needs,
        shared: element.attention,
        defines: [
          element.define, Define("HEAD_WIDTH", .headWidth), Define("HEADS", .headsShared),
          Define("UNROLLED", needs == nil ? 0 : 1),
        ] + needs.assembly, arguments: arguments, x: x, y: y)
    }
    return [
      row(
        .weighRows(element), "weigh_rows",
        (0..<7).map { .input($0) } + [
          .output, .count(.kvHeads), .count(.poolPages), .number(.scale), .each,
        ], x: Extent(.kvHeads, spreads: true), y: Extent(.rows)),
      row(
        .sumColumns(element), "sum_columns",
        (0..<8).map { .input($0) } + [
          .output, .count(.kvHeads), .count(.poolPages), .number(.scale), .count(.observedRows),
          .count(.outputWidth), .count(.columnWindows), .each,
        ], x: Extent(.kvHeadWindows, spreads: true), y: Extent(.one)),
    ]
  }
}
