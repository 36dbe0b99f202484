/// What pre-tokenisers ask about a character: the groups of Unicode's general categories that their
/// regular expressions name.
struct CharacterClass: OptionSet, Sendable {
  let rawValue: UInt16

  static let upper = CharacterClass(rawValue: 1)  // \p{Lu} \p{Lt}
  static let lower = CharacterClass(rawValue: 2)  // \p{Ll}
  static let uncased = CharacterClass(rawValue: 4)  // \p{Lm} \p{Lo}
  static let mark = CharacterClass(rawValue: 8)  // \p{M}
  static let number = CharacterClass(rawValue: 16)  // \p{N}
  static let punctuation = CharacterClass(rawValue: 32)  // \p{P}
  static let symbol = CharacterClass(rawValue: 64)  // \p{S}
  static let space = CharacterClass(rawValue: 128)  // \s
  static let newline = CharacterClass(rawValue: 256)  // \r and \n, which are also spaces
  static let control = CharacterClass(rawValue: 512)  // \p{Cc} \p{Cf} and the other \p{C}

  static let letter: CharacterClass = [.upper, .lower, .uncased]

  /// True where the character belongs to any of `classes`.
  @inline(__always)
  func meets(_ classes: CharacterClass) -> Bool { rawValue & classes.rawValue != 0 }

  /// The class of a scalar value; numbers that are no scalar (invalid input) belong to none.
  @inline(__always)
  static func of(_ scalar: UInt32) -> CharacterClass {
    scalar < tableCount ? table[Int(scalar)] : lookUp(scalar)
  }

  /// Latin, Greek, Cyrillic, Hebrew, Arabic: below this a table answers, above it the standard
  /// library, at some 20 ns a character. A table of all of Unicode would cost every start 30 ms.
  private static let tableCount: UInt32 = 0x800
  private static let table: [CharacterClass] = (0..<tableCount).map(lookUp)

  private static func lookUp(_ value: UInt32) -> CharacterClass {
    guard let scalar = Unicode.Scalar(value) else { return [] }
    if scalar == "\n" || scalar == "\r" { return [.space, .newline, .control] }
    var result: CharacterClass = scalar.properties.isWhitespace ? .space : []
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .titlecaseLetter: result.insert(.upper)
    case .lowercaseLetter: result.insert(.lower)
    case .modifierLetter, .otherLetter: result.insert(.uncased)
    case .nonspacingMark, .spacingMark, .enclosingMark: result.insert(.mark)
    case .decimalNumber, .letterNumber, .otherNumber: result.insert(.number)
    case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation,
      .initialPunctuation, .finalPunctuation, .otherPunctuation:
      result.insert(.punctuation)
    case .mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol: result.insert(.symbol)
    case .control, .format, .surrogate, .privateUse, .unassigned: result.insert(.control)
    case .spaceSeparator, .lineSeparator, .paragraphSeparator: break
    @unknown default: break
    }
    return result
  }
}
