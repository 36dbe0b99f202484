/// Python's string operations, by code points.
enum TemplateStrings {
  /// `&`, `<`, `>` and quotes as HTML writes them, by the numbers that MarkupSafe uses.
  static func escapedForHTML(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "'": result += "&#39;"
      case "\"": result += "&#34;"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  static func hexadecimal(_ value: UInt32, digits: Int) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
  }

  /// Python's `repr` of a string: single quotes unless only those occur inside.
  static func representation(_ text: String) -> String {
    let scalars = text.unicodeScalars
    let quote: Unicode.Scalar = scalars.contains("'") && !scalars.contains("\"") ? "\"" : "'"
    var result = String.UnicodeScalarView()
    result.append(quote)
    for scalar in scalars {
      switch scalar {
      case "\\": result.append(contentsOf: "\\\\".unicodeScalars)
      case "\n": result.append(contentsOf: "\\n".unicodeScalars)
      case "\r": result.append(contentsOf: "\\r".unicodeScalars)
      case "\t": result.append(contentsOf: "\\t".unicodeScalars)
      case quote:
        result.append("\\")
        result.append(quote)
      case _ where isPrintable(scalar): result.append(scalar)
      case _ where scalar.value < 0x100:
        result.append(contentsOf: "\\x\(hexadecimal(scalar.value, digits: 2))".unicodeScalars)
      case _ where scalar.value < 0x10000:
        result.append(contentsOf: "\\u\(hexadecimal(scalar.value, digits: 4))".unicodeScalars)
      default:
        result.append(contentsOf: "\\U\(hexadecimal(scalar.value, digits: 8))".unicodeScalars)
      }
    }
    result.append(quote)
    return String(result)
  }

  private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    if scalar == " " { return true }
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
      .paragraphSeparator, .spaceSeparator:
      return false
    default: return true
    }
  }

  enum Side { case both, left, right }

  /// Without `characters` white space goes.
  static func strip(_ text: String, _ characters: String? = nil, _ side: Side = .both) -> String {
    let set = characters.map { Set($0.unicodeScalars) }
    func goes(_ scalar: Unicode.Scalar) -> Bool { set?.contains(scalar) ?? scalar.isPythonSpace }
    var rest = text.unicodeScalars[...]
    if side != .right { rest = rest.drop(while: goes) }
    if side != .left {
      while let last = rest.last, goes(last) { rest.removeLast() }
    }
    return String(rest)
  }

  /// Where `part` begins in `text` at or after `start`; the empty part begins everywhere.
  static func find(_ part: [UInt8], in text: [UInt8], from start: Int = 0) -> Int? {
    guard let first = part.first else { return start <= text.count ? start : nil }
    var index = start
    while index + part.count <= text.count {
      if text[index] == first, text[index..<index + part.count].elementsEqual(part) { return index }
      index += 1
    }
    return nil
  }

  static func findLast(_ part: [UInt8], in text: [UInt8]) -> Int? {
    var index = text.count - part.count
    while index >= 0 {
      if text[index..<index + part.count].elementsEqual(part) { return index }
      index -= 1
    }
    return nil
  }

  /// At most `limit` splits; nil splits at runs of white space and drops empty parts.
  static func split(_ text: String, _ separator: String?, limit: Int, fromRight: Bool = false)
    -> [String]
  {
    // A list cannot be longer, and one more must not overflow.
    let limit = min(limit, Int(Int32.max))
    guard let separator else { return splitAtSpace(text, limit: limit, fromRight: fromRight) }
    let bytes = Array(text.utf8)
    let part = Array(separator.utf8)
    var cuts: [Int] = []
    var position = 0
    while let place = find(part, in: bytes, from: position), !part.isEmpty {
      cuts.append(place)
      position = place + part.count
    }
    if cuts.count > limit {
      cuts = fromRight ? Array(cuts.suffix(limit)) : Array(cuts.prefix(limit))
    }
    var result: [String] = []
    var start = 0
    for cut in cuts {
      result.append(String(decoding: bytes[start..<cut], as: UTF8.self))
      start = cut + part.count
    }
    result.append(String(decoding: bytes[start...], as: UTF8.self))
    return result
  }

  private static func splitAtSpace(_ text: String, limit: Int, fromRight: Bool) -> [String] {
    let scalars = Array(text.unicodeScalars)
    var words: [Range<Int>] = []
    var start: Int?
    for (index, scalar) in scalars.enumerated() {
      if scalar.isPythonSpace {
        if let begin = start { words.append(begin..<index) }
        start = nil
      } else if start == nil {
        start = index
      }
    }
    if let begin = start { words.append(begin..<scalars.count) }
    guard words.count > limit + 1 || (limit == 0 && !words.isEmpty) else {
      return words.map { String(scalars: scalars[$0]) }
    }
    // What is not split keeps its white space inside.
    if fromRight {
      let kept = words.suffix(limit)
      let rest = String(scalars: scalars[..<(words.dropLast(limit).last?.upperBound ?? 0)])
      return [strip(rest, nil, .right)] + kept.map { String(scalars: scalars[$0]) }
    }
    let rest = String(scalars: scalars[(words.dropFirst(limit).first?.lowerBound ?? 0)...])
    return words.prefix(limit).map { String(scalars: scalars[$0]) } + [rest]
  }

  /// Python's line breaks, which are more than the line feed.
  static func lines(_ text: String, keepEnds: Bool = false) -> [String] {
    var result: [String] = []
    var current = String.UnicodeScalarView()
    var afterReturn = false
    for scalar in text.unicodeScalars {
      if afterReturn {
        afterReturn = false
        if scalar == "\n" {
          if keepEnds, var last = result.popLast() {
            last.unicodeScalars.append(scalar)
            result.append(last)
          }
          continue
        }
      }
      switch scalar.value {
      case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029:
        if keepEnds { current.append(scalar) }
        result.append(String(current))
        current = String.UnicodeScalarView()
        afterReturn = scalar == "\r"
      default: current.append(scalar)
      }
    }
    if !current.isEmpty { result.append(String(current)) }
    return result
  }

  static func replace(_ text: String, _ old: String, _ new: String, limit: Int) -> String {
    if old.isEmpty {
      // Python puts `new` before every character and at the end.
      var result = ""
      var left = limit
      for scalar in text.unicodeScalars {
        if left > 0 {
          result += new
          left -= 1
        }
        result.unicodeScalars.append(scalar)
      }
      return left > 0 ? result + new : result
    }
    return split(text, old, limit: limit).joined(separator: new)
  }

  static func capitalize(_ text: String) -> String {
    guard let first = text.unicodeScalars.first else { return "" }
    return first.properties.titlecaseMapping
      + String(text.unicodeScalars.dropFirst()).lowercased()
  }

  /// Python's `str.title`: a letter is upper case where no letter stands before it.
  static func title(_ text: String) -> String {
    var result = ""
    var afterLetter = false
    for scalar in text.unicodeScalars {
      let properties = scalar.properties
      result += afterLetter ? properties.lowercaseMapping : properties.titlecaseMapping
      afterLetter = properties.isCased
    }
    return result
  }
}
