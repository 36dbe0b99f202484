import Testing
import Tokenization

/// The expected words come from the models' regular expressions, run by Python's `regex` module.
struct PreTokenizerTests {
  private func words(_ text: String, _ rule: String) -> [String]? {
    PreTokenizer.words(of: Array(text.utf8), rule: rule)?.map {
      String(decoding: $0, as: UTF8.self)
    }
  }

  @Test(arguments: [
    (
      "gpt-2",
      [
        "I", "'ll", ",", " we", "'", "RE", " ", " done", " 1234", " (", "ok", ")!!", "\n\n", "\t",
        "go",
      ]
    ),
    (
      "smollm",
      [
        "I", "'ll", ",", " we", "'", "RE", " ", " done", " ", "1", "2", "3", "4", " (", "ok", ")!!",
        "\n\n", "\t", "go",
      ]
    ),
    (
      "default",
      [
        "I", "'", "ll", ",", " we", "'", "RE", " ", " done", " ", "123", "4", " ", "(", "ok", ")!!",
        "\n\n", "\t", "go",
      ]
    ),
    (
      "llama-bpe",
      ["I", "'ll", ",", " we", "'RE", " ", " done", " ", "123", "4", " (", "ok", ")!!\n\n", "\tgo"]
    ),
    (
      "qwen2",
      [
        "I", "'ll", ",", " we", "'RE", " ", " done", " ", "1", "2", "3", "4", " (", "ok", ")!!\n\n",
        "\tgo",
      ]
    ),
    (
      "qwen35",
      [
        "I", "'ll", ",", " we", "'RE", " ", " done", " ", "1", "2", "3", "4", " (", "ok", ")!!\n\n",
        "\tgo",
      ]
    ),
    (
      "ufakzeka",
      [
        "I", "'ll", ",", " we", "'RE", " ", " done", " ", "1", "2", "3", "4", " (", "ok", ")!!\n\n",
        "\tgo",
      ]
    ),
    (
      "laguna",
      [
        "I", "'ll", ",", " we", "'RE", " ", " done", " ", "1", "2", "3", "4", " (", "ok", ")!!",
        "\n\n", "\tgo",
      ]
    ),
    (
      "minicpm5",
      ["I", "'ll", ",", " we", "'RE", " ", " done", " ", "123", "4", " (", "ok", ")!!\n\n", "\tgo"]
    ),
    (
      "seed-coder",
      [
        "I", "'ll", ",", " we", "'RE", " ", " done", " ", "1", "2", "3", "4", " (", "ok", ")!!",
        "\n\n", "\tgo",
      ]
    ),
    (
      "gpt-4o",
      ["I'll", ",", " we'RE", " ", " done", " ", "123", "4", " (", "ok", ")!!\n\n", "\tgo"]
    ),
    (
      "tekken",
      [
        "I", "'ll", ",", " we", "'RE", " ", " done", " ", "1", "2", "3", "4", " (", "ok", ")!!\n\n",
        "\tgo",
      ]
    ),
    (
      "deepseek-v3",
      ["I", "'ll", ",", " we", "'RE", " ", " done", " ", "123", "4", " (", "ok", ")!!\n\n", "\tgo"]
    ),
    (
      "spark2_5",
      [
        "I", "'ll", ",", " we", "'RE", " ", " done", " ", "1", "2", "3", "4", " (", "ok", ")!!",
        "\n", "\n", "\tgo",
      ]
    ),
    (
      "deepseek-coder",
      [
        "I", "'", "ll", ",", " we", "'", "RE", " ", " done", " ", "1", "2", "3", "4", " (", "ok",
        ")!!", "\n", "\n", "\tgo",
      ]
    ),
    (
      "falcon",
      [
        "I", "'", "ll", ",", " we", "'", "RE", " ", " done", " ", "123", "4", " ", "(", "ok", ")!!",
        "\n\n", "\t", "go",
      ]
    ),
    ("bloom", ["I'll", ",", " we'RE", " ", " done", " 1234", " (", "ok", ")!!\n\n\t", "go"]),
    (
      "viking",
      ["I'll", ",", " we'RE", " ", " done", " ", "1", "2", "3", "4", " (", "ok", ")!!\n\n\t", "go"]
    ),
    ("gemma4", ["I'll, we'RE  done 1234 (ok)!!", "\n\n", "\tgo"]),
  ])
  func englishText(rule: String, expected: [String]) {
    #expect(words("I'll, we'RE  done 1234 (ok)!!\n\n\tgo", rule) == expected)
  }

