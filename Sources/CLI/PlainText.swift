extension String {
  /// The text with what could steer a terminal written out, such as `\x1b`: a file may hold anything.
  /// Line feeds and tabs stay.
  var escapingControls: String { replacingControls { "\\x" + $0.hexadecimal } }

  /// The text without what could steer a terminal, but for line feeds and tabs.
  var droppingControls: String { replacingControls { _ in "" } }

  /// The text in one line, as a cell of a table needs it.
  var inOneLine: String {
    var line = ""
    for scalar in unicodeScalars {
      switch scalar {
      case "\n": line += "⏎"
      case "\t": line += "\\t"
      default: line.unicodeScalars.append(scalar)
      }
    }
    return line.escapingControls
  }

  private func replacingControls(_ replacement: (Unicode.Scalar) -> String) -> String {
    guard unicodeScalars.contains(where: \.steersTerminals) else { return self }
    var text = ""
    for scalar in unicodeScalars {
      if scalar.steersTerminals {
        text += replacement(scalar)
      } else {
        text.unicodeScalars.append(scalar)
      }
    }
    return text
  }
}

extension Unicode.Scalar {
  /// Whether this is one of the control characters (C0, C1, delete) that does more than break a line.
  fileprivate var steersTerminals: Bool {
    value < 0x20 ? self != "\n" && self != "\t" : (0x7F...0x9F).contains(value)
  }

  /// Two digits, of one of those.
  fileprivate var hexadecimal: String {
    (value < 16 ? "0" : "") + String(value, radix: 16)
  }
}
