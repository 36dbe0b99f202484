import Devices
import ModelGraph
import ReferenceBackend
import Tensors
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// What pages are chosen by, on the reference: the bound of Quest, and attention over what is chosen.
@Suite struct PagesTests {
  private static let (heads, kvHeads) = (6, 2)
  private static let pageCount = 12

  private struct Numbers {
    var state: UInt32
    mutating func next(_ count: Int) -> [Float] {
      (0..<count).map { _ in
        state = state &* 1_664_525 &+ 1_013_904_223
        return (Float(state >> 8) / Float(1 << 24) - 0.5) * 6
      }
    }
  }

  /// A cache of one layer on the reference.
  private final class Cache {
    let device = ReferenceDevice()
    let layout: KVLayout
    private let pool: Operand
    /// Halves of all tokens, from which codes of keys are made.
    private let latest: Operand
    private let bounds: Operand
    private var next = 0
    var width: Int { layout.headWidth }

    /// Heads are no whole vectors, where that can be.
    init(_ element: KVLayout.Element) throws {
      let width = KVLayout.holds(headWidth: 20, as: element) ? 20 : 32
      layout = KVLayout(headCount: kvHeads, headWidth: width, element: element)
      let (poolRegion, boundsRegion) = (
        Region(buffer: BufferID(index: 1000)), Region(buffer: BufferID(index: 1001))
      )
      try device.allocate(poolRegion.buffer, bytes: pageCount * layout.pageBytes, label: "pool")
      try device.allocate(
        boundsRegion.buffer, bytes: pageCount * layout.boundsBytes, label: "bounds")
      let latestRegion = Region(buffer: BufferID(index: 1002))
      try device.allocate(
        latestRegion.buffer, bytes: pageCount * layout.latest.pageBytes, label: "latest")
      latest = Operand(
        region: latestRegion, rows: .fixed(pageCount), width: 1, format: .pages(layout.latest))
      pool = Operand(
        region: poolRegion, rows: .fixed(pageCount), width: 1, format: .pages(layout))
      bounds = Operand(
        region: boundsRegion, rows: .fixed(pageCount), width: 1, format: .pageBounds(layout))
    }

    private func place<T: BitwiseCopyable>(
      _ values: [T], rows: Int, _ format: Format
    ) throws -> Operand {
      let region = Region(buffer: BufferID(index: next))
      next += 1
      let bytes = values.withUnsafeBytes { Array($0) }
      try device.allocate(region.buffer, bytes: bytes.count, label: "test")
      try bytes.withUnsafeBytes { try device.write($0, to: region) }
      return Operand(region: region, rows: .fixed(rows), width: values.count / rows, format: format)
    }

    private func integers(_ values: [Int]) throws -> Operand {
      try place(values.map { Int32($0) }, rows: values.count, .i32)
    }

    private func run(
      _ operation: Operation, _ inputs: [Operand], into output: Operand
    ) throws {
      try device.run(
        [Instruction(operation, inputs: inputs, output: output, label: "test")],
        sizes: SymbolSizes(rows: 1, outputs: 1))
    }

    private func read<T: BitwiseCopyable>(_ operand: Operand, _ zero: T, _ count: Int) throws -> [T]
    {
      var result = [T](repeating: zero, count: count)
      try result.withUnsafeMutableBytes { try device.read(operand.region, into: $0) }
      return result
    }

    /// Writes a token's key and value, as one step does.
    func write(_ keys: [Float], _ values: [Float], slot: Int) throws {
      let slots = try integers([slot])
      let written = [try place(keys, rows: 1, .f32), try place(values, rows: 1, .f32), slots]
      if layout.element.keysByElement {
        try run(.writeKV(layout.latest), written, into: latest)
        try run(.copyKV(layout), [slots, slots, latest], into: pool)
      } else {
        try run(.writeKV(layout), written, into: pool)
      }
      try run(.boundPages(layout), [slots, pool], into: bounds)
    }

