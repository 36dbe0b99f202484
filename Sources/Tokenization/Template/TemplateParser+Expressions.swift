extension TemplateParser {
  /// Makes an expression over `parts`, unless it is nested too deep.
  private func make(
    _ kind: TemplateExpression.Kind, _ line: Int, _ parts: [TemplateExpression] = []
  ) throws(TemplateError) -> TemplateExpression {
    let depth = 1 + (parts.lazy.map(\.depth).max() ?? 0)
    guard depth <= Self.deepestExpression else {
      throw TemplateError(
        .limit, line: line, "an expression is nested more than \(Self.deepestExpression) deep")
    }
    return TemplateExpression(kind: kind, line: line, depth: depth)
  }

  /// Runs one more level of recursive descent; bounded, because brackets may nest without a node.
  private mutating func nested<Result>(
    _ parse: (inout TemplateParser) throws(TemplateError) -> Result
  ) throws(TemplateError) -> Result {
    expressionNesting += 1
    defer { expressionNesting -= 1 }
    guard expressionNesting <= Self.deepestExpression else {
      throw TemplateError(
        .limit, line: line, "an expression is nested more than \(Self.deepestExpression) deep")
    }
    return try parse(&self)
  }

  /// One expression, or several separated by commas: a tuple.
  mutating func tuple(
    withCondition: Bool = true, inParentheses: Bool = false, isLoop: Bool = false
  ) throws(TemplateError) -> TemplateExpression {
    let line = line
    var items: [TemplateExpression] = []
    var isTuple = false
    while !isTupleEnd, !(isLoop && token == .name("recursive")) {
      items.append(withCondition ? try expression() : try or())
      guard skip(.symbol(",")) else { break }
      isTuple = true
    }
    if !isTuple, let first = items.first { return first }
    guard isTuple || inParentheses else {
      throw fail("expected an expression, found \(Self.describe(token))")
    }
    return try make(.tuple(items), line, items)
  }

  private var isTupleEnd: Bool {
    switch token {
    case .variableEnd, .blockEnd, .symbol(")"): true
    default: false
    }
  }

  mutating func expression() throws(TemplateError) -> TemplateExpression {
    try nested { parser throws(TemplateError) in try parser.conditionalExpression() }
  }

  private mutating func conditionalExpression() throws(TemplateError) -> TemplateExpression {
    let start = position
    let outer = isInBranch
    // What stands left of `if` is known to be a branch only afterwards: look ahead by parsing twice.
    let namesBefore = names
    let hadUnknown = hasUnknown
    isInBranch = true
    var result = try or()
    isInBranch = outer
    if token != .name("if") {
      if !outer, hasUnknown {
        position = start
        names = namesBefore
        hasUnknown = false
        result = try or()
      }
      return result
    }
    isInBranch = true
    defer {
      isInBranch = outer
      hasUnknown = hadUnknown
    }
    while skip(.name("if")) {
      let line = line
      let test = try or()
      let otherwise = skip(.name("else")) ? try expression() : nil
      result = try make(
        .conditional(test, then: result, otherwise: otherwise), line,
        [result, test] + [otherwise].compactMap { $0 })
    }
    return result
  }

  private mutating func or() throws(TemplateError) -> TemplateExpression {
    var left = try and()
    while skip(.name("or")) {
      let right = try and()
      left = try make(.or(left, right), left.line, [left, right])
    }
    return left
  }

  private mutating func and() throws(TemplateError) -> TemplateExpression {
    var left = try not()
    while skip(.name("and")) {
      let right = try not()
      left = try make(.and(left, right), left.line, [left, right])
    }
    return left
  }

  private mutating func not() throws(TemplateError) -> TemplateExpression {
    let line = line
    guard skip(.name("not")) else { return try comparison() }
    let operand = try nested { parser throws(TemplateError) in try parser.not() }
    return try make(.unary("not", operand), line, [operand])
  }

  private mutating func comparison() throws(TemplateError) -> TemplateExpression {
    let first = try sum()
    var rest: [(operation: String, right: TemplateExpression)] = []
    while true {
      if case .symbol(let symbol) = token,
        ["==", "!=", "<", "<=", ">", ">="].contains(symbol)
      {
        advance()
        rest.append((symbol, try sum()))
      } else if skip(.name("in")) {
        rest.append(("in", try sum()))
      } else if token == .name("not"), following == .name("in") {
        advance()
        advance()
        rest.append(("not in", try sum()))
      } else {
        break
      }
    }
    return rest.isEmpty
      ? first : try make(.compare(first, rest), first.line, [first] + rest.map(\.right))
  }

  private mutating func sum() throws(TemplateError) -> TemplateExpression {
    var left = try concatenation()
    while case .symbol(let symbol) = token, symbol == "+" || symbol == "-" {
      advance()
      let right = try concatenation()
      left = try make(.binary(symbol, left, right), left.line, [left, right])
    }
    return left
  }

  private mutating func concatenation() throws(TemplateError) -> TemplateExpression {
    var parts = [try product()]
    while skip(.symbol("~")) { parts.append(try product()) }
    return parts.count == 1 ? parts[0] : try make(.concat(parts), parts[0].line, parts)
  }

  private mutating func product() throws(TemplateError) -> TemplateExpression {
    var left = try power()
    while case .symbol(let symbol) = token, ["*", "/", "//", "%"].contains(symbol) {
      advance()
      let right = try power()
      left = try make(.binary(symbol, left, right), left.line, [left, right])
    }
    return left
  }

  private mutating func power() throws(TemplateError) -> TemplateExpression {
    var left = try unary()
    while skip(.symbol("**")) {
      let right = try unary()
      left = try make(.binary("**", left, right), left.line, [left, right])
    }
    return left
  }

  private mutating func unary(withFilters: Bool = true) throws(TemplateError) -> TemplateExpression
  {
    let line = line
    var result: TemplateExpression
    if case .symbol(let symbol) = token, symbol == "-" || symbol == "+" {
      advance()
      let operand = try nested { parser throws(TemplateError) in
        try parser.unary(withFilters: false)
      }
      result = try make(.unary(symbol, operand), line, [operand])
    } else {
      result = try primary()
    }
    result = try postfix(result)
    guard withFilters else { return result }
    while true {
      if token == .symbol("|") {
        result = try filters(result)
      } else if token == .name("is") {
        result = try test(result)
      } else if token == .symbol("(") {
        result = try call(result)
      } else {
        return result
      }
    }
  }

  private mutating func primary() throws(TemplateError) -> TemplateExpression {
    let line = line
    let current = token
    switch current {
    case .name(let name):
      advance()
      switch name {
      case "true", "True": return try make(.constant(.bool(true)), line)
      case "false", "False": return try make(.constant(.bool(false)), line)
      case "none", "None": return try make(.constant(.none), line)
      default:
        names.insert(name)
        return try make(.name(name), line)
      }
    case .string(var text):
      advance()
      while case .string(let more) = token {
        text += more
        advance()
      }
      return try make(.constant(.string(text)), line)
    case .integer(let value):
      advance()
      return try make(.constant(.int(value)), line)
    case .float(let value):
      advance()
      return try make(.constant(.float(value)), line)
    case .symbol("("):
      advance()
      let result = try tuple(inParentheses: true)
      try expect(.symbol(")"))
      return result
    case .symbol("["):
      let items = try list()
      return try make(.list(items), line, items)
    case .symbol("{"): return try dictionary()
    default: throw fail("unexpected \(Self.describe(current))")
    }
  }

  private mutating func list() throws(TemplateError) -> [TemplateExpression] {
    try expect(.symbol("["))
    var items: [TemplateExpression] = []
    while token != .symbol("]") {
      if !items.isEmpty {
        try expect(.symbol(","))
        if token == .symbol("]") { break }
      }
      items.append(try expression())
    }
    try expect(.symbol("]"))
    return items
  }

  private mutating func dictionary() throws(TemplateError) -> TemplateExpression {
    let line = line
    try expect(.symbol("{"))
    var entries: [(key: TemplateExpression, value: TemplateExpression)] = []
    while token != .symbol("}") {
      if !entries.isEmpty {
        try expect(.symbol(","))
        if token == .symbol("}") { break }
      }
      let key = try expression()
      try expect(.symbol(":"))
      entries.append((key, try expression()))
    }
    try expect(.symbol("}"))
    return try make(.dictionary(entries), line, entries.flatMap { [$0.key, $0.value] })
  }

  private mutating func postfix(_ base: TemplateExpression) throws(TemplateError)
    -> TemplateExpression
  {
    var result = base
    while true {
      let line = line
      switch token {
      case .symbol("."):
        advance()
        if case .integer(let index) = token {
          advance()
          let key = try make(.constant(.int(index)), line)
          result = try make(.item(result, key), line, [result])
        } else {
          let name = try expectName()
          result = try make(.attribute(result, name), line, [result])
        }
      case .symbol("["): result = try subscripted(result)
      case .symbol("("): result = try call(result)
      default: return result
      }
    }
  }

  private mutating func subscripted(_ base: TemplateExpression) throws(TemplateError)
    -> TemplateExpression
  {
    let line = line
    try expect(.symbol("["))
    func isPart(_ token: TemplateToken) -> Bool { token != .symbol(":") && token != .symbol("]") }
    let first = isPart(token) ? try tuple() : nil
    guard skip(.symbol(":")) else {
      try expect(.symbol("]"))
      guard let first else { throw fail("expected an index") }
      return try make(.item(base, first), line, [base, first])
    }
    let end = isPart(token) ? try expression() : nil
    let step = skip(.symbol(":")) && isPart(token) ? try expression() : nil
    try expect(.symbol("]"))
    return try make(
      .slice(base, from: first, to: end, step: step), line,
      [base] + [first, end, step].compactMap { $0 })
  }

  private mutating func call(_ base: TemplateExpression) throws(TemplateError)
    -> TemplateExpression
  {
    let line = line
    let arguments = try self.arguments()
    return try make(.call(base, arguments), line, [base] + arguments.all)
  }

  private mutating func arguments() throws(TemplateError) -> TemplateArguments {
    try expect(.symbol("("))
    var result = TemplateArguments()
    var isFirst = true
    while token != .symbol(")") {
      if !isFirst {
        try expect(.symbol(","))
        if token == .symbol(")") { break }
      }
      isFirst = false
      if result.spread == nil, result.namedSpread == nil, skip(.symbol("*")) {
        result.spread = try expression()
      } else if result.namedSpread == nil, skip(.symbol("**")) {
        result.namedSpread = try expression()
      } else if case .name(let name) = token, following == .symbol("="),
        result.namedSpread == nil
      {
        advance()
        advance()
        result.named.append((name, try expression()))
      } else {
        guard result.spread == nil, result.namedSpread == nil, result.named.isEmpty else {
          throw fail("an argument without a name follows one with a name")
        }
        result.positional.append(try expression())
      }
    }
    try expect(.symbol(")"))
    return result
  }

  /// `|name(arguments)`, once or more; with nil, the filters of a block, where the first has no bar.
  mutating func filters(_ base: TemplateExpression?) throws(TemplateError) -> TemplateExpression {
    var result = base
    var needsBar = base != nil || token == .symbol("|")
    while true {
      if needsBar, !skip(.symbol("|")) { break }
      needsBar = true
      let line = line
      let name = try dottedName()
      try check(name, in: TemplateFilters.names, what: "filter")
      let arguments = token == .symbol("(") ? try self.arguments() : TemplateArguments()
      result = try make(
        .filter(result, name, arguments), line, [result].compactMap { $0 } + arguments.all)
    }
    guard let result else { throw fail("expected a filter") }
    return result
  }

  private mutating func test(_ base: TemplateExpression) throws(TemplateError)
    -> TemplateExpression
  {
    let line = line
    try expect(.name("is"))
    let isNegated = skip(.name("not"))
    let name = try dottedName()
    try check(name, in: TemplateTests.names, what: "test")
    var arguments = TemplateArguments()
    switch token {
    case .symbol("("): arguments = try self.arguments()
    case .name("else"), .name("or"), .name("and"): break
    case .name("is"): throw fail("tests cannot be chained with 'is'")
    case .name, .string, .integer, .float, .symbol("["), .symbol("{"):
      arguments.positional = [try postfix(try primary())]
    default: break
    }
    let result = try make(.test(base, name, arguments), line, [base] + arguments.all)
    return isNegated ? try make(.unary("not", result), line, [result]) : result
  }

  private mutating func dottedName() throws(TemplateError) -> String {
    var name = try expectName()
    while skip(.symbol(".")) { name += "." + (try expectName()) }
    return name
  }

  private mutating func check(
    _ name: String, in known: Set<String>, what: String
  ) throws(TemplateError) {
    guard !known.contains(name) else { return }
    hasUnknown = true
    guard isInBranch else {
      throw TemplateError(.unsupported, line: line, "there is no \(what) named '\(name)'")
    }
  }
}
