import Devices
import ModelGraph
import Tensors

/// Kernels that choose which pages of the cache a row reads.
extension KernelTable {
  static let pages: [KernelRow] =
    KVLayout.Element.allCases.map { bound($0, $0.define) }
    // Bounds of codes are halves.
    + KVLayout.Element.floats.flatMap { element in
      [Feature.vnni, .avx2, .tiles, nil].map { score(element, element.define, needs: $0) }
    } + [
      KernelRow(
        kind: .choosePages, variant: "row", program: "attention/choose_pages",
        entry: "choose_pages", shared: ["common/kv_numbers", "common/attention"],
        defines: [Define("UNROLLED", 0)],
        arguments: [
          .input(0), .input(1), .input(2), .input(3), .output, .count(.kvHeads),
          .count(.chosenPages), .count(.chosenWindow), .count(.scoreStride), .each,
        ],
        x: Extent(.kvHeads, spreads: true), y: Extent(.rows))
    ]

  private static func bound(_ element: KVLayout.Element, _ type: Define) -> KernelRow {
    KernelRow(
      kind: .boundPages(element), variant: "row", program: "attention/bound_pages",
      entry: "bound_pages", shared: element.attention,
      defines: [type, Define("HEAD_WIDTH", .headWidth), Define("UNROLLED", 0)],
      arguments: [
        .input(0), .input(1), .output, .count(.kvHeads), .count(.poolPages), .each,
      ],
      x: Extent(.kvHeads, spreads: true), y: Extent(.rows))
  }

  private static func score(
    _ element: KVLayout.Element, _ type: Define, needs: Feature?
  ) -> KernelRow {
    KernelRow(
      kind: .scorePages(element), variant: needs.prefix + "lots",
      program: "attention/choose_pages", entry: "score_pages", needs: needs,
      shared: ["common/kv_numbers", "common/attention"],
      defines: [
        type, Define("HEAD_WIDTH", .headWidth), Define("HEADS", .headsShared),
        Define("UNROLLED", needs == nil ? 0 : 1),
      ] + needs.assembly,
      arguments: (0..<5).map { .input($0) } + [
        .output, .count(.kvHeads), .number(.scale), .count(.chosenPages), .count(.scoreStride),
        .count(.pageLots), .each,
      ],
      x: Extent(.kvHeadLots, spreads: true), y: Extent(.rows))
  }
}

extension KVLayout.Element {
  /// What programs need beside what those for other elements do.
  var texts: [String] { hasTokenScales ? ["common/whole_numbers"] : [] }

  /// What programs share that read pages.
  var attention: [String] {
    texts + ["common/kv_numbers", "common/attention"]
      + (hasTokenScales ? ["common/attention_codes"] : [])
  }

  /// How a program learns what pages hold (`Kernels/common/prelude.cl`).
  var define: Define {
    let value =
      switch self {
      case .f16: Int(ElementType.f16.rawValue)
      case .bf16: Int(ElementType.bf16.rawValue)
      case .f32: Int(ElementType.f32.rawValue)
      case .i16: 116
      case .q8: 108
      case .q4: 104
      case .k4v2: 142
      case .k2v2: 122
      }
    return Define("ELEMENT", value)
  }
}
