import Devices
import ModelGraph
import Tensors

/// What each query row sees: tokens [begin, end) of the sequence whose pages start at `table`.
struct VisibleTokens {
  let begin: Matrix<Int32>
  let end: Matrix<Int32>
  let table: Matrix<Int32>
  let tables: Matrix<Int32>
  /// Where kv heads have tables of their own, how far they are apart; else 0.
  var headStride = 0

  /// The tokens that row `row` sees.
  func tokens(_ row: Int) -> Range<Int> {
    let (begin, end) = (Int(begin[row][0]), Int(end[row][0]))
    return begin < end ? begin..<end : 0..<0
  }

  /// The slot of a token that row `row` sees, for a kv head.
  func slot(_ row: Int, _ token: Int, kvHead: Int) -> Int {
    let base = Int(table[row][0]) + kvHead * headStride
    let page = tables[base + token / KVLayout.pageTokens][0]
    return Int(page) * KVLayout.pageTokens + token % KVLayout.pageTokens
  }
}

/// softmax(scale × q kᵀ) v for each row and query head, over the tokens that the row sees.
///
/// The softmax runs online (Milakov & Gimelshein, 2018) over windows of 64 tokens, in spans of 512
/// tokens that start afresh and are merged in order (Dao et al., 2023); windows and spans count from
/// the first token of the sequence. Scores are summed over d in order, weights in 16 lanes by token,
/// values over tokens in order, so that devices can match it bit for bit, and a span may be computed
/// wherever there is time for it. A later stage merges its spans behind what was left.
///
/// Where keys and values are whole numbers, so are queries and the weights of a window (`WholeNumbers`), and their
/// products are summed as such:
///
/// - score = Σ query code × key code, as a float, × (key scale), × (query scale);
/// - weights have an exponential of fewer steps; one times its value's scale becomes a code, by the rule of the whole window; what is gathered is what was
///   before, shrunk, + Σ weight code × value code × weight scale, rounded once.
func attend(
  _ attention: Attention, _ layout: KVLayout, queries: Matrix<Float>,
  pool: UnsafeRawBufferPointer, pages: Int, _ visible: VisibleTokens,
  behind left: Matrix<Float>?, into output: Matrix<Float>
) {
  let width = attention.headWidth
  let group = attention.headCount / attention.kvHeadCount
  for row in 0..<queries.rows {
    let tokens = visible.tokens(row)
    for head in 0..<attention.headCount {
      let query = (0..<width).map { queries[row][head * width + $0] * attention.scale }
      let whole =
        layout.element.hasTokenScales
        ? WholeNumbers(query, total: KVLayout.queryTotal, limit: KVLayout.keyLimit) : nil
      var merged = left.flatMap {
        OnlineSoftmax($0[row][head * (width + 2)..<(head + 1) * (width + 2)])
      }
      for span in tokens.cut(every: KVLayout.spanTokens) {
        var part = OnlineSoftmax(width: width)
        for seen in span.cut(every: KVLayout.windowTokens) {
          let slots = seen.map { visible.slot(row, $0, kvHead: head / group) }
          if let whole {
            let scores = slots.map {
              let key = layout.wholeKey(pool, slot: $0, head: head / group, pages: pages)
              return Float(dot(whole.codes, key.codes)) * key.scale * whole.scale
            }
            let weights = part.weigh(
              scores, firstLane: seen.lowerBound, by: PortableMath.coarseExponential)
            part.add(
              weights,
              slots.map {
                layout.wholeValue(pool, slot: $0, head: head / group, pages: pages)
              })
            continue
          }
          let scores = slots.map { slot in
            query.indices.reduce(into: Float(0)) { sum, d in
              let key = layout.key(pool, slot: slot, head: head / group, d, pages: pages)
              sum = PortableMath.fma(key, query[d], sum)
            }
          }
          let weights = part.weigh(scores, firstLane: seen.lowerBound)
          for (weight, slot) in zip(weights, slots) {
            part.add(weight) { d in
              layout.value(pool, slot: slot, head: head / group, d, pages: pages)
            }
          }
        }
        if merged == nil { merged = part } else { merged?.merge(part) }
      }
      // A row that sees nothing yields zeros.
      let gathered = merged ?? OnlineSoftmax(width: width)
      let result = attention.stage.leaves ? gathered.state : gathered.result
      for (d, value) in result.enumerated() { output[row][head * result.count + d] = value }
    }
  }
}

