/// The functions every template can call.
enum TemplateGlobals {
  static let names: Set<String> = [
    "range", "dict", "namespace", "raise_exception", "strftime_now", "joiner",
  ]
}

extension TemplateEvaluator {
  func global(
    _ name: String, _ arguments: TemplateCallArguments, _ line: Int
  ) throws(TemplateError) -> TemplateValue {
    switch name {
    case "range": return try range(arguments, line)
    case "dict": return .dictionary(try dictionary(arguments, line))
    case "namespace":
      var values: [String: TemplateValue] = [:]
      for (key, value) in try dictionary(arguments, line).entries {
        if case .string(let key) = key { values[key] = value }
      }
      namespaces.append(values)
      return .namespace(namespaces.count - 1)
    case "raise_exception":
      let message = try arguments.value(0, "message").map { value throws(TemplateError) in
        try text(value, line)
      }
      throw TemplateError(.raised, line: line, message ?? "the template gives no reason")
    case "strftime_now":
      guard case .string(let format)? = arguments.value(0, "format"),
        let text = now.formatted(format)
      else { throw TemplateError(.type, line: line, "strftime_now needs a format it knows") }
      return .string(text)
    default:
      throw TemplateError(.unsupported, line: line, "the function '\(name)' is left out")
    }
  }

  private func range(
    _ arguments: TemplateCallArguments, _ line: Int
  ) throws(TemplateError) -> TemplateValue {
    let numbers = arguments.positional.compactMap(\.integer)
    guard numbers.count == arguments.positional.count, (1...3).contains(numbers.count) else {
      throw TemplateError(.type, line: line, "range takes one to three whole numbers")
    }
    let start = numbers.count > 1 ? numbers[0] : 0
    let end = numbers.count > 1 ? numbers[1] : numbers[0]
    let step = numbers.count > 2 ? numbers[2] : 1
    guard step != 0 else { throw TemplateError(.type, line: line, "the step of a range is zero") }
    var items: [TemplateValue] = []
    var value = start
    while step > 0 ? value < end : value > end {
      // The sandbox of Jinja has the same bound.
      guard items.count < 100_000 else {
        throw TemplateError(.limit, line: line, "a range has more than 100000 numbers")
      }
      items.append(.int(value))
      let (next, overflow) = value.addingReportingOverflow(step)
      if overflow { break }
      value = next
    }
    try charge(line, work: items.count / 16)
    return .sequence(TemplateSequence(.range, items))
  }

  /// `dict(mapping or pairs, name=value, …)`.
  private func dictionary(
    _ arguments: TemplateCallArguments, _ line: Int
  ) throws(TemplateError) -> TemplateDictionary {
    var result = TemplateDictionary()
    if let first = arguments.positional.first {
      if case .dictionary(let dictionary) = first {
        result = dictionary
      } else {
        for pair in try elements(first, line) {
          let parts = try elements(pair, line)
          guard parts.count == 2 else {
            throw TemplateError(.type, line: line, "dict takes pairs of a key and a value")
          }
          try insert(parts[0], parts[1], into: &result, line)
        }
      }
    }
    for (name, value) in arguments.named {
      try insert(.string(name), value, into: &result, line)
    }
    return result
  }
}
