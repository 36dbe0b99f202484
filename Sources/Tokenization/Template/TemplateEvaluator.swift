/// Variables of one scope; lookups go outwards.
final class TemplateScope {
  var variables: [String: TemplateValue] = [:]
  let parent: TemplateScope?

  init(_ parent: TemplateScope? = nil) { self.parent = parent }

  func value(_ name: String) -> TemplateValue? {
    var scope: TemplateScope? = self
    while let current = scope {
      if let value = current.variables[name] { return value }
      scope = current.parent
    }
    return nil
  }
}

/// Where a running loop stands.
struct TemplateLoopState {
  var items: [TemplateValue]
  var index = 0
  /// What `loop.changed` saw last.
  var lastChecked: TemplateValue?
}

/// Runs a template. One evaluator serves one rendering and counts what it costs.
final class TemplateEvaluator {
  enum Flow { case next, breakLoop, continueLoop }

  let limits: TemplateLimits
  let now: TemplateDate
  /// What the template has written; captures swap it for a while.
  var output = ""
  var namespaces: [[String: TemplateValue]] = []
  var macros: [(macro: TemplateMacro, scope: TemplateScope)] = []
  var loops: [TemplateLoopState] = []
  /// The content a filter block hands to its first filter.
  var filterInput: TemplateValue = .none
  private var steps = 0
  private var depth = 0

  init(limits: TemplateLimits, now: TemplateDate) {
    self.limits = limits
    self.now = now
  }

  /// Counts work; every loop in here pays for its turns.
  func charge(_ line: Int, work: Int = 1) throws(TemplateError) {
    // Compared before it is added: work may be any number.
    guard work <= limits.steps - steps else {
      throw TemplateError(.limit, line: line, "it takes more than \(limits.steps) steps")
    }
    steps += max(work, 1)
  }

  /// Runs one more level of nesting.
  func nested<Result>(
    _ line: Int, _ body: () throws(TemplateError) -> Result
  ) throws(TemplateError) -> Result {
    depth += 1
    defer { depth -= 1 }
    guard depth <= limits.depth else {
      throw TemplateError(
        .limit, line: line, "calls and blocks nest more than \(limits.depth) deep")
    }
    return try body()
  }

  /// Pays for going through a text once.
  func charge(_ line: Int, text: String) throws(TemplateError) {
    try charge(line, work: 1 + text.utf8.count / 256)
  }

  /// Bounds the length of a string while it grows.
  func bound(_ text: String, _ line: Int) throws(TemplateError) {
    guard text.utf8.count <= limits.outputBytes else {
      throw TemplateError(
        .limit, line: line, "it makes more than \(limits.outputBytes) bytes of text")
    }
  }

  /// A finished string, bounded and paid for.
  func checked(_ text: String, _ line: Int) throws(TemplateError) -> String {
    try bound(text, line)
    try charge(line, text: text)
    return text
  }

  /// Bounds how deep collections are nested: printing and freeing them takes stack.
  func checked(_ value: TemplateValue, _ line: Int) throws(TemplateError) -> TemplateValue {
    guard value.depth <= 100 else {
      throw TemplateError(.limit, line: line, "lists are nested more than 100 deep")
    }
    return value
  }

  private func write(_ text: String, _ line: Int) throws(TemplateError) {
    output += text
    guard output.utf8.count <= limits.outputBytes else {
      throw TemplateError(.limit, line: line, "it writes more than \(limits.outputBytes) bytes")
    }
  }

  /// What `body` writes, instead of writing it.
  func captured(_ body: () throws(TemplateError) -> Void) throws(TemplateError) -> String {
    let outer = output
    output = ""
    defer { output = outer }
    try body()
    return output
  }

  @discardableResult
  func execute(
    _ statements: [TemplateStatement], _ scope: TemplateScope
  ) throws(TemplateError) -> Flow {
    for statement in statements {
      let flow = try execute(statement, scope)
      if flow != .next { return flow }
    }
    return .next
  }

