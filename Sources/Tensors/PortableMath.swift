/// Functions that give the same bits on every device.
///
/// They use +, −, ×, fused multiply-add and integer operations only, which IEEE 754 and OpenCL
/// define to the last bit. Division, square roots and exponentials of a driver or a C library are
/// allowed to differ, and behind an int8 rounding the smallest difference grows until two devices
/// give two texts. `Kernels/common/arithmetic.cl` and `CPUKernels/levels/lanes.h` hold the same steps.
package enum PortableMath {
  /// a × b + c, rounded once.
  @inlinable package static func fma(_ a: Float, _ b: Float, _ c: Float) -> Float {
    c.addingProduct(a, b)
  }

  /// 1.5 × 2²³: added to a small number, it rounds it to the nearest integer, ties to even, and
  /// leaves that integer in the low bits.
  private static let rounder: Float = 12_582_912

  /// exp(x), within 2 ulp for −86 ≤ x ≤ 88; beyond, the value at the end of that range.
  ///
  /// exp(x) = 2ⁿ exp(r) with n = x / ln 2 to the nearest; the polynomial is that of Cephes' expf.
  package static func exponential(_ x: Float) -> Float {
    var x = x < -86 ? -86 : x
    x = x > 88 ? 88 : x
    let shifted = fma(x, 1.442_695_04, rounder)
    let n = shifted - rounder
    let r = fma(n, 2.121_944_40e-4, fma(n, -0.693_359_375, x))
    var p: Float = 1.987_569_15e-4
    p = fma(p, r, 1.398_199_950_7e-3)
    p = fma(p, r, 8.333_451_907_3e-3)
    p = fma(p, r, 4.166_579_589_4e-2)
    p = fma(p, r, 1.666_666_545_9e-1)
    p = fma(p, r, 5.000_000_120_1e-1)
    p = fma(p, r * r, r) + 1
    return p * Float(bitPattern: (shifted.bitPattern &<< 23) &+ (127 << 23))
  }

  /// exp(x) for x ≤ 0, within 4e-6 of it: for what is rounded to 13 bits. Below −86 the value there.
  ///
  /// 2ⁿ 2ʳ with n = x / ln 2 to the nearest, and of degree 4 the polynomial with the least relative error that is 1
  /// at 0.
  package static func coarseExponential(_ x: Float) -> Float {
    let x = x < -86 ? -86 : x
    let shifted = fma(x, 1.442_695_04, rounder)
    let r = fma(x, 1.442_695_04, -(shifted - rounder))
    var p: Float = 0x1.3a02ccp-7
    p = fma(p, r, 0x1.c9fc46p-5)
    p = fma(p, r, 0x1.ec0378p-3)
    p = fma(p, r, 0x1.62e12cp-1)
    p = fma(p, r, 1)
    return Float(bitPattern: p.bitPattern &+ (shifted.bitPattern &<< 23))
  }

  /// 1 / x for 1e-37 ≤ x ≤ 1e37, within 1 ulp: four steps of Newton's method from a guess that
  /// subtracts the exponent.
  package static func reciprocal(_ x: Float) -> Float {
    var r = Float(bitPattern: 0x7EF3_11C7 &- x.bitPattern)
    for _ in 0..<4 { r = fma(r, fma(-x, r, 1), r) }
    return r
  }

  /// 1 / √x for 1e-37 ≤ x ≤ 1e37, within 2 ulp, likewise.
  package static func reciprocalSquareRoot(_ x: Float) -> Float {
    let half = 0.5 * x
    var r = Float(bitPattern: 0x5F37_5A86 &- (x.bitPattern >> 1))
    for _ in 0..<4 { r *= fma(-(half * r), r, 1.5) }
    return r
  }

  /// Sine and cosine for |x| up to a hundred thousand, within 2e-7.
  ///
  /// Quarter turns come off in three parts (Cody & Waite), the polynomials are Cephes' sinf and
  /// cosf on |r| ≤ π / 4.
  package static func sineCosine(_ x: Float) -> (sine: Float, cosine: Float) {
    let shifted = fma(x, 0.636_619_772, rounder)
    let quarters = shifted - rounder
    var r = fma(quarters, -1.570_796_37, x)
    r = fma(quarters, 4.371_139_0e-8, r)
    r = fma(quarters, 1.715_124_5e-15, r)
    let z = r * r
    let odd = fma(fma(-1.951_529_589_1e-4, z, 8.332_160_873_6e-3), z, -1.666_665_461_1e-1)
    let even = fma(fma(2.443_315_712e-5, z, -1.388_731_625e-3), z, 4.166_664_568e-2)
    let s = fma(odd * z, r, r)
    let c = fma(even, z * z, fma(-0.5, z, 1))
    let quarter = shifted.bitPattern & 3
    let (sine, cosine) = quarter & 1 == 0 ? (s, c) : (c, s)
    return (quarter & 2 == 0 ? sine : -sine, (quarter &+ 1) & 2 == 0 ? cosine : -cosine)
  }

  /// The sum of 16 lanes by halves: 8 + 8, 4 + 4, 2 + 2, 1 + 1.
  package static func sum(ofLanes lanes: [Float]) -> Float {
    precondition(lanes.count == laneCount)
    var lanes = lanes
    for half in [8, 4, 2, 1] {
      for i in 0..<half { lanes[i] += lanes[i + half] }
    }
    return lanes[0]
  }

  /// Lanes of a sum: number i goes to lane i mod 16.
  package static let laneCount = 16
}