    /// The key or the value of a token as it is kept.
    func kept(slot: Int, values: Bool = false) throws -> [Float] {
      let bytes = try read(pool, UInt8(0), pageCount * layout.pageBytes)
      return bytes.withUnsafeBytes { raw in
        (0..<kvHeads * width).map {
          values
            ? layout.value(raw, slot: slot, head: $0 / width, $0 % width, pages: pageCount)
            : layout.key(raw, slot: slot, head: $0 / width, $0 % width, pages: pageCount)
        }
      }
    }

    /// The bounds of a page as numbers: for each kv head the least, then the largest.
    func bounds(of page: Int) throws -> [Float] {
      let count = kvHeads * 2 * layout.boundsWidth
      let bytes = try read(bounds, UInt8(0), pageCount * layout.boundsBytes)
      return bytes.withUnsafeBytes { raw in
        (page * count..<(page + 1) * count).map { layout.boundsElement.load(raw, $0) }
      }
    }

    /// Scores, chosen pages and attended values of a query that sees `end` tokens.
    func attend(
      _ query: [Float], table: [Int], end: Int, count: Int
    ) throws -> (scores: [Float], chosen: [Int], values: [Float]) {
      let attention = Attention(
        headCount: heads, kvHeadCount: kvHeads, headWidth: width, scale: 0.4,
        pages: ChosenPages(count: count, areApart: true))
      let q = try place(query, rows: 1, .f32)
      let (ends, zero, tables) = (try integers([end]), try integers([0]), try integers(table))
      let scores = try place([Float](repeating: 0, count: kvHeads * 16), rows: 1, .f32)
      try run(.scorePages(attention, layout), [q, bounds, ends, zero, tables], into: scores)
      let chosen = try place([Int32](repeating: 0, count: kvHeads * count), rows: 1, .i32)
      try run(.choosePages(attention), [scores, ends, zero, tables], into: chosen)
      let seen = end > count * 16 ? (count - 1) * 16 + (end - 1) % 16 + 1 : end
      let output = try place([Float](repeating: 0, count: heads * width), rows: 1, .f32)
      try run(
        .attend(attention, layout), [q, pool, zero, try integers([seen]), zero, chosen],
        into: output)
      return (
        try read(scores, Float(0), kvHeads * 16),
        try read(chosen, Int32(0), kvHeads * count).map { Int($0) },
        try read(output, Float(0), heads * width)
      )
    }
  }

