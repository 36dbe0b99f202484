/// 256 elements in 144 bytes, 8 groups of 32: value = d × s × nibble − dmin × m, with s, m of six
/// bits.
///
/// ```
/// byte   0      2         4                    16
///        d f16  dmin f16  12 bytes of s and m  4 × 32 bytes of nibbles
/// ```
///
/// Nibbles: ``NibblePlanes``. Scales and minima: ``SixBitPairs``.
package enum Q4_K: QuantizedFormat {
  package static let structure = BlockStructure(
    length: 256, codeBits: 4, numbers: .offset(zero: 0), groupScales: 0...63, groupMinima: 0...63)

  package static func unpack(_ block: UnsafeRawPointer, into parts: inout BlockParts) {
    parts.scale = block.half(at: 0)
    parts.minimum = -block.half(at: 2)
    SixBitPairs.read(block + 4, into: &parts)
    NibblePlanes.read(block + 16, into: &parts)
  }

  package static func pack(_ parts: BlockParts, into block: UnsafeMutableRawPointer) {
    block.storeHalf(parts.scale, at: 0)
    block.storeHalf(-parts.minimum, at: 2)
    SixBitPairs.write(parts, into: block + 4)
    NibblePlanes.write(parts, into: block + 16)
  }
}

/// Nibbles of 256 codes in 128 bytes: byte 32 i + l holds element 64 i + l low and 64 i + 32 + l
/// high.
enum NibblePlanes {
  static func read(_ bytes: UnsafeRawPointer, into parts: inout BlockParts) {
    for byte in 0..<128 {
      let pair = bytes.load(fromByteOffset: byte, as: UInt8.self)
      let low = byte / 32 * 64 + byte % 32
      parts.codes[low] = pair & 15
      parts.codes[low + 32] = pair >> 4
    }
  }

  static func write(_ parts: BlockParts, into bytes: UnsafeMutableRawPointer) {
    for byte in 0..<128 {
      let low = byte / 32 * 64 + byte % 32
      let pair = parts.codes[low] & 15 | (parts.codes[low + 32] & 15) << 4
      bytes.storeBytes(of: pair, toByteOffset: byte, as: UInt8.self)
    }
  }
}

/// Eight scales and eight minima of six bits in 12 bytes.
///
/// Bytes 0 … 3 hold s 0 … 3 and bytes 4 … 7 hold m 0 … 3 in their low six bits. Byte 8 + i holds the
/// low four bits of s 4 + i and of m 4 + i, whose high two bits are the high bits of bytes i and
/// 4 + i.
enum SixBitPairs {
  static func read(_ bytes: UnsafeRawPointer, into parts: inout BlockParts) {
    func byte(_ index: Int) -> UInt8 { bytes.load(fromByteOffset: index, as: UInt8.self) }
    for i in 0..<4 {
      parts.scales[i] = Int8(byte(i) & 63)
      parts.minima[i] = byte(4 + i) & 63
      parts.scales[4 + i] = Int8(byte(8 + i) & 15 | (byte(i) >> 6) << 4)
      parts.minima[4 + i] = byte(8 + i) >> 4 | (byte(4 + i) >> 6) << 4
    }
  }

  static func write(_ parts: BlockParts, into bytes: UnsafeMutableRawPointer) {
    for i in 0..<4 {
      let (low, high) = (UInt8(parts.scales[i]), UInt8(parts.scales[4 + i]))
      let (lowMinimum, highMinimum) = (parts.minima[i], parts.minima[4 + i])
      bytes.storeBytes(of: low | (high >> 4) << 6, toByteOffset: i, as: UInt8.self)
      bytes.storeBytes(
        of: lowMinimum | (highMinimum >> 4) << 6, toByteOffset: 4 + i, as: UInt8.self)
      bytes.storeBytes(of: high & 15 | highMinimum << 4, toByteOffset: 8 + i, as: UInt8.self)
    }
  }
}
