/// The fields of `"%5.2f" % x` and `"{:>5}".format(x)`, which share a small language.
struct TemplateFormatSpec {
  var fill: Unicode.Scalar = " "
  var align: Unicode.Scalar?
  var plus = false
  var alternate = false
  var grouped = false
  var width = 0
  var precision: Int?
  var type: Unicode.Scalar?

  /// Parses `[[fill]align][+][#][0][width][,][.precision][type]`.
  init?(_ text: some StringProtocol) {
    var rest = Array(text.unicodeScalars)[...]
    let aligns: Set<Unicode.Scalar> = ["<", ">", "^", "="]
    if rest.count > 1, aligns.contains(rest[rest.startIndex + 1]) {
      fill = rest.removeFirst()
      align = rest.removeFirst()
    } else if let first = rest.first, aligns.contains(first) {
      align = rest.removeFirst()
    }
    func skip(_ scalar: Unicode.Scalar) -> Bool {
      guard rest.first == scalar else { return false }
      rest.removeFirst()
      return true
    }
    func number() -> Int? {
      let digits = rest.prefix { ("0"..."9").contains($0) }
      rest = rest.dropFirst(digits.count)
      // A width of millions is an attack, not a layout.
      return digits.count > 6 ? nil : Int(String(scalars: digits)) ?? 0
    }
    plus = skip("+")
    if !plus { _ = skip("-") }
    alternate = skip("#")
    if rest.first == "0", align == nil {
      fill = "0"
      align = "="
      rest.removeFirst()
    }
    guard let width = number() else { return nil }
    self.width = width
    grouped = skip(",")
    if skip(".") {
      guard let digits = number() else { return nil }
      precision = digits
    }
    type = rest.popFirst()
    guard rest.isEmpty else { return nil }
  }

  /// `value` laid out; nil where the type does not fit it.
  func apply(_ value: TemplateValue, text: String) -> String? {
    switch (type, value) {
    case ("s", _), (nil, .string), (nil, .none), (nil, .sequence), (nil, .dictionary):
      let cut = precision.map { String(scalars: text.unicodeScalars.prefix($0)) } ?? text
      return padded(cut, numeric: false)
    case ("d", _), (nil, .int), ("x", _), ("X", _), ("o", _), ("b", _):
      guard let number = value.integer else { return nil }
      let radix = type == "x" || type == "X" ? 16 : type == "o" ? 8 : type == "b" ? 2 : 10
      let digits = String(number.magnitude, radix: radix, uppercase: type == "X")
      let prefix = alternate && radix != 10 ? "0" + String(Character(type ?? "x")) : ""
      return signed(prefix + (grouped ? Self.group(digits) : digits), isNegative: number < 0)
    case ("f", _), ("F", _), ("%", _):
      guard let number = value.number else { return nil }
      let scaled = type == "%" ? number * 100 : number
      let digits = TemplateNumbers.fixed(abs(scaled), decimals: min(precision ?? 6, 1000))
      let whole = digits.prefix { $0 != "." }
      let shown = grouped ? Self.group(String(whole)) + digits.dropFirst(whole.count) : digits
      return signed(shown + (type == "%" ? "%" : ""), isNegative: number.sign == .minus)
    case (nil, .float), (nil, .bool): return padded(text, numeric: true)
    default: return nil
    }
  }

  private static func group(_ digits: String) -> String {
    var result = ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { result += "," }
      result.append(digit)
    }
    return result
  }

  private func signed(_ digits: String, isNegative: Bool) -> String {
    padded(digits, sign: isNegative ? "-" : plus ? "+" : "", numeric: true)
  }

  private func padded(_ text: String, sign: String = "", numeric: Bool) -> String {
    let missing = max(0, width - text.unicodeScalars.count - sign.utf8.count)
    func fills(_ count: Int) -> String { String(repeating: String(Character(fill)), count: count) }
    switch align ?? (numeric ? ">" : "<") {
    case "<": return sign + text + fills(missing)
    case "^": return fills(missing / 2) + sign + text + fills(missing - missing / 2)
    case "=": return sign + fills(missing) + text
    default: return fills(missing) + sign + text
    }
  }
}

