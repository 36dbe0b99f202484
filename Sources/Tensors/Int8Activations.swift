/// The one rule by which activations become int8, for every device (`--activations int8`).
///
/// A row of `width` floats (a multiple of 32) is cut into blocks of 32. Per block:
/// scale = max|x| × (1 / 127), q = x × (127 × 1 / max|x|) rounded to nearest even, and
/// sum = scale × Σq, which folds a format's zero point; all in single precision, with the
/// reciprocal of `PortableMath`. A block whose max|x| is outside `peaks` counts as zeros with
/// scale 0, since its reciprocal is no number; what is not a number counts as 0.
///
/// ```
/// one row    width bytes          width/32 floats   width/32 floats
///            q, signed bytes      scales            sums
/// ```
package enum Int8Activations {
  /// Elements that share a scale.
  package static let blockLength = 32

  /// Blocks with a smaller or larger peak count as zeros.
  package static let peaks: ClosedRange<Float> = 1e-30...1e30

  /// Bytes of one row.
  package static func rowBytes(_ width: Int) -> Int {
    width + width / blockLength * 8
  }

  /// Quantises one row.
  package static func quantize(
    _ values: UnsafeBufferPointer<Float>, into row: UnsafeMutableRawBufferPointer
  ) {
    let width = values.count
    precondition(width % blockLength == 0 && row.count >= rowBytes(width))
    let blocks = width / blockLength
    for block in 0..<blocks {
      let start = block * blockLength
      var peak: Float = 0
      for j in 0..<blockLength where abs(values[start + j]) > peak {
        peak = abs(values[start + j])
      }
      if !peaks.contains(peak) { peak = 0 }
      let inverse = peak == 0 ? 0 : PortableMath.reciprocal(peak) * 127
      let scale = peak * 0.007_874_015_7
      var sum = 0
      for j in 0..<blockLength {
        let scaled = (values[start + j] * inverse).rounded(.toNearestOrEven)
        let q = abs(scaled) <= 127 ? Int(scaled) : 0
        row.storeBytes(of: Int8(q), toByteOffset: start + j, as: Int8.self)
        sum += q
      }
      row.storeBytes(of: scale, toByteOffset: width + block * 4, as: Float.self)
      row.storeBytes(
        of: scale * Float(sum), toByteOffset: width + (blocks + block) * 4, as: Float.self)
    }
  }
}