/// Sums of products in 32 bits, which limits keep them within.
private func dot(_ a: [Int32], _ b: [Int32]) -> Int32 {
  zip(a, b).reduce(0) { $0 &+ $1.0 &* $1.1 }
}

extension Range<Int> {
  /// The parts between multiples of `length`, in order; none is empty.
  func cut(every length: Int) -> [Range<Int>] {
    stride(from: lowerBound / length * length, to: upperBound, by: length).map {
      clamped(to: $0..<$0 + length)
    }
  }
}

/// What one query has gathered so far: `log(total) + peak` is the log-sum-exp of its scores.
struct OnlineSoftmax {
  private(set) var peak = -Float.infinity
  private(set) var total: Float = 0
  private var sums: [Float]

  init(width: Int) { sums = [Float](repeating: 0, count: width) }

  /// What a first stage has left, or nil where that saw nothing.
  init?(_ state: some Collection<Float>) {
    let numbers = Array(state)
    sums = Array(numbers.dropLast(2))
    (peak, total) = (numbers[sums.count], numbers[sums.count + 1])
    if total == 0 { return nil }
  }

  /// What a first stage leaves: sums, peak and total.
  var state: [Float] { sums + [peak, total] }

  /// Weights of one window's scores; what was gathered before moves to the new maximum.
  mutating func weigh(
    _ scores: [Float], firstLane: Int, by exponential: (Float) -> Float = PortableMath.exponential
  ) -> [Float] {
    let now = max(peak, scores.max() ?? peak)
    let weights = scores.map { exponential($0 - now) }
    var lanes = [Float](repeating: 0, count: PortableMath.laneCount)
    for (index, weight) in weights.enumerated() {
      lanes[(firstLane + index) % PortableMath.laneCount] += weight
    }
    if now > peak {
      let shrink = PortableMath.exponential(peak - now)
      total *= shrink
      for d in sums.indices { sums[d] *= shrink }
      peak = now
    }
    total += PortableMath.sum(ofLanes: lanes)
    return weights
  }

  /// The weighted values of a window, which are whole numbers.
  mutating func add(_ weights: [Float], _ values: [KVLayout.WholeToken]) {
    let whole = WholeNumbers(
      zip(weights, values).map { $0 * $1.scale }, limit: KVLayout.weightLimit)
    for d in sums.indices {
      let sum = dot(whole.codes, values.map { $0.codes[d] })
      sums[d] = PortableMath.fma(Float(sum), whole.scale, sums[d])
    }
  }

  mutating func add(_ weight: Float, _ value: (Int) -> Float) {
    for d in sums.indices { sums[d] = PortableMath.fma(value(d), weight, sums[d]) }
  }

  /// Adds what the next span has gathered; both move to the larger maximum.
  mutating func merge(_ part: OnlineSoftmax) {
    let now = max(peak, part.peak)
    let own = PortableMath.exponential(peak - now)
    let other = PortableMath.exponential(part.peak - now)
    total = PortableMath.fma(part.total, other, total * own)
    for d in sums.indices { sums[d] = PortableMath.fma(part.sums[d], other, sums[d] * own) }
    peak = now
  }

  /// The weighted mean, or zeros where nothing was seen.
  var result: [Float] {
    let inverse = total > 0 ? PortableMath.reciprocal(total) : 0
    return sums.map { $0 * inverse }
  }
}
