import Tensors
import Testing

@Suite struct TensorsTests {
  /// Deterministic numbers in [-2, 2).
  private func numbers(_ count: Int) -> [Float] {
    var state: UInt32 = 7
    return (0..<count).map { _ in
      state = state &* 1_664_525 &+ 1_013_904_223
      return (Float(state >> 8) / Float(1 << 24) - 0.5) * 4
    }
  }

  /// Largest error of a round trip: half a step of the coarsest block, and the rounding of its
  /// scale to half precision.
  @Test(arguments: [
    (ElementType.f32, Float(0)), (.f16, 0.001), (.bf16, 0.008), (.q4_0, 0.26), (.q4_1, 0.14),
    (.q5_0, 0.14), (.q5_1, 0.07), (.q8_0, 0.009), (.q2_K, 0.8), (.q3_K, 0.55), (.q4_K, 0.16),
    (.q5_K, 0.09), (.q6_K, 0.08), (.iq4_NL, 0.27), (.iq4_XS, 0.3), (.mxfp4, 0.51),
  ])
  func roundTripStaysWithinHalfAStep(type: ElementType, bound: Float) {
    let values = numbers(256)
    let bytes = type.encoded(values)
    #expect(bytes.count == type.rowBytes(256))
    let back = bytes.withUnsafeBytes { type.decoded($0, count: 256) }
    for (a, b) in zip(values, back) { #expect(abs(a - b) <= bound) }
  }

  /// Packing is the inverse of unpacking for whatever bytes a file holds.
  @Test(arguments: ElementType.allCases.filter(\.isQuantized))
  func packingGivesTheSameBytes(type: ElementType) throws {
    let format = try #require(type.format)
    var state: UInt32 = 11
    for _ in 0..<100 {
      let bytes = (0..<type.blockBytes).map { _ in
        state = state &* 1_664_525 &+ 1_013_904_223
        return UInt8(state >> 24)
      }
      var parts = BlockParts()
      bytes.withUnsafeBytes { if let block = $0.baseAddress { format.unpack(block, into: &parts) } }
      var back = [UInt8](repeating: 0xA5, count: bytes.count)
      back.withUnsafeMutableBytes {
        if let block = $0.baseAddress { format.pack(parts, into: block) }
      }
      // A scale that is not a number need not keep its bits.
      if parts.scale.isFinite && parts.minimum.isFinite { #expect(back == bytes) }
    }
  }

  @Test func decodesBlocksThatWereWrittenByHand() {
    // Q4_1: d = 2, m = -1, nibbles 0 ... 15 low and 15 ... 0 high.
    var block: [UInt8] = [0x00, 0x40, 0x00, 0xBC]
    for j in 0..<16 { block.append(UInt8(j) | UInt8(15 - j) << 4) }
    let values = block.withUnsafeBytes { ElementType.q4_1.decoded($0, count: 32) }
    #expect(values[0] == -1 && values[15] == 29 && values[16] == 29 && values[31] == -1)
    // Q8_0: d = 0.5, bytes -16 ... 15.
    let bytes: [UInt8] = [0x00, 0x38] + (-16..<16).map { UInt8(bitPattern: Int8($0)) }
    let wholes = bytes.withUnsafeBytes { ElementType.q8_0.decoded($0, count: 32) }
    #expect(wholes == (-16..<16).map { Float($0) / 2 })
  }

  @Test func slicesAreRangesOfRows() throws {
    let whole = try #require(Weight(name: "w", type: .q8_0, rows: 10, width: 64))
    let slice = try #require(whole.slice(rows: 3..<7))
    #expect(slice.rows == 4 && slice.width == 64 && slice.name == "w")
    #expect(slice.offset == 3 * 68 && slice.bytes == 4 * 68)
    #expect(slice.slice(rows: 1..<2)?.offset == 4 * 68)
    #expect(whole.slice(rows: 0..<10) == whole)
    for range in [0..<0, 5..<11, -1..<2] { #expect(whole.slice(rows: range) == nil) }

    let bias = try #require(Weight(name: "b", type: .f32, rows: 1, width: 10))
    let part = try #require(bias.slice(elements: 4..<6))
    #expect(part.rows == 1 && part.width == 2 && part.offset == 16 && part.bytes == 8)
    #expect(bias.slice(elements: 4..<11) == nil && whole.slice(elements: 0..<2) == nil)
    let row = try #require(whole.slice(rows: 9..<10))
    #expect(row.slice(elements: 32..<64)?.offset == 9 * 68 + 34)
    #expect(row.slice(elements: 1..<33) == nil)
  }

  @Test func rowsThatAreNotWholeBlocksHaveNoSize() {
    #expect(ElementType.q4_1.rowBytes(33) == nil)
    #expect(ElementType.q8_0.rowBytes(-32) == nil)
    #expect(ElementType.q8_0.rowBytes(.max / 32 * 32) == nil)
    #expect(Weight(name: "w", type: .f32, rows: .max / 2, width: 8) == nil)
    #expect(Weight(name: "w", type: .q4_1, rows: 3, width: 64)?.bytes == 120)
  }

  private func quantized(_ values: [Float]) -> (q: [Int8], scale: Float, sum: Float) {
    var row = [UInt8](repeating: 0, count: Int8Activations.rowBytes(32))
    row.withUnsafeMutableBytes { target in
      values.withUnsafeBufferPointer { Int8Activations.quantize($0, into: target) }
    }
    return row.withUnsafeBytes { bytes in
      (
        (0..<32).map { bytes.load(fromByteOffset: $0, as: Int8.self) },
        bytes.load(fromByteOffset: 32, as: Float.self),
        bytes.load(fromByteOffset: 36, as: Float.self)
      )
    }
  }

  @Test func activationsRoundToNearestEven() {
    var values = [Float](repeating: 0, count: 32)
    (values[0], values[1], values[2], values[3]) = (127, 0.5, 1.5, -2.5)
    let (q, scale, sum) = quantized(values)
    #expect(Array(q[..<4]) == [127, 0, 2, -2])
    #expect(scale == 1 && sum == 127)
  }

  @Test func activationsThatHaveNoScaleBecomeZero() {
    for odd: Float in [0, 1e-38, .nan, .infinity] {
      let (q, scale, sum) = quantized([Float](repeating: odd, count: 32))
      #expect(q.allSatisfy { $0 == 0 } && scale == 0 && sum == 0, "\(odd)")
    }
    var values = [Float](repeating: 1, count: 32)
    values[5] = .nan
    #expect(quantized(values).q[5] == 0)
  }
}
