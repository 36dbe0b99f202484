/// What a person pressed, or pasted.
package enum Key: Hashable, Sendable {
  /// Characters to insert; lines of a paste are parted by line feeds.
  case text(String)
  case enter
  /// A line break in the text: Alt-Enter.
  case newline
  case left, right, wordLeft, wordRight, home, end, up, down
  case backspace, delete, deleteWordLeft, deleteWordRight, killToStart, killToEnd, yank
  /// Ctrl-C.
  case interrupt
  /// Ctrl-D.
  case endOfInput
  /// Ctrl-L.
  case clearScreen
  /// Ctrl-Z.
  case suspend
}

/// Bytes of a terminal to keys: UTF-8, escape sequences as VT and xterm send them, bracketed paste.
package struct KeyDecoder: Sendable {
  private enum State {
    case ground
    /// The first bytes of a character.
    case character([UInt8], length: Int)
    case escape
    /// Behind ESC [.
    case sequence([UInt8])
    /// Behind ESC O.
    case shifted
    case paste([UInt8])
  }

  private var state = State.ground
  private static let pasteEnd = Array("\u{1B}[201~".utf8)

  package init() {}

  /// Takes a byte.
  ///
  /// - Returns: The key that the byte completes, or nil where more is to come or nothing is meant.
  package mutating func decode(_ byte: UInt8) -> Key? {
    switch state {
    case .ground: return begin(byte)
    case .character(let bytes, let length): return extend(bytes, length, byte)
    case .escape:
      state = .ground
      return escaped(byte)
    case .shifted:
      state = .ground
      return Self.cursorKey(byte, isWord: false)
    case .sequence(let bytes): return sequence(bytes, byte)
    case .paste(var bytes):
      bytes.append(byte)
      guard bytes.suffix(Self.pasteEnd.count).elementsEqual(Self.pasteEnd) else {
        state = .paste(bytes)
        return nil
      }
      state = .ground
      let text = Self.harmless(bytes.dropLast(Self.pasteEnd.count))
      return text.isEmpty ? nil : .text(text)
    }
  }

  private mutating func begin(_ byte: UInt8) -> Key? {
    switch byte {
    case 0x1B:
      state = .escape
      return nil
    case 0x20..<0x7F: return .text(String(UnicodeScalar(byte)))
    case 0xC2..<0xE0: state = .character([byte], length: 2)
    case 0xE0..<0xF0: state = .character([byte], length: 3)
    case 0xF0..<0xF5: state = .character([byte], length: 4)
    case 0x80...: return .text("\u{FFFD}")
    default: return Self.controlKeys[byte]
    }
    return nil
  }

  private mutating func extend(_ bytes: [UInt8], _ length: Int, _ byte: UInt8) -> Key? {
    guard byte & 0xC0 == 0x80 else {
      // The character was cut off; what cut it off counts.
      state = .ground
      return begin(byte)
    }
    let bytes = bytes + [byte]
    guard bytes.count == length else {
      state = .character(bytes, length: length)
      return nil
    }
    state = .ground
    return .text(String(decoding: bytes, as: UTF8.self))
  }

  private static let controlKeys: [UInt8: Key] = [
    1: .home, 2: .left, 3: .interrupt, 4: .endOfInput, 5: .end, 6: .right, 8: .backspace,
    9: .text("\t"), 10: .enter, 11: .killToEnd, 12: .clearScreen, 13: .enter, 14: .down, 16: .up,
    21: .killToStart, 23: .deleteWordLeft, 25: .yank, 26: .suspend, 127: .backspace,
  ]

  /// A key with Alt, or the beginning of a sequence.
  private mutating func escaped(_ byte: UInt8) -> Key? {
    switch byte {
    case 0x1B: state = .escape
    case UInt8(ascii: "["): state = .sequence([])
    case UInt8(ascii: "O"): state = .shifted
    case UInt8(ascii: "b"): return .wordLeft
    case UInt8(ascii: "f"): return .wordRight
    case UInt8(ascii: "d"): return .deleteWordRight
    case 8, 127: return .deleteWordLeft
    case 10, 13: return .newline
    case 3, 4: return Self.controlKeys[byte]
    default: break
    }
    return nil
  }

  private mutating func sequence(_ bytes: [UInt8], _ byte: UInt8) -> Key? {
    guard byte >= 0x40 else {
      // No terminal sends more than this.
      state = byte >= 0x20 && bytes.count < 32 ? .sequence(bytes + [byte]) : .ground
      return byte < 0x20 ? begin(byte) : nil
    }
    state = .ground
    let parameters = String(decoding: bytes, as: UTF8.self).split(
      separator: ";", omittingEmptySubsequences: false
    ).map { Int($0) ?? 0 }
    let first = parameters.first ?? 0
    let modifier = parameters.count > 1 ? parameters[1] : 1
    // xterm sends one more than the sum of Shift 1, Alt 2 and Ctrl 4.
    let isWord = modifier > 2
    guard byte == UInt8(ascii: "~") || byte == UInt8(ascii: "u") else {
      return Self.cursorKey(byte, isWord: isWord)
    }
    switch (first, byte == UInt8(ascii: "~")) {
    case (1, true), (7, true): return .home
    case (3, true): return isWord ? .deleteWordRight : .delete
    case (4, true), (8, true): return .end
    case (27, true): return parameters.count > 2 && parameters[2] == 13 ? .newline : nil
    case (200, true):
      state = .paste([])
      return nil
    case (13, false): return modifier > 1 ? .newline : .enter
    default: return nil
    }
  }

  private static func cursorKey(_ byte: UInt8, isWord: Bool) -> Key? {
    switch byte {
    case UInt8(ascii: "A"): .up
    case UInt8(ascii: "B"): .down
    case UInt8(ascii: "C"): isWord ? .wordRight : .right
    case UInt8(ascii: "D"): isWord ? .wordLeft : .left
    case UInt8(ascii: "F"): .end
    case UInt8(ascii: "H"): .home
    default: nil
    }
  }

  /// Pasted bytes as text: line ends are line feeds, control characters are left out.
  private static func harmless(_ bytes: ArraySlice<UInt8>) -> String {
    var scalars = String.UnicodeScalarView()
    var last: UnicodeScalar = " "
    for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
      defer { last = scalar }
      if scalar == "\n", last == "\r" { continue }
      if scalar == "\r" {
        scalars.append("\n")
      } else if scalar == "\n" || scalar == "\t" || scalar.properties.generalCategory != .control {
        scalars.append(scalar)
      }
    }
    return String(scalars)
  }
}
