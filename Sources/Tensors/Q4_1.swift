/// 32 elements in 20 bytes: value = d × nibble + m.
///
/// ```
/// byte   0      2      4                                  20
///        d f16  m f16  16 bytes: low nibble is element j, high nibble element j + 16
/// ```
package enum Q4_1: BlockCodec {
  package static func decode(
    _ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>
  ) {
    let scale = block.half(at: 0)
    let minimum = block.half(at: 2)
    for j in 0..<16 {
      let byte = block.load(fromByteOffset: 4 + j, as: UInt8.self)
      values[j] = Float(byte & 15) * scale + minimum
      values[j + 16] = Float(byte >> 4) * scale + minimum
    }
  }

  package static func encode(
    _ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer
  ) {
    let elements = UnsafeBufferPointer(start: values, count: 32)
    let minimum = elements.min() ?? 0
    let maximum = elements.max() ?? 0
    let scale = (maximum - minimum) / 15
    let inverse = scale == 0 ? 0 : 1 / scale
    func nibble(_ value: Float) -> UInt8 {
      UInt8(max(0, min(15, ((value - minimum) * inverse).rounded())))
    }
    block.storeHalf(scale, at: 0)
    block.storeHalf(minimum, at: 2)
    for j in 0..<16 {
      let byte = nibble(values[j]) | nibble(values[j + 16]) << 4
      block.storeBytes(of: byte, toByteOffset: 4 + j, as: UInt8.self)
    }
  }
}
