extension TemplateLexer {
  /// Reads the tokens of a tag up to its end. Inside of braces `}}` closes the braces first.
  mutating func expression(untilVariableEnd isVariable: Bool) throws(TemplateError) {
    let opening = line
    var brackets: [Unicode.Scalar] = []
    while true {
      skipSpace()
      guard position < source.count else {
        throw TemplateError(.syntax, line: opening, "a tag is not closed")
      }
      if brackets.isEmpty, let sign = tagEnd(isVariable) {
        position += sign == " " ? 2 : 3
        add(isVariable ? .variableEnd : .blockEnd)
        closeTag(sign: sign, trimsLine: !isVariable)
        return
      }
      let scalar = source[position]
      switch scalar {
      case "'", "\"": try string(scalar)
      case "0"..."9": try number()
      case _ where scalar.isIdentifierStart: name()
      default: try symbol(&brackets)
      }
    }
  }

  private mutating func skipSpace() {
    while position < source.count, source[position].isPythonSpace {
      if source[position] == "\n" { line += 1 }
      position += 1
    }
  }

  /// The sign before the end of the tag (a blank if none), where the tag ends here.
  private func tagEnd(_ isVariable: Bool) -> Unicode.Scalar? {
    let first: Unicode.Scalar = isVariable ? "}" : "%"
    func ends(_ index: Int) -> Bool {
      index + 1 < source.count && source[index] == first && source[index + 1] == "}"
    }
    if ends(position) { return " " }
    if source[position] == "-", ends(position + 1) { return "-" }
    if !isVariable, source[position] == "+", ends(position + 1) { return "+" }
    return nil
  }

  private mutating func name() {
    let start = position
    while position < source.count, source[position].isIdentifierPart { position += 1 }
    add(.name(String(scalars: source[start..<position])))
  }

  private mutating func symbol(_ brackets: inout [Unicode.Scalar]) throws(TemplateError) {
    let scalar = source[position]
    if position + 1 < source.count {
      let pair = String(scalars: source[position...position + 1])
      if ["//", "**", "==", "!=", ">=", "<="].contains(pair) {
        position += 2
        return add(.symbol(pair))
      }
    }
    switch scalar {
    case "(": brackets.append(")")
    case "[": brackets.append("]")
    case "{": brackets.append("}")
    case ")", "]", "}":
      guard brackets.popLast() == scalar else { throw fail("'\(scalar)' closes nothing") }
    case "+", "-", "/", "*", "%", "~", ">", "<", "=", ".", ":", "|", ",", ";": break
    default: throw fail("the character '\(scalar)' means nothing here")
    }
    position += 1
    add(.symbol(String(Character(scalar))))
  }

  private mutating func digits(_ accepts: (Unicode.Scalar) -> Bool) -> String {
    var text = ""
    while position < source.count, accepts(source[position]) || source[position] == "_" {
      if source[position] != "_" { text.unicodeScalars.append(source[position]) }
      position += 1
    }
    return text
  }

  private mutating func number() throws(TemplateError) {
    if source[position] == "0", position + 1 < source.count,
      let radix = ["x": 16, "o": 8, "b": 2, "X": 16, "O": 8, "B": 2][source[position + 1]]
    {
      position += 2
      let text = digits { $0.properties.isASCIIHexDigit }
      guard let value = Int(text, radix: radix) else { throw fail("'\(text)' is no number") }
      return add(.integer(value))
    }
    func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }
    var text = digits(isDigit)
    var isFloat = false
    if position + 1 < source.count, source[position] == ".", isDigit(source[position + 1]) {
      isFloat = true
      position += 1
      text += "." + digits(isDigit)
    }
    if position < source.count, source[position] == "e" || source[position] == "E" {
      var next = position + 1
      if next < source.count, source[next] == "+" || source[next] == "-" { next += 1 }
      if next < source.count, isDigit(source[next]) {
        isFloat = true
        text += String(scalars: source[position..<next])
        position = next
        text += digits(isDigit)
      }
    }
    if isFloat, let value = Double(text) { return add(.float(value)) }
    guard !isFloat, let value = Int(text) else { throw fail("the number '\(text)' is too large") }
    add(.integer(value))
  }

  private mutating func string(_ quote: Unicode.Scalar) throws(TemplateError) {
    let opening = line
    position += 1
    var text = String.UnicodeScalarView()
    while position < source.count, source[position] != quote {
      if source[position] == "\n" { line += 1 }
      if source[position] == "\\" {
        position += 1
        guard position < source.count else { break }
        try escape(&text)
      } else {
        text.append(source[position])
        position += 1
      }
    }
    guard position < source.count else {
      throw TemplateError(.syntax, line: opening, "a string is not closed")
    }
    position += 1
    add(.string(String(text)))
  }

  /// Python's escapes; one it does not know stays as it is, backslash and all.
  private mutating func escape(_ text: inout String.UnicodeScalarView) throws(TemplateError) {
    let scalar = source[position]
    position += 1
    switch scalar {
    case "n": text.append("\n")
    case "t": text.append("\t")
    case "r": text.append("\r")
    case "a": text.append("\u{7}")
    case "b": text.append("\u{8}")
    case "f": text.append("\u{C}")
    case "v": text.append("\u{B}")
    case "\\", "'", "\"": text.append(scalar)
    case "\n": line += 1
    case "x": text.append(try codePoint(digits: 2, radix: 16))
    case "u": text.append(try codePoint(digits: 4, radix: 16))
    case "U": text.append(try codePoint(digits: 8, radix: 16))
    case "0"..."7":
      position -= 1
      var count = 1
      while count < 3, position + count < source.count,
        ("0"..."7").contains(source[position + count])
      {
        count += 1
      }
      text.append(try codePoint(digits: count, radix: 8))
    default:
      text.append("\\")
      text.append(scalar)
    }
  }

  private mutating func codePoint(
    digits count: Int, radix: Int
  ) throws(TemplateError) -> Unicode.Scalar {
    let end = min(position + count, source.count)
    let text = String(scalars: source[position..<end])
    guard text.utf8.count == count, !text.hasPrefix("+"), !text.hasPrefix("-"),
      let value = UInt32(text, radix: radix), let scalar = Unicode.Scalar(value)
    else { throw fail("the escape '\\\(text)' names no character") }
    position = end
    return scalar
  }
}

extension Unicode.Scalar {
  var isIdentifierStart: Bool {
    value < 0x80
      ? self == "_" || ("a"..."z").contains(self) || ("A"..."Z").contains(self)
      : properties.isXIDStart
  }

  var isIdentifierPart: Bool {
    value < 0x80 ? isIdentifierStart || ("0"..."9").contains(self) : properties.isXIDContinue
  }
}
