import Testing
import Tokenization

/// Every expected text is what jinja2 3.1.6 makes of the template, set up as Hugging Face does.
struct TemplateStatementTests {
  @Test(arguments: [
    (
      "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revin"
        + "dex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop"
        + ".nextitem }}{{ loop.depth }}{{ loop.cycle(\"a\", \"b\") }};{% endfor %}",
      "1032TrueFalse311a;2121FalseFalse3321b;3210FalseTrue311a;"
    )
  ])
  func loopVariables(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (
      "{% for x in [1, 1, 2] %}{{ loop.changed(x) }} {% endfor %}{% for x in [] %}a{% el"
        + "se %}empty{% endfor %}{% for x in l if x > 1 %}{{ x }}/{{ loop.length }} {% endfo"
        + "r %}{% for x in l if x > 5 %}{% else %}none{% endfor %}",
      "True False True empty3/2 2/2 none"
    )
  ])
  func loopFilters(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (
      "{% for a, b in [(1, 2), (3, 4)] %}{{ a }}-{{ b }} {% endfor %}{% for a, (b, c) in"
        + " [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}{% for c in \"hé\" %}[{{ c }}]{"
        + "% endfor %}{% for k in d %}{{ k }}{% endfor %}",
      "1-2 3-4 123[h][é]ba"
    )
  ])
  func loopTargets(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (
      "{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{%"
        + " break %}{% endif %}{{ x }}{% endfor %}{% for i in range(2) %}{% for j in range(3"
        + ") %}{% if j == 1 %}{% break %}{% endif %}{{ i }}{{ j }} {% endfor %}{% endfor %}",
      "013400 10 "
    )
  ])
  func loopControls(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (
      "{% for x in missing %}a{% else %}b{% endfor %}{% for i in [1] %}{% for j in [1, 2"
        + "] %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}",
      "b121"
    )
  ])
  func loopScopes(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (
      "{% set x = 1 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }"
        + "}{% if true %}{% set x = 9 %}{% endif %}{{ x }}",
      "2 3 19"
    )
  ])
  func scopes(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (
      "{% set ns = namespace(x=1, found=false) %}{% for i in [1, 2] %}{% set ns.x = ns.x"
        + " + i %}{% set ns.found = true %}{% endfor %}{{ ns.x }}{{ ns.found }}{{ ns.missing"
        + " is defined }}{% set ns.new = [1] %}{{ ns.new }}",
      "4TrueFalse[1]"
    )
  ])
  func namespaces(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (
      "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (c, e2) = (3, 4) %}{{ c }}{{ e2 }}{% se"
        + "t q = 1, 2 %}{{ q }}{% set w = (1) %}{{ w }}",
      "1234(1, 2)1"
    )
  ])
  func tupleTargets(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (
      "{% set body %}  hi {{ n }}{% endset %}[{{ body }}]{% set up | upper | trim %} x{%"
        + " endset %}[{{ up }}]{{ body is string }}",
      "[  hi 5][X]True"
    )
  ])
  func blockSet(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (
      "{% if n == 1 %}a{% elif n == 5 %}b{% else %}c{% endif %}{% if missing %}x{% endif"
        + " %}{% if l %}y{% endif %}{% if not l %}z{% endif %}{% if e %}1{% elif none_v %}2{"
        + "% endif %}",
      "by"
    )
  ])
  func branches(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (
      "{% macro m(a, b=2, c=\"x\") %}{{ a }}-{{ b }}-{{ c }};{% endmacro %}{{ m(1) }}{{ "
        + "m(1, 3) }}{{ m(a=5, c=\"y\") }}{{ m() }}{{ m(b=1) }}",
      "1-2-x;1-3-x;5-2-y;-2-x;-1-x;"
    )
  ])
  func macros(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (
      "{% macro v() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ v(1, 2, x=3) }}{% macro "
        + "r(k) %}{{ k }}{% if k > 0 %}{{ r(k - 1) }}{% endif %}{% endmacro %}{{ r(3) }}",
      "(1, 2){'x': 3}3210"
    )
  ])
  func macroArguments(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (
      "{% macro outer() %}[{{ later }}{{ n }}]{% endmacro %}{% set later = \"L\" %}{{ ou"
        + "ter() }}{% for i in [1] %}{% set later = \"inner\" %}{{ outer() }}{% endfor %}",
      "[L5][L5]"
    )
  ])
  func macroScopes(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (
      "{% macro box(t) %}<{{ t }}>{{ caller() }}</{{ t }}>{% endmacro %}{% call box(\"b\""
        + ") %}in {{ n }}{% endcall %}{% macro each(l) %}{% for i in l %}{{ caller(i) }}{% e"
        + "ndfor %}{% endmacro %}{% call(x) each([1, 2]) %}({{ x }}){% endcall %}",
      "<b>in 5</b>(1)(2)"
    )
  ])
  func callBlocks(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (
      "{% macro d2(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ d2(1) }}{% set f2 = d2 %}{{ "
        + "f2(1, 2) }}{{ d2.name }}{{ d2(*[1, 2]) }}{{ d2(**{\"a\": 5}) }}",
      "1112d21255"
    )
  ])
  func macroDefaults(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (
      "{% filter upper %}abc {{ s }}{% endfilter %}{% filter replace(\"a\", \"b\") | upp"
        + "er %}banana{% endfilter %}{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is "
        + "defined }}{% generation %}gen{% set inner = 1 %}{% endgeneration %}{{ inner is de"
        + "fined }}",
      "ABC HELLO WORLDBBNBNB3FalsegenFalse"
    )
  ])
  func otherBlocks(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (
      "{# comment #}a{#- x -#} b {%- if true -%} c {%- endif -%} d {{- \" e \" -}} f {% "
        + "raw %}{{ not }}{% endraw %}{%- raw -%} x {%- endraw -%} y",
      "abcd e f {{ not }}xy"
    )
  ])
  func whitespace(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }
}
