import Testing
import Tokenization

/// Every expected text is what jinja2 3.1.6 makes of the template, set up as Hugging Face does.
struct TemplateExpressionTests {
  @Test(arguments: [
    ("{{ 1 + 2 * 3 }}", "7"),
    ("{{ (1 + 2) * 3 }}", "9"),
    ("{{ 7 / 2 }}", "3.5"),
    ("{{ 7 // 2 }}", "3"),
    ("{{ -7 // 2 }}", "-4"),
    ("{{ -7 % 3 }}", "2"),
    ("{{ 7 % -3 }}", "-2"),
    ("{{ 2 ** 10 }}", "1024"),
    ("{{ 2 ** -1 }}", "0.5"),
    ("{{ -2 ** 2 }}", "4"),
  ])
  func arithmetic(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    ("{{ 7.5 // 2 }}", "3.0"),
    ("{{ 7.5 % 2 }}", "1.5"),
    ("{{ 1e3 }}", "1000.0"),
    ("{{ 1.0 }}", "1.0"),
    ("{{ 1e16 }}", "1e+16"),
    ("{{ 1e-5 }}", "1e-05"),
    ("{{ 0.1 + 0.2 }}", "0.30000000000000004"),
    ("{{ 1/3 }}", "0.3333333333333333"),
    ("{{ 100000000000000000000.0 }}", "1e+20"),
    ("{{ 123456.789e3 }}", "123456789.0"),
    ("{{ 1_000 }}", "1000"),
    ("{{ 0x1F }}", "31"),
    ("{{ 0b101 }}", "5"),
    ("{{ 0o17 }}", "15"),
  ])
  func numbers(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (#"{{ "a" ~ 1 ~ none ~ true ~ 1.5 }}"#, "a1NoneTrue1.5"),
    (#"{{ "a" + "b" }}"#, "ab"),
    (#"{{ "ab" * 3 }}"#, "ababab"),
    ("{{ [1] * 2 + [3] }}", "[1, 1, 3]"),
    ("{{ (1,) + (2, 3) }}", "(1, 2, 3)"),
  ])
  func concatenation(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    ("{{ 1 < 2 < 3 }}", "True"),
    ("{{ 1 < 3 < 2 }}", "False"),
    ("{{ 1 == 1.0 }}", "True"),
    ("{{ true == 1 }}", "True"),
    (#"{{ "a" == "a" }}"#, "True"),
    ("{{ none == none }}", "True"),
    ("{{ [1, 2] == [1, 2] }}", "True"),
    (#"{{ {"a": 1} == {"a": 1} }}"#, "True"),
    ("{{ (1, 2) == [1, 2] }}", "False"),
    (#"{{ "1" == 1 }}"#, "False"),
  ])
  func comparisons(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (#"{{ "a" < "b" }}"#, "True"),
    ("{{ [1, 2] < [1, 3] }}", "True"),
    ("{{ 1 <= 1 }}", "True"),
    ("{{ 2 >= 3 }}", "False"),
    ("{{ 1 != 2 }}", "True"),
    (#"{{ "Z" < "a" }}"#, "True"),
    (#"{{ "é" > "z" }}"#, "True"),
  ])
  func order(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (#"{{ "ell" in s }}"#, "True"),
    ("{{ 3 in l }}", "True"),
    ("{{ 4 not in l }}", "True"),
    (#"{{ "b" in d }}"#, "True"),
    (#"{{ "zz" in d }}"#, "False"),
    ("{{ not 3 in l }}", "False"),
    (#"{{ "x" in missing }}"#, "False"),
    (#"{{ "" in s }}"#, "True"),
  ])
  func membership(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    ("{{ true and false }}", "False"),
    ("{{ 1 and 2 }}", "2"),
    (#"{{ 0 or "x" }}"#, "x"),
    ("{{ not 0 }}", "True"),
    ("{{ none or missing or 3 }}", "3"),
    ("{{ [] or {} }}", "{}"),
  ])
  func logic(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (#"{{ "yes" if t else "no" }}"#, "yes"),
    (#"{{ "yes" if not t else "no" }}"#, "no"),
    (#"{{ "x" if false }}"#, ""),
    ("{{ 1 if false else 2 if false else 3 }}", "3"),
  ])
  func conditionals(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    ("{{ s[0] }}", "H"),
    ("{{ s[-1] }}", "d"),
    ("{{ s[1:4] }}", "ell"),
    ("{{ s[::-1] }}", "dlroW olleH"),
    ("{{ s[::2] }}", "HloWrd"),
    ("{{ s[-3:] }}", "rld"),
    ("{{ s[:-3] }}", "Hello Wo"),
    ("{{ l[0] }}", "3"),
    ("{{ l[1:] }}", "[1, 2]"),
    ("{{ l[::-1] }}", "[2, 1, 3]"),
    ("{{ l[10:] }}", "[]"),
    ("{{ l[-100:2] }}", "[3, 1]"),
    ("{{ s[5:1:-1] }}", " oll"),
    ("{{ u[1] }}", "é"),
    ("{{ u[:2] }}", "hé"),
  ])
  func slices(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    ("{{ d.b }}", "1"),
    (#"{{ d["b"] }}"#, "1"),
    ("{{ d.a.x[1] }}", "2"),
    (#"{{ d["a"]["x"] }}"#, "[1, 2]"),
    ("{{ d.zz }}", ""),
    (#"{{ d["zz"] }}"#, ""),
    ("{{ l.0 }}", "3"),
    ("{{ l[7] }}", ""),
    ("{{ none_v.foo }}", ""),
    ("{{ n.foo }}", ""),
  ])
  func lookups(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (
      #"{{ [1, "a", none, true, 2.5, [1], {"k": "v"}, (1,), ()] }}"#,
      "[1, 'a', None, True, 2.5, [1], {'k': 'v'}, (1,), ()]"
    ),
    (
      #"{{ {"a": 'it\'s', 'b': "q\"", 'c': 'both\'"'} }}"#,
      #"{'a': "it's", 'b': 'q"', 'c': 'both\'"'}"#
    ),
    (#"{{ ["\n\t\\é\u200b\x01"] }}"#, #"['\n\t\\é\u200b\x01']"#),
  ])
  func representations(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    ("{{ missing }}", ""),
    ("{{ missing is defined }}", "False"),
    ("{{ missing is undefined }}", "True"),
    (#"{{ missing | default("d") }}"#, "d"),
    (#"{{ e | default("d") }}"#, ""),
    (#"{{ e | default("d", true) }}"#, "d"),
    (#"{{ none_v | default("d") }}"#, "None"),
    (#"{{ none_v | d("x", boolean=true) }}"#, "x"),
  ])
  func undefined(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    ("{{ n is number }}", "True"),
    ("{{ f is float }}", "True"),
    ("{{ n is integer }}", "True"),
    ("{{ t is boolean }}", "True"),
    ("{{ t is integer }}", "False"),
    ("{{ t is number }}", "True"),
    ("{{ s is string }}", "True"),
    ("{{ d is mapping }}", "True"),
    ("{{ l is sequence }}", "True"),
    ("{{ s is sequence }}", "True"),
    ("{{ d is sequence }}", "True"),
    ("{{ l is iterable }}", "True"),
    ("{{ n is iterable }}", "False"),
    ("{{ missing is iterable }}", "True"),
    ("{{ none_v is none }}", "True"),
    ("{{ none_v is not none }}", "False"),
    ("{{ t is true }}", "True"),
    ("{{ n is true }}", "False"),
    ("{{ t is false }}", "False"),
    ("{{ range is callable }}", "True"),
  ])
  func typeTests(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    ("{{ 4 is even }}", "True"),
    ("{{ 4 is odd }}", "False"),
    ("{{ 9 is divisibleby 3 }}", "True"),
    ("{{ 9 is divisibleby(2) }}", "False"),
    ("{{ 3 is eq 3 }}", "True"),
    ("{{ 3 is ne 3 }}", "False"),
    ("{{ 3 is lt 4 }}", "True"),
    ("{{ 3 is gt 4 }}", "False"),
    ("{{ 3 is in l }}", "True"),
    (#"{{ "abc" is lower }}"#, "True"),
    (#"{{ "ABC" is upper }}"#, "True"),
    ("{{ none is sameas none }}", "True"),
    (#"{{ "upper" is filter }}"#, "True"),
    (#"{{ "nope" is filter }}"#, "False"),
    (#"{{ "odd" is test }}"#, "True"),
  ])
  func valueTests(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (
      "{{ '\\n\\t\\x41\\u00e9\\'\\\"\\\\' }}{{ \"a\" \"b\" }}{{ '\\d' }}{{ '\\101' }}{{ "
        + "\"\\\nx\" }}",
      "\n\tAé'\"\\ab\\dAx"
    )
  ])
  func strings(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (#"{{ "a" | upper ~ "b" | upper }}"#, "AB"),
    ("{{ -1 | abs }}", "1"),
    ("{{ 2 * 3 | string }}", "33"),
    ("{{ 1 ~ 2 * 3 }}", "16"),
    ("{{ not true and false }}", "False"),
    ("{{ 1 + 1 == 2 }}", "True"),
    (#"{{ "x" in "xy" and true }}"#, "True"),
    ("{{ (1, 2)[0] }}", "1"),
    (#"{{ {"a": 1}.a }}"#, "1"),
    ("{{ [1, 2, 3][-1] }}", "3"),
    (#"{{ ("a" if t else "b") ~ "c" }}"#, "ac"),
  ])
  func precedence(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (#"{{ "a\tb" }}"#, "a\tb"),
    (#"{{ "%d items" | format(3) }}"#, "3 items"),
    ("{{ 10 | float }}", "10.0"),
    ("{{ 1.5e300 * 1e10 }}", "inf"),
    (#"{{ 3 == "3" }}"#, "False"),
    ("{{ 0.1 }}", "0.1"),
    ("{{ 1e22 }}", "1e+22"),
    ("{{ 123456789012345680.0 }}", "1.2345678901234568e+17"),
    ("{{ 5e-324 }}", "5e-324"),
    ("{{ 1.7976931348623157e308 }}", "1.7976931348623157e+308"),
  ])
  func floats(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }
}
