import Testing
import Tokenization

struct ChatTemplateTests {
  /// SmolLM2's own template, with a shorter system message of its own; `GoldenTests` has the real one.
  static let smolLM2 =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    + "{{ '<|im_start|>system\\nYou are named SmolLM<|im_end|>\\n' }}{% endif %}"
    + "{{'<|im_start|>' + message['role'] + '\\n' + "
    + "message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}"
    + "{{ '<|im_start|>assistant\\n' }}{% endif %}"

  /// Like many: tools as JSON, calls and their results, content in parts.
  static let tools = """
    {{- bos_token }}
    {%- if tools %}
        {{- "Tools:\\n" }}
        {%- for tool in tools %}
    {{ tool | tojson(indent=2) }}
        {%- endfor %}
    {% endif %}
    {% for message in messages %}
        {% if message.content is string %}
    {{ message.role }}: {{ message.content | trim }}
        {% elif message.content is iterable and message.content is not none %}
    {{ message.role }}:{% for part in message.content %} [{{ part.type }} {{ part.text }}]{% endfor +%}
        {% endif %}
        {% for call in message.tool_calls or [] %}
    call {{ call.function.name }}({% for k, v in call.function.arguments.items() %}{{ k }}={{ v | tojson }}{{ ", " if not loop.last }}{% endfor %})
        {% endfor %}
    {% endfor %}
    Today is {{ strftime_now("%A, %d %B %Y") }}.{{ eos_token }}
    """

  private let now = TemplateDate(year: 2026, month: 2, day: 28, hour: 23, minute: 59, second: 1)

  @Test func smolLM2AddsItsSystemMessage() throws {
    let template = try ChatTemplate(Self.smolLM2)
    #expect(
      try template.render(messages: [ChatMessage(role: "user", content: "Hi!")], now: now)
        == """
        <|im_start|>system
        You are named SmolLM<|im_end|>
        <|im_start|>user
        Hi!<|im_end|>
        <|im_start|>assistant

        """)
    #expect(
      try template.render(
        messages: [
          ChatMessage(role: "system", content: "Be brief."),
          ChatMessage(role: "user", content: "é\u{301}<|im_end|>"),
          ChatMessage(role: "assistant", content: ""),
        ], addGenerationPrompt: false, now: now)
        == "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\né\u{301}<|im_end|><|im_end|>\n"
        + "<|im_start|>assistant\n<|im_end|>\n")
    #expect(try template.render(messages: [], now: now) == "<|im_start|>assistant\n")
  }

  /// A message without content is what a call of a tool looks like: SmolLM2 has no way to write it.
  @Test func whatATemplateCannotWriteIsAnError() throws {
    let template = try ChatTemplate(Self.smolLM2)
    #expect(throws: TemplateError(.type, line: 1, "'+' does not apply to a str and None")) {
      try template.render(messages: [ChatMessage(role: "assistant", content: .none)], now: now)
    }
  }

  @Test func toolsCallsAndParts() throws {
    let tool = TemplateValue.dictionary([
      ("type", .string("function")), ("strict", .bool(true)), ("max", .float(2)),
    ])
    let call = TemplateValue.dictionary([
      (
        "function",
        .dictionary([
          ("name", .string("f")),
          (
            "arguments",
            .dictionary([("q", .string("a\"b")), ("n", .none), ("l", .list([.int(1)]))])
          ),
        ])
      )
    ])
    let text = try ChatTemplate(Self.tools).render(
      messages: [
        ChatMessage(role: "user", content: "  go \n"),
        ChatMessage(role: "assistant", content: .none, fields: [("tool_calls", .list([call]))]),
        ChatMessage(
          role: "tool",
          content: .list([.dictionary([("type", .string("text")), ("text", .string("ok"))])])),
      ], bos: "<s>", eos: "</s>", tools: .list([tool]), now: now)
    #expect(
      text == """
        <s>Tools:
        {
          "type": "function",
          "strict": true,
          "max": 2.0
        }user: go
        call f(q="a\\"b", n=null, l=[1])
        tool: [text ok]
        Today is Saturday, 28 February 2026.</s>
        """)
  }

  @Test func extraVariablesReachTheTemplate() throws {
    let template = try ChatTemplate(
      "{{ enable_thinking is defined and enable_thinking }} {{ tools }} {{ documents }}")
    #expect(try template.render(messages: [], now: now) == "False None None")
    #expect(
      try template.render(messages: [], now: now, extra: ["enable_thinking": .bool(true)])
        == "True None None")
  }

  @Test func aRefusalCarriesItsReason() throws {
    let template = try ChatTemplate(
      "{% for m in messages %}\n{% if m.role == 'system' %}\n{{ raise_exception('no ' + m.role) }}"
        + "{% endif %}{% endfor %}")
    #expect(throws: TemplateError(.raised, line: 3, "no system")) {
      try template.render(messages: [ChatMessage(role: "system", content: "x")], now: now)
    }
    #expect(try template.render(messages: [], now: now) == "")
  }

  @Test(arguments: [
    (2024, 2, 29, "Thu 060"), (2024, 12, 31, "Tue 366"), (2025, 1, 1, "Wed 001"),
    (1999, 12, 31, "Fri 365"), (2000, 3, 1, "Wed 061"),
  ])
  func datesFollowTheCalendar(year: Int, month: Int, day: Int, expected: String) throws {
    let template = try ChatTemplate("{{ strftime_now('%a %j') }}")
    let date = TemplateDate(year: year, month: month, day: day)
    #expect(try template.render(messages: [], now: date) == expected)
  }

  /// A clock set to nonsense must not trap either.
  @Test func nonsenseDatesAreNoTrap() throws {
    let template = try ChatTemplate("{{ strftime_now('%A %j %B %p %I').split() | length }}")
    for value in [Int.min / 4, -1, 0, 99, Int.max / 4] {
      let date = TemplateDate(year: value, month: value, day: value, hour: value)
      #expect(try template.render(messages: [], now: date) == "5")
    }
  }
}
