/// How the numbers of a tensor are stored. Raw values are the type ids of the GGUF format.
///
/// Adding a format: a case here, a row in ``layout`` and ``codec``, and a file under `Formats`.
package enum ElementType: UInt32, Sendable, Hashable, CaseIterable {
  case f32 = 0
  case f16 = 1
  case q4_0 = 2
  case q4_1 = 3
  case q5_0 = 6
  case q5_1 = 7
  case q8_0 = 8
  case q2_K = 10
  case q3_K = 11
  case q4_K = 12
  case q5_K = 13
  case q6_K = 14
  case iq4_NL = 20
  case iq4_XS = 23
  case bf16 = 30
  case mxfp4 = 39

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
    case .q4_0: ("Q4_0", 32, 18)
    case .q4_1: ("Q4_1", 32, 20)
    case .q5_0: ("Q5_0", 32, 22)
    case .q5_1: ("Q5_1", 32, 24)
    case .q8_0: ("Q8_0", 32, 34)
    case .q2_K: ("Q2_K", 256, 84)
    case .q3_K: ("Q3_K", 256, 110)
    case .q4_K: ("Q4_K", 256, 144)
    case .q5_K: ("Q5_K", 256, 176)
    case .q6_K: ("Q6_K", 256, 210)
    case .iq4_NL: ("IQ4_NL", 32, 18)
    case .iq4_XS: ("IQ4_XS", 256, 136)
    case .bf16: ("BF16", 1, 2)
    case .mxfp4: ("MXFP4", 32, 17)
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
    case .q4_0: Q4_0.self
    case .q4_1: Q4_1.self
    case .q5_0: Q5_0.self
    case .q5_1: Q5_1.self
    case .q8_0: Q8_0.self
    case .q2_K: Q2_K.self
    case .q3_K: Q3_K.self
    case .q4_K: Q4_K.self
    case .q5_K: Q5_K.self
    case .q6_K: Q6_K.self
    case .iq4_NL: IQ4_NL.self
    case .iq4_XS: IQ4_XS.self
    case .bf16: BF16.self
    case .mxfp4: MXFP4.self
    }
  }

  /// How the blocks of a quantised format are taken apart, or nil for floats.
  package var format: (any QuantizedFormat.Type)? { codec as? any QuantizedFormat.Type }
}
