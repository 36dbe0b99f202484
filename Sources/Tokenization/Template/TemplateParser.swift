/// Turns tokens into statements, by Jinja's grammar.
struct TemplateParser {
  var tokens: [TemplateLexer.Located]
  var position = 0
  /// Nested statements; expressions carry their own depth.
  private var nesting = 0
  var expressionNesting = 0
  /// Loops around the current tag that `break` may leave; captures and macros hide those outside.
  private var loopDepth = 0
  /// Whether an unknown filter or test may wait until it is used. Jinja decides so for what stands
  /// in a branch: templates ask `is defined` before they use what another runtime offers.
  var isInBranch = false
  /// Whether such a filter or test was met since this was last cleared.
  var hasUnknown = false
  /// The names read so far: what a macro's body adds tells which arguments it takes.
  var names: Set<String> = []

  static let deepestStatement = 60
  static let deepestExpression = 150

  /// The statements of a template.
  static func parse(_ source: String) throws(TemplateError) -> [TemplateStatement] {
    var parser = TemplateParser(tokens: try TemplateLexer.tokens(of: source))
    let (body, _) = try parser.statements(until: [])
    return body
  }

  private init(tokens: [TemplateLexer.Located]) { self.tokens = tokens }

  // The lexer ends every list with `.end`, and nothing moves past it.
  var token: TemplateToken { tokens[position].token }
  var line: Int { tokens[position].line }
  var following: TemplateToken { tokens[min(position + 1, tokens.count - 1)].token }

  mutating func advance() { if position < tokens.count - 1 { position += 1 } }

  mutating func skip(_ wanted: TemplateToken) -> Bool {
    guard token == wanted else { return false }
    advance()
    return true
  }

  mutating func expect(_ wanted: TemplateToken) throws(TemplateError) {
    guard skip(wanted) else {
      throw fail("expected \(Self.describe(wanted)), found \(Self.describe(token))")
    }
  }

  mutating func expectName() throws(TemplateError) -> String {
    guard case .name(let name) = token else {
      throw fail("expected a name, found \(Self.describe(token))")
    }
    advance()
    return name
  }

  func fail(_ message: String) -> TemplateError { TemplateError(.syntax, line: line, message) }

  static func describe(_ token: TemplateToken) -> String {
    switch token {
    case .data: "text"
    case .variableBegin: "'{{'"
    case .variableEnd: "'}}'"
    case .blockBegin: "'{%'"
    case .blockEnd: "'%}'"
    case .name(let name): "'\(name)'"
    case .string: "a string"
    case .integer, .float: "a number"
    case .symbol(let symbol): "'\(symbol)'"
    case .end: "the end of the template"
    }
  }

  /// Statements up to a tag whose name is in `ends`; returns that name, which is then consumed.
  private mutating func statements(
    until ends: [String]
  ) throws(TemplateError) -> ([TemplateStatement], end: String) {
    nesting += 1
    defer { nesting -= 1 }
    guard nesting <= Self.deepestStatement else {
      throw TemplateError(
        .limit, line: line, "tags are nested more than \(Self.deepestStatement) deep")
    }
    var body: [TemplateStatement] = []
    while true {
      let line = line
      switch token {
      case .data(let text):
        body.append(TemplateStatement(kind: .text(text), line: line))
        advance()
      case .variableBegin:
        advance()
        body.append(TemplateStatement(kind: .output(try tuple()), line: line))
        try expect(.variableEnd)
      case .blockBegin:
        advance()
        let tag = try expectName()
        if ends.contains(tag) { return (body, tag) }
        body.append(TemplateStatement(kind: try statement(tag), line: line))
        try expect(.blockEnd)
      default:
        guard ends.isEmpty else {
          throw fail("expected '{% \(ends.joined(separator: " %}' or '{% ")) %}', found the end")
        }
        return (body, "")
      }
    }
  }

  /// What a body does to the loops around it.
  private enum Loops { case hidden, kept, entered }

  /// A body between two tags, up to and without the end of its closing tag.
  private mutating func body(
    _ ends: String..., isBranch: Bool = false, loops: Loops = .hidden
  ) throws(TemplateError) -> ([TemplateStatement], end: String) {
    try expect(.blockEnd)
    let (outer, outerDepth) = (isInBranch, loopDepth)
    isInBranch = isBranch
    switch loops {
    case .hidden: loopDepth = 0
    case .kept: break
    case .entered: loopDepth += 1
    }
    defer { (isInBranch, loopDepth) = (outer, outerDepth) }
    return try statements(until: ends)
  }