  /// No product of a query with a key exceeds the score of the key's page, and for a page of equal keys
  /// one reaches it; the choice is that of the best scores beside the first page and the last two; and attention over the chosen pages is
  /// attention with the others masked.
  @Test(arguments: KVLayout.Element.allCases, 0..<12)
  func scoresAreBoundsAndChoicesAreTheBest(element: KVLayout.Element, seed: Int) throws {
    var numbers = Numbers(state: UInt32(seed + 1))
    let cache = try Cache(element)
    let end = 16 * 9 + 1 + seed
    let table = (0..<pagesOf(end)).map { ($0 * 5 + 3) % Self.pageCount }
    var keys: [[Float]] = []
    var values: [[Float]] = []
    for token in 0..<end {
      // All keys of page 4 are the same.
      keys.append(
        token / 16 == 4 && token % 16 > 0 ? keys[64] : numbers.next(Self.kvHeads * cache.width))
      values.append(numbers.next(Self.kvHeads * cache.width))
      try cache.write(keys[token], values[token], slot: table[token / 16] * 16 + token % 16)
    }
    for token in 0..<end {
      let slot = table[token / 16] * 16 + token % 16
      keys[token] = try cache.kept(slot: slot)
      values[token] = try cache.kept(slot: slot, values: true)
    }
    let query = numbers.next(Self.heads * cache.width)
    let count = 6
    let (scores, chosen, attended) = try cache.attend(
      query, table: table, end: end, count: count)

    func product(_ head: Int, _ token: Int) -> Double {
      (0..<cache.width).reduce(0) { sum, d in
        let key = keys[token][head / 3 * cache.width + d]
        return sum + Double(query[head * cache.width + d] * 0.4) * Double(key)
      }
    }
    for kvHead in 0..<Self.kvHeads {
      let own = kvHead * 3..<kvHead * 3 + 3
      let row = Array(scores[kvHead * 16..<kvHead * 16 + table.count - 1])
      for page in row.indices {
        let most =
          own.map { head in
            (page * 16..<page * 16 + 16).map { product(head, $0) }.max() ?? 0
          }.max() ?? 0
        #expect(Double(row[page]) >= most - 1e-4, "page \(page)")
        // Bounds of codes are halves, rounded outward.
        if page == 4 {
          #expect(abs(Double(row[page]) - most) < (element.hasCodes ? 0.05 : 1e-4))
        }
      }
      // Besides the first page and the last two, which are read in any case.
      let ranked = (1..<row.count - 1).sorted { row[$0] > row[$1] }.prefix(count - 3).sorted()
      let pages = [0] + ranked + [table.count - 2, table.count - 1]
      #expect(Array(chosen[kvHead * count..<(kvHead + 1) * count]) == pages.map { table[$0] })

      for head in own {
        var total = 0.0
        var sums = [Double](repeating: 0, count: cache.width)
        for token in 0..<end where pages.contains(token / 16) {
          let weight = exp(product(head, token))
          total += weight
          for d in 0..<cache.width {
            sums[d] += weight * Double(values[token][kvHead * cache.width + d])
          }
        }
        for d in 0..<cache.width {
          // Beside whole numbers, queries and weights are rounded too.
          let limit = element.hasTokenScales ? 5e-3 : 1e-4
          #expect(abs(Double(attended[head * cache.width + d]) - sums[d] / total) < limit)
        }
      }
    }
  }

  private func pagesOf(_ tokens: Int) -> Int { KVLayout.pages(tokens) }

  /// Bounds after tokens were appended, taken back, written anew, and in pages that another sequence
  /// shares or had before, are those of the keys that are there.
  @Test(arguments: KVLayout.Element.allCases)
  func boundsAreThoseOfTheKeysThatAreThere(element: KVLayout.Element) throws {
    var numbers = Numbers(state: 9)
    let cache = try Cache(element)
    func write(_ slots: Range<Int>, scale: Float) throws {
      for slot in slots {
        let key = numbers.next(Self.kvHeads * cache.width).map { $0 * scale }
        try cache.write(key, key, slot: slot)
      }
    }
    func expectFresh(_ page: Int) throws {
      let bounds = try cache.bounds(of: page)
      let side = cache.layout.boundsWidth
      let keys = try (page * 16..<page * 16 + 16).map { try cache.kept(slot: $0) }
      for head in 0..<Self.kvHeads {
        for d in 0..<side {
          let own = keys.map { d < cache.width ? $0[head * cache.width + d] : 0 }
          let (least, largest) = (own.min() ?? 0, own.max() ?? 0)
          let (low, high) = (bounds[head * 2 * side + d], bounds[head * 2 * side + side + d])
          if !element.hasCodes {
            #expect(low == least && high == largest)
          } else {
            // The nearest halves beyond.
            #expect(low <= least && Float(Float16(low).nextUp) > least)
            #expect(high >= largest && Float(Float16(high).nextDown) < largest)
          }
        }
      }
    }
    // Large keys, of which the last go and smaller ones come.
    try write(0..<80, scale: 100)
    for page in 0..<5 { try expectFresh(page) }
    try write(37..<64, scale: 1)
    for page in 0..<5 { try expectFresh(page) }
    // Another sequence goes on behind two shared pages, in pages that the first gave back.
    try write(64..<80, scale: 0.1)
    try expectFresh(4)
    try expectFresh(0)
  }
}
