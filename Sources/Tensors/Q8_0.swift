/// 32 elements in 34 bytes: value = d × q.
///
/// ```
/// byte   0      2                   34
///        d f16  32 signed bytes in order
/// ```
package enum Q8_0: BlockCodec {
  package static func decode(
    _ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>
  ) {
    let scale = block.half(at: 0)
    for j in 0..<32 {
      values[j] = Float(block.load(fromByteOffset: 2 + j, as: Int8.self)) * scale
    }
  }

  package static func encode(
    _ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer
  ) {
    var peak: Float = 0
    for j in 0..<32 { peak = max(peak, abs(values[j])) }
    let scale = peak / 127
    let inverse = scale == 0 ? 0 : 1 / scale
    block.storeHalf(scale, at: 0)
    for j in 0..<32 {
      let q = Int8(max(-127, min(127, (values[j] * inverse).rounded())))
      block.storeBytes(of: q, toByteOffset: 2 + j, as: Int8.self)
    }
  }
}
