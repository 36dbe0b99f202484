import Tensors

/// How weights lie in device memory: float weights as in the file, quantised ones in tiles of 16
/// rows whose blocks interleave, so that one vector holds one element of 16 rows.
///
/// ```
/// tile     block 0 of 16 rows | block 1 of 16 rows | …
/// block    16 d (f16) | 16 m (f16, where the format has it) | 16 bytes j of each row, for all j
/// ```
///
/// The last tile is filled up with zeros.
enum ResidentLayout {
  static let tileRows = 16

  /// Bytes of a weight in this layout.
  static func bytes(_ weight: Weight) -> Int {
    guard weight.type.isQuantized else { return weight.bytes }
    return (weight.rows + tileRows - 1) / tileRows * tileRows * weight.rowBytes
  }

  /// Halves in front of each block.
  private static func scaleCount(_ type: ElementType) -> Int {
    switch type {
    case .q8_0: 1
    case .q4_1: 2
    default: 0
    }
  }

  /// Brings a quantised weight from the file's layout into tiles.
  static func tiles(_ weight: Weight, _ source: UnsafeRawBufferPointer) -> [UInt8] {
    let blockBytes = weight.type.blockBytes
    let scaleCount = scaleCount(weight.type)
    let blocks = weight.width / weight.type.blockLength
    let dataBytes = blockBytes - 2 * scaleCount
    return [UInt8](unsafeUninitializedCapacity: bytes(weight)) { buffer, initialized in
      let target = UnsafeMutableRawBufferPointer(buffer)
      target.initializeMemory(as: UInt8.self, repeating: 0)
      initialized = target.count
      guard let from = source.baseAddress, let to = target.baseAddress else { return }
      for row in 0..<weight.rows {
        let lane = row % tileRows
        for block in 0..<blocks {
          let read = from + row * weight.rowBytes + block * blockBytes
          let write = to + (row / tileRows * blocks + block) * tileRows * blockBytes
          for scale in 0..<scaleCount {
            let bits = read.loadUnaligned(fromByteOffset: 2 * scale, as: UInt16.self)
            write.storeBytes(
              of: bits, toByteOffset: (scale * tileRows + lane) * 2, as: UInt16.self)
          }
          let data = write + scaleCount * tileRows * 2
          for j in 0..<dataBytes {
            data.storeBytes(
              of: read.load(fromByteOffset: 2 * scaleCount + j, as: UInt8.self),
              toByteOffset: j * tileRows + lane, as: UInt8.self)
          }
        }
      }
    }
  }
}
