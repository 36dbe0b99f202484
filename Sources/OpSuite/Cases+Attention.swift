import Devices
import ModelGraph
import ReferenceBackend
import Tensors

extension OpSuite {
  static func writeCases() -> [OpCase] {
    KVLayout.Element.allCases.filter { !$0.keysByElement }.flatMap { element in
      [(1, 1, 32), (5, 3, 64), (33, 2, 80), (0, 1, 4), (3, 1, 96)].filter {
        KVLayout.holds(headWidth: $0.2, as: element)
      }.map { rows, heads, width in
        var data = CaseData(seed: rows + heads)
        let layout = KVLayout(headCount: heads, headWidth: width, element: element)
        let pages = 4
        var slots = Array(data.permutation(pages * KVLayout.pageTokens).prefix(rows))
        // A row without a slot is skipped.
        if rows > 2 { slots[1] = -1 }
        return OpCase(
          title: "rows \(rows), heads \(heads) × \(width)", operation: .writeKV(layout),
          inputs: [
            floatRows(data.floats(rows * heads * width), width: heads * width),
            floatRows(data.floats(rows * heads * width), width: heads * width),
            integers(slots),
          ],
          parameters: [], output: (.fixed(pages), 1, .pages(layout)),
          sizes: SymbolSizes(rows: rows, outputs: 0), tolerance: 0)
      }
    }
  }

  /// What the rows of an attention case see.
  private enum Sight: String, CaseIterable {
    /// Row r sees tokens 0 ... length − rows + r.
    case causal
    /// The last 20 of those.
    case window
    /// Every third row sees nothing.
    case gaps
    /// From the middle of a span on.
    case late
  }

  static func attendCases() -> [OpCase] {
    // rows, query heads, kv heads, head width, tokens held
    let shapes = [
      (1, 1, 1, 4, 1), (2, 2, 1, 32, 17), (3, 9, 3, 64, 100), (33, 4, 4, 80, 49),
      (9, 4, 1, 128, 70), (3, 2, 1, 256, 70),
      // Several spans: one row, few and many, which may take different paths.
      (1, 3, 1, 64, 1100), (5, 6, 2, 20, 1030), (20, 3, 1, 32, 1540),
    ]
    return KVLayout.Element.allCases.flatMap { element in
      shapes.flatMap { shape in
        Sight.allCases.map { sight in
          attendCase(
            element, sight, rows: shape.0, heads: shape.1, kvHeads: shape.2,
            width: whole(shape.3, element), tokens: shape.4)
        }
      } + [
        attendCase(
          element, .causal, rows: 0, heads: 2, kvHeads: 1, width: whole(8, element), tokens: 5),
        // Each row of a sequence of its own, and the step says so; seven heads share keys and values.
        attendCase(
          element, .late, rows: 3, heads: 7, kvHeads: 1, width: whole(80, element), tokens: 1100,
          alone: true),
        attendCase(
          element, .gaps, rows: 4, heads: 4, kvHeads: 2, width: whole(33, element), tokens: 700,
          alone: true),
        attendCase(
          element, .causal, rows: 2, heads: 3, kvHeads: 1, width: whole(4, element), tokens: 40,
          alone: true),
        // More rows share pages than wide heads leave room for.
        attendCase(
          element, .causal, rows: 14, heads: 1, kvHeads: 1, width: 512, tokens: 20),
        // Each kv head has pages of its own; or all have the same, but chosen.
        attendCase(
          element, .causal, rows: 1, heads: 4, kvHeads: 2, width: whole(8, element), tokens: 40,
          alone: true,
          chosen: true),
        attendCase(
          element, .causal, rows: 3, heads: 9, kvHeads: 3, width: 64, tokens: 1000, alone: true,
          chosen: true),
        attendCase(
          element, .causal, rows: 20, heads: 4, kvHeads: 2, width: 32, tokens: 100, alone: true,
          chosen: true),
      ]
        + [AttentionStage.first, .middle, .last].flatMap { stageCases(element, $0) }
    }
  }

