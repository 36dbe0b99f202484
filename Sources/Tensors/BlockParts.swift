/// A block of a quantised format taken apart. Element j of group g = j / `group` is
///
///     scale × scales[g] × integer(codes[j]) + minimum × minima[g]
///
/// Both products are exact in single precision for every format, so an element is rounded at most
/// once, by the addition, and every device decodes it to the same bits.
package struct BlockParts: Sendable {
  /// The scale of the whole block: `d` in the formats' drawings.
  package var scale: Float = 0
  /// What the minima are multiples of; `m`, or `−dmin` of the K formats. 0 where there are none.
  package var minimum: Float = 0
  /// One for each element, of `codeBits` bits.
  package var codes = InlineArray<256, UInt8>(repeating: 0)
  /// One for each group; 1 where groups have no scale of their own.
  package var scales = InlineArray<16, Int8>(repeating: 1)
  /// One for each group; 1 where groups have no minimum of their own.
  package var minima = InlineArray<16, UInt8>(repeating: 1)

  package init() {}
}

/// What the blocks of a quantised format consist of.
package struct BlockStructure: Sendable {
  /// What a code stands for.
  package enum Numbers: Sendable {
    /// code − zero
    case offset(zero: Int)
    /// The entry of that index.
    case codebook([Int8])
  }

  /// Elements of a block: 32 or 256.
  package var length: Int
  package var codeBits: Int
  package var numbers: Numbers
  /// Elements that share a scale: 16, or 32, which is the block length of activations.
  package var group = 32
  /// What the scale of a group may be, or nil where only the block has one.
  package var groupScales: ClosedRange<Int>?
  /// What the minimum of a group may be, in units of `minimum`; 1...1 where only the block has one,
  /// nil for formats without minima.
  package var groupMinima: ClosedRange<Int>?
  /// Whether the block's scale is 2^(e − 128), of a byte e; else it is a half.
  package var hasPowerScale = false

  package var groupCount: Int { length / group }

  /// The whole number that a code stands for: −128 ... 127.
  package func integer(_ code: UInt8) -> Int {
    switch numbers {
    case .offset(let zero): Int(code) - zero
    case .codebook(let entries): Int(entries[Int(code)])
    }
  }
}

/// A quantised format: how its blocks are taken apart and put together. All else follows.
package protocol QuantizedFormat: BlockCodec {
  static var structure: BlockStructure { get }

  /// Reads one block. Parts beyond the structure's counts are left as they are.
  static func unpack(_ block: UnsafeRawPointer, into parts: inout BlockParts)

  /// Writes one block; the inverse of `unpack` for parts that the format can hold.
  static func pack(_ parts: BlockParts, into block: UnsafeMutableRawPointer)

  /// The scale nearest to `scale` that a block can hold.
  static func storable(scale: Float) -> Float
}

extension QuantizedFormat {
  package static func storable(scale: Float) -> Float { Float(Float16(scale)) }

  package static func decode(
    _ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>
  ) {
    let structure = structure
    var parts = BlockParts()
    unpack(block, into: &parts)
    for group in 0..<structure.groupCount {
      let scale = parts.scale * Float(parts.scales[group])
      let minimum = parts.minimum * Float(parts.minima[group])
      for j in group * structure.group..<(group + 1) * structure.group {
        values[j] = PortableMath.fma(scale, Float(structure.integer(parts.codes[j])), minimum)
      }
    }
  }
}

/// Nibbles as the formats with blocks of 32 hold them, in 16 bytes: the low nibble of byte j is
/// element j, the high one element j + 16.
enum NibblePairs {
  static func read(_ bytes: UnsafeRawPointer, at first: Int = 0, into parts: inout BlockParts) {
    for j in 0..<16 {
      let byte = bytes.load(fromByteOffset: j, as: UInt8.self)
      parts.codes[first + j] = byte & 15
      parts.codes[first + j + 16] = byte >> 4
    }
  }

  static func write(
    _ parts: BlockParts, at first: Int = 0, into bytes: UnsafeMutableRawPointer
  ) {
    for j in 0..<16 {
      let byte = parts.codes[first + j] & 15 | (parts.codes[first + j + 16] & 15) << 4
      bytes.storeBytes(of: byte, toByteOffset: j, as: UInt8.self)
    }
  }
}

/// The fifth bits of 32 codes: bit j of a word belongs to element j.
enum FifthBits {
  static func read(_ bytes: UnsafeRawPointer, into parts: inout BlockParts) {
    let bits = bytes.loadUnaligned(as: UInt32.self)
    for j in 0..<32 { parts.codes[j] |= UInt8(bits >> UInt32(j) & 1) << 4 }
  }

  static func write(_ parts: BlockParts, into bytes: UnsafeMutableRawPointer) {
    var bits: UInt32 = 0
    for j in 0..<32 { bits |= UInt32(parts.codes[j] >> 4 & 1) << UInt32(j) }
    bytes.storeBytes(of: bits, as: UInt32.self)
  }
}
