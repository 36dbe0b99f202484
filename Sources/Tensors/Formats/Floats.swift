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
    values[0] = Float(bitPattern: UInt32(block.loadUnaligned(as: UInt16.self)) << 16)
  }

  package static func encode(
    _ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer
  ) {
    let bits = values[0].bitPattern
    // To nearest even; what is not a number keeps a bit that says so.
    let rounded =
      values[0].isNaN ? bits | 0x0040_0000 : bits &+ 0x7FFF &+ (bits >> 16 & 1)
    block.storeBytes(of: UInt16(truncatingIfNeeded: rounded >> 16), as: UInt16.self)
  }
}
