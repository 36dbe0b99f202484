/// 32 elements in 34 bytes: value = d × q.
///
/// ```
/// byte   0      2                   34
///        d f16  32 signed bytes in order
/// ```
///
/// A code is q + 128.
package enum Q8_0: QuantizedFormat {
  package static let structure = BlockStructure(
    length: 32, codeBits: 8, numbers: .offset(zero: 128))

  package static func unpack(_ block: UnsafeRawPointer, into parts: inout BlockParts) {
    parts.scale = block.half(at: 0)
    for j in 0..<32 {
      parts.codes[j] = block.load(fromByteOffset: 2 + j, as: UInt8.self) ^ 128
    }
  }

  package static func pack(_ parts: BlockParts, into block: UnsafeMutableRawPointer) {
    block.storeHalf(parts.scale, at: 0)
    for j in 0..<32 {
      block.storeBytes(of: parts.codes[j] ^ 128, toByteOffset: 2 + j, as: UInt8.self)
    }
  }
}
