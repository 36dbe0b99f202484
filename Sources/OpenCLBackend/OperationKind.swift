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
  case rotateHeads
  case writeKV(KVLayout.Element)
  case copyKV(KVLayout.Element)
  case boundPages(KVLayout.Element)
  case scorePages(KVLayout.Element)
  case choosePages
  case attend(KVLayout.Element)
  case weighRows(KVLayout.Element)
  case sumColumns(KVLayout.Element)
  case chooseTokens
  case placeTokens(TokenPlace)
  case gatherTokens(KVLayout.Element)
  case normQuantize
  case gatedQuantize(GatedActivation)
  case linearAdd(ElementType)
  /// Weights of a type, of the norm of x or of int8 blocks.
  case gatedUnit(ElementType, GatedActivation, norms: Bool)
  case attentionInputs(
    ElementType, adjacent: Bool, isBiased: Bool, norms: Bool, KVLayout.Element)
  case attendQuantize(KVLayout.Element)
  /// What follows an attention that leaves parts.
  case mergeParts(KVLayout.Element, quantizes: Bool)

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
    case .rotateHeads: self = .rotateHeads
    case .writeKV(let layout): self = .writeKV(layout.element)
    case .copyKV(let layout): self = .copyKV(layout.element)
    case .boundPages(let layout): self = .boundPages(layout.element)
    case .scorePages(_, let layout): self = .scorePages(layout.boundsElement)
    case .choosePages: self = .choosePages
    case .attend(_, let layout): self = .attend(layout.element)
    case .weighRows(_, let layout): self = .weighRows(layout.element)
    case .sumColumns(_, let layout): self = .sumColumns(layout.element)
    case .chooseTokens: self = .chooseTokens
    case .placeTokens(let place): self = .placeTokens(place)
    case .gatherTokens(let layout): self = .gatherTokens(layout.element)
    case .fused(let fusion):
      guard let kind = Self.kind(fusion) else { return nil }
      self = kind
    }
  }

  /// The kind of a fused operation, or nil where no kernel could serve it.
  private static func kind(_ fusion: Fusion) -> OperationKind? {
    switch fusion {
    case .normQuantize: return .normQuantize
    case .gatedQuantize(let activation): return .gatedQuantize(activation)
    case .linearAdd(let layer): return .linearAdd(layer.weight.type)
    case .attendQuantize(let attention, let layout):
      // A head is whole blocks.
      return attention.headWidth % Int8Activations.blockLength == 0
        ? .attendQuantize(layout.element) : nil
    case .gatedUnit(let unit):
      let type = unit.gate.weight.type
      guard unit.up.weight.type == type, unit.gate.bias == nil, unit.up.bias == nil else {
        return nil
      }
      return .gatedUnit(type, unit.activation, norms: unit.norm != nil)
    case .attentionInputs(let inputs):
      let layers = [inputs.queries, inputs.keys, inputs.values]
      let type = layers[0].weight.type
      let isBiased = layers[0].bias != nil
      // A head is whole tiles, and one program reads all three matrices.
      guard layers.allSatisfy({ $0.weight.type == type && ($0.bias != nil) == isBiased }),
        inputs.layout.headWidth % ResidentLayout.tileRows == 0
      else { return nil }
      return .attentionInputs(
        type, adjacent: inputs.rope.pairing == .adjacent, isBiased: isBiased,
        norms: inputs.norm != nil, inputs.layout.element)
    }
  }
}
