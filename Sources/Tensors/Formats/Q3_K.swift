/// 256 elements in 110 bytes, 16 groups of 16: value = d × (s − 32) × (code − 4), with s of six bits
/// and codes of three.
///
/// ```
/// byte   0                 32              96              108
///        third bits        2 × 32 bytes    12 bytes of s   d f16
/// ```
///
/// Codes: ``TwoBitPlanes`` and ``BitPlanes``. The low four bits of s g are a nibble of byte g % 8,
/// the low one for g < 8; its high two bits lie in byte 8 + g % 4, at bit 2 (g / 4).
package enum Q3_K: QuantizedFormat {
  package static let structure = BlockStructure(
    length: 256, codeBits: 3, numbers: .offset(zero: 4), group: 16, groupScales: -32...31)

  package static func unpack(_ block: UnsafeRawPointer, into parts: inout BlockParts) {
    parts.scale = block.half(at: 108)
    for g in 0..<16 {
      let low = block.load(fromByteOffset: 96 + g % 8, as: UInt8.self) >> (g / 8 * 4) & 15
      let high = block.load(fromByteOffset: 104 + g % 4, as: UInt8.self) >> (g / 4 * 2) & 3
      parts.scales[g] = Int8(high << 4 | low) - 32
    }
    for j in 0..<256 {
      parts.codes[j] =
        TwoBitPlanes.code(j, of: block + 32) | BitPlanes.bit(j, of: block) << 2
    }
  }

  package static func pack(_ parts: BlockParts, into block: UnsafeMutableRawPointer) {
    block.storeHalf(parts.scale, at: 108)
    var bytes = InlineArray<12, UInt8>(repeating: 0)
    for g in 0..<16 {
      let scale = UInt8(Int(parts.scales[g]) + 32)
      bytes[g % 8] |= (scale & 15) << (g / 8 * 4)
      bytes[8 + g % 4] |= (scale >> 4 & 3) << (g / 4 * 2)
    }
    for i in 0..<12 { block.storeBytes(of: bytes[i], toByteOffset: 96 + i, as: UInt8.self) }
    BitPlanes.write(parts, bit: 2, into: block)
    TwoBitPlanes.write(parts, into: block + 32)
  }
}
