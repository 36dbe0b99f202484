extension TemplateEvaluator {
  /// The filters that make text of text; nil where `name` is none of them.
  func textFilter(
    _ name: String, _ value: TemplateValue, _ arguments: TemplateCallArguments, _ line: Int
  ) throws(TemplateError) -> TemplateValue? {
    if case .string(let text) = value { try charge(line, text: text) }
    switch name {
    case "string": return .string(try text(value, line))
    case "safe": return .markup(try text(value, line))
    case "upper": return .string(try text(value, line).uppercased())
    case "lower": return .string(try text(value, line).lowercased())
    case "capitalize": return .string(TemplateStrings.capitalize(try text(value, line)))
    case "title": return .string(titled(try text(value, line)))
    case "trim":
      var characters: String?
      if case .string(let text)? = arguments.value(0, "chars") { characters = text }
      return .string(TemplateStrings.strip(try text(value, line), characters))
    case "replace":
      guard let old = arguments.value(0, "old"), let new = arguments.value(1, "new") else {
        throw TemplateError(.type, line: line, "'replace' needs what to replace and by what")
      }
      let limit = arguments.value(2, "count")?.integer ?? -1
      return .string(
        try replace(
          try text(value, line), try text(old, line), try text(new, line),
          limit: limit < 0 ? .max - 1 : limit, line))
    case "indent": return .string(try indented(value, arguments, line))
    case "format":
      let values = TemplateValue.sequence(TemplateSequence(.tuple, arguments.positional))
      return .string(
        try percentFormat(
          try text(value, line),
          arguments.named.isEmpty ? values : .dictionary(arguments.named), line))
    case "escape", "e":
      return .string(
        try checked(TemplateStrings.escapedForHTML(try text(value, line)), line))
    case "center":
      let text = try text(value, line)
      let width = min(arguments.value(0, "width")?.integer ?? 80, limits.outputBytes / 4)
      let missing = max(0, width - text.unicodeScalars.count)
      // Python puts the odd blank left where the width is odd.
      let left = missing / 2 + (missing & width & 1)
      return .string(
        String(repeating: " ", count: left) + text + String(repeating: " ", count: missing - left))
    case "wordcount":
      return .int(
        try text(value, line).unicodeScalars.split { scalar in
          !CharacterClass.of(scalar.value).meets([.letter, .number]) && scalar != "_"
        }.count)
    case "truncate": return .string(try truncated(value, arguments, line))
    case "urlencode":
      guard case .string(let text) = value else {
        throw TemplateError(.type, line: line, "'urlencode' takes a string")
      }
      var result = ""
      for byte in text.utf8 {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E, 0x2F:
          result.unicodeScalars.append(Unicode.Scalar(byte))
        default: result += "%" + TemplateStrings.hexadecimal(UInt32(byte), digits: 2).uppercased()
        }
      }
      return .string(try checked(result, line))
    default: return nil
    }
  }

  /// Jinja's own title case: words begin at white space, hyphens and opening brackets.
  private func titled(_ text: String) -> String {
    var result = ""
    var startsWord = true
    for scalar in text.unicodeScalars {
      let isBoundary = scalar.isPythonSpace || "-({[<".unicodeScalars.contains(scalar)
      result += startsWord ? scalar.properties.uppercaseMapping : scalar.properties.lowercaseMapping
      startsWord = isBoundary
    }
    return result
  }

  private func indented(
    _ value: TemplateValue, _ arguments: TemplateCallArguments, _ line: Int
  ) throws(TemplateError) -> String {
    guard case .string(let text) = value else {
      throw TemplateError(.type, line: line, "'indent' takes a string, not \(value.described)")
    }
    let indention: String
    switch arguments.value(0, "width") {
    case .string(let text)?: indention = text
    case let width:
      indention = String(repeating: " ", count: min(max(width?.integer ?? 4, 0), 1000))
    }
    let indentsFirst = arguments.value(1, "first").map(isTrue) ?? false
    let indentsBlank = arguments.value(2, "blank").map(isTrue) ?? false
    let lines = TemplateStrings.lines(text + "\n")
    try charge(line, work: lines.count)
    let bytes = lines.count.multipliedReportingOverflow(by: indention.utf8.count)
    guard !bytes.overflow, bytes.partialValue <= limits.outputBytes else {
      throw TemplateError(.limit, line: line, "an indentation makes too much text")
    }
    let rest = lines.enumerated().map { index, text in
      index == 0 || (text.isEmpty && !indentsBlank) ? text : indention + text
    }
    return try checked((indentsFirst ? indention : "") + rest.joined(separator: "\n"), line)
  }

  /// Cuts at a word's end, with a leeway of five characters, as Jinja does.
  private func truncated(
    _ value: TemplateValue, _ arguments: TemplateCallArguments, _ line: Int
  ) throws(TemplateError) -> String {
    let text = try text(value, line)
    let length = arguments.value(0, "length")?.integer ?? 255
    let killsWords = arguments.value(1, "killwords").map(isTrue) ?? false
    var end = "..."
    if case .string(let given)? = arguments.value(2, "end") { end = given }
    let leeway = arguments.value(3, "leeway")?.integer ?? 5
    let scalars = Array(text.unicodeScalars)
    let (bound, overflow) = length.addingReportingOverflow(leeway)
    guard !overflow, length >= end.unicodeScalars.count, leeway >= 0 else {
      throw TemplateError(.type, line: line, "'truncate' needs room for its ending")
    }
    if scalars.count <= bound { return text }
    let kept = String(scalars: scalars.prefix(length - end.unicodeScalars.count))
    if killsWords { return kept + end }
    return TemplateStrings.split(kept, " ", limit: 1, fromRight: true)[0] + end
  }
}
