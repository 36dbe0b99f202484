/// How the numbers of a tensor are stored. Raw values are the type ids of the GGUF format.
///
/// Adding a format: a case here, a row in ``layout``, and a codec file beside `Q8_0.swift`.
package enum ElementType: UInt32, Sendable, Hashable, CaseIterable {
  case f32 = 0
  case f16 = 1
  case q4_1 = 3
  case q8_0 = 8

  /// Elements that share one block; rows are whole numbers of blocks.
  package var blockLength: Int { layout.length }

  /// Bytes of one block.
  package var blockBytes: Int { layout.bytes }

  /// Whether elements are stored as small integers with a scale per block.
  package var isQuantized: Bool { blockLength > 1 }

  /// The name that GGUF tools print.
  package var name: String { layout.name }

  private var layout: (name: String, length: Int, bytes: Int) {
    switch self {
    case .f32: ("F32", 1, 4)
    case .f16: ("F16", 1, 2)
    case .q4_1: ("Q4_1", 32, 20)
    case .q8_0: ("Q8_0", 32, 34)
    }
  }

  /// Bytes of a row of `width` elements, or nil where the row is not a whole number of blocks or
  /// the size does not fit an `Int`.
  package func rowBytes(_ width: Int) -> Int? {
    guard width >= 0, width % blockLength == 0 else { return nil }
    let (bytes, overflow) = (width / blockLength).multipliedReportingOverflow(by: blockBytes)
    return overflow ? nil : bytes
  }

  /// The block codec of this format.
  package var codec: any BlockCodec.Type {
    switch self {
    case .f32: F32.self
    case .f16: F16.self
    case .q4_1: Q4_1.self
    case .q8_0: Q8_0.self
    }
  }
}
