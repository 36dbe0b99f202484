/// 256 elements in 84 bytes, 16 groups of 16: value = d × s × code − dmin × m, with s, m of four
/// bits and codes of two.
///
/// ```
/// byte   0                       16               80     82
///        16 bytes: s low, m high 2 × 32 bytes     d f16  dmin f16
/// ```
///
/// Codes: ``TwoBitPlanes``.
package enum Q2_K: QuantizedFormat {
  package static let structure = BlockStructure(
    length: 256, codeBits: 2, numbers: .offset(zero: 0), group: 16, groupScales: 0...15,
    groupMinima: 0...15)

  package static func unpack(_ block: UnsafeRawPointer, into parts: inout BlockParts) {
    parts.scale = block.half(at: 80)
    parts.minimum = -block.half(at: 82)
    for group in 0..<16 {
      let byte = block.load(fromByteOffset: group, as: UInt8.self)
      parts.scales[group] = Int8(byte & 15)
      parts.minima[group] = byte >> 4
    }
    for j in 0..<256 { parts.codes[j] = TwoBitPlanes.code(j, of: block + 16) }
  }

  package static func pack(_ parts: BlockParts, into block: UnsafeMutableRawPointer) {
    block.storeHalf(parts.scale, at: 80)
    block.storeHalf(-parts.minimum, at: 82)
    for group in 0..<16 {
      let byte = UInt8(parts.scales[group]) & 15 | parts.minima[group] << 4
      block.storeBytes(of: byte, toByteOffset: group, as: UInt8.self)
    }
    TwoBitPlanes.write(parts, into: block + 16)
  }
}

/// The low two bits of 256 codes in 64 bytes: element 128 h + 32 p + l lies in byte 32 h + l, at
/// bit 2 p.
enum TwoBitPlanes {
  static func code(_ j: Int, of bytes: UnsafeRawPointer) -> UInt8 {
    bytes.load(fromByteOffset: j / 128 * 32 + j % 32, as: UInt8.self) >> (j / 32 % 4 * 2) & 3
  }

  static func write(_ parts: BlockParts, into bytes: UnsafeMutableRawPointer) {
    for byte in 0..<64 {
      var planes: UInt8 = 0
      for plane in 0..<4 {
        planes |= (parts.codes[byte / 32 * 128 + plane * 32 + byte % 32] & 3) << (2 * plane)
      }
      bytes.storeBytes(of: planes, toByteOffset: byte, as: UInt8.self)
    }
  }
}

/// One more bit of 256 codes in 32 bytes: element 32 b + l is bit b of byte l.
enum BitPlanes {
  static func bit(_ j: Int, of bytes: UnsafeRawPointer) -> UInt8 {
    bytes.load(fromByteOffset: j % 32, as: UInt8.self) >> (j / 32) & 1
  }

  /// Writes bit `bit` of each code.
  static func write(_ parts: BlockParts, bit: Int, into bytes: UnsafeMutableRawPointer) {
    for l in 0..<32 {
      var byte: UInt8 = 0
      for b in 0..<8 { byte |= (parts.codes[32 * b + l] >> bit & 1) << b }
      bytes.storeBytes(of: byte, toByteOffset: l, as: UInt8.self)
    }
  }
}
