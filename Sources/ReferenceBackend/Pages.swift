import Devices
import ModelGraph
import Tensors

extension KVLayout {
  /// Place of element `d` of the least, or the largest, keys of a page.
  private func boundPlace(page: Int, head: Int, largest: Bool, _ d: Int) -> Int {
    (page * headCount + head) * 2 * boundsWidth + (largest ? boundsWidth : 0) + d
  }

  fileprivate func bound(
    _ bounds: UnsafeRawBufferPointer, page: Int, head: Int, largest: Bool, _ d: Int
  ) -> Float {
    boundsElement.load(bounds, boundPlace(page: page, head: head, largest: largest, d))
  }

  /// Stores a bound. What f16 does not hold is rounded outward, so that it stays a bound.
  fileprivate func storeBound(
    _ bound: Float, _ bounds: UnsafeMutableRawBufferPointer, page: Int, head: Int, largest: Bool,
    _ d: Int
  ) {
    var bound = bound
    if boundsElement == .f16 {
      var half = Float16(bound)
      if largest, Float(half) < bound { half = half.nextUp }
      if !largest, Float(half) > bound { half = half.nextDown }
      bound = Float(half)
    }
    boundsElement.store(
      bound, bounds, boundPlace(page: page, head: head, largest: largest, d))
  }
}

/// Bounds of each page whose last token is among the rows.
func boundPages(
  _ layout: KVLayout, slots: Matrix<Int32>, pool: UnsafeRawBufferPointer, pages: Int,
  into bounds: UnsafeMutableRawBufferPointer
) {
  for row in 0..<slots.rows {
    let slot = Int(slots[row][0])
    guard slot >= 0, slot % KVLayout.pageTokens == KVLayout.pageTokens - 1 else { continue }
    let page = slot / KVLayout.pageTokens
    for head in 0..<layout.headCount {
      for d in 0..<layout.boundsWidth {
        let keys: [Float] =
          d < layout.headWidth
          ? (0..<KVLayout.pageTokens).map { token in
            let slot = page * KVLayout.pageTokens + token
            return layout.key(pool, slot: slot, head: head, d, pages: pages)
          } : [0]
        for (largest, bound) in [(false, keys.min()), (true, keys.max())] {
          // A zero has no sign: which of two comes out would depend on the order.
          layout.storeBound((bound ?? 0) + 0, bounds, page: page, head: head, largest: largest, d)
        }
      }
    }
  }
}

/// For each row and kv head, what no product of one of its queries with a key of a page exceeds (Quest,
/// Tang et al., 2024): each element of a query meets the bound that makes the product larger. Products
/// are summed in 16 lanes by element.
func scorePages(
  _ attention: Attention, _ layout: KVLayout, queries: Matrix<Float>,
  bounds: UnsafeRawBufferPointer, end: Matrix<Int32>, table: Matrix<Int32>,
  tables: Matrix<Int32>, into scores: Matrix<Float>
) {
  let group = attention.headCount / attention.kvHeadCount
  let held = scores.width / attention.kvHeadCount
  for row in 0..<queries.rows {
    let pages = KVLayout.pages(Int(end[row][0]))
    guard let chosen = attention.pages, pages > chosen.count else { continue }
    for kvHead in 0..<attention.kvHeadCount {
      let place = kvHead * held
      for page in 0..<pages - 1 {
        let physical = Int(tables[Int(table[row][0]) + page][0])
        // What is no number, and what is below all numbers, counts as the least of them.
        var best = -Float.greatestFiniteMagnitude
        for head in kvHead * group..<(kvHead + 1) * group {
          var lanes = [Float](repeating: 0, count: PortableMath.laneCount)
          for d in 0..<attention.headWidth {
            let query = queries[row][head * attention.headWidth + d] * attention.scale
            let bound = layout.bound(
              bounds, page: physical, head: kvHead, largest: query > 0, d)
            let lane = d % PortableMath.laneCount
            lanes[lane] = PortableMath.fma(query, bound, lanes[lane])
          }
          let score = PortableMath.sum(ofLanes: lanes)
          if score > best { best = score }
        }
        // Zero has one sign: scores may be compared by their bits.
        scores[row][place + page] = best + 0
      }
      for page in pages - 1..<(pages + 14) / 16 * 16 { scores[row][place + page] = -.infinity }
    }
  }
}

/// The chosen pages of each row and kv head, by their scores.
func choosePages(
  _ attention: Attention, scores: Matrix<Float>, end: Matrix<Int32>, table: Matrix<Int32>,
  tables: Matrix<Int32>, into chosen: Matrix<Int32>
) {
  guard let choice = attention.pages else { return }
  let (count, held) = (choice.count, scores.width / attention.kvHeadCount)
  for row in 0..<chosen.rows {
    let pages = KVLayout.pages(Int(end[row][0]))
    for kvHead in 0..<attention.kvHeadCount {
      var list = Array(0..<pages)
      if pages > count {
        let latest = choice.latest(of: pages)
        let ranked = list[1..<pages - latest].sorted { a, b in
          let (x, y) = (scores[row][kvHead * held + a], scores[row][kvHead * held + b])
          return x == y ? a < b : x > y
        }
        list = [0] + ranked.prefix(count - 1 - latest).sorted() + (pages - latest..<pages)
      }
      for (place, page) in list.enumerated() {
        chosen[row][kvHead * count + place] = tables[Int(table[row][0]) + page][0]
      }
    }
  }
}
