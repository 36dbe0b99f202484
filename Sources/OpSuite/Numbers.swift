import Devices
import ReferenceBackend
import Tensors

extension Format {
  /// The numbers that bytes of this format stand for, to be compared.
  func numbers(_ bytes: ArraySlice<UInt8>, width: Int) -> [Float] {
    Array(bytes).withUnsafeBytes { raw in
      switch self {
      case .f32:
        return (0..<raw.count / 4).map { raw.load(fromByteOffset: $0 * 4, as: Float.self) }
      case .i32:
        return (0..<raw.count / 4).map { Float(raw.load(fromByteOffset: $0 * 4, as: Int32.self)) }
      case .pages(let layout) where layout.element.hasCodes:
        let pages = raw.count / layout.pageBytes
        return (0..<pages * KVLayout.pageTokens).flatMap { slot in
          (0..<layout.headCount * layout.headWidth).flatMap { column in
            let (head, d) = column.quotientAndRemainder(dividingBy: layout.headWidth)
            return [
              layout.key(raw, slot: slot, head: head, d, pages: pages),
              layout.value(raw, slot: slot, head: head, d, pages: pages),
            ]
          }
        }
      case .pages(let layout), .pageBounds(let layout):
        let kept = layout.boundsElement
        return (0..<raw.count * 8 / kept.keyBits).map { kept.load(raw, $0) }
      case .int8Blocks:
        // q × scale of every element, then the block sums.
        let stride = rowBytes(width)
        let blocks = width / Int8Activations.blockLength
        return (0..<raw.count / stride).flatMap { row in
          func float(_ index: Int) -> Float {
            raw.loadUnaligned(fromByteOffset: row * stride + width + index * 4, as: Float.self)
          }
          let elements = (0..<width).map { j in
            Float(raw.load(fromByteOffset: row * stride + j, as: Int8.self))
              * float(j / Int8Activations.blockLength)
          }
          return elements + (0..<blocks).map { float(blocks + $0) }
        }
      }
    }
  }
}
