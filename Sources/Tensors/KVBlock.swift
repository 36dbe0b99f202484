/// The one rule by which 32 numbers of a key or a value become a scale and whole numbers of 8, 4 or 2 bits, on every
/// device. A number is scale × code.
///
/// With 8 or 4 bits the number that is farthest from zero becomes the lowest code, -128 or -8, so the scale has the sign that takes
/// it there and no code is left unused: with 4 bits the squared error is a fifth less than with codes -7 … 7. In single
/// precision, with `limit` 128 or 8:
///
/// - extreme = the largest number, or the least where that is as far from zero (-0 where all are zero);
/// - scale = extreme × (-1 / limit), within ±65504, to the nearest f16;
/// - code = number × 1 / scale, with the reciprocal of `PortableMath`, within -limit … limit - 1, rounded to nearest
///   even.
///
/// Where the scale rounds to zero, all codes are; what is not a number counts as 0.
///
/// With 2 bits codes are -3, -1, 1 and 3, which suit a peak at zero better than four that begin at the least number: of a
/// normal distribution the squared error is 11 % against 15 %, without a minimum beside the scale. The scale is
/// fitted to the codes and these to the scale, twice (Lloyd, 1982):
///
/// - size = |number|, at most 65504, 0 of what is not a number; border = Σ size × (1.25 / 32);
/// - twice: part = 3 where size ≥ border, else 1; border = Σ part × size × 1 / Σ part² × 2;
/// - scale = border / 2, at most 65504, to the nearest f16; code = ± (size ≥ 2 scale ? 3 : 1).
///
/// Sums go into 16 lanes that are added by halves, number i and number i + 16 to lane i.
package struct KVBlock {
  package var scale: Float16
  package var codes: [Int]

  /// The largest f16.
  private static let largestScale: Float = 65_504

  /// Quantises 32 numbers to codes of so many bits.
  package init(_ numbers: [Float], bits: Int) {
    (scale, codes) = bits > 2 ? Self.stepped(numbers, bits: bits) : Self.fitted(numbers)
  }

  /// Even steps, of 8 or 4 bits.
  private static func stepped(
    _ numbers: [Float], bits: Int
  ) -> (scale: Float16, codes: [Int]) {
    let limit = Float(1 << (bits - 1))
    var (above, below): (Float, Float) = (0, 0)
    for number in numbers {
      if number > above { above = number }
      if -number > below { below = -number }
    }
    let extreme = above > below ? above : -below
    var wanted = extreme * (-1 / limit)
    wanted = wanted > largestScale ? largestScale : wanted
    wanted = wanted < -largestScale ? -largestScale : wanted
    let scale = Float16(wanted)
    let inverse = scale == 0 ? 0 : PortableMath.reciprocal(Float(scale))
    let codes = numbers.map { number in
      var code = number * inverse
      code = code > limit - 1 ? limit - 1 : code
      code = code < -limit ? -limit : code
      return code.isNaN ? 0 : Int(code.rounded(.toNearestOrEven))
    }
    return (scale, codes)
  }

  /// -3, -1, 1, 3, and the scale that suits them.
  private static func fitted(_ numbers: [Float]) -> (scale: Float16, codes: [Int]) {
    let sizes = numbers.map { $0.isNaN ? 0 : min(abs($0), largestScale) }
    func sum(_ number: (Int) -> Float) -> Float {
      let lanes = PortableMath.laneCount
      return PortableMath.sum(ofLanes: (0..<lanes).map { number($0) + number($0 + lanes) })
    }
    var border = sum { sizes[$0] } * (1.25 / 32)
    for _ in 0..<2 {
      let parts = sizes.map { $0 >= border ? 3 : 1 as Float }
      let squares = sum { parts[$0] * parts[$0] }
      border = sum { parts[$0] * sizes[$0] } * PortableMath.reciprocal(squares) * 2
    }
    let scale = Float16(min(border * 0.5, largestScale))
    let codes = zip(numbers, sizes).map { number, size in
      (number < 0 ? -1 : 1) * (size >= Float(scale) * 2 ? 3 : 1)
    }
    return (scale, codes)
  }
}
