import Devices
import ModelGraph
import Tensors

/// For each observed row and query head, the peak of its scores and the inverse of its softmax's total, gathered in
/// the order of attention. What is not observed, or sees nothing, has zeros.
func weighRows(
  _ attention: Attention, _ layout: KVLayout, queries: Matrix<Float>,
  pool: UnsafeRawBufferPointer, pages: Int, _ visible: VisibleTokens, observed: Matrix<Int32>,
  into weights: Matrix<Float>
) {
  for place in 0..<observed.rows {
    let row = Int(observed[place][0])
    for head in 0..<attention.headCount {
      var merged: OnlineSoftmax?
      let tokens = row < 0 ? 0..<0 : visible.tokens(row)
      for span in tokens.cut(every: KVLayout.spanTokens) {
        var part = OnlineSoftmax(width: 0)
        for seen in span.cut(every: KVLayout.windowTokens) {
          let scores = seen.map {
            attention.score(
              layout, queries[row], head, pool, slot: visible.slot(row, $0, kvHead: 0),
              pages: pages)
          }
          _ = part.weigh(scores, firstLane: seen.lowerBound)
        }
        if merged == nil { merged = part } else { merged?.merge(part) }
      }
      weights[place][2 * head] = merged?.peak ?? 0
      weights[place][2 * head + 1] = merged.map { PortableMath.reciprocal($0.total) } ?? 0
    }
  }
}

/// What the observed rows attend to each token of their sequence: for each kv head the sum over rows in the order of the
/// list, and over the query heads that share it, of exp(score - peak) × inverse total; never more than one
/// number a token.
func sumColumns(
  _ attention: Attention, _ layout: KVLayout, queries: Matrix<Float>,
  pool: UnsafeRawBufferPointer, pages: Int, _ visible: VisibleTokens, observed: Matrix<Int32>,
  weights: Matrix<Float>, into columns: Matrix<Float>
) {
  let group = attention.headCount / attention.kvHeadCount
  for kvHead in 0..<attention.kvHeadCount {
    for token in 0..<columns.width {
      var sum: Float = 0
      for place in 0..<observed.rows {
        let row = Int(observed[place][0])
        guard row >= 0, visible.tokens(row).contains(token) else { continue }
        for head in kvHead * group..<(kvHead + 1) * group {
          let score = attention.score(
            layout, queries[row], head, pool, slot: visible.slot(row, token, kvHead: 0),
            pages: pages)
          let weight = PortableMath.exponential(score - weights[place][2 * head])
          sum = PortableMath.fma(weight, weights[place][2 * head + 1], sum)
        }
      }
      columns[kvHead][token] = sum
    }
  }
}

extension Attention {
  /// The product of a head's scaled query with the key at a slot, summed over d in order.
  fileprivate func score(
    _ layout: KVLayout, _ queries: UnsafeMutableBufferPointer<Float>, _ head: Int,
    _ pool: UnsafeRawBufferPointer, slot: Int, pages: Int
  ) -> Float {
    let kvHead = head / (headCount / kvHeadCount)
    return (0..<headWidth).reduce(into: Float(0)) { sum, d in
      let key = layout.key(pool, slot: slot, head: kvHead, d, pages: pages)
      sum = PortableMath.fma(key, queries[head * headWidth + d] * scale, sum)
    }
  }
}
