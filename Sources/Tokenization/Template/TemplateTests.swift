/// What may follow `is`.
enum TemplateTests {
  static let names: Set<String> = [
    "boolean", "callable", "defined", "divisibleby", "eq", "equalto", "escaped", "even", "false",
    "filter", "float", "ge", "greaterthan", "gt", "in", "integer", "iterable", "le", "lessthan",
    "lower", "lt", "mapping", "ne", "none", "number", "odd", "sameas", "sequence", "string", "test",
    "true", "undefined", "upper",
  ]
}

extension TemplateEvaluator {
  func test(
    _ name: String, _ value: TemplateValue, _ arguments: TemplateCallArguments, _ line: Int
  ) throws(TemplateError) -> Bool {
    func other() throws(TemplateError) -> TemplateValue {
      guard let other = arguments.positional.first else {
        throw TemplateError(.type, line: line, "the test '\(name)' needs a value to compare with")
      }
      return other
    }
    func remainder(_ divisor: Int) throws(TemplateError) -> Int? {
      guard case .int(let rest) = try binary("%", value, .int(divisor), line) else { return nil }
      return rest
    }
    switch (name, value) {
    case ("defined", _): return !value.isUndefined
    case ("undefined", _): return value.isUndefined
    case ("none", .none): return true
    case ("boolean", .bool): return true
    case ("true", .bool(let value)): return value
    case ("false", .bool(let value)): return !value
    case ("integer", .int), ("float", .float), ("string", .string), ("mapping", .dictionary):
      return true
    case ("number", .int), ("number", .float), ("number", .bool): return true
    case ("sequence", .sequence(let sequence)): return sequence.isIndexable
    case ("sequence", .string), ("sequence", .dictionary): return true
    case ("sequence", .undefined): return false
    case ("iterable", .sequence), ("iterable", .string), ("iterable", .dictionary): return true
    case ("iterable", .undefined): return true
    case ("callable", .function), ("callable", .macro), ("callable", .method): return true
    case ("even", _): return try remainder(2) == 0
    case ("odd", _): return try remainder(2) == 1
    case ("divisibleby", _): return !isTrue(try binary("%", value, try other(), line))
    case ("eq", _), ("equalto", _): return try equal(value, try other(), line)
    case ("ne", _): return try !equal(value, try other(), line)
    case ("lt", _), ("lessthan", _): return try compare("<", value, try other(), line)
    case ("gt", _), ("greaterthan", _): return try compare(">", value, try other(), line)
    case ("le", _): return try compare("<=", value, try other(), line)
    case ("ge", _): return try compare(">=", value, try other(), line)
    case ("in", _): return try contains(try other(), value, line)
    case ("sameas", _):
      // Values have no identity here: equal values of one type count as the same.
      let other = try other()
      return value.typeName == other.typeName ? try equal(value, other, line) : false
    case ("upper", _): return hasCase(try text(value, line), upper: true)
    case ("lower", _): return hasCase(try text(value, line), upper: false)
    case ("filter", .string(let name)): return TemplateFilters.names.contains(name)
    case ("test", .string(let name)): return TemplateTests.names.contains(name)
    default:
      guard TemplateTests.names.contains(name) else {
        throw TemplateError(.unsupported, line: line, "there is no test named '\(name)'")
      }
      return false
    }
  }
}
