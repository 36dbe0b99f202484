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
