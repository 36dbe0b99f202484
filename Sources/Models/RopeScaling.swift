/// How rotary positions are stretched to a longer context than the model was first trained for.
///
/// The rules are llama.cpp's, whose converters write the metadata.
struct RopeScaling: Sendable, Hashable {
  /// Frequencies that turn often within the original context stay, those that turn seldom are
  /// divided by the factor, in between there is a ramp (YaRN; Peng et al., 2023).
  struct Yarn: Sendable, Hashable {
    /// Turns within the original context from which on a frequency stays.
    var fastTurns: Double
    /// Turns up to which a frequency is divided.
    var slowTurns: Double
    /// How much of the ramp counts: 1 for all of it.
    var extrapolation: Double
  }

  /// Positions are divided by it (Chen et al., 2023): 1 for none.
  var factor: Double
  /// Nil for plain division.
  var yarn: Yarn?
  /// Tokens of the context before it was stretched.
  var originalContext: Int
  /// What the file multiplies sine and cosine by.
  var attentionFactor: Double

  /// No stretching.
  static func none(contextLength: Int) -> RopeScaling {
    RopeScaling(factor: 1, originalContext: contextLength, attentionFactor: 1)
  }

  private init(factor: Double, originalContext: Int, attentionFactor: Double) {
    self.factor = factor
    self.originalContext = originalContext
    self.attentionFactor = attentionFactor
  }

  /// Reads the `rope.scaling.*` keys. A file that names a factor but no type means `linear`.
  init(_ metadata: ArchitectureMetadata, contextLength: Int) throws(ModelError) {
    func key(_ name: String) -> String { "rope.scaling.\(name)" }
    // The second is the older name; 0 is how some converters write that there is none.
    let names = [key("factor"), "rope.scale_linear"]
    factor = 1
    for name in names.reversed() {
      if let written = try metadata.real(name) { factor = written == 0 ? 1 : written }
    }
    guard factor > 0 else {
      throw metadata.inconsistent("positions cannot be divided by \(factor)")
    }
    originalContext = try metadata.count(key("original_context_length")) ?? contextLength
    attentionFactor = try metadata.positive(key("attn_factor")) ?? 1
    switch try metadata.text(key("type")) ?? "linear" {
    case "none": factor = 1
    case "linear", "longrope": break
    case "yarn":
      yarn = Yarn(
        fastTurns: try metadata.positive(key("yarn_beta_fast")) ?? 32,
        slowTurns: try metadata.positive(key("yarn_beta_slow")) ?? 1,
        // A negative one stands for the usual.
        extrapolation: try metadata.real(key("yarn_ext_factor")).map { $0 < 0 ? 1 : $0 } ?? 1)
    case let type:
      throw metadata.inconsistent(
        "rope scaling of type '\(type)' is not supported; none, linear, yarn and longrope are")
    }
  }

  /// Sine and cosine are multiplied by it. YaRN, where it extrapolates at all, sharpens attention by
  /// 1 + 0.1 ln factor.
  var magnitude: Float {
    let sharpens = yarn.map { $0.extrapolation != 0 } ?? false
    return Float(attentionFactor * (sharpens ? max(1, 1 + 0.1 * logarithm(factor)) : 1))
  }

  /// Frequencies in radians per position: base^(−2i/d), divided by the model's own factors and
  /// then stretched.
  func frequencies(base: Double, dimensions: Int, factors: [Float]?) -> [Float] {
    (0..<dimensions / 2).map { i in
      let plain = power(base, -2 * Double(i) / Double(dimensions)) / Double(factors?[i] ?? 1)
      let kept = yarn.map { $0.kept(i, base: base, dimensions: dimensions, originalContext) } ?? 0
      return Float(plain * ((1 - kept) / factor + kept))
    }
  }
}

extension RopeScaling.Yarn {
  /// The share of frequency `i` that stays as it is.
  fileprivate func kept(
    _ i: Int, base: Double, dimensions: Int, _ originalContext: Int
  ) -> Double {
    /// The place in the list of frequencies of one that turns so often within the context.
    func place(_ turns: Double) -> Double {
      Double(dimensions) * logarithm(Double(originalContext) / (turns * 2 * Double.pi))
        / (2 * logarithm(base))
    }
    let first = max(0, place(fastTurns).rounded(.down))
    let last = min(Double(dimensions - 1), place(slowTurns).rounded(.up))
    let ramp = (Double(i) - first) / max(0.001, last - first)
    return (1 - min(1, max(0, ramp))) * extrapolation
  }
}
