import Tensors

/// Data of the cases: the same on every machine, with outliers, since without them a norm or a
/// quantiser is not really tested.
struct CaseData {
  private var state: UInt64

  init(seed: Int) { state = UInt64(truncatingIfNeeded: seed) &* 0x9E37_79B9_7F4A_7C15 &+ 1 }

  /// SplitMix64 (Steele, Lea & Flood, 2014).
  private mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// Evenly distributed in [0, 1).
  mutating func uniform() -> Float { Float(next() >> 40) / Float(1 << 24) }

  /// An integer below `bound`.
  mutating func index(below bound: Int) -> Int { Int(next() % UInt64(bound)) }

  /// Roughly normal numbers, one in 64 of them twenty times larger.
  mutating func floats(_ count: Int, scale: Float = 1) -> [Float] {
    (0..<count).map { _ in
      let sum = uniform() + uniform() + uniform() + uniform() - 2
      return sum * 1.7 * scale * (index(below: 64) == 0 ? 20 : 1)
    }
  }

  /// Elements of a type in its blocks, below `scale` × 3 or so.
  mutating func weights(_ type: ElementType, _ count: Int, scale: Float) -> [UInt8] {
    guard type.isQuantized else { return type.encoded(floats(count, scale: scale)) }
    return type.randomBytes(count, peak: 3 * scale) { next() }
  }

  /// The integers 0 ..< count in random order.
  mutating func permutation(_ count: Int) -> [Int32] {
    var order = (0..<Int32(count)).map { $0 }
    for i in stride(from: count - 1, to: 0, by: -1) { order.swapAt(i, index(below: i + 1)) }
    return order
  }
}

/// The bytes of an array of numbers.
func rawBytes<T: BitwiseCopyable>(_ values: [T]) -> [UInt8] {
  values.withUnsafeBytes { Array($0) }
}
