/// 32 elements in 24 bytes: value = d × code + m, where a code is a nibble and a fifth bit.
///
/// ```
/// byte   0      2      4                8                           24
///        d f16  m f16  32 fifth bits    16 bytes of pairs (j, j + 16)
/// ```
package enum Q5_1: QuantizedFormat {
  package static let structure = BlockStructure(
    length: 32, codeBits: 5, numbers: .offset(zero: 0), groupMinima: 1...1)

  package static func unpack(_ block: UnsafeRawPointer, into parts: inout BlockParts) {
    parts.scale = block.half(at: 0)
    parts.minimum = block.half(at: 2)
    NibblePairs.read(block + 8, into: &parts)
    FifthBits.read(block + 4, into: &parts)
  }

  package static func pack(_ parts: BlockParts, into block: UnsafeMutableRawPointer) {
    block.storeHalf(parts.scale, at: 0)
    block.storeHalf(parts.minimum, at: 2)
    FifthBits.write(parts, into: block + 4)
    NibblePairs.write(parts, into: block + 8)
  }
}
