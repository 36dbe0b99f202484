import Tensors
import WeightTiles

/// How weights lie in device memory: float weights as in the file, quantised ones in tiles of 16
/// rows, so that one vector holds a part of the same element of 16 rows.
///
/// ```
/// tile         head | block of 32 | block of 32 | … as long as a block of the format | head | …
/// head         16 d | 16 m | s of groups 0 … 3 | … | n of groups 0 … 3 | …
/// block of 32  low bits of the codes | high bits
/// ```
///
/// d and m are halves, but d of MXFP4 a byte; s and n are bytes, four in a word for each row. Formats
/// leave out what they lack. A plane of p bits is p vectors of 64 bytes, a word of four bytes for
/// each row: bits f p … f p + p − 1 of byte e of vector v belong to element 4 (f p + v) + e. Codes of
/// 2, 4 and 8 bits have one plane, others a second one of one bit or two; so a tile takes about the
/// bytes of the file. The last one is filled up with zeros.
///
/// All of it follows from a format's `BlockStructure`, here and in the kernels, which get
/// ``defines``.
struct ResidentLayout {
  static let tileRows = 16
  private static let block = Int8Activations.blockLength

  private let type: weight_type
  private let structure: BlockStructure
  private let lowBits: Int
  private let highBits: Int
  /// The layout of a quantised format, or nil for floats.
  init?(_ type: ElementType) {
    guard let format = type.format else { return nil }
    self.type = weight_type(rawValue: numericCast(type.rawValue))
    structure = format.structure
    let bits = structure.codeBits
    lowBits = bits >= 8 ? 8 : bits >= 4 ? 4 : 2
    highBits = bits - lowBits
  }

  private var hasMinimum: Bool { structure.groupMinima != nil }
  private var hasGroupScales: Bool { structure.groupScales != nil }
  private var hasGroupMinima: Bool { structure.groupMinima.map { $0 != 1...1 } ?? false }

  /// Whether a block of 32 has two groups.
  var hasPairsOfGroups: Bool { structure.group < Self.block }

  /// Whether codes have one plane, of 4 or 8 bits, and are numbers as they are, and groups have no scales of their
  /// own: the way from tiles to bytes is short.
  var isQuickToUnpack: Bool {
    guard case .offset = structure.numbers else { return false }
    return lowBits >= 4 && highBits == 0 && !hasGroupScales
  }

  /// Bytes of a weight in device memory.
  static func bytes(_ weight: Weight) -> Int {
    guard let layout = ResidentLayout(weight.type) else { return weight.bytes }
    return weight_tiles_bytes(layout.type, weight.rows, weight.width)
  }

  /// What the kernels must know about the format; `Kernels/common/prelude.cl` says what it means.
  var defines: [Define] {
    var words: [Int] = [0, 0, 0, 0]
    var zero = 0
    var hasCodebook = false
    switch structure.numbers {
    case .offset(let offset): zero = offset
    case .codebook(let entries):
      hasCodebook = true
      zero = 128
      for (index, entry) in entries.enumerated() {
        words[index / 4] |= (Int(entry) + zero) << (8 * (index % 4))
      }
    }
    return [
      Define("BLOCK_LENGTH", structure.length), Define("LOW_BITS", lowBits),
      Define("HIGH_BITS", highBits), Define("ZERO", zero),
      Define("HAS_CODEBOOK", hasCodebook ? 1 : 0),
      Define("POWER_SCALE", structure.hasPowerScale ? 1 : 0),
      Define("HAS_MINIMUM", hasMinimum ? 1 : 0), Define("GROUPS", Self.block / structure.group),
      Define("HAS_GROUP_SCALES", hasGroupScales ? 1 : 0),
      Define("HAS_GROUP_MINIMA", hasGroupMinima ? 1 : 0),
    ] + words.enumerated().map { Define("CODEBOOK_\($0)", $1) }
  }

  /// Brings a weight from the file's layout into tiles, on some threads.
  func write(
    _ weight: Weight, _ source: UnsafeRawBufferPointer, threads: Int,
    to tiles: UnsafeMutableRawBufferPointer
  ) {
    precondition(tiles.count >= Self.bytes(weight), "\(weight.name) reaches beyond its place")
    weight_tiles_write(
      type, source.baseAddress, weight.rows, weight.width, Int32(clamping: threads),
      tiles.baseAddress)
  }
}
