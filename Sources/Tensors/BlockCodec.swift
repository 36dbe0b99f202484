/// Turns one block of a format into floats and back.
///
/// Pointers are valid for one block: `blockBytes` bytes and `blockLength` floats. Bytes need no
/// alignment.
package protocol BlockCodec {
  /// Writes the block's elements in order.
  static func decode(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>)

  /// Writes the nearest block by the format's own rounding rule.
  static func encode(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer)
}

extension ElementType {
  /// Decodes whole rows: `bytes` holds `values.count` elements of this type.
  package func decode(
    _ bytes: UnsafeRawBufferPointer, into values: UnsafeMutableBufferPointer<Float>
  ) {
    precondition(values.count % blockLength == 0, "rows are whole blocks")
    let blocks = values.count / blockLength
    precondition(bytes.count >= blocks * blockBytes, "fewer bytes than elements")
    guard let source = bytes.baseAddress, let target = values.baseAddress else { return }
    let codec = codec
    for block in 0..<blocks {
      codec.decode(source + block * blockBytes, into: target + block * blockLength)
    }
  }

  /// Decodes `count` elements that begin at the start of `bytes`.
  package func decoded(_ bytes: UnsafeRawBufferPointer, count: Int) -> [Float] {
    [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      decode(bytes, into: UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
      initialized = count
    }
  }

  /// Encodes whole rows of floats.
  package func encoded(_ values: [Float]) -> [UInt8] {
    precondition(values.count % blockLength == 0, "rows are whole blocks")
    let blocks = values.count / blockLength
    let codec = codec
    return [UInt8](unsafeUninitializedCapacity: blocks * blockBytes) { bytes, initialized in
      values.withUnsafeBufferPointer { source in
        guard let source = source.baseAddress, let target = bytes.baseAddress else { return }
        for block in 0..<blocks {
          codec.encode(
            source + block * blockLength, into: UnsafeMutableRawPointer(target + block * blockBytes)
          )
        }
      }
      initialized = blocks * blockBytes
    }
  }
}

extension UnsafeRawPointer {
  /// A little-endian half-precision number at a byte offset, as a float.
  @inlinable package func half(at offset: Int) -> Float {
    Float(Float16(bitPattern: loadUnaligned(fromByteOffset: offset, as: UInt16.self)))
  }
}

extension UnsafeMutableRawPointer {
  /// Stores a float as half precision, rounded to nearest even.
  @inlinable package func storeHalf(_ value: Float, at offset: Int) {
    storeBytes(of: Float16(value).bitPattern, toByteOffset: offset, as: UInt16.self)
  }
}
