import Testing
import Tokenization

/// Templates come from strangers: whatever they say, rendering ends soon and never traps.
struct TemplateLimitTests {
  private static func nest(_ opening: String, _ count: Int, _ inner: String, _ closing: String = "")
    -> String
  {
    "{{ " + String(repeating: opening, count: count) + inner
      + String(repeating: closing, count: count) + " }}"
  }

  @Test(arguments: [
    nest("(", 50_000, "1", ")"), nest("[", 50_000, "", "]"), nest("not ", 50_000, "1"),
    nest("- ", 50_000, "1"), nest("1 + ", 50_000, "1"), nest("0 or ", 50_000, "1"),
    nest("1 if 0 else ", 50_000, "1"), nest("", 50_000, "a", ".b"), nest("", 50_000, "a", "()"),
    nest("", 50_000, "1", "|string"), nest("(1|nope if ", 5_000, "1", ")"),
    String(repeating: "{% if 1 %}", count: 50_000), nest("a(", 50_000, "", ")"),
    nest("{1: ", 50_000, "1", "}"), "{% set " + String(repeating: "(", count: 50_000),
  ])
  func nestingIsBounded(template: String) {
    let kind = TemplateCase.errorKind(template)
    #expect(kind == .limit || kind == .syntax)
  }

  @Test(arguments: [
    "{% macro r() %}{{ r() }}{% endmacro %}{{ r() }}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% set n = namespace(s='xxxxxxxx') %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}",
    "{% set n = namespace(s='xxxxxxxx') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
    "{% set n = namespace(s=[1, 2]) %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}",
    "{% set n = namespace(s=[]) %}{% for i in range(9999) %}{% set n.s = [n.s] %}{% endfor %}",
    "{% set n = namespace(s=[]) %}{% for i in range(90) %}{% set n.s = [n.s, n.s] %}{% endfor %}{{ n.s }}",
    "{% set n = namespace(s=[]) %}{% for i in range(90) %}{% set n.s = [n.s, n.s] %}{% endfor %}{{ n.s | tojson }}",
    "{% for a in range(99999) %}{{ 'x' * 9999 }}{% endfor %}",
    "{{ range(99999) | join('x' * 999) }}",
    "{{ 'x' * 9223372036854775807 }}", "{{ [1] * 9223372036854775807 }}",
    "{{ 9223372036854775807 + 1 }}", "{{ (-9223372036854775807 - 1) // -1 }}", "{{ 2 ** 64 }}",
    "{{ 3 ** 9223372036854775807 }}", "{{ (-9223372036854775807 - 1) | abs }}",
    "{{ ('a' * 999999) | replace('a', 'b' * 999999) }}", "{{ range(99999) | unique | list }}",
    "{{ ('a\\n' * 99999) | indent(1000) }}", "{{ [1] | batch(9223372036854775807, 0) | list }}",
    "{% set s = 'x' * 16000000 %}{% for i in range(99999) %}{% if 'y' in s %}{% endif %}{% endfor %}",
    "{% set s = 'x' * 16000000 %}{% for i in range(99999) %}{% set t = s | trim %}{% endfor %}",
  ])
  func workIsBounded(template: String) {
    #expect(TemplateCase.errorKind(template) == .limit)
  }

  /// Extreme numbers where Python just goes on.
  @Test(arguments: [
    ("{{ 'abc'[9223372036854775807:] }}{{ 'abc'[-9223372036854775807:] }}", "abc"),
    ("{{ 'abc'[::9223372036854775807] }}{{ 'abc'[::-9223372036854775807] }}", "ac"),
    ("{{ 'abc'[9223372036854775807] }}{{ 'abc'[:-9223372036854775807 - 1:-1] }}", "cba"),
    ("{{ (-9223372036854775807 - 1) % -1 }}", "0"), ("{{ [] * 9223372036854775807 }}", "[]"),
    ("{{ 1 ** 9223372036854775807 }}{{ (-1) ** 9223372036854775807 }}", "1-1"),
    ("{{ 'a b c'.split(none, 9223372036854775807) }}", "['a', 'b', 'c']"),
    (
      "{{ range(9223372036854775806, 9223372036854775807, 9223372036854775807) | list }}",
      "[9223372036854775806]"
    ),
    ("{{ 1e999 }} {{ 1e999 - 1e999 }} {{ 1e300 | int(7) if false else 0 }}", "inf nan 0"),
    ("{{ 'x' * -5 }}{{ 'x'.zfill(-5) }}", "x"),
  ])
  func extremesAreNoTrap(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test func limitsAreTheCallers() {
    var limits = TemplateLimits()
    limits.steps = 50
    #expect(
      TemplateCase.errorKind("{% for i in range(100) %}{% endfor %}", limits: limits) == .limit)
    limits = TemplateLimits()
    limits.outputBytes = 10
    #expect(TemplateCase.errorKind("hello world", limits: limits) == .limit)
    #expect(TemplateCase.errorKind("hello", limits: limits) == nil)
  }

  @Test func deepInputsAreRefused() {
    var value = TemplateValue.list([])
    for _ in 0..<200 { value = .list([value]) }
    #expect(TemplateCase.errorKind("", variables: ["x": value]) == .limit)
  }

  /// Every prefix of a template with a bit of everything: an error or a text, never a trap.
  @Test func truncatedTemplatesAreNoTrap() {
    let template =
      "{%- set a, b = (1, [2, {'k': \"v\\n\"}]) -%}{% for x in l if x is gt 1 %}{{ loop.index ~ x|e }}"
      + "{% else %}{% endfor %}{# c #}{% raw %}{{{% endraw %}{% macro m(a, b=1) %}{{ a[::-1] }}"
      + "{% endmacro %}{{ m(*['ab'], **{}) if not a in l else none }}{% call m(1) %}{% endcall %}"
    let scalars = Array(template.unicodeScalars)
    for count in scalars.indices {
      _ = TemplateCase.errorKind(String(String.UnicodeScalarView(scalars[..<count])))
      var damaged = scalars
      damaged[count] = "}"
      _ = TemplateCase.errorKind(String(String.UnicodeScalarView(damaged)))
    }
    #expect(TemplateCase.errorKind(String(template.prefix(60))) != nil)
  }
}
