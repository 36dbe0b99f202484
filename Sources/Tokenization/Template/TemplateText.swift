extension TemplateEvaluator {
  /// Python's `str()`, with nothing for undefined: what a value prints as.
  func text(_ value: TemplateValue, _ line: Int) throws(TemplateError) -> String {
    switch value {
    case .string(let text), .markup(let text): return text
    case .undefined: return ""
    default:
      var result = ""
      try appendRepresentation(of: value, to: &result, line)
      return result
    }
  }

  /// Python's `repr()`.
  private func appendRepresentation(
    of value: TemplateValue, to result: inout String, _ line: Int
  ) throws(TemplateError) {
    try charge(line)
    try bound(result, line)
    switch value {
    case .undefined: result += "Undefined"
    case .none: result += "None"
    case .bool(let value): result += value ? "True" : "False"
    case .int(let value): result += String(value)
    case .float(let value): result += TemplateNumbers.representation(value)
    case .string(let text), .markup(let text):
      try charge(line, text: text)
      result += TemplateStrings.representation(text)
    case .sequence(let sequence):
      let (opening, closing) =
        switch sequence.kind {
        case .tuple: ("(", sequence.items.count == 1 ? ",)" : ")")
        case .view: ("dict_view([", "])")
        case .list, .range, .iterator: ("[", "]")
        }
      result += opening
      for (index, item) in sequence.items.enumerated() {
        if index > 0 { result += ", " }
        try appendRepresentation(of: item, to: &result, line)
      }
      result += closing
    case .dictionary(let dictionary):
      result += "{"
      for (index, entry) in dictionary.entries.enumerated() {
        if index > 0 { result += ", " }
        try appendRepresentation(of: entry.key, to: &result, line)
        result += ": "
        try appendRepresentation(of: entry.value, to: &result, line)
      }
      result += "}"
    case .namespace, .macro, .loop, .function, .method:
      // Python prints an address here: no template can mean that.
      throw TemplateError(.type, line: line, "\(value.described) has no text")
    }
  }
}

/// Numbers as Python writes them.
enum TemplateNumbers {
  /// The shortest digits that read back as `value`; an exponent from 1e16 and below 1e-4.
  static func representation(_ value: Double) -> String {
    if value.isNaN { return "nan" }
    if value.isInfinite { return value < 0 ? "-inf" : "inf" }
    let (digits, exponent) = shortest(abs(value))
    let sign = value.sign == .minus ? "-" : ""
    if exponent >= 16 || exponent < -4 {
      let rest = digits.dropFirst()
      let power = abs(exponent) < 10 ? "0\(abs(exponent))" : "\(abs(exponent))"
      return sign + digits.prefix(1) + (rest.isEmpty ? "" : "." + rest)
        + (exponent < 0 ? "e-" : "e+") + power
    }
    if exponent < 0 { return sign + "0." + String(repeating: "0", count: -exponent - 1) + digits }
    let whole = digits.prefix(exponent + 1)
    let padding = String(repeating: "0", count: max(0, exponent + 1 - digits.count))
    let fraction = digits.dropFirst(exponent + 1)
    return sign + whole + padding + "." + (fraction.isEmpty ? "0" : fraction)
  }

  /// The digits of a positive number and the power of ten of the first one.
  private static func shortest(_ value: Double) -> (digits: String, exponent: Int) {
    guard value > 0 else { return ("0", 0) }
    let text = value.description.lowercased()
    let parts = text.split(separator: "e")
    let number = parts[0].split(separator: ".", omittingEmptySubsequences: false)
    let whole = String(number[0])
    let fraction = number.count > 1 && number[1] != "0" ? String(number[1]) : ""
    let shift = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
    let all = whole + fraction
    let leading = all.prefix { $0 == "0" }.count
    var digits = String(all.dropFirst(leading))
    while digits.count > 1, digits.hasSuffix("0") { digits.removeLast() }
    return (digits, whole.count - 1 - leading + shift)
  }

  /// A number with a fixed count of decimals, as `%.2f` writes it.
  static func fixed(_ value: Double, decimals: Int) -> String {
    guard value.isFinite else { return representation(value) }
    // Exact decimal digits of the binary value, so that rounding is Python's: half to even on the
    // true value. Long arithmetic on decimal digits, least significant first.
    var digits = wholeDigits(abs(value).rounded(.down))
    var fraction = abs(value) - abs(value).rounded(.down)
    var decimalsText = ""
    for _ in 0..<min(decimals, 1100) {
      // Multiplying by ten may round; the split keeps the sum exact for the digits a template asks.
      fraction *= 10
      let digit = fraction.rounded(.down)
      decimalsText += String(Int(digit))
      fraction -= digit
    }
    let last = decimalsText.last ?? digits.last ?? "0"
    if fraction > 0.5 || (fraction == 0.5 && (last.wholeNumberValue ?? 0) % 2 == 1) {
      var all = Array((digits + decimalsText).utf8)
      var index = all.count - 1
      while index >= 0, all[index] == UInt8(ascii: "9") {
        all[index] = UInt8(ascii: "0")
        index -= 1
      }
      if index >= 0 { all[index] += 1 } else { all.insert(UInt8(ascii: "1"), at: 0) }
      let text = String(decoding: all, as: UTF8.self)
      digits = String(text.dropLast(decimalsText.count))
      decimalsText = String(text.suffix(decimalsText.count))
    }
    return (value.sign == .minus ? "-" : "") + digits + (decimals > 0 ? "." + decimalsText : "")
  }

  private static func wholeDigits(_ value: Double) -> String {
    if let small = Int(exactly: value) { return String(small) }
    let (digits, exponent) = shortest(value)
    return digits + String(repeating: "0", count: max(0, exponent + 1 - digits.count))
  }
}
