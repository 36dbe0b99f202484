import Devices
import Planning
import Tensors
import Testing

/// The figures that were reported for GPT-J 6B, from nothing but its configuration.
@Suite struct MemoryFormulaTests {
  private let layers = 28
  private let width = 4096
  private let feedForward = 16_384
  private let heads = 16
  private let vocabulary = 50_400

  /// Its weights. Attention has no biases, the feed-forward part has, and so has the head, which is not
  /// tied.
  private func weights(_ type: ElementType) throws -> [Weight] {
    func weight(_ name: String, _ rows: Int, _ width: Int) throws -> Weight {
      try #require(Weight(name: name, type: type, rows: rows, width: width))
    }
    var weights = [
      try weight("embedding", vocabulary, width), try weight("head", vocabulary, width),
      try weight("head.bias", 1, vocabulary),
    ]
    for layer in 0..<layers {
      for name in ["q", "k", "v", "o"] {
        weights.append(try weight("\(layer).\(name)", width, width))
      }
      weights += [
        try weight("\(layer).up", feedForward, width),
        try weight("\(layer).up.bias", 1, feedForward),
        try weight("\(layer).down", width, feedForward), try weight("\(layer).down.bias", 1, width),
      ]
    }
    for norm in 0...layers {
      weights += [try weight("\(norm).norm", 1, width), try weight("\(norm).norm.bias", 1, width)]
    }
    return weights
  }

  /// Bytes of all weights, as plans add them up.
  private func bytes(_ type: ElementType) throws -> Int {
    try weights(type).reduce(0) { $0 + $1.bytes }
  }

  private func gigabytes(_ bytes: Int) -> Double { Double(bytes) / 1e9 }

  @Test func weightsAreThoseThatWereReported() throws {
    let parameters = try weights(.f32).reduce(0) { $0 + $1.rows * $1.width }
    #expect(parameters == 6_050_882_784)
    // "about 12.1 GB" with 16 bits, which a device of 16 GB holds with 2048 tokens of cache.
    #expect(try bytes(.f16) == 2 * parameters)
    #expect(abs(try gigabytes(bytes(.f16)) - 12.1) < 0.05)
    #expect(try bytes(.f32) == 4 * parameters)
    let single = gigabytes(try bytes(.f32))
    #expect(single > 24 && single < 24.5)
    // 4.5 bits: 18 bytes for each 32 numbers.
    #expect(try bytes(.q4_0) == parameters / 32 * 18)
  }

  @Test func theCacheTakesWhatItsHeadsTake() throws {
    let layout = KVLayout(headCount: heads, headWidth: width / heads, element: .f16)
    let token = layers * layout.tokenBytes
    #expect(token == 458_752)
    #expect(abs(gigabytes(2048 * token) - 0.94) < 0.005)
    #expect(try bytes(.f16) + 2048 * token < 16_000_000_000)
  }

  @Test func oneCopyIsLoadedInHalfTheMemoryOfTwo() throws {
    let single = try bytes(.f32)
    // "at least 48 GB": a model is made, and then its checkpoint is read beside it.
    let two = MemoryFormulas.loadPeak(resident: single, inFlight: single)
    #expect(gigabytes(two) > 48 && gigabytes(two) < 48.5)
    let one = MemoryFormulas.loadPeak(resident: single, inFlight: 2 * Planner.defaultPartBytes)
    #expect(Double(one) < 1.001 * Double(single))
    // "4x the model": weights, gradients and Adam's two moments, without activations.
    #expect(gigabytes(4 * single) > 96 && gigabytes(4 * single) < 97)
  }
}
