/// One message of a conversation.
package struct ChatMessage: Sendable {
  package var role: String
  /// Text, a list of parts, or none where a message only calls tools.
  package var content: TemplateValue
  /// What else the message has, by its JSON name: `tool_calls`, `tool_call_id`, `name`, …
  package var fields: [(String, TemplateValue)]

  package init(role: String, content: TemplateValue, fields: [(String, TemplateValue)] = []) {
    self.role = role
    self.content = content
    self.fields = fields
  }

  package init(role: String, content: String) {
    self.init(role: role, content: .string(content))
  }

  var value: TemplateValue {
    .dictionary([("role", .string(role)), ("content", content)] + fields)
  }
}

/// The rule by which a model wants a conversation written as one text: a Jinja template from its
/// file. It runs in an interpreter that can do nothing but make text, within bounds.
package struct ChatTemplate: Sendable {
  private let statements: [TemplateStatement]

  /// Parses `source`; nothing runs yet.
  package init(_ source: String) throws(TemplateError) {
    statements = try TemplateParser.parse(source)
  }

  /// The text of a conversation. `tools` is a list of JSON schemas; `extra` holds further variables
  /// that some templates read, such as `enable_thinking`.
  package func render(
    messages: [ChatMessage], addGenerationPrompt: Bool = true, bos: String = "",
    eos: String = "", tools: TemplateValue? = nil, now: TemplateDate = .now,
    extra: [String: TemplateValue] = [:], limits: TemplateLimits = TemplateLimits()
  ) throws(TemplateError) -> String {
    var variables = extra
    variables["messages"] = .list(messages.map(\.value))
    variables["add_generation_prompt"] = .bool(addGenerationPrompt)
    variables["bos_token"] = .string(bos)
    variables["eos_token"] = .string(eos)
    variables["tools"] = tools ?? TemplateValue.none
    if variables["documents"] == nil { variables["documents"] = TemplateValue.none }
    return try render(variables: variables, now: now, limits: limits)
  }

  /// The text the template makes of these variables and no others.
  package func render(
    variables: [String: TemplateValue], now: TemplateDate,
    limits: TemplateLimits = TemplateLimits()
  ) throws(TemplateError) -> String {
    let evaluator = TemplateEvaluator(limits: limits, now: now)
    let context = TemplateScope()
    for (name, value) in variables {
      context.variables[name] = try evaluator.checked(value, 1)
    }
    // The template's own variables must not hide in the caller's scope, where macros look last.
    try evaluator.execute(statements, TemplateScope(context))
    return evaluator.output
  }
}
