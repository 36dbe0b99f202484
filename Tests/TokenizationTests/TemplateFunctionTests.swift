import Testing
import Tokenization

/// Every expected text is what jinja2 3.1.6 makes of the template, set up as Hugging Face does.
struct TemplateFunctionTests {
  @Test(arguments: [
    (#"{{ "%s is %d" | format("x", 5) }}"#, "x is 5"),
    (
      #"{{ "%.2f|%5d|%-5d|%05d|%x|%s" % (2.345, 42, 42, 42, 255, [1]) }}"#,
      "2.35|   42|42   |00042|ff|[1]"
    ),
    (#"{{ "%(a)s" % {"a": 1} }}"#, "1"),
    (#"{{ "100%%" % () }}"#, "100%"),
    (#"{{ "%r" % "x" }}"#, "'x'"),
    (#"{{ "%5s|%-5s|" % ("ab", "cd") }}"#, "   ab|cd   |"),
    (#"{{ "%+d" % 5 }}"#, "+5"),
    (#"{{ "%d" % 3.9 }}"#, "3"),
  ])
  func percentFormat(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (
      "{{ \"{} and {}\".format(1, \"b\") }} {{ \"{1}{0}\".format(\"a\", \"b\") }} {{ \"{"
        + "x}\".format(x=5) }} {{ \"{:>5}|{:<5}|{:^5}|{:05d}|{:.2f}|{:,}|{:*^7}\".format(\"a"
        + "\", \"b\", \"c\", 42, 3.14159, 1234567, \"m\") }} {{ \"{{}}\".format() }} {{ \"{:"
        + "02d}:{:02d}\".format(3, 7) }} {{ \"{:x} {:#x} {:b} {:+d} {:%}\".format(255, 255, "
        + "5, 3, 0.25) }} {{ \"{0[a]}\".format({\"a\": 1}) if false }} {{ \"{}\".format(none"
        + ") }} {{ \"{}\".format([1, \"a\"]) }} {{ \"{}\".format(1.0) }}",
      "1 and b ba 5     a|b    |  c  |00042|3.14|1,234,567|***m*** {} 03:07 ff 0xff 101 "
        + "+3 25.000000%  None [1, 'a'] 1.0"
    )
  ])
  func braceFormat(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (#"{{ "  a b  ".strip() }}"#, "a b"),
    (#"{{ "xxaxx".strip("x") }}"#, "a"),
    (#"{{ "  a".lstrip() }}"#, "a"),
    (#"{{ "a  ".rstrip() }}"#, "a"),
    (#"{{ "abc".upper() }}"#, "ABC"),
    (#"{{ "ABC".lower() }}"#, "abc"),
    (#"{{ "it's a dog".title() }}"#, "It'S A Dog"),
    (#"{{ "hello".capitalize() }}"#, "Hello"),
    (#"{{ "a,b,c".split(",") }}"#, "['a', 'b', 'c']"),
    (#"{{ " a  b ".split() }}"#, "['a', 'b']"),
    (#"{{ "a,b,c".split(",", 1) }}"#, "['a', 'b,c']"),
    (#"{{ "a,b,c".rsplit(",", 1) }}"#, "['a,b', 'c']"),
    (#"{{ "a b  c".split(None, 1) }}"#, "['a', 'b  c']"),
    (#"{{ "a b c d".rsplit(None, 1) }}"#, "['a b c', 'd']"),
    (#"{{ "".split(",") }}"#, "['']"),
    (#"{{ "".split() }}"#, "[]"),
  ])
  func stripAndSplit(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (#"{{ "abc".startswith("ab") }}"#, "True"),
    (#"{{ "abc".endswith(("x", "c")) }}"#, "True"),
    (#"{{ "abc".startswith("") }}"#, "True"),
    (#"{{ "a-b-c".replace("-", "+") }}"#, "a+b+c"),
    (#"{{ "a-b-c".replace("-", "+", 1) }}"#, "a+b-c"),
    (#"{{ "a\nb\r\nc\n".splitlines() }}"#, "['a', 'b', 'c']"),
    (#"{{ "a\nb".splitlines(true) }}"#, #"['a\n', 'b']"#),
    (#"{{ "a=b=c".partition("=") }}"#, "('a', '=', 'b=c')"),
    (#"{{ "a=b=c".rpartition("=") }}"#, "('a=b', '=', 'c')"),
    (#"{{ "abc".partition("x") }}"#, "('abc', '', '')"),
    (#"{{ "abc".removeprefix("a") }}"#, "bc"),
    (#"{{ "abc".removesuffix("c") }}"#, "ab"),
  ])
  func stringParts(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (#"{{ "abcabc".find("c") }}"#, "2"),
    (#"{{ "abc".find("x") }}"#, "-1"),
    (#"{{ "abcabc".rfind("c") }}"#, "5"),
    (#"{{ "abc".index("b") }}"#, "1"),
    (#"{{ "banana".count("a") }}"#, "3"),
    (#"{{ "banana".count("") }}"#, "7"),
    (#"{{ "héllo".find("l") }}"#, "2"),
    (#"{{ "12".isdigit() }}"#, "True"),
    (#"{{ "1a".isdigit() }}"#, "False"),
    (#"{{ "ab".isalpha() }}"#, "True"),
    (#"{{ "a1".isalnum() }}"#, "True"),
    (#"{{ " ".isspace() }}"#, "True"),
    (#"{{ "AB".isupper() }}"#, "True"),
    (#"{{ "".isdigit() }}"#, "False"),
    (#"{{ "7".zfill(3) }}"#, "007"),
    (#"{{ "-7".zfill(4) }}"#, "-007"),
    (#"{{ "a".ljust(3, ".") }}"#, "a.."),
    (#"{{ "a".rjust(3) }}"#, "  a"),
    (#"{{ ",".join(["a", "b"]) }}"#, "a,b"),
    (#"{{ "x".join("abc") }}"#, "axbxc"),
  ])
  func stringSearch(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (
      "{{ d.get(\"b\") }} {{ d.get(\"zz\") }} {{ d.get(\"zz\", 7) }} {{ d.keys() | list "
        + "}} {{ d.values() | list }} {% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %"
        + "} {{ d.items() | list }} {{ d.keys() | length }} {{ d.copy() == d }}",
      "1 None 7 ['b', 'a'] [1, {'x': [1, 2]}] b=1;a={'x': [1, 2]}; [('b', 1), ('a', {'x'"
        + ": [1, 2]})] 2 True"
    )
  ])
  func dictMethods(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (
      "{% for i in range(5) %}{{ i }}{% endfor %} {{ range(2, 8, 3) | list }} {{ range(5"
        + ", 0, -2) | list }} {{ range(3)[1] }} {{ range(0) | list }} {{ range(4) | length }"
        + "}",
      "01234 [2, 5] [5, 3, 1] 1 [] 4"
    )
  ])
  func ranges(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (#"{{ strftime_now("%d %b %Y") }}"#, "04 Jul 2025"),
    (
      #"{{ strftime_now("%Y-%m-%d %H:%M:%S %A %B %j %p %I %y %a") }}"#,
      "2025-07-04 09:05:06 Friday July 185 AM 09 25 Fri"
    ),
    (#"{{ strftime_now("%-d/%-m %%") }}"#, "4/7 %"),
  ])
  func dates(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    ("{{ dict(a=1, b=2) }}", "{'a': 1, 'b': 2}"),
    (#"{{ dict([("x", 1)]) }}"#, "{'x': 1}"),
    (#"{{ dict({"a": 1}, b=3) }}"#, "{'a': 1, 'b': 3}"),
    (#"{{ d | attr("keys") is defined }}"#, "True"),
    ("{{ [] | first }}", ""),
    (#"{{ "" | first }}"#, ""),
    ("{{ [[1, 2], [3]] | sum(start=[]) }}", "[1, 2, 3]"),
    ("{{ [3, 1] | list }}", "[3, 1]"),
    (#"{{ {"a": 1} | length }}"#, "1"),
    ("{{ true | string }}", "True"),
    ("{{ none | string }}", "None"),
    ("{{ 5 | string | length }}", "1"),
  ])
  func dicts(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (#"{{ users[0]["name"] }}"#, "Zed"),
    ("{{ users[0].name.upper()[0] }}", "Z"),
    ("{{ users | length }}", "3"),
    ("{{ (users | first).name }}", "Zed"),
    ("{{ users[-1].tags is defined }}", "False"),
    ("{{ messages[0]['role'] == 'user' and messages | length == 1 }}", "True"),
    ("{{ messages[1:] }}", "[]"),
    ("{{ d.items is defined }}", "True"),
  ])
  func messages(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }
}