  /// Attention in stages: of some rows others have seen nothing, and some see nothing here. Halves are in use, and codes
  /// behind them.
  private static func stageCases(
    _ element: KVLayout.Element, _ stage: AttentionStage
  ) -> [OpCase] {
    let shapes = [
      (Sight.gaps, 1, 2, 1, 32, 20, false), (.gaps, 7, 4, 2, 32, 700, false),
      (.causal, 1, 9, 3, 64, 1100, false), (.gaps, 20, 9, 3, 64, 600, false),
      (.late, 3, 7, 1, 96, 1100, true),
    ]
    guard element == .f16 || (element.keyBits < 8 && stage == .last) else { return [] }
    return shapes.map { sight, rows, heads, kvHeads, width, tokens, alone in
      attendCase(
        element, sight, rows: rows, heads: heads, kvHeads: kvHeads, width: width, tokens: tokens,
        alone: alone, stage: stage)
    } + [
      attendCase(
        element, .causal, rows: 1, heads: 9, kvHeads: 3, width: 64, tokens: 1000, alone: true,
        chosen: true, stage: stage)
    ]
  }

  /// Keys and values of the latest tokens on their way to where they stay: codes, and halves to compare with.
  static func copyCases() -> [OpCase] {
    [KVLayout.Element.f16, .i16, .q4, .k4v2, .k2v2].flatMap { element in
      [(1, 1, 32), (5, 3, 64), (21, 2, 96), (0, 1, 32)].map { rows, heads, width in
        var data = CaseData(seed: rows + heads + width)
        let layout = KVLayout(headCount: heads, headWidth: width, element: element)
        let (few, pages) = (3, 5)
        let latest = pool(
          layout.latest, pages: few, table: [2, 0, 1], tokens: few * KVLayout.pageTokens, &data)
        var slots = Array(data.permutation(pages * KVLayout.pageTokens).prefix(rows))
        var sources = Array(data.permutation(few * KVLayout.pageTokens).prefix(rows))
        if element.keysByElement {
          // A run from the end of one page into others, as a step has it, with one row of another text behind it.
          slots = (0..<rows).map { Int32($0 + 1 < rows ? 28 + $0 : 5) }
          sources = (0..<rows).map { Int32($0 + 1 < rows ? 12 + $0 : 37) }
        }
        // Rows without a slot are skipped, but not inside of a page: rows of one follow one another.
        if rows > 2 { slots[element.keysByElement ? rows - 2 : 1] = -1 }
        return OpCase(
          title: "rows \(rows), heads \(heads) × \(width)", operation: .copyKV(layout),
          inputs: [
            integers(sources), integers(slots),
            OpCase.Input(
              rows: .fixed(few), width: 1, format: .pages(layout.latest), bytes: latest),
          ],
          parameters: [], output: (.fixed(pages), 1, .pages(layout)),
          sizes: SymbolSizes(rows: rows, outputs: 0), tolerance: 0)
      }
    }
  }

  /// A width near by that the element type holds.
  static func whole(_ width: Int, _ element: KVLayout.Element) -> Int {
    let block = KVLayout.blockLength
    return KVLayout.holds(headWidth: width, as: element)
      ? width : (width + block - 1) / block * block
  }

