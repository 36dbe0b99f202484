import Tensors

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

  private let format: any QuantizedFormat.Type
  private let structure: BlockStructure
  private let lowBits: Int
  private let highBits: Int
  /// The layout of a quantised format, or nil for floats.
  init?(_ type: ElementType) {
    guard let format = type.format else { return nil }
    self.format = format
    structure = format.structure
    let bits = structure.codeBits
    lowBits = bits >= 8 ? 8 : bits >= 4 ? 4 : 2
    highBits = bits - lowBits
  }

  private var hasMinimum: Bool { structure.groupMinima != nil }
  private var hasGroupScales: Bool { structure.groupScales != nil }
  private var hasGroupMinima: Bool { structure.groupMinima.map { $0 != 1...1 } ?? false }

  private var headBytes: Int {
    let groupBytes = (hasGroupScales ? 1 : 0) + (hasGroupMinima ? 1 : 0)
    return Self.tileRows
      * ((structure.hasPowerScale ? 1 : 2) + (hasMinimum ? 2 : 0)
        + groupBytes * structure.groupCount)
  }
  private var blockBytes: Int { 4 * Self.tileRows * (lowBits + highBits) }

  /// Bytes of the blocks of 16 rows that lie side by side.
  private var stripBytes: Int { headBytes + structure.length / Self.block * blockBytes }

  private func bytes(rows: Int, width: Int) -> Int {
    (rows + Self.tileRows - 1) / Self.tileRows * (width / structure.length) * stripBytes
  }

  /// Bytes of a weight in device memory.
  static func bytes(_ weight: Weight) -> Int {
    guard let layout = ResidentLayout(weight.type) else { return weight.bytes }
    return layout.bytes(rows: weight.rows, width: weight.width)
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

  /// Brings a weight from the file's layout into tiles.
  func tiles(_ weight: Weight, _ source: UnsafeRawBufferPointer) -> [UInt8] {
    let count = bytes(rows: weight.rows, width: weight.width)
    let strips = weight.width / structure.length
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      initialized = count
      guard let from = source.baseAddress, let to = UnsafeMutableRawPointer(buffer.baseAddress)
      else { return }
      if weight.rows % Self.tileRows != 0 {
        let tileBytes = strips * stripBytes
        (to + count - tileBytes).initializeMemory(as: UInt8.self, repeating: 0, count: tileBytes)
      }
      var parts = BlockParts()
      for first in stride(from: 0, to: weight.rows, by: Self.tileRows) {
        for strip in 0..<strips {
          let target = to + (first / Self.tileRows * strips + strip) * stripBytes
          for lane in 0..<min(Self.tileRows, weight.rows - first) {
            let block = from + (first + lane) * weight.rowBytes + strip * weight.type.blockBytes
            format.unpack(block, into: &parts)
            write(&parts, lane: lane, to: target)
          }
        }
      }
    }
  }

  /// Writes the block of one row.
  private func write(_ parts: inout BlockParts, lane: Int, to strip: UnsafeMutableRawPointer) {
    let rows = Self.tileRows
    var target = strip
    if structure.hasPowerScale {
      let exponent = UInt8(clamping: Int(parts.scale.exponent) + 128)
      target.storeBytes(of: exponent, toByteOffset: lane, as: UInt8.self)
      target += rows
    } else {
      target.storeHalf(parts.scale, at: 2 * lane)
      target += 2 * rows
    }
    if hasMinimum {
      target.storeHalf(parts.minimum, at: 2 * lane)
      target += 2 * rows
    }
    if hasGroupScales {
      for group in 0..<structure.groupCount {
        target.storeBytes(
          of: parts.scales[group], toByteOffset: Self.groupByte(group, lane: lane), as: Int8.self)
      }
      target += rows * structure.groupCount
    }
    if hasGroupMinima {
      for group in 0..<structure.groupCount {
        target.storeBytes(
          of: parts.minima[group], toByteOffset: Self.groupByte(group, lane: lane), as: UInt8.self)
      }
      target += rows * structure.groupCount
    }
    withUnsafeBytes(of: &parts.codes) { codes in
      guard let base = codes.baseAddress else { return }
      for block in 0..<structure.length / Self.block {
        let codes = base + block * Self.block
        Self.writePlane(codes, bits: lowBits, shift: 0, lane: lane, to: target)
        if highBits > 0 {
          Self.writePlane(
            codes, bits: highBits, shift: UInt32(lowBits), lane: lane,
            to: target + 4 * rows * lowBits)
        }
        target += blockBytes
      }
    }
  }

  /// Where a byte of a group of one row lies: four groups share a word.
  private static func groupByte(_ group: Int, lane: Int) -> Int {
    4 * (group / 4 * tileRows + lane) + group % 4
  }

  /// Writes some bits, from `shift` on, of each of one row's 32 codes: four codes at a time, which
  /// stay in the bytes that they come in.
  private static func writePlane(
    _ codes: UnsafeRawPointer, bits: Int, shift: UInt32, lane: Int,
    to plane: UnsafeMutableRawPointer
  ) {
    let mask = 0x0101_0101 * ((1 as UInt32) << UInt32(bits) - 1)
    for vector in 0..<bits {
      var word: UInt32 = 0
      for field in 0..<8 / bits {
        let codes = codes.loadUnaligned(
          fromByteOffset: 4 * (field * bits + vector), as: UInt32.self)
        word |= (codes >> shift & mask) << UInt32(field * bits)
      }
      plane.storeBytes(of: word, toByteOffset: (vector * tileRows + lane) * 4, as: UInt32.self)
    }
  }
}
