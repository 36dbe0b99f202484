/// A piece of a template.
enum TemplateToken: Equatable, Sendable {
  case data(String)
  case variableBegin
  case variableEnd
  case blockBegin
  case blockEnd
  case name(String)
  case string(String)
  case integer(Int)
  case float(Double)
  case symbol(String)
  case end
}

/// Cuts a template into tokens, with Jinja's rules for white space around tags as Hugging Face sets
/// them: `trim_blocks` (a line feed right after a block tag goes) and `lstrip_blocks` (blanks from
/// the start of a line up to a block tag go).
struct TemplateLexer {
  struct Located {
    var token: TemplateToken
    var line: Int
  }

  let source: [Unicode.Scalar]
  var position = 0
  var line = 1
  var tokens: [Located] = []
  /// Whether the last token ended with a line feed: then blanks are at the start of a line.
  var isAtLineStart = true

  private init(_ text: String) {
    var scalars: [Unicode.Scalar] = []
    scalars.reserveCapacity(text.utf8.count)
    for scalar in text.unicodeScalars {
      // Every kind of line break counts as one line feed.
      if scalar == "\n", scalars.last == "\r" { scalars.removeLast() }
      scalars.append(scalar)
    }
    for index in scalars.indices where scalars[index] == "\r" { scalars[index] = "\n" }
    if scalars.last == "\n" { scalars.removeLast() }
    source = scalars
  }

  /// All tokens of `text`; the last one is `.end`.
  static func tokens(of text: String) throws(TemplateError) -> [Located] {
    var lexer = TemplateLexer(text)
    try lexer.run()
    return lexer.tokens
  }

  private mutating func run() throws(TemplateError) {
    while position < source.count {
      let start = position
      while position < source.count, !isTagStart(position) { position += 1 }
      guard position < source.count else {
        add(.data(String(scalars: source[start...])))
        line += breaks(start, position)
        break
      }
      let kind = source[position + 1]
      let sign = position + 2 < source.count ? source[position + 2] : " "
      var end = position
      if sign == "-" {
        while end > start, source[end - 1].isPythonSpace { end -= 1 }
      } else if sign != "+", kind != "{" {
        end = strippedEnd(start, position)
      }
      if end > start { add(.data(String(scalars: source[start..<end]))) }
      line += breaks(start, position)
      position += sign == "-" || sign == "+" ? 3 : 2

      switch kind {
      case "#": try comment()
      case "%" where try rawBlock(): break
      default:
        let isVariable = kind == "{"
        add(isVariable ? .variableBegin : .blockBegin)
        try expression(untilVariableEnd: isVariable)
      }
      isAtLineStart = source[position - 1] == "\n"
    }
    add(.end)
  }

  mutating func add(_ token: TemplateToken) { tokens.append(Located(token: token, line: line)) }

  func fail(_ message: String) -> TemplateError { TemplateError(.syntax, line: line, message) }

  private func isTagStart(_ index: Int) -> Bool {
    guard source[index] == "{", index + 1 < source.count else { return false }
    return source[index + 1] == "{" || source[index + 1] == "%" || source[index + 1] == "#"
  }

  func breaks(_ start: Int, _ end: Int) -> Int {
    source[start..<end].reduce(0) { $0 + ($1 == "\n" ? 1 : 0) }
  }

  /// Where the data before a block tag ends: before the blanks that begin its line.
  private func strippedEnd(_ start: Int, _ end: Int) -> Int {
    var blank = end
    while blank > start, source[blank - 1] != "\n" {
      guard source[blank - 1].isPythonSpace else { return end }
      blank -= 1
    }
    return blank > start || isAtLineStart ? blank : end
  }

  /// Skips what follows the two characters that close a tag.
  mutating func closeTag(sign: Unicode.Scalar, trimsLine: Bool) {
    if sign == "-" {
      while position < source.count, source[position].isPythonSpace {
        if source[position] == "\n" { line += 1 }
        position += 1
      }
    } else if sign != "+", trimsLine, position < source.count, source[position] == "\n" {
      line += 1
      position += 1
    }
  }

  private mutating func comment() throws(TemplateError) {
    let start = position
    while position + 1 < source.count, !(source[position] == "#" && source[position + 1] == "}") {
      position += 1
    }
    guard position + 1 < source.count else { throw fail("a comment is not closed by #}") }
    let sign = position > start ? source[position - 1] : " "
    line += breaks(start, position)
    position += 2
    closeTag(sign: sign, trimsLine: true)
  }

  /// `{% raw %}` to `{% endraw %}`, if that is what begins here: text without tags.
  private mutating func rawBlock() throws(TemplateError) -> Bool {
    guard let (afterOpening, openingSign) = wordTag("raw", at: position) else { return false }
    let opening = position
    position = afterOpening
    line += breaks(opening, position)
    closeTag(sign: openingSign, trimsLine: false)
    let start = position
    isAtLineStart = source[position - 1] == "\n"
    while position + 1 < source.count {
      if source[position] == "{", source[position + 1] == "%" {
        var inside = position + 2
        let sign = inside < source.count ? source[inside] : " "
        if sign == "-" || sign == "+" { inside += 1 }
        if let (after, closingSign) = wordTag("endraw", at: inside) {
          var end = position
          if sign == "-" {
            while end > start, source[end - 1].isPythonSpace { end -= 1 }
          } else if sign != "+" {
            end = strippedEnd(start, position)
          }
          if end > start { add(.data(String(scalars: source[start..<end]))) }
          line += breaks(start, after)
          position = after
          closeTag(sign: closingSign, trimsLine: true)
          return true
        }
      }
      position += 1
    }
    throw fail("{% raw %} is not closed by {% endraw %}")
  }

  /// Where a tag that consists of `word` ends, and the sign before its end.
  private func wordTag(_ word: String, at start: Int) -> (Int, Unicode.Scalar)? {
    var index = start
    func skipSpace() { while index < source.count, source[index].isPythonSpace { index += 1 } }
    skipSpace()
    for scalar in word.unicodeScalars {
      guard index < source.count, source[index] == scalar else { return nil }
      index += 1
    }
    skipSpace()
    var sign: Unicode.Scalar = " "
    if index < source.count, source[index] == "-" || source[index] == "+" {
      sign = source[index]
      index += 1
    }
    guard index + 1 < source.count, source[index] == "%", source[index + 1] == "}" else {
      return nil
    }
    return (index + 2, sign)
  }
}

extension Unicode.Scalar {
  /// What Python's `str.isspace` accepts: Unicode's white space and the four separators of ASCII.
  var isPythonSpace: Bool {
    value < 0x80
      ? value == 0x20 || (0x09...0x0D).contains(value) || (0x1C...0x1F).contains(value)
      : properties.isWhitespace
  }
}
