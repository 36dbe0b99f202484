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

  /// The bytes that `text` stands for; nil if it has a character outside of the alphabet.
  static func decode(_ text: some StringProtocol) -> [UInt8]? {
    var result: [UInt8] = []
    result.reserveCapacity(text.utf8.count)
    for scalar in text.unicodeScalars {
      guard scalar.value < 0x144 else { return nil }
      let byte = bytes[Int(scalar.value)]
      guard byte < 256 else { return nil }
      result.append(UInt8(byte))
    }
    return result
  }
}
