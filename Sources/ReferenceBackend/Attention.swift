import Devices
import ModelGraph

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// What each query row sees: tokens [begin, end) of the sequence whose pages start at `table`.
struct VisibleTokens {
  let begin: Matrix<Int32>
  let end: Matrix<Int32>
  let table: Matrix<Int32>
  let tables: Matrix<Int32>

  /// The slots that row `row` sees, in order of tokens.
  func slots(_ row: Int) -> [Int] {
    let (begin, end) = (Int(begin[row][0]), Int(end[row][0]))
    guard begin < end else { return [] }
    return (begin..<end).map { token in
      let page = tables[Int(table[row][0]) + token / KVLayout.pageTokens][0]
      return Int(page) * KVLayout.pageTokens + token % KVLayout.pageTokens
    }
  }
}

extension KVLayout {
  /// Byte offset of element `d` of the key of `slot` in the pool.
  func keyOffset(slot: Int, head: Int, _ d: Int) -> Int {
    let block = slot / Self.pageTokens * headCount + head
    return (block * 2 * halfBlock + d * Self.pageTokens + slot % Self.pageTokens) * element.bytes
  }

  /// Byte offset of element `d` of the value of `slot` in the pool.
  func valueOffset(slot: Int, head: Int, _ d: Int) -> Int {
    let block = slot / Self.pageTokens * headCount + head
    return (block * 2 * halfBlock + halfBlock + slot % Self.pageTokens * headWidth + d)
      * element.bytes
  }

  fileprivate func load(_ pool: UnsafeRawBufferPointer, _ offset: Int) -> Float {
    switch element {
    case .f32: pool.load(fromByteOffset: offset, as: Float.self)
    case .f16: Float(pool.load(fromByteOffset: offset, as: Float16.self))
    }
  }

  fileprivate func store(_ value: Float, _ pool: UnsafeMutableRawBufferPointer, _ offset: Int) {
    switch element {
    case .f32: pool.storeBytes(of: value, toByteOffset: offset, as: Float.self)
    case .f16: pool.storeBytes(of: Float16(value), toByteOffset: offset, as: Float16.self)
    }
  }
}

/// Stores each row's key and value at its slot.
func writeKV(
  _ layout: KVLayout, keys: Matrix<Float>, values: Matrix<Float>, slots: Matrix<Int32>,
  into pool: UnsafeMutableRawBufferPointer
) {
  for row in 0..<keys.rows {
    let slot = Int(slots[row][0])
    guard slot >= 0 else { continue }
    for head in 0..<layout.headCount {
      for d in 0..<layout.headWidth {
        let column = head * layout.headWidth + d
        layout.store(keys[row][column], pool, layout.keyOffset(slot: slot, head: head, d))
        layout.store(values[row][column], pool, layout.valueOffset(slot: slot, head: head, d))
      }
    }
  }
}

/// softmax(scale × q kᵀ) v for each row and query head, over the tokens that the row sees.
func attend(
  _ attention: Attention, _ layout: KVLayout, queries: Matrix<Float>,
  pool: UnsafeRawBufferPointer, _ visible: VisibleTokens, into output: Matrix<Float>
) {
  let width = attention.headWidth
  let group = attention.headCount / attention.kvHeadCount
  for row in 0..<queries.rows {
    let slots = visible.slots(row)
    for head in 0..<attention.headCount {
      let kvHead = head / group
      let scores = slots.map { slot in
        var dot = 0.0
        for d in 0..<width {
          let key = layout.load(pool, layout.keyOffset(slot: slot, head: kvHead, d))
          dot += Double(queries[row][head * width + d]) * Double(key)
        }
        return dot * Double(attention.scale)
      }
      let peak = scores.max() ?? 0
      let weights = scores.map { exp($0 - peak) }
      let total = weights.reduce(0, +)
      for d in 0..<width {
        var sum = 0.0
        for (weight, slot) in zip(weights, slots) {
          let value = layout.load(pool, layout.valueOffset(slot: slot, head: kvHead, d))
          sum += weight * Double(value)
        }
        output[row][head * width + d] = total > 0 ? Float(sum / total) : 0
      }
    }
  }
}
