import Devices
import ModelGraph
import Tensors

/// What tells one kernel from another: the operation and the formats that it reads. Unlike
/// `OperationKey` it holds no text, as it is looked up at every launch.
enum OperationKind: Sendable, Hashable {
  case embedRows(ElementType)
  case rmsNorm
  /// Weights of a type, with float or int8 activations.
  case linear(ElementType, int8: Bool)
  case rope(adjacent: Bool)
  case add
  case gated(GatedActivation)
  case selectRows
  case quantize
  case writeKV(KVLayout.Element)
  case attend(KVLayout.Element)
  case normQuantize

  /// The kind of an operation whose first input has the given format, or nil for one that no
  /// device runs as it stands.
  init?(_ operation: Operation, input: Format) {
    switch operation {
    case .pure(.embedRows(let embed)): self = .embedRows(embed.table.type)
    case .pure(.rmsNorm): self = .rmsNorm
    case .pure(.linear(let linear)):
      self = .linear(linear.weight.type, int8: input == .int8Blocks)
    case .pure(.rope(let rope)): self = .rope(adjacent: rope.pairing == .adjacent)
    case .pure(.attention): return nil
    case .pure(.add): self = .add
    case .pure(.gated(let activation)): self = .gated(activation)
    case .pure(.selectRows): self = .selectRows
    case .quantize: self = .quantize
    case .writeKV(let layout): self = .writeKV(layout.element)
    case .attend(_, let layout): self = .attend(layout.element)
    case .fused(let fusion):
      switch fusion {
      case .normQuantize: self = .normQuantize
      default: return nil
      }
    }
  }
}
