/// What may follow a bar.
enum TemplateFilters {
  static let names: Set<String> = [
    "abs", "attr", "batch", "capitalize", "center", "count", "d", "default", "dictsort", "e",
    "escape", "first", "float", "format", "groupby", "indent", "int", "items", "join", "last",
    "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse",
    "round", "safe", "select", "selectattr", "slice", "sort", "string", "sum", "title", "tojson",
    "trim", "truncate", "unique", "upper", "urlencode", "wordcount",
  ]
}

extension TemplateEvaluator {
  func filter(
    _ name: String, _ value: TemplateValue, _ arguments: TemplateCallArguments, _ line: Int
  ) throws(TemplateError) -> TemplateValue {
    try charge(line)
    if let result = try textFilter(name, value, arguments, line) { return result }
    if let result = try sequenceFilter(name, value, arguments, line) { return result }
    switch name {
    case "default", "d":
      let usesFallback =
        value.isUndefined || (arguments.value(1, "boolean").map(isTrue) == true && !isTrue(value))
      return usesFallback ? arguments.value(0, "default_value") ?? .string("") : value
    case "tojson": return try json(value, arguments, line)
    case "items":
      switch value {
      case .undefined: return .sequence(TemplateSequence(.iterator, []))
      case .dictionary(let dictionary):
        return .sequence(TemplateSequence(.iterator, Self.pairs(dictionary)))
      default: throw TemplateError(.type, line: line, "'items' takes a dict")
      }
    case "attr":
      guard case .string(let attribute)? = arguments.value(0, "name") else {
        throw TemplateError(.type, line: line, "'attr' needs a name")
      }
      if case .dictionary = value, !TemplateMethods.exist(attribute, on: value) {
        return .undefined(attribute)
      }
      return try self.attribute(value, attribute, line)
    case "abs":
      if case .float(let number) = value { return .float(abs(number)) }
      return try isTrue(.bool(compare("<", value, .int(0), line))) ? unary("-", value, line) : value
    case "int": return integer(value, arguments)
    case "float":
      if let number = value.number { return .float(number) }
      if case .string(let text) = value, let number = Double(TemplateStrings.strip(text)) {
        return .float(number)
      }
      return arguments.value(0, "default") ?? .float(0)
    case "round": return try rounded(value, arguments, line)
    default:
      throw TemplateError(.unsupported, line: line, "there is no filter named '\(name)'")
    }
  }

  private func json(
    _ value: TemplateValue, _ arguments: TemplateCallArguments, _ line: Int
  ) throws(TemplateError) -> TemplateValue {
    var json = TemplateJSON()
    json.asciiOnly = arguments.value(0, "ensure_ascii").map(isTrue) ?? false
    switch arguments.value(1, "indent") {
    case .int(let width)?:
      json.indent = String(repeating: " ", count: min(max(width, 0), 64))
    case .string(let text)?: json.indent = text
    default: break
    }
    if json.indent != nil { json.itemSeparator = "," }
    if case .sequence(let separators)? = arguments.value(2, "separators"),
      separators.items.count == 2
    {
      json.itemSeparator = try text(separators.items[0], line)
      json.keySeparator = try text(separators.items[1], line)
    }
    json.sortsKeys = arguments.value(3, "sort_keys").map(isTrue) ?? false
    return .string(try json.encode(value, self, line))
  }

  /// Python's `int()`, with a default where the value is no number.
  private func integer(_ value: TemplateValue, _ arguments: TemplateCallArguments) -> TemplateValue
  {
    let fallback = arguments.value(0, "default") ?? .int(0)
    if let number = value.integer { return .int(number) }
    switch value {
    case .float(let number):
      return Int(exactly: number.rounded(.towardZero)).map { .int($0) } ?? fallback
    case .string(let text):
      let digits = TemplateStrings.strip(text)
      let base = arguments.value(1, "base")?.integer ?? 10
      if (2...36).contains(base), let number = Int(digits, radix: base) { return .int(number) }
      // Text with decimals counts by its whole part.
      let number = Double(digits)?.rounded(.towardZero)
      return number.flatMap { Int(exactly: $0) }.map { .int($0) } ?? fallback
    default: return fallback
    }
  }

  private func rounded(
    _ value: TemplateValue, _ arguments: TemplateCallArguments, _ line: Int
  ) throws(TemplateError) -> TemplateValue {
    guard let number = value.number else {
      throw TemplateError(.type, line: line, "'round' takes a number, not \(value.described)")
    }
    let digits = arguments.value(0, "precision")?.integer ?? 0
    guard (-300...300).contains(digits) else { return value }
    var scale = 1.0
    for _ in 0..<abs(digits) { scale *= 10 }
    let scaled = digits < 0 ? number / scale : number * scale
    guard scaled.isFinite else { return value }
    let result: Double
    switch arguments.value(1, "method") {
    case .string("ceil")?: result = scaled.rounded(.up)
    case .string("floor")?: result = scaled.rounded(.down)
    default:
      // Whole numbers stay whole.
      if case .int = value {
        return digits >= 0
          ? value : .int(Int(exactly: scaled.rounded(.toNearestOrEven) * scale) ?? 0)
      }
      // Python rounds the exact value; scaling may not keep a tie a tie.
      if digits >= 0 {
        let text = TemplateNumbers.fixed(number, decimals: digits)
        return .float(Double(text) ?? number)
      }
      result = scaled.rounded(.toNearestOrEven)
    }
    return .float(digits < 0 ? result * scale : result / scale)
  }
}
