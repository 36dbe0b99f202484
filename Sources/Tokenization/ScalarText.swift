/// A stretch of text cut into characters. Bytes that are no UTF-8 become characters of their own,
/// symbols by class, so that every input has an encoding and nothing is lost.
struct ScalarText {
  private(set) var scalars: [UInt32] = []
  private(set) var classes: [CharacterClass] = []
  /// Where each character begins in `bytes`, and the end as one more entry.
  private(set) var offsets: [Int] = []

  /// Stands for a byte that is not part of well-formed UTF-8: no scalar has this value.
  static let invalid: UInt32 = 0xFFFF_FFFF

  init(_ bytes: ArraySlice<UInt8>) {
    scalars.reserveCapacity(bytes.count)
    classes.reserveCapacity(bytes.count)
    offsets.reserveCapacity(bytes.count + 1)
    var position = bytes.startIndex
    while position < bytes.endIndex {
      let (scalar, length) = UTF8Scanner.scalar(in: bytes, at: position)
      scalars.append(scalar ?? Self.invalid)
      classes.append(scalar.map(CharacterClass.of) ?? .symbol)
      offsets.append(position)
      position += length
    }
    offsets.append(bytes.endIndex)
  }

  var count: Int { scalars.count }
}

/// Reads UTF-8 that may be damaged.
enum UTF8Scanner {
  /// The scalar at `position` and its length in bytes; (nil, 1) where the bytes are not
  /// well-formed: overlong forms, surrogates, values beyond Unicode, stray or missing continuations.
  @inline(__always)
  static func scalar(in bytes: ArraySlice<UInt8>, at position: Int) -> (UInt32?, Int) {
    let first = bytes[position]
    if first < 0x80 { return (UInt32(first), 1) }
    return multibyte(in: bytes, at: position, first: first)
  }

  private static func multibyte(
    in bytes: ArraySlice<UInt8>, at position: Int, first: UInt8
  ) -> (UInt32?, Int) {
    guard let length = expectedLength(first), bytes.endIndex - position >= length else {
      return (nil, 1)
    }
    var value = UInt32(first) & (0x7F >> UInt32(length))
    for index in position + 1..<position + length {
      guard bytes[index] & 0xC0 == 0x80 else { return (nil, 1) }
      value = value << 6 | UInt32(bytes[index] & 0x3F)
    }
    let least: UInt32 = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000
    guard value >= least, Unicode.Scalar(value) != nil else { return (nil, 1) }
    return (value, length)
  }

  /// How many bytes a sequence that starts with `first` has; nil if none starts so.
  static func expectedLength(_ first: UInt8) -> Int? {
    switch first {
    case 0x00...0x7F: 1
    case 0xC2...0xDF: 2
    case 0xE0...0xEF: 3
    case 0xF0...0xF4: 4
    default: nil
    }
  }
}
