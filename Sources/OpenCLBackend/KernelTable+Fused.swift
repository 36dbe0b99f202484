import Devices
import ModelGraph
import Tensors

/// Kernels of fused operations. Those that multiply serve one token; at more, the parts run.
extension KernelTable {
  static let fused: [KernelRow] =
    [
      KernelRow(
        kind: .normQuantize, variant: "row", program: "quant/norm_quantize",
        entry: "norm_quantize", shared: ["common/int8_blocks", "common/normed_row"],
        arguments: [
          .input(0), .part(0, .weight(0)), .output, .count(.inputWidth),
          .part(0, .number(.epsilon)),
        ], x: Extent(.rows))
    ]
    + GatedActivation.allCases.map { activation in
      KernelRow(
        kind: .gatedQuantize(activation), variant: "block", program: "quant/gated_quantize",
        entry: "gated_quantize", shared: ["common/int8_blocks"],
        defines: [Define("ACTIVATION", activation == .silu ? 0 : 1)],
        arguments: [.input(0), .input(1), .output, .count(.inputWidth), .each],
        x: Extent(.blocks, step: 32, spreads: true), y: Extent(.rows))
    }
    + ElementType.allCases.flatMap { type in
      guard let layout = ResidentLayout(type) else { return [KernelRow]() }
      return gatedUnits(type, layout) + attentionInputs(type, layout)
    }

  /// With the instructions of AVX-512 first, those of AVX2, then plain OpenCL C.
  private static let variants: [(needs: Feature, defines: [Define])] =
    [Feature.vnni, .avx2, .fused].map { ($0, Optional($0).assembly) }

  private static func name(_ needs: Feature) -> String { Optional(needs).prefix + "token" }

  private static func gatedUnits(_ type: ElementType, _ layout: ResidentLayout) -> [KernelRow] {
    GatedActivation.allCases.flatMap { activation in
      [true, false].flatMap { norms in
        variants.map { needs, defines in
          KernelRow(
            kind: .gatedUnit(type, activation, norms: norms), variant: name(needs),
            program: "fused/gated_unit", entry: "gated_unit", needs: needs,
            shared: ["common/int8_blocks"] + tileDot + ["common/normed_row"],
            defines: layout.defines + defines + [
              Define("ACTIVATION", activation == .silu ? 0 : 1), Define("NORM", norms ? 1 : 0),
              Define("INPUT_WIDTH", .inputWidth),
            ],
            arguments: [.input(0)] + norm(norms) + [
              .part(norms ? 2 : 0, .weight(0)), .part(norms ? 3 : 1, .weight(0)), .output,
              .count(.outputWidth), .each,
            ],
            x: Extent(.outputBlocks, spreads: true), rowLimit: 1)
        }
      }
    }
  }

  /// How layers differ in what they do with queries, keys and values.
  private struct Inputs {
    var element: KVLayout.Element
    var adjacent: Bool
    var isBiased: Bool
    var norms: Bool

    static let all: [Inputs] = KVLayout.Element.allCases.filter { !$0.keysByElement }
      .flatMap { element in
        (0..<8).map { bits in
          Inputs(
            element: element, adjacent: bits & 1 != 0, isBiased: bits & 2 != 0,
            norms: bits & 4 != 0)
        }
      }
  }

  private static func attentionInputs(_ type: ElementType, _ layout: ResidentLayout) -> [KernelRow]
  {
    Inputs.all.flatMap { inputs in
      variants.map { needs, defines in
        // Behind the parts of the norm come three layers, two turns and the cache write.
        let first = inputs.norms ? 2 : 0
        let layers = (first..<first + 3).flatMap {
          [Argument.part($0, .weight(0)), .part($0, .bias)]
        }
        let rope = first + 3
        return KernelRow(
          kind: .attentionInputs(
            type, adjacent: inputs.adjacent, isBiased: inputs.isBiased, norms: inputs.norms,
            inputs.element),
          variant: name(needs), program: "fused/attention_inputs", entry: "attention_inputs",
          needs: needs,
          shared: inputs.element.texts + ["common/int8_blocks"] + tileDot
            + ["common/normed_row", "common/page_writes", "common/rotation"],
          defines: layout.defines + defines + [
            inputs.element.define, Define("PAIRING", inputs.adjacent ? 0 : 1),
            Define("BIASED", inputs.isBiased ? 1 : 0), Define("NORM", inputs.norms ? 1 : 0),
            Define("INPUT_WIDTH", .inputWidth), Define("HEAD_WIDTH", .headWidth),
            Define("ROTATED", .isRotated),
          ],
          arguments: [.input(0)] + norm(inputs.norms) + layers + [
            .input(1), .input(2), .part(rope, .weight(0)), .input(3), .output, .count(.heads),
            .count(.kvHeads), .count(.poolPages), .part(rope, .count(.ropeDimensions)),
            .part(rope, .number(.magnitude)), .each,
          ],
          x: Extent(.headUnits, spreads: true), rowLimit: 1)
      }
    }
  }

  /// The weight of the norm and its epsilon; where there is none, anything that is there.
  private static func norm(_ norms: Bool) -> [Argument] {
    norms ? [.part(0, .weight(0)), .part(0, .number(.epsilon))] : [.input(0), .zero]
  }
}
