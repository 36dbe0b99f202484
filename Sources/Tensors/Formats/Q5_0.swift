/// 32 elements in 22 bytes: value = d × (code − 16), where a code is a nibble and a fifth bit.
///
/// ```
/// byte   0      2                6                           22
///        d f16  32 fifth bits    16 bytes of pairs (j, j + 16)
/// ```
package enum Q5_0: QuantizedFormat {
  package static let structure = BlockStructure(
    length: 32, codeBits: 5, numbers: .offset(zero: 16))

  package static func unpack(_ block: UnsafeRawPointer, into parts: inout BlockParts) {
    parts.scale = block.half(at: 0)
    NibblePairs.read(block + 6, into: &parts)
    FifthBits.read(block + 2, into: &parts)
  }

  package static func pack(_ parts: BlockParts, into block: UnsafeMutableRawPointer) {
    block.storeHalf(parts.scale, at: 0)
    FifthBits.write(parts, into: block + 2)
    NibblePairs.write(parts, into: block + 6)
  }
}