  @Test(arguments: [
    ("gpt-2", ["FooBarÉté中文A", " nhé", " 3½", " x", "/", "y", "//", "\n"]),
    ("smollm", ["FooBarÉté中文A", " nhé", " ", "3", "½", " x", "/", "y", "//", "\n"]),
    ("default", ["FooBarÉté中文A", " nhé", " ", "3½", " x", "/", "y", "//", "\n"]),
    ("llama-bpe", ["FooBarÉté中文A", " nhé", " ", "3½", " x", "/y", "//\n"]),
    ("qwen2", ["FooBarÉté中文A", " nhé", " ", "3", "½", " x", "/y", "//\n"]),
    ("qwen35", ["FooBarÉté中文A", " nhé", " ", "3", "½", " x", "/y", "//\n"]),
    ("ufakzeka", ["FooBarÉté中文A", " nhé", " ", "3", "½", " x", "/y", "//\n"]),
    ("laguna", ["FooBarÉté中文A", " nhé", " ", "3", "½", " x", "/y", "//", "\n"]),
    ("minicpm5", ["FooBarÉté中文A", " nhé", " ", "3½", " x", "/y", "//\n"]),
    ("seed-coder", ["FooBarÉté中文A", " nhé", " ", "3", "½", " x", "/y", "//", "\n"]),
    ("gpt-4o", ["Foo", "Bar", "Été中文", "A", " nhé", " ", "3½", " x", "/y", "//\n"]),
    ("tekken", ["Foo", "Bar", "Été中文", "A", " nhé", " ", "3", "½", " x", "/y", "//\n"]),
    ("deepseek-v3", ["FooBarÉté", "中文", "A", " nhé", " ", "3½", " x", "/y", "//\n"]),
    ("spark2_5", ["FooBarÉté", "中文", "A", " nhé", " ", "3", "½", " x", "/y", "//", "\n"]),
    (
      "deepseek-coder", ["FooBarÉté", "中文", "A", " nhé", " ", "3", "½", " x", "/", "y", "//", "\n"]
    ),
    ("falcon", ["FooBarÉté中文A", " nhé", " 3½", " x", "/", "y", "//", "\n"]),
    ("bloom", ["FooBarÉté中文A", " nhé", " 3½", " x/y//", "\n"]),
    ("viking", ["FooBarÉté中文A", " nhé", " ", "3", "½", " x/y//", "\n"]),
    ("gemma4", ["FooBarÉté中文A nhé 3½ x/y//", "\n"]),
  ])
  func mixedText(rule: String, expected: [String]) {
    #expect(words("FooBarÉté中文A nhé 3½ x/y//\n", rule) == expected)
  }

  @Test func everyRuleKeepsEveryByte() {
    let text = Array("a\u{301}  b\r\n\r\n 12345 x'LL ½ 日本/\u{3000}。🦙\t".utf8) + [0xFF, 0xE2, 0x82]
    for rule in PreTokenizer.supported {
      #expect(
        PreTokenizer.words(of: text, rule: rule).map { Array($0.joined()) } == text, "\(rule)")
      #expect(PreTokenizer.words(of: [], rule: rule)?.isEmpty == true, "\(rule)")
    }
    #expect(PreTokenizer.words(of: text, rule: "unheard-of") == nil)
  }

  @Test func noNameHasTwoRules() {
    #expect(Set(PreTokenizer.supported).count == PreTokenizer.supported.count)
  }
}
