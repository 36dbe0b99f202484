/// 256 elements in 176 bytes, 8 groups of 32: value = d × s × code − dmin × m, with s, m of six bits
/// and codes of five.
///
/// ```
/// byte   0      2         4                    16          48
///        d f16  dmin f16  12 bytes of s and m  fifth bits  4 × 32 bytes of nibbles
/// ```
///
/// Nibbles: ``NibblePlanes``. Fifth bits: ``BitPlanes``. Scales and minima: ``SixBitPairs``.
package enum Q5_K: QuantizedFormat {
  package static let structure = BlockStructure(
    length: 256, codeBits: 5, numbers: .offset(zero: 0), groupScales: 0...63, groupMinima: 0...63)

  package static func unpack(_ block: UnsafeRawPointer, into parts: inout BlockParts) {
    parts.scale = block.half(at: 0)
    parts.minimum = -block.half(at: 2)
    SixBitPairs.read(block + 4, into: &parts)
    NibblePlanes.read(block + 48, into: &parts)
    for j in 0..<256 { parts.codes[j] |= BitPlanes.bit(j, of: block + 16) << 4 }
  }

  package static func pack(_ parts: BlockParts, into block: UnsafeMutableRawPointer) {
    block.storeHalf(parts.scale, at: 0)
    block.storeHalf(-parts.minimum, at: 2)
    SixBitPairs.write(parts, into: block + 4)
    BitPlanes.write(parts, bit: 4, into: block + 16)
    NibblePlanes.write(parts, into: block + 48)
  }
}
