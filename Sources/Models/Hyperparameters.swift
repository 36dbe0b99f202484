import GGUF

/// The numbers that decoder architectures share, checked against each other.
struct Hyperparameters: Sendable {
  var architecture: String
  var layerCount: Int
  var contextLength: Int
  var width: Int
  var headCount: Int
  var kvHeadCount: Int
  var headWidth: Int
  var epsilon: Float
  var ropeDimensions: Int
  var ropeBase: Double
  /// Positions are divided by this (`rope.scaling.type` linear).
  var ropeLinearScale: Double

  /// More layers than this is a damaged file, not a model.
  private static let mostLayers = 4096
  /// A wider head is a damaged file: rope's frequencies alone would take gigabytes.
  private static let widestHead = 1 << 16

  init(_ file: GGUFFile) throws(ModelError) {
    let path = file.path
    func inconsistent(_ reason: String) -> ModelError {
      .inconsistent(path: path, reason: reason)
    }
    func positive(_ value: Int, _ key: String) throws(ModelError) -> Int {
      guard value > 0, value <= 1 << 31 else {
        throw inconsistent("the metadata key '\(key)' is \(value), which no model has")
      }
      return value
    }
    do throws(GGUFError) {
      guard let name = try file.text("general.architecture") else {
        throw file.error(.missing(key: "general.architecture"))
      }
      architecture = name
    } catch { throw .file(error) }
    let prefix = architecture

    func optional(_ key: String) throws(ModelError) -> Int? {
      let key = "\(prefix).\(key)"
      do throws(GGUFError) {
        guard let value = try file.integer(key) else { return nil }
        return value
      } catch { throw .file(error) }
    }
    func required(_ key: String) throws(ModelError) -> Int {
      guard let value = try optional(key) else {
        throw .file(file.error(.missing(key: "\(prefix).\(key)")))
      }
      return try positive(value, "\(prefix).\(key)")
    }
    func real(_ key: String) throws(ModelError) -> Double? {
      do throws(GGUFError) { return try file.real("\(prefix).\(key)") } catch {
        throw .file(error)
      }
    }

    layerCount = try required("block_count")
    guard layerCount <= Self.mostLayers else {
      throw inconsistent("it claims \(layerCount) layers; at most \(Self.mostLayers) are possible")
    }
    contextLength = try required("context_length")
    width = try required("embedding_length")
    headCount = try required("attention.head_count")
    kvHeadCount = try positive(
      try optional("attention.head_count_kv") ?? headCount, "\(prefix).attention.head_count_kv")
    if let keyLength = try optional("attention.key_length") {
      headWidth = try positive(keyLength, "\(prefix).attention.key_length")
    } else {
      guard width % headCount == 0 else {
        throw inconsistent("\(headCount) heads do not divide a width of \(width)")
      }
      headWidth = width / headCount
    }
    guard headWidth <= Self.widestHead else {
      throw inconsistent("it claims heads of \(headWidth); at most \(Self.widestHead) are possible")
    }
    guard headCount % kvHeadCount == 0 else {
      throw inconsistent("\(kvHeadCount) key-value heads do not divide \(headCount) query heads")
    }
    if let valueLength = try optional("attention.value_length"), valueLength != headWidth {
      throw inconsistent("values of \(valueLength) beside keys of \(headWidth) are not supported")
    }
    epsilon = Float(try real("attention.layer_norm_rms_epsilon") ?? 1e-5)
    ropeDimensions = try optional("rope.dimension_count") ?? headWidth
    guard ropeDimensions > 0, ropeDimensions <= headWidth, ropeDimensions % 2 == 0 else {
      throw inconsistent("rope turns \(ropeDimensions) of \(headWidth) elements of a head")
    }
    ropeBase = try real("rope.freq_base") ?? 10_000
    guard ropeBase > 0, ropeBase.isFinite else {
      throw inconsistent("the rope base \(ropeBase) is not positive")
    }
    ropeLinearScale = try Self.linearScale(file, prefix)
  }

  private static func linearScale(
    _ file: GGUFFile, _ prefix: String
  ) throws(ModelError) -> Double {
    let (type, factor): (String, Double)
    do throws(GGUFError) {
      type = try file.text("\(prefix).rope.scaling.type") ?? "none"
      factor = try file.real("\(prefix).rope.scaling.factor") ?? 1
    } catch { throw .file(error) }
    switch type {
    case "none": return 1
    case "linear":
      guard factor > 0, factor.isFinite else {
        throw .inconsistent(path: file.path, reason: "positions cannot be divided by \(factor)")
      }
      return factor
    default:
      throw .file(
        file.error(.unexpected(key: "\(prefix).rope.scaling.type", wanted: "none or linear")))
    }
  }
}
