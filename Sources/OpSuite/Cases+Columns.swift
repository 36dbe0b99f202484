import Devices
import ModelGraph
import Tensors

/// What observed rows attend to each token.
extension OpSuite {
  static func columnCases() -> [OpCase] {
    KVLayout.Element.allCases.flatMap { element in
      [false, true].flatMap { sums in
        // rows, query heads, kv heads, head width, tokens held, rows observed
        [
          (1, 2, 1, 4, 30, 1), (3, 9, 3, 64, 100, 3), (40, 4, 2, 80, 49, 33),
          (20, 7, 1, 33, 600, 9),
          (5, 2, 2, 128, 1100, 5), (17, 6, 2, 20, 1540, 40), (2, 3, 1, 256, 70, 2),
          (0, 2, 1, 8, 5, 2),
          (30, 64, 1, 16, 90, 30),
        ].map { shape in
          columnCase(
            element, sums: sums, rows: shape.0, heads: shape.1, kvHeads: shape.2,
            width: whole(shape.3, element), tokens: shape.4, observed: shape.5)
        }
      }
    }
  }

  private static func columnCase(
    _ element: KVLayout.Element, sums: Bool, rows: Int, heads: Int, kvHeads: Int, width: Int,
    tokens: Int, observed count: Int
  ) -> OpCase {
    var data = CaseData(seed: rows + tokens + width)
    let layout = KVLayout(headCount: kvHeads, headWidth: width, element: element)
    let attention = Attention(
      headCount: heads, kvHeadCount: kvHeads, headWidth: width,
      scale: 1 / Float(width).squareRoot())
    let used = KVLayout.pages(tokens)
    let pageCount = used + 3
    let pages = Array(data.permutation(pageCount).prefix(used))
    // Every seventh row sees nothing, every fifth only what is behind the middle; tables of two sequences share
    // all pages.
    let end = (0..<rows).map { Int32(max(0, tokens - rows + $0 + 1)) }
    let begin = end.enumerated().map { row, end in
      row % 7 == 6 ? end : row % 5 == 4 ? min(end, Int32(tokens / 2)) : 0
    }
    let table = (0..<rows).map { Int32(2 + ($0 / 8 % 2) * used) }
    // Rows in any order, one of them twice, and places without any.
    let order = data.permutation(max(1, rows)).map { $0 % 3 == 2 ? $0 : Int32(rows - 1) - $0 }
    let observed = (0..<count).map { place -> Int32 in
      place < rows && place % 4 != 3 ? order[place] : -1
    }
    let weights = (0..<count * heads).flatMap { _ in
      [data.uniform() * 4 + 2, data.uniform() * 0.1]
    }
    let held = pageCount * KVLayout.pageTokens
    let inputs = [
      floatRows(data.floats(rows * heads * width), width: heads * width),
      OpCase.Input(
        rows: .fixed(pageCount), width: 1, format: .pages(layout),
        bytes: pool(layout, pages: pageCount, table: pages, tokens: tokens, &data)),
      integers(begin), integers(end), integers(table),
      integers([0, 0] + pages + pages, .fixed(2 * used + 2)), integers(observed, .fixed(count)),
    ]
    let operation =
      sums ? Operation.sumColumns(attention, layout) : .weighRows(attention, layout)
    return OpCase(
      title: "rows \(rows), heads \(heads)/\(kvHeads) × \(width), tokens \(tokens), "
        + "\(count) observed",
      operation: operation,
      inputs: sums
        ? inputs + [
          OpCase.Input(
            rows: .fixed(count), width: 2 * heads, format: .f32, bytes: rawBytes(weights))
        ] : inputs,
      parameters: [],
      output: sums ? (.fixed(kvHeads), held, .f32) : (.fixed(count), 2 * heads, .f32),
      sizes: SymbolSizes(rows: rows, outputs: 0), tolerance: 0)
  }
}
