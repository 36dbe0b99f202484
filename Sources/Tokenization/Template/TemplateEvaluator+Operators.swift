extension TemplateEvaluator {
  /// Python's truth: empty, zero, None and undefined are false.
  func isTrue(_ value: TemplateValue) -> Bool {
    switch value {
    case .undefined, .none: false
    case .bool(let value): value
    case .int(let value): value != 0
    case .float(let value): value != 0
    case .string(let text), .markup(let text): !text.isEmpty
    case .sequence(let sequence): sequence.kind == .iterator || !sequence.items.isEmpty
    case .dictionary(let dictionary): dictionary.count > 0
    case .namespace, .macro, .loop, .function, .method: true
    }
  }

  private func undefined(_ value: TemplateValue, _ line: Int) -> TemplateError? {
    guard case .undefined(let name) = value else { return nil }
    return TemplateError(.undefined, line: line, "'\(name)' is undefined")
  }

  func unary(
    _ operation: String, _ value: TemplateValue, _ line: Int
  ) throws(TemplateError) -> TemplateValue {
    if operation == "not" { return .bool(!isTrue(value)) }
    if let error = undefined(value, line) { throw error }
    if case .float(let number) = value { return .float(operation == "-" ? -number : number) }
    guard let number = value.integer else {
      throw TemplateError(.type, line: line, "'\(operation)' does not apply to \(value.described)")
    }
    return try checkedInteger(
      operation == "-" ? 0.subtractingReportingOverflow(number) : (number, false), line)
  }

  private func checkedInteger(
    _ result: (partialValue: Int, overflow: Bool), _ line: Int
  ) throws(TemplateError) -> TemplateValue {
    guard !result.overflow else {
      throw TemplateError(.limit, line: line, "a number grows beyond 64 bits")
    }
    return .int(result.partialValue)
  }

  func binary(
    _ operation: String, _ left: TemplateValue, _ right: TemplateValue, _ line: Int
  ) throws(TemplateError) -> TemplateValue {
    if let error = undefined(left, line) ?? undefined(right, line) { throw error }
    if let result = try markup(operation, left, right, line) { return result }
    if operation == "%", case .string(let format) = left {
      return .string(try checked(try percentFormat(format, right, line), line))
    }
    switch (operation, left, right) {
    case ("+", .string(let left), .string(let right)):
      return .string(try checked(left + right, line))
    case ("+", .sequence(let left), .sequence(let right))
    where left.kind == right.kind && (left.kind == .list || left.kind == .tuple):
      try charge(line, work: left.items.count + right.items.count)
      return .sequence(TemplateSequence(left.kind, left.items + right.items))
    case ("*", .string(let text), _), ("*", _, .string(let text)):
      guard let count = left.integer ?? right.integer else { break }
      let (bytes, overflow) = text.utf8.count.multipliedReportingOverflow(by: max(count, 0))
      guard !overflow, bytes <= limits.outputBytes else {
        throw TemplateError(.limit, line: line, "a repeated string is too long")
      }
      return .string(try checked(String(repeating: text, count: max(count, 0)), line))
    case ("*", .sequence(let sequence), _), ("*", _, .sequence(let sequence)):
      guard let count = left.integer ?? right.integer,
        sequence.kind == .list || sequence.kind == .tuple
      else { break }
      let times = sequence.items.isEmpty ? 0 : max(count, 0)
      let (total, overflow) = sequence.items.count.multipliedReportingOverflow(by: times)
      try charge(line, work: overflow ? .max : total)
      let copies = [[TemplateValue]](repeating: sequence.items, count: times)
      return .sequence(TemplateSequence(sequence.kind, Array(copies.joined())))
    default: break
    }
    if let left = left.integer, let right = right.integer {
      return try integers(operation, left, right, line)
    }
    if let left = left.number, let right = right.number {
      return .float(try floats(operation, left, right, line))
    }
    throw TemplateError(
      .type, line: line,
      "'\(operation)' does not apply to \(left.described) and \(right.described)")
  }

  /// An operation on markup; nil where neither operand is. A sum stays markup, its plain part escaped;
  /// for all else markup is a string.
  private func markup(
    _ operation: String, _ left: TemplateValue, _ right: TemplateValue, _ line: Int
  ) throws(TemplateError) -> TemplateValue? {
    switch (left, right) {
    case (.markup(let left), .markup(let right)) where operation == "+":
      return .markup(try checked(left + right, line))
    case (.markup(let left), .string(let right)) where operation == "+":
      return .markup(try checked(left + TemplateStrings.escapedForHTML(right), line))
    case (.string(let left), .markup(let right)) where operation == "+":
      return .markup(try checked(TemplateStrings.escapedForHTML(left) + right, line))
    case (.markup(let text), _): return try binary(operation, .string(text), right, line)
    case (_, .markup(let text)): return try binary(operation, left, .string(text), line)
    default: return nil
    }
  }

  private func integers(
    _ operation: String, _ left: Int, _ right: Int, _ line: Int
  ) throws(TemplateError) -> TemplateValue {
    switch operation {
    case "+": return try checkedInteger(left.addingReportingOverflow(right), line)
    case "-": return try checkedInteger(left.subtractingReportingOverflow(right), line)
    case "*": return try checkedInteger(left.multipliedReportingOverflow(by: right), line)
    case "//", "%":
      guard right != 0 else { throw TemplateError(.type, line: line, "division by zero") }
      // Python rounds down; only Int.min / -1 overflows.
      let (quotient, overflow) = left.dividedReportingOverflow(by: right)
      if overflow { return operation == "%" ? .int(0) : try checkedInteger((quotient, true), line) }
      let remainder = left % right
      let isRounded = remainder != 0 && (remainder < 0) != (right < 0)
      return .int(
        operation == "//" ? quotient - (isRounded ? 1 : 0) : remainder + (isRounded ? right : 0))
    case "**":
      guard right >= 0 else {
        return .float(try floats(operation, Double(left), Double(right), line))
      }
      var result = TemplateValue.int(1)
      // Beyond 64 turns only 0, 1 and -1 stay within 64 bits.
      let turns = right <= 64 ? right : abs(left.signum()) == 1 && abs(left) == 1 ? right % 2 : 64
      if left == 0, right > 0 { return .int(0) }
      for _ in 0..<turns {
        result = try integers("*", result.integer ?? 0, left, line)
      }
      return result
    default: return .float(try floats(operation, Double(left), Double(right), line))
    }
  }

  private func floats(
    _ operation: String, _ left: Double, _ right: Double, _ line: Int
  ) throws(TemplateError) -> Double {
    switch operation {
    case "+": return left + right
    case "-": return left - right
    case "*": return left * right
    case "**":
      guard let exponent = Int(exactly: right), abs(exponent) <= 1024 else {
        throw TemplateError(.unsupported, line: line, "'**' takes whole exponents up to 1024 only")
      }
      var result = 1.0
      for _ in 0..<abs(exponent) { result *= left }
      guard exponent >= 0 || result != 0 else {
        throw TemplateError(.type, line: line, "division by zero")
      }
      return exponent < 0 ? 1 / result : result
    default:
      guard right != 0 else { throw TemplateError(.type, line: line, "division by zero") }
      if operation == "/" { return left / right }
      let quotient = (left / right).rounded(.down)
      return operation == "//" ? quotient : left - quotient * right
    }
  }

  func compare(
    _ operation: String, _ left: TemplateValue, _ right: TemplateValue, _ line: Int
  ) throws(TemplateError) -> Bool {
    switch operation {
    case "==": return try equal(left, right, line)
    case "!=": return try !equal(left, right, line)
    case "in": return try contains(right, left, line)
    case "not in": return try !contains(right, left, line)
    default:
      if let error = undefined(left, line) ?? undefined(right, line) { throw error }
      guard let order = try order(left, right, line) else { return false }
      switch operation {
      case "<": return order < 0
      case "<=": return order <= 0
      case ">": return order > 0
      default: return order >= 0
      }
    }
  }

  /// Python's equality: numbers by value, collections by their elements, different types are unequal.
  func equal(
    _ left: TemplateValue, _ right: TemplateValue, _ line: Int
  ) throws(TemplateError) -> Bool {
    try charge(line)
    switch (left, right) {
    case (.string(let left), .string(let right)):
      try charge(line, text: left)
      return left.isSame(as: right)
    case (.undefined, .undefined), (.none, .none): return true
    case (.sequence(let left), .sequence(let right)):
      guard left.kind == right.kind, left.items.count == right.items.count else { return false }
      for (left, right) in zip(left.items, right.items)
      where try !equal(left, right, line) {
        return false
      }
      return true
    case (.dictionary(let left), .dictionary(let right)):
      guard left.count == right.count else { return false }
      for (key, value) in left.entries {
        guard let other = right[key: key], try equal(value, other, line) else { return false }
      }
      return true
    case (.namespace(let left), .namespace(let right)), (.macro(let left), .macro(let right)):
      return left == right
    case (.function(let left), .function(let right)): return left == right
    default:
      if let left = left.integer, let right = right.integer { return left == right }
      guard let left = left.number, let right = right.number else { return false }
      return left == right
    }
  }

  /// Negative, zero or positive as `left` is below, equal to or above `right`; nil where neither
  /// holds, as with NaN.
  func order(
    _ left: TemplateValue, _ right: TemplateValue, _ line: Int
  ) throws(TemplateError) -> Int? {
    try charge(line)
    switch (left, right) {
    case (.string(let left), .string(let right)):
      try charge(line, text: left)
      // UTF-8 sorts as code points do.
      if left.isSame(as: right) { return 0 }
      return left.utf8.lexicographicallyPrecedes(right.utf8) ? -1 : 1
    case (.sequence(let left), .sequence(let right))
    where left.kind == right.kind && left.isIndexable:
      for (left, right) in zip(left.items, right.items) {
        if try !equal(left, right, line) { return try order(left, right, line) }
      }
      return left.items.count - right.items.count
    default:
      if let left = left.integer, let right = right.integer {
        return left < right ? -1 : left > right ? 1 : 0
      }
      guard let first = left.number, let second = right.number else {
        throw TemplateError(
          .type, line: line, "\(left.described) and \(right.described) have no order")
      }
      return first < second ? -1 : first > second ? 1 : first == second ? 0 : nil
    }
  }

  /// Python's `in`.
  func contains(
    _ container: TemplateValue, _ value: TemplateValue, _ line: Int
  ) throws(TemplateError) -> Bool {
    switch container {
    case .string(let text):
      guard case .string(let part) = value else {
        throw TemplateError(.type, line: line, "\(value.described) cannot be in a string")
      }
      try charge(line, text: text)
      return TemplateStrings.find(Array(part.utf8), in: Array(text.utf8)) != nil
    case .sequence(let sequence):
      for item in sequence.items where try equal(item, value, line) { return true }
      return false
    case .dictionary(let dictionary):
      guard TemplateKey.isHashable(value) else {
        throw TemplateError(.type, line: line, "\(value.described) cannot be a key")
      }
      try charge(line, work: dictionary.count / 16)
      return dictionary[key: value] != nil
    case .undefined: return false
    default:
      throw TemplateError(.type, line: line, "'in' does not apply to \(container.described)")
    }
  }

  /// What a loop over `value` sees.
  func elements(_ value: TemplateValue, _ line: Int) throws(TemplateError) -> [TemplateValue] {
    switch value {
    case .sequence(let sequence):
      try charge(line, work: sequence.items.count / 16)
      return sequence.items
    case .dictionary(let dictionary):
      try charge(line, work: dictionary.count / 16)
      return dictionary.entries.map(\.key)
    case .string(let text):
      try charge(line, work: text.utf8.count / 4)
      return text.unicodeScalars.map { .string(String(Character($0))) }
    case .undefined: return []
    default:
      throw TemplateError(.type, line: line, "\(value.described) cannot be iterated over")
    }
  }
}