  private mutating func statement(_ tag: String) throws(TemplateError) -> TemplateStatement.Kind {
    switch tag {
    case "if": return try conditional()
    case "for": return try loop()
    case "set": return try assignment()
    case "macro":
      let name = try expectName()
      return .macro(try macro(name, end: "endmacro"))
    case "call": return try callBlock()
    case "filter":
      let filter = try filters(nil)
      return .filter(filter, body: try body("endfilter").0)
    case "with": return try with()
    case "generation": return .scope(try body("endgeneration", loops: .kept).0)
    case "break", "continue":
      guard loopDepth > 0 else { throw fail("'\(tag)' stands outside of a loop") }
      return tag == "break" ? .breakLoop : .continueLoop
    case "block", "extends", "include", "import", "from", "autoescape":
      throw TemplateError(
        .unsupported, line: line, "the tag '\(tag)' has no meaning in a chat template")
    default: throw fail("unknown tag '\(tag)'")
    }
  }

  private mutating func conditional() throws(TemplateError) -> TemplateStatement.Kind {
    var branches: [(test: TemplateExpression, body: [TemplateStatement])] = []
    while true {
      let outer = isInBranch
      isInBranch = true
      let test = try tuple(withCondition: false)
      isInBranch = outer
      let (branch, end) = try body("elif", "else", "endif", isBranch: true, loops: .kept)
      branches.append((test, branch))
      if end == "endif" { return .conditional(branches, []) }
      if end == "else" {
        return .conditional(branches, try body("endif", isBranch: true, loops: .kept).0)
      }
    }
  }

  private mutating func loop() throws(TemplateError) -> TemplateStatement.Kind {
    let target = try self.target()
    try expect(.name("in"))
    let items = try tuple(withCondition: false, isLoop: true)
    let test = skip(.name("if")) ? try expression() : nil
    let recursive = skip(.name("recursive"))
    let (repeated, end) = try body("endfor", "else", loops: .entered)
    let otherwise = end == "else" ? try body("endfor").0 : []
    return .loop(
      target, in: items, where: test, body: repeated, otherwise: otherwise, recursive: recursive)
  }

  private mutating func assignment() throws(TemplateError) -> TemplateStatement.Kind {
    let target = try self.target(allowsNamespaces: true)
    if skip(.symbol("=")) { return .set(target, try tuple()) }
    let filter = token == .symbol("|") ? try filters(nil) : nil
    return .capture(target, filter: filter, body: try body("endset").0)
  }

  private mutating func macro(_ name: String, end: String) throws(TemplateError) -> TemplateMacro {
    var macro = TemplateMacro(name: name, parameters: [], body: [])
    let outer = names
    names = []
    if token == .symbol("(") || end == "endmacro" {
      try expect(.symbol("("))
      while token != .symbol(")") {
        if !macro.parameters.isEmpty { try expect(.symbol(",")) }
        let parameter = try expectName()
        let fallback = skip(.symbol("=")) ? try expression() : nil
        if fallback == nil, macro.parameters.last?.fallback != nil {
          throw fail("the parameter '\(parameter)' needs a default, as the one before it has one")
        }
        macro.parameters.append((parameter, fallback))
      }
      try expect(.symbol(")"))
    }
    if end == "endmacro" { macro.body = try body(end).0 }
    macro.usesVarargs = names.contains("varargs")
    macro.usesKwargs = names.contains("kwargs")
    macro.usesCaller = names.contains("caller")
    names.formUnion(outer)
    return macro
  }

  private mutating func callBlock() throws(TemplateError) -> TemplateStatement.Kind {
    var caller = try macro("caller", end: "endcall")
    let call = try expression()
    guard case .call = call.kind else { throw fail("'call' needs a call of a macro") }
    caller.body = try body("endcall").0
    return .call(call, caller)
  }

  private mutating func with() throws(TemplateError) -> TemplateStatement.Kind {
    var values: [(TemplateTarget, TemplateExpression)] = []
    while token != .blockEnd {
      if !values.isEmpty { try expect(.symbol(",")) }
      let target = try self.target(isTuple: false)
      try expect(.symbol("="))
      values.append((target, try expression()))
    }
    return .with(values, body: try body("endwith", loops: .kept).0)
  }

  /// `name`, `name.attribute` of a namespace, or several separated by commas.
  private mutating func target(
    allowsNamespaces: Bool = false, isTuple: Bool = true, depth: Int = 0
  ) throws(TemplateError) -> TemplateTarget {
    guard depth < 8 else { throw fail("targets are nested too deep") }
    var targets: [TemplateTarget] = []
    var hasComma = false
    while true {
      if skip(.symbol("(")) {
        targets.append(try target(allowsNamespaces: allowsNamespaces, depth: depth + 1))
        try expect(.symbol(")"))
      } else {
        let name = try expectName()
        guard !["true", "false", "none", "True", "False", "None"].contains(name) else {
          throw fail("cannot assign to '\(name)'")
        }
        if allowsNamespaces, skip(.symbol(".")) {
          targets.append(.namespaceAttribute(name, try expectName()))
        } else {
          targets.append(.name(name))
        }
      }
      guard isTuple, skip(.symbol(",")) else { break }
      hasComma = true
      if token == .symbol("=") || token == .name("in") || token == .symbol(")") { break }
    }
    return hasComma ? .tuple(targets) : targets[0]
  }
}
