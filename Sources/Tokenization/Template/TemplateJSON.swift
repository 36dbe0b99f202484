/// Python's `json.dumps`, as Hugging Face's `tojson` filter calls it: nothing is escaped for HTML.
struct TemplateJSON {
  var asciiOnly = false
  var indent: String?
  var itemSeparator = ", "
  var keySeparator = ": "
  var sortsKeys = false

  func encode(
    _ value: TemplateValue, _ evaluator: TemplateEvaluator, _ line: Int
  ) throws(TemplateError) -> String {
    var result = ""
    try append(value, to: &result, level: 0, evaluator, line)
    return result
  }

  private func append(
    _ value: TemplateValue, to result: inout String, level: Int, _ evaluator: TemplateEvaluator,
    _ line: Int
  ) throws(TemplateError) {
    try evaluator.charge(line)
    try evaluator.bound(result, line)
    switch value {
    case .none: result += "null"
    case .bool(let value): result += value ? "true" : "false"
    case .int(let value): result += String(value)
    case .float(let value): result += Self.number(value)
    case .string(let text):
      try evaluator.charge(line, text: text)
      result += quoted(text)
    case .sequence(let sequence) where sequence.kind == .list || sequence.kind == .tuple:
      guard !sequence.items.isEmpty else {
        result += "[]"
        return
      }
      result += "["
      for (index, item) in sequence.items.enumerated() {
        separate(index, level + 1, &result)
        try append(item, to: &result, level: level + 1, evaluator, line)
      }
      close(level, &result)
      result += "]"
    case .dictionary(let dictionary):
      guard dictionary.count > 0 else {
        result += "{}"
        return
      }
      var entries: [(key: String, value: TemplateValue)] = []
      for (key, value) in dictionary.entries { entries.append((try name(key, line), value)) }
      if sortsKeys { entries.sort { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) } }
      result += "{"
      for (index, entry) in entries.enumerated() {
        separate(index, level + 1, &result)
        result += quoted(entry.key) + keySeparator
        try append(entry.value, to: &result, level: level + 1, evaluator, line)
      }
      close(level, &result)
      result += "}"
    default:
      throw TemplateError(.type, line: line, "\(value.described) cannot be written as JSON")
    }
  }

  private func separate(_ index: Int, _ level: Int, _ result: inout String) {
    if index > 0 { result += itemSeparator }
    if let indent { result += "\n" + String(repeating: indent, count: level) }
  }

  private func close(_ level: Int, _ result: inout String) {
    if let indent { result += "\n" + String(repeating: indent, count: level) }
  }

  private func name(_ key: TemplateValue, _ line: Int) throws(TemplateError) -> String {
    switch key {
    case .string(let text): return text
    case .none: return "null"
    case .bool(let value): return value ? "true" : "false"
    case .int(let value): return String(value)
    case .float(let value): return Self.number(value)
    default:
      throw TemplateError(.type, line: line, "\(key.described) cannot be a key in JSON")
    }
  }

  private static func number(_ value: Double) -> String {
    value.isNaN
      ? "NaN"
      : value.isInfinite
        ? value < 0 ? "-Infinity" : "Infinity" : TemplateNumbers.representation(value)
  }

  private func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "\u{8}": result += "\\b"
      case "\u{C}": result += "\\f"
      case _
      where scalar.value < 0x20
        || (asciiOnly && scalar.value >= 0x7F + (scalar.value == 0x7F ? 1 : 0)):
        for unit in String(Character(scalar)).utf16 {
          result += "\\u" + TemplateStrings.hexadecimal(UInt32(unit), digits: 4)
        }
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
