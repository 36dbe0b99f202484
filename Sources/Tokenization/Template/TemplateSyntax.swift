/// An expression, its line, and how deep it is nested: the parser bounds that, so that neither
/// evaluating nor freeing a hostile template overflows the stack.
struct TemplateExpression: Sendable {
  indirect enum Kind: Sendable {
    case constant(TemplateValue)
    case name(String)
    case list([TemplateExpression])
    case tuple([TemplateExpression])
    case dictionary([(key: TemplateExpression, value: TemplateExpression)])
    case attribute(TemplateExpression, String)
    case item(TemplateExpression, TemplateExpression)
    case slice(
      TemplateExpression, from: TemplateExpression?, to: TemplateExpression?,
      step: TemplateExpression?)
    case call(TemplateExpression, TemplateArguments)
    /// Without an expression it filters the content of a `{% filter %}` block.
    case filter(TemplateExpression?, String, TemplateArguments)
    case test(TemplateExpression, String, TemplateArguments)
    case unary(String, TemplateExpression)
    case binary(String, TemplateExpression, TemplateExpression)
    case compare(TemplateExpression, [(operation: String, right: TemplateExpression)])
    case and(TemplateExpression, TemplateExpression)
    case or(TemplateExpression, TemplateExpression)
    case concat([TemplateExpression])
    case conditional(
      TemplateExpression, then: TemplateExpression, otherwise: TemplateExpression?)
  }

  let kind: Kind
  let line: Int
  let depth: Int
}

/// The arguments of a call, a filter or a test.
struct TemplateArguments: Sendable {
  var positional: [TemplateExpression] = []
  var named: [(name: String, value: TemplateExpression)] = []
  /// `*values` and `**values`.
  var spread: TemplateExpression?
  var namedSpread: TemplateExpression?

  var all: [TemplateExpression] {
    positional + named.map(\.value) + [spread, namedSpread].compactMap { $0 }
  }
}

/// Where an assignment puts its value.
indirect enum TemplateTarget: Sendable {
  case name(String)
  case namespaceAttribute(String, String)
  case tuple([TemplateTarget])
}

/// What a macro, or the body of a `{% call %}`, takes and does.
struct TemplateMacro: Sendable {
  var name: String
  var parameters: [(name: String, fallback: TemplateExpression?)]
  var body: [TemplateStatement]
  /// Names the body reads beyond its parameters: surplus arguments are an error unless it does.
  var usesVarargs = false
  var usesKwargs = false
  var usesCaller = false
}

struct TemplateStatement: Sendable {
  indirect enum Kind: Sendable {
    case text(String)
    case output(TemplateExpression)
    case conditional([(test: TemplateExpression, body: [TemplateStatement])], [TemplateStatement])
    case loop(
      TemplateTarget, in: TemplateExpression, where: TemplateExpression?,
      body: [TemplateStatement], otherwise: [TemplateStatement], recursive: Bool)
    case set(TemplateTarget, TemplateExpression)
    /// `{% set name %}…{% endset %}`, with filters.
    case capture(TemplateTarget, filter: TemplateExpression?, body: [TemplateStatement])
    case macro(TemplateMacro)
    case call(TemplateExpression, TemplateMacro)
    case filter(TemplateExpression, body: [TemplateStatement])
    case with([(TemplateTarget, TemplateExpression)], body: [TemplateStatement])
    /// A body with variables of its own, as `{% generation %}` is.
    case scope([TemplateStatement])
    case breakLoop
    case continueLoop
  }

  let kind: Kind
  let line: Int
}
