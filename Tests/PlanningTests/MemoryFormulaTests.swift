import Planning
import Testing

/// The figures that were reported for GPT-J 6B, from nothing but its configuration.
@Suite struct MemoryFormulaTests {
  private let layers = 28
  private let width = 4096
  private let feedForward = 16_384
  private let heads = 16
  private let vocabulary = 50_400

  /// Attention has no biases, the feed-forward part has, and so has the head, which is not tied.
  private var parameters: Int {
    let attention = 4 * width * width
    let dense = 2 * width * feedForward + feedForward + width
    let norm = 2 * width
    return vocabulary * width + layers * (attention + dense + norm) + norm
      + vocabulary * width + vocabulary
  }

  private func gigabytes(_ bytes: Int) -> Double { Double(bytes) / 1e9 }

  @Test func weightsAreThoseThatWereReported() {
    #expect(parameters == 6_050_882_784)
    let half = MemoryFormulas.weightBytes(parameters, bits: 16)
    // "about 12.1 GB" with 16 bits, which a device of 16 GB holds with 2048 tokens of cache.
    #expect(abs(gigabytes(half) - 12.1) < 0.05)
    let single = MemoryFormulas.weightBytes(parameters, bits: 32)
    #expect(gigabytes(single) > 24 && gigabytes(single) < 24.5)
    // 4.5 bits are 18 bytes for each 32 numbers; what is not a whole byte is rounded up.
    #expect(MemoryFormulas.weightBytes(3, bits: 3) == 2)
  }

  @Test func theCacheTakesWhatItsHeadsTake() {
    let token = MemoryFormulas.cacheBytesPerToken(
      layers: layers, kvHeads: heads, headWidth: width / heads, elementBytes: 2)
    #expect(token == 458_752)
    #expect(abs(gigabytes(2048 * token) - 0.94) < 0.005)
    let half = MemoryFormulas.weightBytes(parameters, bits: 16)
    #expect(half + 2048 * token < 16_000_000_000)
  }

  @Test func oneCopyIsLoadedInHalfTheMemoryOfTwo() {
    let single = MemoryFormulas.weightBytes(parameters, bits: 32)
    // "at least 48 GB": a model is made, and then its checkpoint is read beside it.
    let two = MemoryFormulas.loadPeak(resident: single, inFlight: single)
    #expect(gigabytes(two) > 48 && gigabytes(two) < 48.5)
    let one = MemoryFormulas.loadPeak(resident: single, inFlight: 2 * Planner.defaultPartBytes)
    #expect(Double(one) < 1.001 * Double(single))
  }

  @Test func trainingTakesFourTimesTheWeights() {
    let single = MemoryFormulas.weightBytes(parameters, bits: 32)
    #expect(MemoryFormulas.adamTrainingBytes(parameters: parameters, bits: 32) == 4 * single)
    #expect(
      gigabytes(MemoryFormulas.adamTrainingBytes(parameters: parameters, bits: 32)) > 96)
  }
}
