import Testing
import Tokenization

/// Every expected text is what jinja2 3.1.6 makes of the template, set up as Hugging Face does.
struct TemplateFilterTests {
  @Test(arguments: [
    ("{{ s | upper }}", "HELLO WORLD"),
    ("{{ s | lower }}", "hello world"),
    (#"{{ "hELLO wORLD" | capitalize }}"#, "Hello world"),
    (#"{{ "hello wORLD-foo it's (bar)" | title }}"#, "Hello World-Foo It's (Bar)"),
    (#"{{ "  x  " | trim }}"#, "x"),
    (#"{{ "xxaxx" | trim("x") }}"#, "a"),
    ("{{ s | length }}", "11"),
    ("{{ u | length }}", "5"),
    ("{{ l | length }}", "3"),
    ("{{ d | count }}", "2"),
    ("{{ s | reverse }}", "dlroW olleH"),
    ("{{ l | reverse | list }}", "[2, 1, 3]"),
    ("{{ s | first }}", "H"),
    ("{{ l | last }}", "2"),
  ])
  func textFilters(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (#"{{ s | replace("l", "L") }}"#, "HeLLo WorLd"),
    (#"{{ s | replace("l", "L", 1) }}"#, "HeLlo World"),
    (#"{{ "aaa" | replace("a", "b", 2) }}"#, "bba"),
    (#"{{ "abc" | replace("", "-") }}"#, "-a-b-c-"),
    ("{{ 123 | replace(2, 5) }}", "153"),
  ])
  func replaceFilter(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (#"{{ l | join(", ") }}"#, "3, 1, 2"),
    ("{{ l | join }}", "312"),
    (#"{{ users | join("/", attribute="name") }}"#, "Zed/amy/Bob"),
    (#"{{ [1, none, "x"] | join("-") }}"#, "1-None-x"),
    (#"{{ "abc" | join(".") }}"#, "a.b.c"),
  ])
  func joinFilter(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    ("{{ l | sort }}", "[1, 2, 3]"),
    ("{{ words | sort }}", "['A', 'a', 'b', 'c']"),
    ("{{ words | sort(case_sensitive=true) }}", "['A', 'a', 'b', 'c']"),
    ("{{ l | sort(reverse=true) }}", "[3, 2, 1]"),
    (
      #"{{ users | sort(attribute="age") | map(attribute="name") | join(",") }}"#,
      "amy,Zed,Bob"
    ),
    (
      "{{ users | sort(attribute=\"age\", reverse=true) | map(attribute=\"name\") | join"
        + "(\",\") }}",
      "Zed,Bob,amy"
    ),
  ])
  func sortFilter(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    ("{{ l | min }}", "1"),
    ("{{ l | max }}", "3"),
    ("{{ words | min }}", "A"),
    ("{{ [] | max }}", ""),
    ("{{ l | sum }}", "6"),
    (#"{{ users | sum(attribute="age") }}"#, "7"),
    (#"{{ users | max(attribute="age") }}"#, "{'name': 'Zed', 'age': 3, 'tags': ['x']}"),
    (#"{{ ["a", "B", "A", "b"] | unique | list }}"#, "['a', 'B']"),
    ("{{ [1, 2, 1] | unique | list }}", "[1, 2]"),
  ])
  func folds(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (#"{{ users | map(attribute="name") | list }}"#, "['Zed', 'amy', 'Bob']"),
    (#"{{ users[:2] | map(attribute="tags", default="none") | list }}"#, "[['x'], []]"),
    (#"{{ users | map(attribute="tags", default="none") | join(";") }}"#, "['x'];[];none"),
    (#"{{ words | map("upper") | list }}"#, "['B', 'A', 'C', 'A']"),
    (#"{{ ["a b", "c"] | map("replace", " ", "_") | list }}"#, "['a_b', 'c']"),
  ])
  func mapFilter(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (#"{{ users | selectattr("tags") | map(attribute="name") | list }}"#, "['Zed']"),
    (
      #"{{ users | selectattr("age", "equalto", 3) | map(attribute="name") | list }}"#,
      "['Zed', 'Bob']"
    ),
    (#"{{ users | rejectattr("age", "eq", 3) | list | length }}"#, "1"),
    (#"{{ [1, 2, 3, 4] | select("odd") | list }}"#, "[1, 3]"),
    (#"{{ [1, 2, 3, 4] | reject("even") | list }}"#, "[1, 3]"),
    (#"{{ [0, 1, ""] | select | list }}"#, "[1]"),
    (#"{{ l | select(">", 1) | list }}"#, "[3, 2]"),
    (#"{{ users | selectattr("tags", "defined") | list | length }}"#, "2"),
    (#"{{ none | selectattr("x") | list }}"#, "[]"),
    (#"{{ [1, 5] | select("in", [5]) | list }}"#, "[5]"),
  ])
  func selectFilters(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (
      "{% for g in users | groupby(\"age\") %}{{ g.grouper if false else g[0] }}:{{ g[1]"
        + " | map(attribute=\"name\") | join(\"+\") }};{% endfor %}",
      "1:amy;3:Zed+Bob;"
    )
  ])
  func groupFilter(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    ("{{ d | dictsort }}", "[('a', {'x': [1, 2]}), ('b', 1)]"),
    (#"{{ {"b": 1, "A": 2, "c": 0} | dictsort }}"#, "[('A', 2), ('b', 1), ('c', 0)]"),
    (
      #"{{ {"b": 1, "A": 2, "c": 0} | dictsort(by="value") }}"#,
      "[('c', 0), ('b', 1), ('A', 2)]"
    ),
    (#"{{ {"b": 1, "A": 2} | dictsort(true) }}"#, "[('A', 2), ('b', 1)]"),
    (#"{{ {"b": 1, "A": 2} | dictsort(reverse=true) }}"#, "[('b', 1), ('A', 2)]"),
    ("{{ d | items | list }}", "[('b', 1), ('a', {'x': [1, 2]})]"),
    ("{{ d | list }}", "['b', 'a']"),
  ])
  func dictFilters(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    ("{{ [1, 2, 3, 4, 5] | batch(2) | list }}", "[[1, 2], [3, 4], [5]]"),
    ("{{ [1, 2, 3] | batch(2, 0) | list }}", "[[1, 2], [3, 0]]"),
    ("{{ [1, 2, 3, 4, 5] | slice(3) | list }}", "[[1, 2], [3, 4], [5]]"),
    (#"{{ [1, 2, 3, 4] | slice(3, "x") | list }}"#, "[[1, 2], [3, 'x'], [4, 'x']]"),
  ])
  func batchFilters(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    ("{{ d | tojson }}", #"{"b": 1, "a": {"x": [1, 2]}}"#),
    (#"{{ "é<>&'\"\u2028\n" | tojson }}"#, "\"é<>&'\\\"\u{2028}\\n\""),
    (#"{{ "é😀" | tojson(ensure_ascii=true) }}"#, #""\u00e9\ud83d\ude00""#),
    (
      "{{ d | tojson(indent=2) }}",
      "{\n  \"b\": 1,\n  \"a\": {\n    \"x\": [\n      1,\n      2\n    ]\n  }\n}"
    ),
    ("{{ [1, 2.0, none, true, 1e20] | tojson }}", "[1, 2.0, null, true, 1e+20]"),
    ("{{ [] | tojson(indent=4) }}", "[]"),
    (#"{{ {"b": 1, "a": 2} | tojson(sort_keys=true) }}"#, #"{"a": 2, "b": 1}"#),
    (#"{{ [1, {"a": 2}] | tojson(separators=(",", ":")) }}"#, #"[1,{"a":2}]"#),
    ("{{ {1: 2, none: 3, true: 4} | tojson }}", #"{"1": 4, "null": 3}"#),
    ("{{ (1, 2) | tojson }}", "[1, 2]"),
    (#"{{ "\x7f\x1f" | tojson }}"#, "\"\u{7F}\\u001f\""),
  ])
  func jsonFilter(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    ("{{ text | indent }}", "line one\n    line two\n\n    line four"),
    ("{{ text | indent(2) }}", "line one\n  line two\n\n  line four"),
    ("{{ text | indent(2, true) }}", "  line one\n  line two\n\n  line four"),
    (
      "{{ text | indent(2, first=true, blank=true) }}",
      "  line one\n  line two\n  \n  line four"
    ),
    (#"{{ text | indent("> ") }}"#, "line one\n> line two\n\n> line four"),
  ])
  func indentFilter(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (#"{{ "3" | int }}"#, "3"),
    (#"{{ "x" | int }}"#, "0"),
    (#"{{ "x" | int(7) }}"#, "7"),
    ("{{ 3.9 | int }}", "3"),
    ("{{ -3.9 | int }}", "-3"),
    (#"{{ "3.7" | int }}"#, "3"),
    (#"{{ " 12 " | int }}"#, "12"),
    (#"{{ "ff" | int(0, 16) }}"#, "255"),
    (#"{{ "3.5" | float }}"#, "3.5"),
    (#"{{ "x" | float }}"#, "0.0"),
    ("{{ 3 | float }}", "3.0"),
    ("{{ true | int }}", "1"),
    ("{{ none | int }}", "0"),
  ])
  func numberFilters(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    ("{{ 2.5 | round }}", "2.0"),
    ("{{ 3.5 | round }}", "4.0"),
    ("{{ 2.567 | round(2) }}", "2.57"),
    (#"{{ 2.567 | round(1, "floor") }}"#, "2.5"),
    (#"{{ 2.51 | round(1, "ceil") }}"#, "2.6"),
    ("{{ 42 | round }}", "42"),
    ("{{ 2.675 | round(2) }}", "2.67"),
    ("{{ 1234 | round(-2) }}", "1200"),
    ("{{ neg | abs }}", "7"),
    ("{{ -2.5 | abs }}", "2.5"),
  ])
  func roundFilter(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    (#"{{ "<b>&'\"" | escape }}"#, "&lt;b&gt;&amp;&#39;&#34;"),
    (
      #"{{ "<b>" | safe }}{{ "'" | safe + "<'" + "'" | safe }}{{ "<" + ("'" | safe) }}"#,
      "<b>'&lt;&#39;'&lt;'"
    ),
    (
      #"{% set m = "'" | safe %}{{ m + ">" }}{{ m ~ ">" }}{{ m | length }}{{ m in "it's" }}"#,
      "'&gt;'>1True"
    ),
    (#"{{ "<b>" | e }}"#, "&lt;b&gt;"),
    (#"{{ "a b/c?é" | urlencode }}"#, "a%20b/c%3F%C3%A9"),
    (#"{{ "one two  three" | wordcount }}"#, "3"),
    (#"{{ "hello world foo bar" | truncate(11) }}"#, "hello..."),
    (#"{{ "hello world foo bar" | truncate(11, true) }}"#, "hello wo..."),
    (#"{{ "hello" | truncate(5) }}"#, "hello"),
    (#"{{ "hello world" | truncate(8, false, "..", 0) }}"#, "hello.."),
    (#"{{ "ab" | center(7) }}"#, "   ab  "),
    (#"{{ "abc" | center(8) }}"#, "  abc   "),
  ])
  func escaping(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }

  @Test(arguments: [
    ("{{ [1, 2] | tojson | length }}", "6"),
    (
      #"{{ {"a": [1, 2, {"b": none}]} | tojson(indent=4) }}"#,
      "{\n    \"a\": [\n        1,\n        2,\n        {\n            \"b\": null\n    "
        + "    }\n    ]\n}"
    ),
  ])
  func nestedJSON(template: String, expected: String) throws {
    try TemplateCase.expect(template, expected)
  }
}
