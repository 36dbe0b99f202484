import Devices
import ModelGraph
import ReferenceBackend
import Tensors

/// Pages that are chosen: their bounds, their scores, the choice, and attention over what is chosen.
extension OpSuite {
  static func pageCases() -> [OpCase] {
    KVLayout.Element.allCases.flatMap { element in
      [(1, 1, 4), (3, 2, 80), (20, 3, 64), (0, 1, 32), (1, 2, 32)].filter {
        KVLayout.holds(headWidth: $0.2, as: element)
      }.map {
        boundCase(element, rows: $0, heads: $1, width: $2)
      }
        // rows, query heads, kv heads, head width, tokens held, pages chosen
        + [
          (1, 2, 1, 4, 60, 2), (1, 9, 3, 64, 700, 8), (3, 4, 2, 80, 300, 5), (2, 7, 1, 33, 530, 3),
          (2, 9, 1, 32, 290, 20), (0, 1, 1, 8, 20, 3),
        ].filter { KVLayout.holds(headWidth: $0.3, as: element) }
        .map { scoreCase(element, rows: $0, heads: $1, kvHeads: $2, width: $3, tokens: $4, $5) }
    }
      + [
        (1, 1, 60, 3), (2, 3, 700, 8), (3, 2, 300, 5), (1, 2, 16, 3), (2, 1, 530, 34),
        (1, 1, 400, 3), (1, 1, 65, 4),
        (0, 2, 20, 3),
      ].map { chooseCase(rows: $0, kvHeads: $1, tokens: $2, $3) }
      + [(2, 3, 700, 8), (1, 1, 128, 5), (1, 2, 65 * 16, 9), (2, 1, 530, 34)].map {
        chooseCase(rows: $0, kvHeads: $1, tokens: $2, $3, window: 4)
      }
  }

  /// Layout, and pages as they lie: in random order behind a table of another sequence.
  private static func tables(
    _ pages: Int, held: Int, rows: Int, _ data: inout CaseData
  ) -> (table: OpCase.Input, tables: OpCase.Input) {
    let list = [0, 0] + data.permutation(held).prefix(pages)
    return (
      integers([Int32](repeating: 2, count: rows)), integers(list, .fixed(list.count))
    )
  }

  /// Rows that see one token more each, the last of them all.
  private static func ends(_ rows: Int, _ tokens: Int) -> OpCase.Input {
    integers((0..<rows).map { Int32(tokens - rows + 1 + $0) })
  }

  private static func boundCase(
    _ element: KVLayout.Element, rows: Int, heads: Int, width: Int
  ) -> OpCase {
    var data = CaseData(seed: rows + heads + width)
    let layout = KVLayout(headCount: heads, headWidth: width, element: element)
    let pages = 4
    // One row fills page 2; the others of many go through page 1 and into page 3, with one left out.
    let slots = rows == 1 ? [47] : (0..<rows).map { $0 == 1 ? -1 : Int32((30 + $0) % 64) }
    let numbers = pages * heads * 2 * layout.halfBlock
    var keys = [UInt8](repeating: 0, count: pages * layout.pageBytes)
    if !element.hasCodes {
      keys = stored(data.floats(numbers), element)
    } else {
      for page in 0..<pages {
        for head in 0..<heads {
          let tokens = (0..<KVLayout.pageTokens).map { _ in data.floats(width) }
          keys.withUnsafeMutableBytes {
            layout.store(keys: tokens, values: tokens, $0, page: page, head: head, pages: pages)
          }
        }
      }
    }
    return OpCase(
      title: "rows \(rows), heads \(heads) × \(width)", operation: .boundPages(layout),
      inputs: [
        integers(slots),
        OpCase.Input(
          rows: .fixed(pages), width: 1, format: .pages(layout), bytes: keys),
      ], parameters: [], output: (.fixed(pages), 1, .pageBounds(layout)),
      sizes: SymbolSizes(rows: rows, outputs: 0), tolerance: 0)
  }

  /// Numbers side by side, as an element keeps them that has no codes.
  static func stored(_ numbers: [Float], _ element: KVLayout.Element) -> [UInt8] {
    let count = numbers.count * element.keyBits / 8
    var bytes = [UInt8](repeating: 0, count: count)
    bytes.withUnsafeMutableBytes {
      for (index, number) in numbers.enumerated() { element.store(number, $0, index) }
    }
    return bytes
  }

  private static func scoreCase(
    _ element: KVLayout.Element, rows: Int, heads: Int, kvHeads: Int, width: Int, tokens: Int,
    _ count: Int
  ) -> OpCase {
    var data = CaseData(seed: rows + heads + tokens)
    let layout = KVLayout(headCount: kvHeads, headWidth: width, element: element)
    let pages = KVLayout.pages(tokens)
    let held = pages + 3
    let (table, tables) = tables(pages, held: held, rows: rows, &data)
    var bounds: [Float] = []
    for _ in 0..<held * kvHeads {
      let filler = [Float](repeating: 0, count: layout.boundsWidth - width)
      let (a, b) = (data.floats(width), data.floats(width))
      bounds += zip(a, b).map { min($0, $1) } + filler + zip(a, b).map { max($0, $1) } + filler
    }
    let stride = (held + 15) / 16 * 16
    return OpCase(
      title: "rows \(rows), heads \(heads)/\(kvHeads) × \(width), tokens \(tokens), \(count) pages",
      operation: .scorePages(
        Attention(
          headCount: heads, kvHeadCount: kvHeads, headWidth: width,
          scale: 1 / Float(width).squareRoot(),
          pages: ChosenPages(count: count, areApart: true)), layout),
      inputs: [
        floatRows(data.floats(rows * heads * width), width: heads * width),
        OpCase.Input(
          rows: .fixed(held), width: 1, format: .pageBounds(layout),
          bytes: stored(bounds, layout.boundsElement)),
        ends(rows, tokens), table, tables,
      ], parameters: [], output: (.symbol(.rows), kvHeads * stride, .f32),
      sizes: SymbolSizes(rows: rows, outputs: 0), tolerance: 0)
  }

  private static func chooseCase(
    rows: Int, kvHeads: Int, tokens: Int, _ count: Int, window: Int = 1
  ) -> OpCase {
    var data = CaseData(seed: rows + kvHeads + tokens)
    let pages = KVLayout.pages(tokens)
    let (table, tables) = tables(pages, held: pages + 3, rows: rows, &data)
    let stride = (pages + 15) / 16 * 16
    // Few different numbers, so that many are equal; and the least of all.
    let scores = (0..<rows * kvHeads * stride).map { index -> Float in
      if index % stride >= pages - 1 { return -.infinity }
      let level = data.index(below: 12)
      return level == 0 ? -.greatestFiniteMagnitude : Float(level - 6) * 0.37
    }
    return OpCase(
      title: "rows \(rows), kv heads \(kvHeads), tokens \(tokens), \(count) pages"
        + (window > 1 ? ", window \(window)" : ""),
      operation: .choosePages(
        Attention(
          headCount: kvHeads, kvHeadCount: kvHeads, headWidth: 8, scale: 1,
          pages: ChosenPages(count: count, areApart: true, window: window))),
      inputs: [
        floatRows(scores, width: kvHeads * stride),
        // The scores are those of the last page: all rows end there.
        integers((0..<rows).map { Int32(max(tokens - $0, (pages - 1) * 16 + 1)) }), table, tables,
      ], parameters: [], output: (.symbol(.rows), kvHeads * count, .i32),
      sizes: SymbolSizes(rows: rows, outputs: 0), tolerance: 0)
  }
}
