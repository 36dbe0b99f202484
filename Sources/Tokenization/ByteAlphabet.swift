/// GPT-2 writes each byte as a printable character, so that tokens can be stored as text: printable
/// Latin-1 stands for itself, the other 68 bytes follow from U+0100 on ("Ġ" is the space).
enum ByteAlphabet {
  private static let scalars: [UInt32] = {
    var next: UInt32 = 0x100
    return (0..<256).map { (byte: UInt32) in
      switch byte {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: return byte
      default:
        defer { next += 1 }
        return next
      }
    }
  }()

  /// The byte a scalar stands for, or 256 for none; scalars up to U+0143 stand for one.
  private static let bytes: [UInt16] = {
    var table = [UInt16](repeating: 256, count: 0x144)
    for (byte, scalar) in scalars.enumerated() { table[Int(scalar)] = UInt16(byte) }
    return table
  }()

  /// Appends the bytes that UTF-8 text stands for, or says that it has a character outside of the
  /// alphabet.
  static func append(_ text: UnsafeBufferPointer<UInt8>, to result: inout [UInt8]) -> Bool {
    let count = result.count
    var index = 0
    while index < text.count {
      // All of the alphabet lies below U+0144, in one byte or two.
      var scalar = Int(text[index])
      index += 1
      if scalar >= 0x80 {
        guard scalar < 0xE0, index < text.count else { return giveUp() }
        scalar = (scalar & 0x1F) << 6 | Int(text[index] & 0x3F)
        index += 1
      }
      guard scalar < bytes.count, bytes[scalar] < 256 else { return giveUp() }
      result.append(UInt8(truncatingIfNeeded: bytes[scalar]))
    }
    return true

    func giveUp() -> Bool {
      result.removeSubrange(count...)
      return false
    }
  }
}
