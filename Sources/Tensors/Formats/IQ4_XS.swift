/// 256 elements in 136 bytes, 8 groups of 32: value = d × (s − 32) × codebook[nibble], where s has
/// six bits and the codebook is that of ``IQ4_NL``.
///
/// ```
/// byte   0      2                         4                          8
///        d f16  bits 4, 5 of each s, u16  nibbles: bits 0 … 3 of s   8 × 16 bytes of pairs
/// ```
package enum IQ4_XS: QuantizedFormat {
  package static let structure = BlockStructure(
    length: 256, codeBits: 4, numbers: .codebook(IQ4_NL.levels), groupScales: -32...31)

  package static func unpack(_ block: UnsafeRawPointer, into parts: inout BlockParts) {
    parts.scale = block.half(at: 0)
    let high = block.loadUnaligned(fromByteOffset: 2, as: UInt16.self)
    for group in 0..<8 {
      let low = block.load(fromByteOffset: 4 + group / 2, as: UInt8.self) >> (4 * (group % 2)) & 15
      parts.scales[group] = Int8(UInt8(high >> (2 * group) & 3) << 4 | low) - 32
      NibblePairs.read(block + 8 + 16 * group, at: 32 * group, into: &parts)
    }
  }

  package static func pack(_ parts: BlockParts, into block: UnsafeMutableRawPointer) {
    block.storeHalf(parts.scale, at: 0)
    var high: UInt16 = 0
    var low: UInt32 = 0
    for group in 0..<8 {
      let scale = UInt32(Int(parts.scales[group]) + 32)
      high |= UInt16(scale >> 4 & 3) << (2 * group)
      low |= (scale & 15) << UInt32(4 * group)
      NibblePairs.write(parts, at: 32 * group, into: block + 8 + 16 * group)
    }
    block.storeBytes(of: high, toByteOffset: 2, as: UInt16.self)
    block.storeBytes(of: low, toByteOffset: 4, as: UInt32.self)
  }
}
