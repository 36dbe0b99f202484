/// The one rule by which 32 numbers of a key or a value become a scale and whole numbers of 8 or 4 bits, on every
/// device.
///
/// The number that is farthest from zero becomes the lowest code, -128 or -8, so the scale has the sign that takes
/// it there and no code is left unused: with 4 bits the squared error is a fifth less than with codes -7 … 7. In single
/// precision, with `limit` 128 or 8:
///
/// - extreme = the largest number, or the least where that is as far from zero (-0 where all are zero);
/// - scale = extreme × (-1 / limit), within ±65504, to the nearest f16;
/// - code = number × 1 / scale, with the reciprocal of `PortableMath`, within -limit … limit - 1, rounded to nearest
///   even.
///
/// Where the scale rounds to zero, all codes are; what is not a number counts as 0.
package struct KVBlock {
  package var scale: Float16
  package var codes: [Int]

  /// The largest f16.
  private static let largestScale: Float = 65_504

  /// Quantises numbers to codes of so many bits.
  package init(_ numbers: [Float], bits: Int) {
    let limit = Float(1 << (bits - 1))
    var (above, below): (Float, Float) = (0, 0)
    for number in numbers {
      if number > above { above = number }
      if -number > below { below = -number }
    }
    let extreme = above > below ? above : -below
    var wanted = extreme * (-1 / limit)
    wanted = wanted > Self.largestScale ? Self.largestScale : wanted
    wanted = wanted < -Self.largestScale ? -Self.largestScale : wanted
    let scale = Float16(wanted)
    let inverse = scale == 0 ? 0 : PortableMath.reciprocal(Float(scale))
    self.scale = scale
    codes = numbers.map { number in
      var code = number * inverse
      code = code > limit - 1 ? limit - 1 : code
      code = code < -limit ? -limit : code
      return code.isNaN ? 0 : Int(code.rounded(.toNearestOrEven))
    }
  }
}
