/// IEEE single precision, one element a block.
package enum F32: BlockCodec {
  package static func decode(
    _ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>
  ) {
    values[0] = block.loadUnaligned(as: Float.self)
  }

  package static func encode(
    _ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer
  ) {
    block.storeBytes(of: values[0], as: Float.self)
  }
}

/// IEEE half precision, one element a block.
package enum F16: BlockCodec {
  package static func decode(
    _ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>
  ) {
    values[0] = block.half(at: 0)
  }

  package static func encode(
    _ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer
  ) {
    block.storeHalf(values[0], at: 0)
  }
}

/// The upper half of IEEE single precision, one element a block.
package enum BF16: BlockCodec {
  package static func decode(
    _ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>
  ) {
    values[0] = number(block.loadUnaligned(as: UInt16.self))
  }

  package static func encode(
    _ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer
  ) {
    block.storeBytes(of: bits(values[0]), as: UInt16.self)
  }

  /// The number that these bits stand for.
  package static func number(_ bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }

  /// The bits of the nearest such number, of two the even one; what is not a number keeps a bit that says so.
  package static func bits(_ number: Float) -> UInt16 {
    let bits = number.bitPattern
    let rounded = number.isNaN ? bits | 0x0040_0000 : bits &+ 0x7FFF &+ (bits >> 16 & 1)
    return UInt16(truncatingIfNeeded: rounded >> 16)
  }
}
