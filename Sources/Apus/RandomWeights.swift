import OpSuite
import Tensors

/// Weights that nobody trained, made when they are asked for: a model of a known shape without a file.
///
/// Each type has some blocks that are made once, and every tensor repeats them from a place of its own.
/// So a model of many gigabytes is filled as fast as memory is copied, and its bytes are the same in
/// every run.
final class RandomWeights: WeightSource {
  private struct Kind: Hashable {
    var type: ElementType
    var width: Int
    var isNorm: Bool

    init(_ weight: Weight) {
      type = weight.type
      width = weight.width
      isNorm = weight.name.hasSuffix("norm.weight")
    }
  }

  private let patterns: [Kind: [UInt8]]

  /// Bytes of a pattern, about: more than fit into the fastest caches.
  private static let patternBytes = 1 << 20

  init(_ weights: [Weight]) {
    var patterns: [Kind: [UInt8]] = [:]
    for weight in weights where patterns[Kind(weight)] == nil {
      patterns[Kind(weight)] = Self.pattern(Kind(weight))
    }
    self.patterns = patterns
  }

  private static func pattern(_ kind: Kind) -> [UInt8] {
    var state = UInt64(kind.width) &* 0x9E37_79B9_7F4A_7C15 | 1
    func next() -> UInt64 {
      // Xorshift, its output multiplied (Vigna, 2016).
      state ^= state >> 12
      state ^= state << 25
      state ^= state >> 27
      return state &* 0x2545_F491_4F6C_DD1D
    }
    // An odd number, so that rows do not all begin alike.
    let blocks = patternBytes / kind.type.blockBytes | 1
    if kind.isNorm {
      return kind.type.encoded((0..<blocks).map { _ in 0.75 + Float(next() >> 40) / 0x1p25 })
    }
    // What a layer adds is about as large as what it gets.
    let peak = 3 / Float(kind.width).squareRoot()
    return kind.type.randomBytes(blocks * kind.type.blockLength, peak: peak, next: next)
  }

  func bytes(of weight: Weight) -> UnsafeRawBufferPointer {
    preconditionFailure("'\(weight.name)' lies nowhere")
  }

  func lend(
    _ rows: Range<Int>, of weight: Weight, to body: (UnsafeRawBufferPointer) -> Void
  ) throws(WeightError) {
    guard let pattern = patterns[Kind(weight)] else {
      preconditionFailure("'\(weight.name)' is not a weight of this model")
    }
    let block = weight.type.blockBytes
    // FNV-1a of the name: where the tensor begins in the pattern.
    let start = weight.name.utf8.reduce(UInt64(0xCBF2_9CE4_8422_2325)) {
      ($0 ^ UInt64($1)) &* 0x100_0000_01B3
    }
    let first =
      (Int(start >> 40) * block + weight.offset + rows.lowerBound * weight.rowBytes)
      % pattern.count
    withUnsafeTemporaryAllocation(
      byteCount: rows.count * weight.rowBytes, alignment: 64
    ) { target in
      pattern.withUnsafeBytes { source in
        var (done, place) = (0, first)
        while done < target.count {
          let count = min(target.count - done, source.count - place)
          UnsafeMutableRawBufferPointer(rebasing: target[done...])
            .copyMemory(from: UnsafeRawBufferPointer(rebasing: source[place..<place + count]))
          done += count
          place = 0
        }
      }
      body(UnsafeRawBufferPointer(target))
    }
  }

  /// Never any: there is no file that could change.
  func complaint() -> String? { nil }
}