extension TemplateEvaluator {
  /// Python's `format % values`.
  func percentFormat(
    _ format: String, _ values: TemplateValue, _ line: Int
  ) throws(TemplateError) -> String {
    var arguments: [TemplateValue] = [values]
    if case .sequence(let sequence) = values, sequence.kind == .tuple { arguments = sequence.items }
    func fail(_ message: String) -> TemplateError { TemplateError(.type, line: line, message) }
    var used = 0
    var result = ""
    var rest = format.unicodeScalars[...]
    while let scalar = rest.popFirst() {
      guard scalar == "%" else {
        result.unicodeScalars.append(scalar)
        continue
      }
      var name: String?
      if rest.first == "(" {
        name = String(rest.dropFirst().prefix { $0 != ")" })
        rest = rest.drop { $0 != ")" }.dropFirst()
      }
      let flags = rest.prefix { !$0.properties.isAlphabetic && $0 != "%" }
      rest = rest.dropFirst(flags.count)
      guard let type = rest.popFirst() else { throw fail("a format ends within a field") }
      if type == "%" {
        result += "%"
        continue
      }
      let value: TemplateValue
      if let name {
        guard case .dictionary(let dictionary) = values, let named = dictionary[name] else {
          throw fail("the format names '\(name)', which is not given")
        }
        value = named
      } else {
        guard used < arguments.count else { throw fail("a format has more fields than values") }
        value = arguments[used]
        used += 1
      }
      result += try percentField(String(flags), type, value, line)
      try bound(result, line)
    }
    if case .dictionary = values { return result }
    guard used == arguments.count else { throw fail("a format has fewer fields than values") }
    return result
  }

  private func percentField(
    _ flags: String, _ type: Unicode.Scalar, _ value: TemplateValue, _ line: Int
  ) throws(TemplateError) -> String {
    var flags = flags
    // '-' aligns left here, where the newer language says '<'; text aligns right by itself.
    let isLeft = flags.contains("-")
    flags.removeAll { $0 == "-" }
    var converted = value
    var type = type
    if type == "d" || type == "i", case .float(let number) = value,
      let whole = Int(exactly: number.rounded(.towardZero))
    {
      converted = .int(whole)
    }
    if type == "i" { type = "d" }
    if type == "r" {
      type = "s"
      let list = try text(.list([value]), line)
      converted = .string(String(list.dropFirst().dropLast()))
    }
    let shown = try text(converted, line)
    guard ["s", "d", "f", "F", "x", "X", "o"].contains(type),
      var spec = TemplateFormatSpec(flags + String(Character(type)))
    else {
      throw TemplateError(.unsupported, line: line, "the format '%\(flags)\(type)' is left out")
    }
    if isLeft { spec.align = "<" } else if type == "s" { spec.align = ">" }
    if isLeft || type == "s" { spec.fill = " " }
    guard let text = spec.apply(converted, text: shown) else {
      throw TemplateError(.type, line: line, "'%\(type)' does not fit \(value.described)")
    }
    return text
  }

  /// Python's `format.format(…)`.
  func braceFormat(
    _ format: String, _ arguments: TemplateCallArguments, _ line: Int
  ) throws(TemplateError) -> String {
    func fail(_ message: String) -> TemplateError { TemplateError(.type, line: line, message) }
    var result = ""
    var next = 0
    var rest = format.unicodeScalars[...]
    while let scalar = rest.popFirst() {
      if scalar == "}" {
        guard rest.popFirst() == "}" else { throw fail("a format has a single '}'") }
        result += "}"
      } else if scalar == "{" {
        if rest.first == "{" {
          rest.removeFirst()
          result += "{"
          continue
        }
        let field = rest.prefix { $0 != "}" }
        rest = rest.dropFirst(field.count)
        guard rest.popFirst() != nil else { throw fail("a format has a single '{'") }
        let parts = String(field).split(
          separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let value = try braceValue(String(parts[0]), arguments, &next, line)
        let shown = try text(value, line)
        guard let spec = TemplateFormatSpec(parts.count > 1 ? parts[1] : ""),
          let text = spec.apply(value, text: shown)
        else { throw fail("the format '{\(String(field))}' does not fit \(value.described)") }
        result += text
        try bound(result, line)
      } else {
        result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  private func braceValue(
    _ field: String, _ arguments: TemplateCallArguments, _ next: inout Int, _ line: Int
  ) throws(TemplateError) -> TemplateValue {
    var path = field.split(separator: ".", omittingEmptySubsequences: false)
    let head = path.isEmpty ? "" : String(path.removeFirst())
    let index = head.isEmpty ? next : Int(head)
    if head.isEmpty { next += 1 }
    let found =
      if let index {
        arguments.positional.indices.contains(index) ? arguments.positional[index] : nil
      } else {
        arguments.named.first { $0.name == head }?.value
      }
    guard var value = found else {
      throw TemplateError(.type, line: line, "the format names '\(field)', which is not given")
    }
    for name in path { value = try attribute(value, String(name), line) }
    return value
  }
}
