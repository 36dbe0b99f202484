package import ModelGraph
import Tensors

/// Neighbouring operations that a device may run at once. Each is defined by its parts, which an
/// instruction carries in order (`Instruction.expansion`): running those gives the same bits.
package enum Fusion: Sendable, Hashable {
  /// x → int8 blocks of its norm.
  ///
  /// Parts: rms_norm, quantize.
  case normQuantize(RMSNorm)
  /// gate, up → int8 blocks of activation(gate) × up.
  ///
  /// Parts: gated, quantize.
  case gatedQuantize(GatedActivation)
  /// int8 x, a → a + x Wᵀ + bias.
  ///
  /// Parts: linear, add.
  case linearAdd(Linear)
  /// The inputs of `attend` → int8 blocks of the attended values, rotated back where the layout is rotated.
  ///
  /// Parts: attend, then perhaps rotate_heads, quantize.
  case attendQuantize(Attention, KVLayout)
  /// x → int8 blocks of activation(gate) × up.
  ///
  /// Parts: norm_quantize where x is f32, linear, linear, gated_quantize.
  case gatedUnit(GatedUnit)
  /// x, positions, slots, page pool → turned queries; turned keys and values go to the pool. All are rotated where
  /// the layout is.
  ///
  /// Parts: norm_quantize where x is f32, linear × 3, rope × 2, perhaps rotate_heads × 3, write_kv.
  case attentionInputs(AttentionInputs)

  /// The first half of a gated feed-forward layer.
  package struct GatedUnit: Sendable, Hashable {
    /// The norm of x, or nil where x comes as int8 blocks.
    package var norm: RMSNorm?
    package var gate: Linear
    package var up: Linear
    package var activation: GatedActivation

    package init(norm: RMSNorm?, gate: Linear, up: Linear, activation: GatedActivation) {
      self.norm = norm
      self.gate = gate
      self.up = up
      self.activation = activation
    }
  }

  /// Queries, keys and values of a layer, all from the same x.
  package struct AttentionInputs: Sendable, Hashable {
    /// The norm of x, or nil where x comes as int8 blocks.
    package var norm: RMSNorm?
    package var queries: Linear
    package var keys: Linear
    package var values: Linear
    /// How queries turn; keys turn alike, with as many heads as `layout` has.
    package var rope: Rope
    package var layout: KVLayout

    package init(
      norm: RMSNorm?, queries: Linear, keys: Linear, values: Linear, rope: Rope, layout: KVLayout
    ) {
      self.norm = norm
      self.queries = queries
      self.keys = keys
      self.values = values
      self.rope = rope
      self.layout = layout
    }
  }

  /// The name in reports.
  package var name: String {
    switch self {
    case .normQuantize: "norm_quantize"
    case .gatedQuantize: "gated_quantize"
    case .linearAdd: "linear_add"
    case .attendQuantize: "attend_quantize"
    case .gatedUnit: "gated_unit"
    case .attentionInputs: "attention_inputs"
    }
  }

  /// The storage formats that tell it from others of its name, for reports.
  var typeName: String {
    switch self {
    case .normQuantize, .gatedQuantize: "int8"
    case .linearAdd(let linear): linear.weight.type.name + " × int8"
    case .attendQuantize(_, let layout):
      layout.element.rawValue + (layout.isRotated ? ", rotated" : "")
    case .gatedUnit(let unit):
      unit.gate.weight.type.name + (unit.norm == nil ? " × int8" : " × norm")
    case .attentionInputs(let inputs):
      inputs.queries.weight.type.name + (inputs.norm == nil ? " × int8" : " × norm")
        + (inputs.layout.element == .f16 ? "" : " to \(inputs.layout.element)")
        + (inputs.layout.isRotated ? ", rotated" : "")
    }
  }
}
