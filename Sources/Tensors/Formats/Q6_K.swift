/// 256 elements in 210 bytes, 16 groups of 16: value = d × s × (code − 32), with s a signed byte and
/// codes of six bits.
///
/// ```
/// byte   0                      128                    192              208
///        128 bytes of nibbles   2 × 32 bytes           16 signed bytes  d f16
/// ```
///
/// The nibble of element 128 h + 32 p + l lies in byte 64 h + 32 (p % 2) + l, low for p < 2; bits 4
/// and 5 are those of ``TwoBitPlanes``.
package enum Q6_K: QuantizedFormat {
  package static let structure = BlockStructure(
    length: 256, codeBits: 6, numbers: .offset(zero: 32), group: 16, groupScales: -128...127)

  /// Byte and shift of an element's nibble.
  private static func nibble(_ j: Int) -> (byte: Int, shift: Int) {
    (j / 128 * 64 + j % 64, j / 64 % 2 * 4)
  }

  package static func unpack(_ block: UnsafeRawPointer, into parts: inout BlockParts) {
    parts.scale = block.half(at: 208)
    for group in 0..<16 {
      parts.scales[group] = block.load(fromByteOffset: 192 + group, as: Int8.self)
    }
    for j in 0..<256 {
      let (byte, shift) = nibble(j)
      let low = block.load(fromByteOffset: byte, as: UInt8.self) >> shift & 15
      parts.codes[j] = low | TwoBitPlanes.code(j, of: block + 128) << 4
    }
  }

  package static func pack(_ parts: BlockParts, into block: UnsafeMutableRawPointer) {
    var high = BlockParts()
    for j in 0..<256 { high.codes[j] = parts.codes[j] >> 4 }
    for byte in 0..<128 {
      let first = byte / 64 * 128 + byte % 64
      let pair = parts.codes[first] & 15 | (parts.codes[first + 64] & 15) << 4
      block.storeBytes(of: pair, toByteOffset: byte, as: UInt8.self)
    }
    TwoBitPlanes.write(high, into: block + 128)
    for group in 0..<16 {
      block.storeBytes(of: parts.scales[group], toByteOffset: 192 + group, as: Int8.self)
    }
    block.storeHalf(parts.scale, at: 208)
  }
}