  private func execute(
    _ statement: TemplateStatement, _ scope: TemplateScope
  ) throws(TemplateError) -> Flow {
    let line = statement.line
    try charge(line)
    return try nested(line) { () throws(TemplateError) in
      switch statement.kind {
      case .text(let text): try write(text, line)
      case .output(let expression):
        try write(try text(try evaluate(expression, scope), line), line)
      case .conditional(let branches, let otherwise):
        for branch in branches where isTrue(try evaluate(branch.test, scope)) {
          return try execute(branch.body, scope)
        }
        return try execute(otherwise, scope)
      case .loop(let target, let items, let test, let body, let otherwise, let recursive):
        guard !recursive else {
          throw TemplateError(.unsupported, line: line, "recursive loops are left out")
        }
        try loop(target, items, test, body, otherwise, scope, line)
      case .set(let target, let expression):
        try assign(target, try evaluateWithMarkup(expression, scope), scope, line)
      case .capture(let target, let filter, let body):
        let text = try captured { () throws(TemplateError) in
          try execute(body, TemplateScope(scope))
        }
        try assign(target, try filtered(text, filter, scope), scope, line)
      case .macro(let macro):
        macros.append((macro, scope))
        scope.variables[macro.name] = .macro(macros.count - 1)
      case .call(let call, let caller):
        macros.append((caller, scope))
        let value = try self.call(call, scope, caller: .macro(macros.count - 1))
        try write(try text(value, line), line)
      case .filter(let filter, let body):
        let text = try captured { () throws(TemplateError) in
          try execute(body, TemplateScope(scope))
        }
        try write(try self.text(try filtered(text, filter, scope), line), line)
      case .with(let values, let body):
        let inner = TemplateScope(scope)
        for (target, value) in values {
          try assign(target, try evaluate(value, scope), inner, line)
        }
        return try execute(body, inner)
      case .scope(let body): return try execute(body, TemplateScope(scope))
      case .breakLoop: return .breakLoop
      case .continueLoop: return .continueLoop
      }
      return .next
    }
  }

  private func filtered(
    _ text: String, _ filter: TemplateExpression?, _ scope: TemplateScope
  ) throws(TemplateError) -> TemplateValue {
    guard let filter else { return .string(text) }
    let outer = filterInput
    filterInput = .string(text)
    defer { filterInput = outer }
    return try evaluate(filter, scope)
  }

  private func loop(
    _ target: TemplateTarget, _ list: TemplateExpression, _ test: TemplateExpression?,
    _ body: [TemplateStatement], _ otherwise: [TemplateStatement], _ scope: TemplateScope,
    _ line: Int
  ) throws(TemplateError) {
    var items = try elements(try evaluate(list, scope), line)
    if let test {
      var kept: [TemplateValue] = []
      for item in items {
        let inner = TemplateScope(scope)
        try assign(target, item, inner, line)
        if isTrue(try evaluate(test, inner)) { kept.append(item) }
      }
      items = kept
    }
    guard !items.isEmpty else {
      try execute(otherwise, TemplateScope(scope))
      return
    }
    loops.append(TemplateLoopState(items: items))
    let state = loops.count - 1
    defer { loops.removeLast() }
    for (index, item) in items.enumerated() {
      try charge(line)
      loops[state].index = index
      let inner = TemplateScope(scope)
      inner.variables["loop"] = .loop(state)
      try assign(target, item, inner, line)
      if try execute(body, inner) == .breakLoop { break }
    }
  }

  /// Stores a value; a tuple of targets takes a sequence apart.
  func assign(
    _ target: TemplateTarget, _ value: TemplateValue, _ scope: TemplateScope, _ line: Int
  ) throws(TemplateError) {
    switch target {
    case .name(let name): scope.variables[name] = value
    case .namespaceAttribute(let name, let attribute):
      guard case .namespace(let index) = scope.value(name), namespaces.indices.contains(index)
      else {
        throw TemplateError(
          .type, line: line, "'\(name)' is no namespace: only those have attributes to set")
      }
      namespaces[index][attribute] = value
    case .tuple(let targets):
      let items = try elements(value, line)
      guard items.count == targets.count else {
        throw TemplateError(
          .type, line: line,
          "\(items.count) values cannot be taken apart into \(targets.count) names")
      }
      for (target, item) in zip(targets, items) { try assign(target, item, scope, line) }
    }
  }
}
