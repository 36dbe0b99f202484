/// 32 elements in 20 bytes: value = d × nibble + m.
///
/// ```
/// byte   0      2      4                           20
///        d f16  m f16  16 bytes of pairs (j, j + 16)
/// ```
package enum Q4_1: QuantizedFormat {
  package static let structure = BlockStructure(
    length: 32, codeBits: 4, numbers: .offset(zero: 0), groupMinima: 1...1)

  package static func unpack(_ block: UnsafeRawPointer, into parts: inout BlockParts) {
    parts.scale = block.half(at: 0)
    parts.minimum = block.half(at: 2)
    NibblePairs.read(block + 4, into: &parts)
  }

  package static func pack(_ parts: BlockParts, into block: UnsafeMutableRawPointer) {
    block.storeHalf(parts.scale, at: 0)
    block.storeHalf(parts.minimum, at: 2)
    NibblePairs.write(parts, into: block + 4)
  }
}
