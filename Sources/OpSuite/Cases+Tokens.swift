import Devices
import ModelGraph
import Tensors

/// Tokens that a prompt's rows attend to: the choice, where rows lie, and keys and values side by side.
extension OpSuite {
  static func tokenCases() -> [OpCase] {
    // rows, query heads, kv heads, tokens that the last row sees, rows observed, share of 2²⁰
    let choices = [
      (1, 1, 1, 1, 1, 1_022_361), (5, 2, 1, 40, 3, 1_022_361), (40, 9, 3, 700, 12, 900_000),
      (33, 4, 2, 300, 8, TokenChoice.whole), (16, 6, 2, 530, 4, 1), (20, 3, 1, 20, 5, 500_000),
      (64, 9, 3, 1100, 16, 1_022_361), (0, 2, 1, 0, 2, 1_022_361), (7, 2, 2, 96, 0, 500_000),
    ].map { chooseCase(rows: $0, heads: $1, kvHeads: $2, tokens: $3, observed: $4, share: $5) }
    // rows, tokens that the last row sees, one token in so many chosen
    let places = [TokenPlace.source, .end, .target].flatMap { place in
      [(1, 1, 1), (5, 40, 3), (40, 700, 2), (33, 33, 1), (64, 200, 90), (0, 0, 1)].map {
        placeCase(place, rows: $0, tokens: $1, every: $2)
      }
    }
    // kv heads, head width, tokens, one in so many chosen
    let gathers = KVLayout.Element.floats.flatMap { element in
      [(1, 4, 30, 2), (3, 64, 300, 3), (2, 33, 100, 1), (1, 80, 50, 60)].map {
        gatherCase(element, kvHeads: $0, width: $1, tokens: $2, every: $3)
      }
    }
    return choices + places + gathers
  }

  private static func chooseCase(
    rows: Int, heads: Int, kvHeads: Int, tokens: Int, observed count: Int, share: Int
  ) -> OpCase {
    var data = CaseData(seed: rows + heads + tokens)
    let held = (tokens + 31) / 16 * 16
    // Few different masses, so that many are equal, a few large ones, and what is no mass.
    let columns = (0..<kvHeads * held).map { index -> Float in
      switch data.index(below: 30) {
      case 0: Float(count * heads) * 0.05 * data.uniform()
      case 1: index % 2 == 0 ? .nan : -1
      case 2...12: Float(data.index(below: 6)) * 0.003
      default: data.uniform() * 0.02
      }
    }
    let order = data.permutation(max(1, rows))
    let observed = (0..<max(1, count)).map { place -> Int32 in
      place == count - 1 ? Int32(rows - 1) : place < min(count, rows) ? order[place] : -1
    }
    return OpCase(
      title: "rows \(rows), heads \(heads)/\(kvHeads), tokens \(tokens), \(count) observed, "
        + "share \(share)",
      operation: .chooseTokens(
        TokenChoice(headCount: heads, kvHeadCount: kvHeads, share: share)),
      inputs: [
        OpCase.Input(rows: .fixed(kvHeads), width: held, format: .f32, bytes: rawBytes(columns)),
        integers(observed, .fixed(observed.count)), lastRows(rows, tokens),
      ], parameters: [], output: (.fixed(3), TokenChoice.head + held, .i32),
      sizes: SymbolSizes(rows: rows, outputs: 0), tolerance: 0)
  }

  private static func placeCase(
    _ place: TokenPlace, rows: Int, tokens: Int, every: Int
  ) -> OpCase {
    var data = CaseData(seed: rows + tokens)
    return OpCase(
      title: "\(place), rows \(rows), tokens \(tokens), one in \(every)",
      operation: .placeTokens(place),
      inputs: [chosen(tokens, every: every, &data), lastRows(rows, tokens)], parameters: [],
      output: (.symbol(.rows), 1, .i32), sizes: SymbolSizes(rows: rows, outputs: 0), tolerance: 0)
  }

  private static func gatherCase(
    _ element: KVLayout.Element, kvHeads: Int, width: Int, tokens: Int, every: Int
  ) -> OpCase {
    var data = CaseData(seed: kvHeads + width + tokens)
    let layout = KVLayout(headCount: kvHeads, headWidth: width, element: element)
    let used = KVLayout.pages(tokens)
    let pages = Array(data.permutation(used + 3).prefix(used))
    return OpCase(
      title: "kv heads \(kvHeads) × \(width), tokens \(tokens), one in \(every)",
      operation: .gatherTokens(layout),
      inputs: [
        chosen(tokens, every: every, &data),
        OpCase.Input(
          rows: .fixed(used + 3), width: 1, format: .pages(layout),
          bytes: pool(layout, pages: used + 3, table: pages, tokens: tokens, &data)),
        integers([2]), integers([0, 0] + pages, .fixed(used + 2)),
      ], parameters: [], output: (.fixed(used + 3), 1, .pages(layout)),
      sizes: SymbolSizes(rows: 1, outputs: 0), tolerance: 0)
  }

  /// Rows that follow one another, the last of which sees so many tokens.
  private static func lastRows(_ rows: Int, _ tokens: Int) -> OpCase.Input {
    integers((0..<rows).map { Int32(tokens - rows + 1 + $0) })
  }

  /// Chosen tokens, the last always among them.
  private static func chosen(_ tokens: Int, every: Int, _ data: inout CaseData) -> OpCase.Input {
    let held = (tokens + 31) / 16 * 16
    let list = (0..<Int32(tokens)).filter {
      Int($0) == tokens - 1 || data.index(below: every) == 0
    }
    let row = [Int32(list.count)] + [Int32](repeating: -1, count: TokenChoice.head - 1) + list
    let numbers = row + [Int32](repeating: -1, count: 3 * (TokenChoice.head + held) - row.count)
    return OpCase.Input(
      rows: .fixed(3), width: TokenChoice.head + held, format: .i32, bytes: rawBytes(numbers))
  }
}
