/// The one rule by which some numbers of keys or values become whole numbers 0 … 3, on every device. A number is
/// base + step × code, rounded once: the product is exact.
///
/// Numbers of keys are one element of the tokens of a page, since elements of keys differ more from one another than
/// tokens do; those of values are 32 elements of a token (KIVI, Liu et al., 2024). In single precision:
///
/// - numbers are within ±49,152; what is not a number counts for nothing;
/// - base = the least or the largest one, whichever is nearer to zero, as ``Byte``; of two as near the least, and 0 where there
///   is none. Near zero a byte is finer;
/// - step = (the one that is farther from `base` - base) × ⅓ as ``Byte``, of two as far the one that `base` is not of;
/// - code = (number - base) × 1 / step, with the reciprocal of `PortableMath`, within 0 … 3, rounded to nearest even; 0
///   where the step is zero, and for what is not a number.
package struct KVRange {
  package var base: Byte
  package var step: Byte
  package var codes: [Int]

  /// A float in a byte: a sign, five bits of an exponent and two of a fraction, without numbers below 1.25 × 2⁻¹⁵, infinities
  /// or NaN. Rounded to nearest, halves away from zero; below 1.125 × 2⁻¹⁵ it is zero.
  package struct Byte: Sendable {
    package var bits: UInt8

    package init(bits: UInt8) { self.bits = bits }

    package init(_ number: Float) {
      let size = Int((number.bitPattern & 0x7FFF_FFFF) + 1 << 20) >> 21 - 448
      let sign = UInt8(number.bitPattern >> 24) & 0x80
      bits = size <= 0 ? 0 : sign | UInt8(min(size, 127))
    }

    package var number: Float {
      let (sign, size) = (UInt32(bits & 0x80) << 24, UInt32(bits & 0x7F))
      return size == 0 ? 0 : Float(bitPattern: sign | size << 21 + 448 << 21)
    }
  }

  /// Numbers are no farther from zero, so that what codes stand for is within f16.
  private static let limit: Float = 49_152

  /// Quantises numbers to two bits.
  package init(_ numbers: [Float]) {
    let seen = numbers.map { $0.isNaN ? .nan : max(min($0, Self.limit), -Self.limit) }
    let counted = seen.filter { !$0.isNaN }
    let (least, most) = (counted.min() ?? 0, counted.max() ?? 0)
    let (near, far) = abs(least) <= abs(most) ? (least, most) : (most, least)
    base = Byte(near)
    let first = base.number
    let (short, long) = (near - first, far - first)
    step = Byte((abs(long) >= abs(short) ? long : short) * (1 / 3))
    let inverse = step.bits == 0 ? 0 : PortableMath.reciprocal(step.number)
    codes = seen.map { number in
      let code = (number - first) * inverse
      return code.isNaN ? 0 : Int(max(min(code, 3), 0).rounded(.toNearestOrEven))
    }
  }
}