  private static func attendCase(
    _ element: KVLayout.Element, _ sight: Sight, rows: Int, heads: Int, kvHeads: Int, width: Int,
    tokens: Int, alone: Bool = false, chosen: Bool = false, stage: AttentionStage = .whole
  ) -> OpCase {
    var data = CaseData(seed: rows + tokens + width)
    let layout = KVLayout(headCount: kvHeads, headWidth: width, element: element)
    let pageTokens = KVLayout.pageTokens
    let pagesUsed = (tokens + pageTokens - 1) / pageTokens
    let pageCount = pagesUsed + 3
    // Pages lie in random order, behind a table of another sequence.
    let base = 2
    let pages = data.permutation(pageCount).prefix(pagesUsed)
    // Rows of sequences that share all pages have tables of their own.
    // Chosen pages are a list of each row and kv head: all pages, but for each in another order.
    let lists =
      chosen
      ? (0..<rows * kvHeads).flatMap { list in
        // The last one stays where it is: its last tokens mean nothing.
        let first = pages.dropLast()
        let turn = first.isEmpty ? 0 : list % first.count
        return first.dropFirst(turn) + first.prefix(turn) + pages.suffix(1)
      } : Array(alone ? pages + pages : pages)
    let tables = [Int32(0), 0] + lists
    let table = (0..<rows).map {
      Int32(base + (chosen ? $0 * kvHeads : alone ? $0 % 2 : 0) * pagesUsed)
    }

    var begin: [Int32] = []
    var end: [Int32] = []
    for row in 0..<rows {
      let last = max(0, tokens - rows + row + 1)
      switch sight {
      case .causal: (begin, end) = (begin + [0], end + [Int32(last)])
      case .window: (begin, end) = (begin + [Int32(max(0, last - 20))], end + [Int32(last)])
      case .gaps:
        (begin, end) = (begin + [3], end + [row % 3 == 0 ? Int32(3) : Int32(max(3, last))])
      case .late:
        // Some rows begin where others already see.
        let first = min(last, tokens / 2 + row * 7 % 40)
        (begin, end) = (begin + [Int32(first)], end + [Int32(last)])
      }
    }
    let attention = Attention(
      headCount: heads, kvHeadCount: kvHeads, headWidth: width,
      scale: 1 / Float(width).squareRoot(),
      pages: chosen ? ChosenPages(count: pagesUsed, areApart: true) : nil, stage: stage)
    return OpCase(
      title: "\(sight), rows \(rows), heads \(heads)/\(kvHeads) × \(width), tokens \(tokens)"
        + (alone ? ", alone" : "") + (chosen ? ", chosen" : "")
        + (stage == .whole ? "" : ", \(stage)"),
      operation: .attend(attention, layout),
      inputs: [
        floatRows(data.floats(rows * heads * width), width: heads * width),
        OpCase.Input(
          rows: .fixed(pageCount), width: 1, format: .pages(layout),
          bytes: pool(
            layout, pages: pageCount, table: Array(pages), tokens: tokens, &data)),
        integers(begin), integers(end), integers(table),
        integers(tables, .fixed(tables.count)),
      ] + (stage.follows ? [left(rows, heads, width, &data)] : []),
      parameters: [], output: (.symbol(.rows), heads * attention.leftWidth, .f32),
      sizes: alone
        ? SymbolSizes(rows: rows, outputs: 0, depth: Int(end.max() ?? 0), runs: rows)
        : SymbolSizes(rows: rows, outputs: 0),
      tolerance: tolerance)
  }

  /// What a first stage may leave: sums, peak and total of each row and head, and of every fourth nothing.
  private static func left(
    _ rows: Int, _ heads: Int, _ width: Int, _ data: inout CaseData
  ) -> OpCase.Input {
    let numbers = (0..<rows * heads).flatMap { index -> [Float] in
      if index % 4 == 2 { return [Float](repeating: 0, count: width) + [-.infinity, 0] }
      return data.floats(width) + [data.floats(1)[0], 1 + Float(index % 7)]
    }
    return floatRows(numbers, width: heads * (width + 2))
  }

  /// A pool in which only the tokens of one sequence mean anything: all else is NaN, which spoils
  /// whatever adds it, or large, which spoils a maximum that lacks its mask.
  static func pool(
    _ layout: KVLayout, pages: Int, table: [Int32], tokens: Int, _ data: inout CaseData
  ) -> [UInt8] {
    // Numbers, or where they are quantised scales and codes.
    let filler = stored([.nan, 30_000], layout.boundsElement)
    var bytes = (0..<pages * layout.pageBytes).map { filler[$0 % filler.count] }
    for first in stride(from: 0, to: tokens, by: KVLayout.pageTokens) {
      let held = first..<min(first + KVLayout.pageTokens, tokens)
      for head in 0..<layout.headCount {
        let keys = held.map { _ in data.floats(layout.headWidth) }
        let values = held.map { _ in data.floats(layout.headWidth) }
        bytes.withUnsafeMutableBytes {
          layout.store(
            keys: keys, values: values, $0, page: Int(table[first / KVLayout.pageTokens]),
            head: head, pages: pages)
        }
      }
    }
    return bytes
  }
}
