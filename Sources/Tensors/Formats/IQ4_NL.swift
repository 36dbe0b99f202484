/// 32 elements in 18 bytes: value = d × codebook[nibble]; the steps widen away from zero.
///
/// ```
/// byte   0      2                           18
///        d f16  16 bytes of pairs (j, j + 16)
/// ```
package enum IQ4_NL: QuantizedFormat {
  /// The levels that IQ4_XS shares.
  static let levels: [Int8] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
  ]

  package static let structure = BlockStructure(
    length: 32, codeBits: 4, numbers: .codebook(levels))

  package static func unpack(_ block: UnsafeRawPointer, into parts: inout BlockParts) {
    parts.scale = block.half(at: 0)
    NibblePairs.read(block + 2, into: &parts)
  }

  package static func pack(_ parts: BlockParts, into block: UnsafeMutableRawPointer) {
    block.storeHalf(parts.scale, at: 0)
    NibblePairs.write(parts, into: block + 2)
  }
}
