package import Tensors

/// How a linear op treats its input before it meets quantised weights.
package enum ActivationFormat: String, Sendable, Hashable, CaseIterable {
  /// Single precision throughout.
  case f32
  /// Blocks of 32 signed bytes with a scale (`Int8Activations`); float weights stay with f32.
  case int8
}

/// One pure operation of a model: no cache, no pages, no fusion. Values are matrices of
/// `rows × width` single-precision numbers unless said otherwise.
package enum Op: Sendable, Hashable {
  /// tokens (i32, rows × 1) → rows of the table × scale.
  case embedRows(EmbedRows)
  /// x → x / sqrt(mean(x²) + ε) × weight (Zhang & Sennrich, 2019), over each row, or over each part
  /// of a row that is as wide as the weight: a norm of heads.
  case rmsNorm(RMSNorm)
  /// x → x Wᵀ + bias.
  case linear(Linear)
  /// x, positions (i32, rows × 1) → x with pairs of each head turned by position × frequency and
  /// scaled by a magnitude.
  case rope(Rope)
  /// q, k, v → softmax(scale × q kᵀ) v per head; a row sees itself and what came before it, or a
  /// window of that.
  case attention(Attention)
  /// a, b → a + b.
  case add
  /// gate, up → activation(gate) × up (Shazeer, 2020).
  case gated(GatedActivation)
  /// x, indices (i32, outputs × 1) → those rows of x.
  case selectRows
}

/// Looks up embedding rows.
package struct EmbedRows: Sendable, Hashable {
  package var table: Weight
  /// The decoded numbers are multiplied by it.
  package var scale: Float

  package init(table: Weight, scale: Float = 1) {
    self.table = table
    self.scale = scale
  }
}

/// Root-mean-square norm.
package struct RMSNorm: Sendable, Hashable {
  /// One row of f32, whose width divides the width of what is normed.
  package var weight: Weight
  package var epsilon: Float

  package init(weight: Weight, epsilon: Float) {
    self.weight = weight
    self.epsilon = epsilon
  }
}

/// A linear layer, described once for weights of any format.
package struct Linear: Sendable, Hashable {
  /// `rows` outputs by `width` inputs.
  package var weight: Weight
  /// One row of f32, as wide as the output.
  package var bias: Weight?
  package var activations: ActivationFormat

  package init(weight: Weight, bias: Weight? = nil, activations: ActivationFormat) {
    self.weight = weight
    self.bias = bias
    // Float weights have no integer dot product to gain from rounding the input.
    self.activations = weight.type.isQuantized ? activations : .f32
  }
}

/// Rotary position embedding (Su et al., 2021).
package struct Rope: Sendable, Hashable {
  /// Which two elements of a head turn together.
  package enum Pairing: String, Sendable, Hashable, CaseIterable {
    /// Elements 2i and 2i + 1.
    case adjacent
    /// Elements i and i + dimensions / 2.
    case halves
  }

  package var headCount: Int
  package var headWidth: Int
  /// Elements of each head that turn; the rest pass through.
  package var dimensions: Int
  package var pairing: Pairing
  /// The graph constant with `dimensions / 2` frequencies in radians per position. The angle is
  /// position × frequency, rounded to single precision, on every device.
  package var frequencies: ConstantID
  /// Sine and cosine are multiplied by it. Methods that stretch a context also sharpen attention
  /// (Peng et al., 2023): 1 for none.
  package var magnitude: Float

  package init(
    headCount: Int, headWidth: Int, dimensions: Int, pairing: Pairing, frequencies: ConstantID,
    magnitude: Float = 1
  ) {
    self.headCount = headCount
    self.headWidth = headWidth
    self.dimensions = dimensions
    self.pairing = pairing
    self.frequencies = frequencies
    self.magnitude = magnitude
  }
}

/// Scaled dot-product attention with grouped key-value heads (Ainslie et al., 2023).
package struct Attention: Sendable, Hashable {
  /// Query heads; a multiple of `kvHeadCount`.
  package var headCount: Int
  package var kvHeadCount: Int
  package var headWidth: Int
  package var scale: Float
  /// Tokens that a row sees at most, itself among them (Beltagy et al., 2020), or nil for all.
  package var window: Int?
  /// Which pages of the cache a row reads, or nil for all that hold what it sees. A model knows nothing
  /// of it: planning says so where a cache policy chooses.
  package var pages: ChosenPages?
  /// Which part of what a row sees it goes through: nor does a model know that keys and values may lie in two pools.
  package var stage: AttentionStage

  package init(
    headCount: Int, kvHeadCount: Int, headWidth: Int, scale: Float, window: Int? = nil,
    pages: ChosenPages? = nil, stage: AttentionStage = .whole
  ) {
    self.headCount = headCount
    self.kvHeadCount = kvHeadCount
    self.headWidth = headWidth
    self.scale = scale
    self.window = window
    self.pages = pages
    self.stage = stage
  }
}

/// Attention in parts, of other pools or with other queries: a softmax may be gathered so (Milakov & Gimelshein, 2018).
package enum AttentionStage: Sendable, Hashable, CaseIterable {
  /// All that a row sees.
  case whole
  /// A part of it: what was gathered is left for the next stage.
  case first
  /// Another part, behind what was left, and left again.
  case middle
  /// The rest, behind what was left.
  case last

  /// Whether it leaves what it has gathered.
  package var leaves: Bool { self == .first || self == .middle }
  /// Whether it begins with what another has left.
  package var follows: Bool { self == .middle || self == .last }
}

extension Attention {
  /// Whether it goes through the tokens of a row's own window before others.
  package var isWindowStage: Bool { stage == .first && pages == nil }

  /// Whether it goes through a text's first page before others.
  package var isSinkStage: Bool { stage.leaves && pages != nil }

  /// Numbers of a head that come out: its values, or where they are left its sums, their peak and their total.
  package var leftWidth: Int { headWidth + (stage.leaves ? 2 : 0) }

  /// How far the page tables of kv heads are apart: 0 where all share one.
  package var tableStride: Int { pages.map { $0.areApart ? $0.count : 0 } ?? 0 }
}

/// Pages that are chosen for each row, of all that hold what it sees.
package struct ChosenPages: Sendable, Hashable {
  /// Pages at most.
  package var count: Int
  /// Whether each kv head has pages of its own, or all of them the same.
  package var areApart: Bool
  /// The text is cut into windows of so many pages, from its beginning; those of a row's own are always chosen.
  package var window: Int

  package init(count: Int, areApart: Bool, window: Int = 1) {
    self.count = count
    self.areApart = areApart
    self.window = window
  }

  /// The last pages of so many that a row sees, which are always chosen: two, or all of its window.
  package func latest(of held: Int) -> Int { max(2, held - (held - 1) / window * window) }
}

/// The function of the gate in a gated feed-forward layer.
package enum GatedActivation: String, Sendable, Hashable, CaseIterable {
  /// x × sigmoid(x) (Hendrycks & Gimpel, 2016; Elfwing et al., 2017).
  case silu
  /// x × sigmoid(2 √(2 / π) (x + 0.044715 x³)): GELU by the hyperbolic tangent (Hendrycks & Gimpel,
  /// 2016), since (1 + tanh(z)) / 2 = sigmoid(2 z).
  case gelu
}
