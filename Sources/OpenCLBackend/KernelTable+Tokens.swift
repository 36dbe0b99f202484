import Devices
import ModelGraph
import Tensors

/// Kernels that choose which tokens the rows of a prompt attend to, and bring these together.
extension KernelTable {
  static let tokens: [KernelRow] =
    [
      KernelRow(
        kind: .chooseTokens, variant: "one", program: "attention/choose_tokens",
        entry: "choose_tokens",
        arguments: [
          .input(0), .input(1), .input(2), .output, .count(.probes), .count(.seeingRows),
          .count(.heads), .count(.kvHeads), .count(.inputWidth), .count(.tokenShare),
        ], x: Extent(.one))
    ]
    + [(TokenPlace.source, 0), (.end, 1), (.target, 2)].map { place, number in
      KernelRow(
        kind: .placeTokens(place), variant: "row", program: "attention/choose_tokens",
        entry: "place_tokens", defines: [Define("PLACE", number)],
        arguments: [.input(0), .input(1), .output, .count(.rows)], x: Extent(.rows))
    }
    + KVLayout.Element.floats.map { element in
      KernelRow(
        kind: .gatherTokens(element), variant: "page", program: "attention/gather_tokens",
        entry: "gather_tokens",
        defines: [element.define],
        arguments: (0..<4).map { .input($0) } + [
          .output, .count(.poolPages), .count(.kvHeads), .count(.headWidth), .each,
        ], x: Extent(.kvHeadPages, spreads: true))
    }
}
