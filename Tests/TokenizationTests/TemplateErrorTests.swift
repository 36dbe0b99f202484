import Testing
import Tokenization

/// Each of these raises in jinja2 3.1.6 too.
struct TemplateErrorTests {
  @Test(arguments: [
    "{{ missing.x }}",
    "{{ missing + 1 }}",
    "{{ missing() }}",
    "{{ s.nope() }}",
    "{{ missing[0] }}",
    "{% set x %}{{ missing.y }}{% endset %}",
    "{{ d.a.x.y.z }}",
  ])
  func undefinedValues(template: String) {
    #expect(TemplateCase.errorKind(template) == .undefined)
  }

  @Test(arguments: [
    #"{{ 1 + "a" }}"#,
    #"{{ "a" + 1 }}"#,
    #"{{ 1 < "a" }}"#,
    "{{ none + 1 }}",
    "{{ 1 / 0 }}",
    "{{ 1 // 0 }}",
    "{{ 1 % 0 }}",
    "{{ none | length }}",
    "{{ 5 | length }}",
    "{{ l.append(4) }}",
    #"{{ d.update({"a": 1}) }}"#,
    #"{{ d.pop("b") }}"#,
    "{% for x in none %}{% endfor %}",
    "{% for x in 5 %}{% endfor %}",
    "{% for a, b in [1] %}{% endfor %}",
    "{% set a, b = [1] %}",
    "{% set n.x = 1 %}",
    "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{% endmacro %}{{ m(z=2) }}",
    "{{ n() }}",
    #"{{ [1, 2] < ["a"] }}"#,
    "{{ {[]: 1} }}",
    #"{{ "%d" % "x" }}"#,
    #"{{ "%d" % (1, 2) }}"#,
    #"{{ "{} {}".format(1) }}"#,
    "{{ 1 in 5 }}",
    #"{{ 1 in "a" }}"#,
    "{{ range(1, 2, 0) }}",
    #"{{ [1, "a"] | sort }}"#,
    "{{ none_v[1:] }}",
    #"{{ "abc".split("") }}"#,
    #"{{ users | map(attribute="name") | tojson }}"#,
    #"{{ users | map(attribute="name") | length }}"#,
    "{{ strftime_now() }}",
    #"{{ "x" | indent(none) if false else 5 | indent }}"#,
    #"{{ d | join(", ") | int + "a" }}"#,
    "{{ namespace(1) }}",
    #"{{ "abc".index("z") }}"#,
    #"{{ ",".join([1]) }}"#,
    #"{{ {"a": range} | tojson }}"#,
    #"{{ - "a" }}"#,
    #"{{ s[none:"a"] }}"#,
    "{{ l[::0] }}",
    "{{ 'a' is divisibleby 2 }}",
  ])
  func typeErrors(template: String) {
    #expect(TemplateCase.errorKind(template) == .type)
  }

  @Test(arguments: [
    #"{{ raise_exception("no") }}"#
  ])
  func refusals(template: String) {
    #expect(TemplateCase.errorKind(template) == .raised)
  }

  @Test(arguments: [
    "{{ x | nope }}",
    "{{ x is nope }}",
    #"{% include "x" %}"#,
    "{{ l | tojson(indent=2) | nope }}",
    #"{{ ["a"] | map("nope") | list }}"#,
    #"{{ [1] | select("nope") | list }}"#,
  ])
  func unsupportedConstructs(template: String) {
    #expect(TemplateCase.errorKind(template) == .unsupported)
  }

  @Test(arguments: [
    "{{ range(200000) }}"
  ])
  func limits(template: String) {
    #expect(TemplateCase.errorKind(template) == .limit)
  }

  @Test(arguments: [
    "{{ (x for x in y) }}",
    "{% if %}{% endif %}",
    "{% if x %}",
    "{% endif %}",
    "{% unknown %}",
    "{{ 1 + }}",
    #"{{ "abc }}"#,
    "{{ ( }}",
    "{# open",
    "{% raw %} x",
    "{% for x in y",
    "{{ a b }}",
    "{{ {1: 2 }}",
    "{% set 5 = 1 %}",
    "{% for true in x %}{% endfor %}",
    "{{ x is string is string }}",
    "{% else %}",
    "{{ @ }}",
  ])
  func syntaxErrors(template: String) {
    #expect(TemplateCase.errorKind(template) == .syntax)
  }

  @Test func errorsNameTheirLine() {
    #expect(throws: TemplateError(.undefined, line: 3, "'x' is undefined and has no attribute 'y'"))
    {
      try ChatTemplate("a\n{# two\nlines #}{{ x.y }}").render(variables: [:], now: TemplateCase.now)
    }
    let error = #expect(throws: TemplateError.self) {
      try ChatTemplate("{% raw %}\n\n{% endraw %}\n{{ 1 + }}")
    }
    #expect(error?.line == 4)
    #expect(error?.description.hasPrefix("Chat template, line 4: unexpected '}}'.") == true)
  }

  /// An unknown filter is an error at once, except in a branch, where it may never run.
  @Test func unknownFiltersInBranchesWaitUntilTheyAreUsed() {
    #expect(throws: TemplateError.self) { try ChatTemplate("{{ 1 | nope }}") }
    #expect(throws: TemplateError.self) {
      try ChatTemplate("{% for x in [] %}{{ x | nope }}{% endfor %}")
    }
    #expect(throws: Never.self) { try ChatTemplate("{% if x %}{{ 1 | nope }}{% endif %}") }
    #expect(throws: Never.self) { try ChatTemplate("{{ 1 | nope if x else 2 }}") }
    #expect(TemplateCase.errorKind("{% if true %}{{ 1 | nope }}{% endif %}") == .unsupported)
    #expect(throws: TemplateError.self) { try ChatTemplate("{{ (1 | nope) + (2 if x else 3) }}") }
  }

  @Test func breakNeedsALoopAround() {
    #expect(TemplateCase.errorKind("{% break %}") == .syntax)
    #expect(
      TemplateCase.errorKind("{% for x in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}")
        == .syntax)
  }
}
