import Testing
import Tokenization

/// The variables and the moment that the expected texts were made with.
enum TemplateCase {
  static let now = TemplateDate(year: 2025, month: 7, day: 4, hour: 9, minute: 5, second: 6)

  static let variables: [String: TemplateValue] = [
    "n": .int(5),
    "f": .float(2.5),
    "s": .string("Hello World"),
    "u": .string("héllo"),
    "e": .string(""),
    "l": .list([.int(3), .int(1), .int(2)]),
    "d": .dictionary([("b", .int(1)), ("a", .dictionary([("x", .list([.int(1), .int(2)]))]))]),
    "none_v": .none,
    "t": .bool(true),
    "users": .list([
      .dictionary([("name", .string("Zed")), ("age", .int(3)), ("tags", .list([.string("x")]))]),
      .dictionary([("name", .string("amy")), ("age", .int(1)), ("tags", .list([]))]),
      .dictionary([("name", .string("Bob")), ("age", .int(3))]),
    ]),
    "messages": .list([.dictionary([("role", .string("user")), ("content", .string("hi"))])]),
    "words": .list([.string("b"), .string("A"), .string("c"), .string("a")]),
    "text": .string("line one\nline two\n\nline four"),
    "neg": .int(-7),
    "big": .int(123456789),
  ]

  static func expect(
    _ template: String, _ expected: String, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let result = try ChatTemplate(template).render(variables: variables, now: now)
    // By bytes: String's own equality would forgive another normal form.
    #expect(Array(result.utf8) == Array(expected.utf8), "\(result)", sourceLocation: sourceLocation)
  }

  /// The kind of error that parsing or rendering ends with; nil where neither fails.
  static func errorKind(
    _ template: String, variables: [String: TemplateValue] = variables,
    limits: TemplateLimits = TemplateLimits()
  ) -> TemplateError.Kind? {
    do throws(TemplateError) {
      _ = try ChatTemplate(template).render(variables: variables, now: now, limits: limits)
      return nil
    } catch {
      return error.kind
    }
  }
}
