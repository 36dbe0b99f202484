/// 32 elements in 17 bytes: value = 2^(e − 128) × codebook[nibble]; the codebook holds twice the
/// numbers of a 4-bit float with two bits of exponent (OCP Microscaling Formats, version 1.0).
///
/// ```
/// byte   0   1                           17
///        e   16 bytes of pairs (j, j + 16)
/// ```
package enum MXFP4: QuantizedFormat {
  package static let structure = BlockStructure(
    length: 32, codeBits: 4,
    numbers: .codebook([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]),
    hasPowerScale: true)

  /// The largest power of two that leaves the peak, 12 units of `scale`, above 8 units.
  package static func storable(scale: Float) -> Float {
    guard scale != 0, scale.isFinite else { return power(of: 0) }
    let exponent = (abs(scale) * 12).exponent - 3
    return power(of: UInt8(clamping: Int(exponent) + 128))
  }

  /// 2^(e − 128); the two smallest are subnormal.
  private static func power(of e: UInt8) -> Float {
    e < 2 ? Float(bitPattern: 0x0020_0000 << UInt32(e)) : Float(bitPattern: UInt32(e - 1) << 23)
  }

  package static func unpack(_ block: UnsafeRawPointer, into parts: inout BlockParts) {
    parts.scale = power(of: block.load(as: UInt8.self))
    NibblePairs.read(block + 1, into: &parts)
  }

  package static func pack(_ parts: BlockParts, into block: UnsafeMutableRawPointer) {
    block.storeBytes(of: UInt8(clamping: Int(parts.scale.exponent) + 128), as: UInt8.self)
    NibblePairs.write(parts, into: block + 1)
  }
}
