import Tensors
import Testing

/// Whole numbers stand for floats as near as their limit allows, and no sum of their products leaves 32 bits.
@Suite struct WholeNumbersTests {
  private struct Numbers {
    var state: UInt32
    mutating func next(_ count: Int) -> [Float] {
      (0..<count).map { _ in
        state = state &* 1_664_525 &+ 1_013_904_223
        return (Float(state >> 8) / Float(1 << 24) - 0.5) * 6
      }
    }
  }

  @Test(arguments: [32_767, 8_191, 4_095]) func codesAreNear(limit: Int) {
    var numbers = Numbers(state: UInt32(limit))
    for round in 0..<100 {
      let floats = numbers.next(64).map { $0 * Float(1 << (round % 20)) * 1e-3 }
      let whole = WholeNumbers(floats, limit: limit)
      #expect(whole.codes.map { abs($0) }.max() == Int32(limit))
      for (number, code) in zip(floats, whole.codes) {
        #expect(abs(number - whole.scale * Float(code)) <= whole.scale * 0.51)
      }
    }
  }

  /// Of a query with one large element, of equal ones, and of any.
  @Test(arguments: [32, 64, 128, 256, 512]) func queriesStayWithinTheirTotal(width: Int) {
    var numbers = Numbers(state: UInt32(width))
    let equal = [Float](repeating: 3, count: width)
    let single = (0..<width).map { $0 == 5 ? 3 : Float(0) }
    for floats in [equal, single, numbers.next(width), numbers.next(width)] {
      let whole = WholeNumbers(floats, total: 65_535, limit: 32_767)
      #expect(whole.codes.reduce(0) { $0 + Int(abs($1)) } <= 65_535)
      #expect(whole.codes.allSatisfy { abs($0) <= 32_767 })
      #expect(whole.codes.reduce(0) { $0 + Int(abs($1)) } > 32_000)
      for (number, code) in zip(floats, whole.codes) {
        #expect(abs(number - whole.scale * Float(code)) <= whole.scale * 0.51)
      }
    }
  }

  @Test func oddNumbersHaveFiniteCodes() {
    let none = WholeNumbers([Float](repeating: 1e-38, count: 32), limit: 4_095)
    #expect(none.scale == 0 && none.codes.allSatisfy { $0 == 0 })
    let odd = WholeNumbers([.nan, .infinity, -.infinity, 1e38, 5] + [0, 0, 0], limit: 4_095)
    #expect(odd.scale.isFinite && odd.scale > 0)
    #expect(odd.codes == [0, 4_095, -4_095, 4_095, 0, 0, 0, 0])
    let nothing = WholeNumbers([Float](repeating: .nan, count: 32), limit: 4_095)
    #expect(nothing.scale == 0 && nothing.codes.allSatisfy { $0 == 0 })
  }
}
