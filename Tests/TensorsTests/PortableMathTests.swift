import Tensors
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

@Suite struct PortableMathTests {
  private func relativeError(_ value: Float, _ exact: Double) -> Double {
    abs(Double(value) - exact) / abs(exact)
  }

  @Test func exponential() {
    var worst = 0.0
    for step in stride(from: -86.0 as Float, through: 88, by: 0.0137) {
      worst = max(worst, relativeError(PortableMath.exponential(step), exp(Double(step))))
    }
    #expect(worst < 2.4e-7)
    #expect(PortableMath.exponential(0) == 1)
    #expect(PortableMath.exponential(-.infinity) < 1e-37)
    #expect(PortableMath.exponential(1000) > 1e38)
    #expect(PortableMath.exponential(.nan).isNaN)
  }

  @Test func coarseExponential() {
    var worst = 0.0
    for step in stride(from: -86.0 as Float, through: 0, by: 0.0137) {
      worst = max(worst, relativeError(PortableMath.coarseExponential(step), exp(Double(step))))
    }
    #expect(worst < 4e-6)
    #expect(PortableMath.coarseExponential(0) == 1)
    #expect(PortableMath.coarseExponential(-.infinity) < 1e-37)
    #expect(PortableMath.coarseExponential(.nan).isNaN)
  }

  @Test func reciprocals() {
    var worst = 0.0
    var worstRoot = 0.0
    var x: Float = 1e-37
    while x < 1e37 {
      worst = max(worst, relativeError(PortableMath.reciprocal(x), 1 / Double(x)))
      worstRoot = max(
        worstRoot,
        relativeError(PortableMath.reciprocalSquareRoot(x), 1 / Double(x).squareRoot()))
      x *= 1.0173
    }
    #expect(worst < 1.2e-7)
    #expect(worstRoot < 2.4e-7)
    for whole: Float in [1, 2, 4, 0.5] { #expect(PortableMath.reciprocal(whole) == 1 / whole) }
  }

  @Test func sineAndCosine() {
    var worst = 0.0
    for step in 0..<40_000 {
      let x = Float(step) * 2.61803 - 500
      let (sine, cosine) = PortableMath.sineCosine(x)
      worst = max(worst, abs(Double(sine) - sin(Double(x))), abs(Double(cosine) - cos(Double(x))))
    }
    #expect(worst < 2e-7)
    #expect(PortableMath.sineCosine(0) == (0, 1))
  }
}
