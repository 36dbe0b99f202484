extension TemplateEvaluator {
  func evaluate(
    _ expression: TemplateExpression, _ scope: TemplateScope
  ) throws(TemplateError) -> TemplateValue {
    let value = try evaluateWithMarkup(expression, scope)
    if case .markup(let text) = value { return .string(text) }
    return value
  }

  /// For the places where markup may go on as such: sums and variables.
  func evaluateWithMarkup(
    _ expression: TemplateExpression, _ scope: TemplateScope
  ) throws(TemplateError) -> TemplateValue {
    let line = expression.line
    try charge(line)
    return try nested(line) { () throws(TemplateError) in
      switch expression.kind {
      case .constant(let value): return value
      case .name(let name):
        if let value = scope.value(name) { return value }
        return TemplateGlobals.names.contains(name) ? .function(name) : .undefined(name)
      case .list(let items): return try checked(.list(try values(items, scope)), line)
      case .tuple(let items):
        return try checked(.sequence(TemplateSequence(.tuple, try values(items, scope))), line)
      case .dictionary(let entries):
        var result = TemplateDictionary()
        for (key, value) in entries {
          let key = try evaluate(key, scope)
          try insert(key, try evaluate(value, scope), into: &result, line)
        }
        return try checked(.dictionary(result), line)
      case .attribute(let base, let name):
        return try attribute(try evaluate(base, scope), name, line)
      case .item(let base, let key):
        return try item(try evaluate(base, scope), try evaluate(key, scope), line)
      case .slice(let base, let from, let to, let step):
        return try slice(
          try evaluate(base, scope), try bound(from, scope), try bound(to, scope),
          try bound(step, scope), line)
      case .call: return try call(expression, scope)
      case .filter(let input, let name, let arguments):
        let value = if let input { try evaluate(input, scope) } else { filterInput }
        return try filter(name, value, try self.arguments(arguments, scope, line), line)
      case .test(let input, let name, let arguments):
        let value = try evaluate(input, scope)
        return .bool(try test(name, value, try self.arguments(arguments, scope, line), line))
      case .unary(let operation, let operand):
        return try unary(operation, try evaluate(operand, scope), line)
      case .binary(let operation, let left, let right):
        let left = try evaluateWithMarkup(left, scope)
        return try binary(operation, left, try evaluateWithMarkup(right, scope), line)
      case .compare(let first, let rest): return try comparison(first, rest, scope, line)
      case .and(let left, let right):
        let left = try evaluateWithMarkup(left, scope)
        return isTrue(left) ? try evaluateWithMarkup(right, scope) : left
      case .or(let left, let right):
        let left = try evaluateWithMarkup(left, scope)
        return isTrue(left) ? left : try evaluateWithMarkup(right, scope)
      case .concat(let parts):
        var result = ""
        for part in parts {
          result += try text(try evaluate(part, scope), line)
          try bound(result, line)
        }
        return .string(try checked(result, line))
      case .conditional(let test, let then, let otherwise):
        if isTrue(try evaluate(test, scope)) { return try evaluateWithMarkup(then, scope) }
        guard let otherwise else { return .undefined("the missing else") }
        return try evaluateWithMarkup(otherwise, scope)
      }
    }
  }

  private func values(
    _ expressions: [TemplateExpression], _ scope: TemplateScope
  ) throws(TemplateError) -> [TemplateValue] {
    var result: [TemplateValue] = []
    for expression in expressions { result.append(try evaluate(expression, scope)) }
    return result
  }

  func insert(
    _ key: TemplateValue, _ value: TemplateValue, into dictionary: inout TemplateDictionary,
    _ line: Int
  ) throws(TemplateError) {
    guard TemplateKey.isHashable(key) else {
      throw TemplateError(.type, line: line, "\(key.described) cannot be a key")
    }
    try charge(line, work: 1 + dictionary.count / 16)
    dictionary.set(key, value)
  }

  private func comparison(
    _ first: TemplateExpression, _ rest: [(operation: String, right: TemplateExpression)],
    _ scope: TemplateScope, _ line: Int
  ) throws(TemplateError) -> TemplateValue {
    var left = try evaluate(first, scope)
    for (operation, expression) in rest {
      let right = try evaluate(expression, scope)
      guard try compare(operation, left, right, line) else { return .bool(false) }
      left = right
    }
    return .bool(true)
  }

  func arguments(
    _ arguments: TemplateArguments, _ scope: TemplateScope, _ line: Int
  ) throws(TemplateError) -> TemplateCallArguments {
    var result = TemplateCallArguments(positional: try values(arguments.positional, scope))
    for (name, value) in arguments.named {
      result.named.append((name, try evaluate(value, scope)))
    }
    if let spread = arguments.spread {
      result.positional += try elements(try evaluate(spread, scope), line)
    }
    if let spread = arguments.namedSpread {
      guard case .dictionary(let dictionary) = try evaluate(spread, scope) else {
        throw TemplateError(.type, line: line, "what follows ** is no dict")
      }
      for (key, value) in dictionary.entries {
        guard case .string(let name) = key else {
          throw TemplateError(.type, line: line, "the names of arguments must be strings")
        }
        result.named.append((name, value))
      }
    }
    return result
  }

  /// Calls a function, a method or a macro; `caller` is the body of a `{% call %}`.
  func call(
    _ expression: TemplateExpression, _ scope: TemplateScope, caller: TemplateValue? = nil
  ) throws(TemplateError) -> TemplateValue {
    guard case .call(let callee, let unevaluated) = expression.kind else {
      return try evaluate(expression, scope)
    }
    let line = expression.line
    let function = try evaluate(callee, scope)
    var arguments = try self.arguments(unevaluated, scope, line)
    if let caller { arguments.named.append(("caller", caller)) }
    switch function {
    case .function(let name): return try global(name, arguments, line)
    case .method(let receiver, let name): return try method(name, of: receiver, arguments, line)
    case .macro(let index) where macros.indices.contains(index):
      return try invoke(macros[index].macro, macros[index].scope, arguments, line)
    case .undefined(let name):
      throw TemplateError(.undefined, line: line, "'\(name)' is undefined and cannot be called")
    default:
      throw TemplateError(.type, line: line, "\(function.described) cannot be called")
    }
  }

  private func invoke(
    _ macro: TemplateMacro, _ definition: TemplateScope, _ arguments: TemplateCallArguments,
    _ line: Int
  ) throws(TemplateError) -> TemplateValue {
    let scope = TemplateScope(definition)
    var arguments = arguments
    func surplus(_ what: String) -> TemplateError {
      TemplateError(.type, line: line, "the macro '\(macro.name)' does not take \(what)")
    }
    let positional = min(arguments.positional.count, macro.parameters.count)
    for (parameter, value) in zip(macro.parameters, arguments.positional) {
      scope.variables[parameter.name] = value
    }
    let rest = Array(arguments.positional[positional...])
    guard rest.isEmpty || macro.usesVarargs else {
      throw surplus("\(arguments.positional.count) arguments")
    }
    scope.variables["varargs"] =
      macro.usesVarargs ? .sequence(TemplateSequence(.tuple, rest)) : nil

    if let caller = arguments.take("caller") {
      guard macro.usesCaller else { throw surplus("a body: it never uses 'caller'") }
      scope.variables["caller"] = caller
    } else if macro.usesCaller {
      scope.variables["caller"] = .undefined("caller")
    }
    for (index, parameter) in macro.parameters.enumerated() where index >= positional {
      if let value = arguments.take(parameter.name) {
        scope.variables[parameter.name] = value
      } else if let fallback = parameter.fallback {
        scope.variables[parameter.name] = try evaluate(fallback, scope)
      } else {
        scope.variables[parameter.name] = .undefined(parameter.name)
      }
    }
    if macro.usesKwargs {
      scope.variables["kwargs"] = .dictionary(arguments.named)
    } else if let (name, _) = arguments.named.first {
      throw surplus("an argument '\(name)'")
    }
    return .string(
      try captured { () throws(TemplateError) in try execute(macro.body, scope) })
  }
}

/// Evaluated arguments, taken off one after the other.
struct TemplateCallArguments {
  var positional: [TemplateValue] = []
  var named: [(name: String, value: TemplateValue)] = []

  /// Removes and returns the argument of that name.
  mutating func take(_ name: String) -> TemplateValue? {
    named.firstIndex { $0.name == name }.map { named.remove(at: $0).value }
  }

  /// The argument at `position`, or of that name.
  func value(_ position: Int, _ name: String) -> TemplateValue? {
    position < positional.count ? positional[position] : named.first { $0.name == name }?.value
  }
}
