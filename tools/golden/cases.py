"""The inputs of golden.py: strings to tokenise, prompts to continue, conversations to render."""

TOKENIZATION = [
    "",
    " ",
    "  ",
    "   \t ",
    "\n",
    "\n\n\n",
    "\r\n",
    " \n \n",
    "a",
    " a",
    "a ",
    "Hello, world!",
    "Hello,  world !",
    "The quick brown fox jumps over the lazy dog.",
    "THE QUICK brown FoX",
    "don't you've I'll she'd we're I'm it's",
    "DON'T IT'S 'tis rock 'n' roll",
    "0",
    "42",
    "1234567890",
    "3.14159e-10",
    "1,000,000.00 and 2024-06-30T23:59:59Z",
    "½ ² ③ Ⅻ ٣٤٥ ४५६",
    "naïve café résumé",
    "nai\u0308ve cafe\u0301",
    "Straße, ÆØÅ, ŁÓDŹ, Čeština",
    "Привет, мир! Как дела?",
    "Καλημέρα κόσμε",
    "שלום עולם",
    "مرحبا بالعالم",
    "नमस्ते दुनिया",
    "สวัสดีชาวโลก",
    "你好,世界。今天天气很好!",
    "こんにちは世界、カタカナとひらがな",
    "안녕하세요 세계",
    "👋🌍 👩‍👩‍👧‍👦 🇩🇪 👍🏽",
    "zero\u200bwidth\u00a0no-break\u3000ideographic \ufeff mark",
    "control \x01\x7f\u0085 characters",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈 🀄",
    "\ufffd replacement, \ue000 private use",
    "trailing spaces     ",
    "     leading spaces",
    "tab\tseparated\t\tvalues",
    "a\nb\n\nc\n",
    "...!!!???--- ***",
    "$100 + 50% = €150 @ #hashtag_snake_case camelCase kebab-case",
    "https://example.org/path?query=1&other=two#part",
    "<|im_start|>user\nHi<|im_end|>\n",
    "<|endoftext|>",
    "text<|im_end|>text <|im_start|> text",
    "<|im_start| >",
    "<|unknown|> <s> </s> [INST] <<SYS>>",
    "<repo_name>apus<file_sep>Package.swift",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
]

CODE = [
    "for (int i = 0; i < n; ++i) {\n\tsum += a[i] * b[i];\n}\n",
    "def f(x):\n    if x > 0:\n        return x ** 2\n    return None\n",
    "let total = values.reduce(0) { $0 + $1 }  // sum\n",
    "SELECT name, COUNT(*) FROM users WHERE age >= 18 GROUP BY 1;",
    '{"key": [1, 2.5, null, true], "nested": {"a": "b\\n"}}',
]

GREEDY_PROMPTS = [
    "The capital of France is",
    "1, 2, 3, 4, 5, 6, 7, 8,",
    "Once upon a time, in a small village by the sea,",
    "The three primary colors are",
    "def fibonacci(n):\n    ",
    "Dear Sir or Madam,\n\nI am writing to",
    "The days of the week are Monday, Tuesday,",
    "The most important thing about learning to program is",
]

SLICE_PROMPT = "The sky looks blue during the day because the air scatters short waves of"

_TWO_TURNS = [
    {"role": "user", "content": "Why is the sky blue?"},
    {"role": "assistant", "content": "Because air scatters blue light more than red light."},
    {"role": "user", "content": "And why is it red in the evening?"},
]

# (messages, whether the opening of the assistant's turn is appended)
CHATS = [
    ([{"role": "user", "content": "Why is the sky blue?"}], True),
    (_TWO_TURNS, True),
    ([{"role": "system", "content": "You answer in one short sentence."}] + _TWO_TURNS, True),
    (_TWO_TURNS[:2], False),
    ([{"role": "user", "content": "  spaces, a\nline and <|im_end|> inside  "}], True),
]
