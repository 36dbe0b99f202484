/// What is wrong with a chat template, and in which line. Templates come from model files: every one
/// of these is the file's or the conversation's fault, never a trap.
package struct TemplateError: Error, Equatable, Sendable {
  package enum Kind: Equatable, Sendable {
    /// The text is no template.
    case syntax
    /// A value that does not exist is used as if it did.
    case undefined
    /// An operation does not fit its operands.
    case type
    /// The template itself refuses the conversation, by `raise_exception`.
    case raised
    /// A construct this interpreter leaves out.
    case unsupported
    /// Too many steps, too much nesting or too much text.
    case limit
  }

  package var kind: Kind
  package var line: Int
  package var message: String

  package init(_ kind: Kind, line: Int, _ message: String) {
    self.kind = kind
    self.line = line
    self.message = message
  }
}

extension TemplateError: CustomStringConvertible {
  package var description: String {
    let advice =
      switch kind {
      case .syntax: "Correct the template, or pass another one."
      case .undefined:
        "Check that the conversation has what the template reads, or pass another one."
      case .type: "Check the types in the conversation, or pass another template."
      case .raised: "The template refuses this conversation: change its messages as it says."
      case .unsupported: "Rewrite that part of the template, or pass another one."
      case .limit: "The template does not end or is not meant for chat: pass another one."
      }
    let sentence = message.hasSuffix(".") || message.hasSuffix("!") ? message : message + "."
    return "Chat template, line \(line): \(sentence) \(advice)"
  }
}

/// Bounds on what a template may use. They are far above what real templates need.
package struct TemplateLimits: Sendable {
  /// Evaluated expressions and statements, plus the work of building lists and comparing values.
  package var steps = 1_000_000
  /// Nested calls, statements and expressions together: bounds the stack.
  package var depth = 600
  /// Bytes of the result, and of any one string on the way.
  package var outputBytes = 16 << 20

  package init() {}
}
