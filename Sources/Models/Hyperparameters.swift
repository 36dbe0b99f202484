/// The numbers that decoder architectures share, checked against each other. What only one
/// architecture has, its own file reads from `metadata`.
struct Hyperparameters: Sendable {
  let metadata: ArchitectureMetadata
  var layerCount: Int
  /// Tokens that the model was trained to hold.
  var contextLength: Int
  var width: Int
  var headCount: Int
  var kvHeadCount: Int
  var headWidth: Int
  var epsilon: Float
  var ropeDimensions: Int
  var ropeBase: Double
  var ropeScaling: RopeScaling

  /// More layers than this is a damaged file, not a model.
  private static let mostLayers = 4096
  /// A wider head is a damaged file: rope's frequencies alone would take gigabytes.
  private static let widestHead = 1 << 16

  init(_ metadata: ArchitectureMetadata) throws(ModelError) {
    self.metadata = metadata
    layerCount = try metadata.required("block_count")
    guard layerCount <= Self.mostLayers else {
      throw metadata.inconsistent(
        "it claims \(layerCount) layers; at most \(Self.mostLayers) are possible")
    }
    contextLength = try metadata.required("context_length")
    width = try metadata.required("embedding_length")
    headCount = try metadata.required("attention.head_count")
    kvHeadCount = try metadata.count("attention.head_count_kv") ?? headCount
    if let keyLength = try metadata.count("attention.key_length") {
      headWidth = keyLength
    } else {
      guard width % headCount == 0 else {
        throw metadata.inconsistent("\(headCount) heads do not divide a width of \(width)")
      }
      headWidth = width / headCount
    }
    guard headWidth <= Self.widestHead else {
      throw metadata.inconsistent(
        "it claims heads of \(headWidth); at most \(Self.widestHead) are possible")
    }
    guard headCount % kvHeadCount == 0 else {
      throw metadata.inconsistent(
        "\(kvHeadCount) key-value heads do not divide \(headCount) query heads")
    }
    let valueLength = try metadata.integer("attention.value_length") ?? headWidth
    guard valueLength == headWidth else {
      throw metadata.inconsistent(
        "values of \(valueLength) beside keys of \(headWidth) are not supported")
    }
    if let experts = try metadata.integer("expert_count"), experts != 0 {
      throw metadata.inconsistent("mixtures of experts (here of \(experts)) are not supported yet")
    }
    epsilon = Float(try metadata.positive("attention.layer_norm_rms_epsilon") ?? 1e-5)
    ropeDimensions = try metadata.integer("rope.dimension_count") ?? headWidth
    guard ropeDimensions > 0, ropeDimensions <= headWidth, ropeDimensions % 2 == 0 else {
      throw metadata.inconsistent("rope turns \(ropeDimensions) of \(headWidth) elements of a head")
    }
    ropeBase = try metadata.positive("rope.freq_base") ?? 10_000
    ropeScaling = try RopeScaling(metadata, contextLength: contextLength)
  }
}
