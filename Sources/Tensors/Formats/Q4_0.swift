/// 32 elements in 18 bytes: value = d × (nibble − 8).
///
/// ```
/// byte   0      2                           18
///        d f16  16 bytes of pairs (j, j + 16)
/// ```
package enum Q4_0: QuantizedFormat {
  package static let structure = BlockStructure(
    length: 32, codeBits: 4, numbers: .offset(zero: 8))

  package static func unpack(_ block: UnsafeRawPointer, into parts: inout BlockParts) {
    parts.scale = block.half(at: 0)
    NibblePairs.read(block + 2, into: &parts)
  }

  package static func pack(_ parts: BlockParts, into block: UnsafeMutableRawPointer) {
    block.storeHalf(parts.scale, at: 0)
    NibblePairs.write(parts, into: block + 2)
  }
}
