/// How a byte-pair model cuts text into words before it merges: the passes, and the few habits that
/// go with the name. To support another name, add a row to `PreTokenizer.rows`.
package struct PreTokenizer: Sendable {
  var passes: [any TextPass]
  /// A word that is a token as it stands is not merged from its bytes.
  var wholeWordsFirst = false
  /// Whether prompts begin with BOS where the file does not say.
  var addBOS = false
  /// Merges work on characters, and a space is written as U+2581, instead of the byte alphabet.
  var usesCharacters = false

  /// The ends of the words of `text`, in characters.
  func split(_ text: ScalarText) -> [Int] {
    var ends = text.count == 0 ? [] : [text.count]
    for pass in passes { ends = pass.split(text, ends: ends) }
    return ends
  }

  /// The rule of that name, or nil.
  static func named(_ name: String) -> PreTokenizer? {
    rows.first { $0.names.contains(name) }?.rule
  }

  /// Every name a file may use.
  package static var supported: [String] { rows.flatMap(\.names) }

  /// The words of `text` under the rule of that name, or nil where the name is unknown: what merging
  /// starts from, for tests and for finding out why a text has the tokens it has.
  package static func words(of text: [UInt8], rule name: String) -> [[UInt8]]? {
    guard let rule = named(name) else { return nil }
    let scalars = ScalarText(text[...])
    var start = 0
    return rule.split(scalars).map { end in
      defer { start = end }
      return Array(text[scalars.offsets[start]..<scalars.offsets[end]])
    }
  }

  private static let gpt2 = PreTokenizer(passes: [GPT2Pass()])
  private static let digitsThenGPT2 = PreTokenizer(passes: [NumberPass(limit: 1), GPT2Pass()])
  private static let llama3 = WordPass(numbers: 3)
  private static let qwen2 = PreTokenizer(passes: [WordPass()])
  private static let bloom = RunPass(
    lead: .space,
    set: ScalarSet(
      classes: .space,
      ranges: "(|.,!?\u{2026}\u{3002}\u{FF0C}\u{3001}\u{0964}\u{06D4}\u{060C})".unicodeScalars
        .map { $0.value...$0.value },
      negated: true))
  private static let deepSeek3 = WordPass(
    contractions: .none, punctuatedWords: true,
    leadExcludes: [.newline, .letter, .punctuation, .symbol], letters: [.letter, .mark], numbers: 0,
    others: ScalarSet(classes: [.punctuation, .symbol]))
  private static let spark = WordPass(
    contractions: .none, punctuatedWords: true,
    leadExcludes: [.newline, .letter, .punctuation, .symbol], letters: [.letter, .mark], numbers: 0,
    others: ScalarSet(classes: [.punctuation, .symbol]), tail: .none, singleLineBreaks: true)
  private static let gpt4o = WordPass(
    contractions: .after, letters: [.letter, .mark], splitsCase: true, numbers: 3,
    tail: .lineBreaksAndSlashes)

  private static let hanAndKana = RunPass(
    set: ScalarSet(ranges: [0x4E00...0x9FA5, 0x3040...0x309F, 0x30A0...0x30FF]))
  /// The ranges of DeepSeek's first files; the odd bounds are theirs.
  private static let cjk = RunPass(
    set: ScalarSet(ranges: [0x4E00...0x9FA5, 0x0800...0x4E00, 0xAC00...0xD7FF]))
  /// Letters with case, as DeepSeek listed them: without the scripts that had none at the time.
  private static let casedLetters = ScalarSet(
    classes: [.upper, .lower],
    except: [
      0x560...0x588, 0x10C6...0x10FF, 0x1C80...0x1C8F, 0x2D00...0x2D2F, 0xA790...0xA7FF,
      0xAB30...0xAB6F, 0x10570...0x105BF, 0x10D50...0x10D8F, 0x16E40...0x1DFFF,
    ])
  private static let punctuationAndSpaceMarks = ScalarSet(
    ranges: [
      0x21...0x2F, 0x3A...0x7E, 0xFF01...0xFF0F, 0xFF1A...0xFF5E, 0x2018...0x201F, 0x3000...0x3002,
    ])

  private static func punctuationPass(and extras: String) -> RunPass {
    RunPass(
      set: ScalarSet(
        classes: .punctuation, ranges: extras.unicodeScalars.map { $0.value...$0.value }))
  }

  private static let rows: [(names: [String], rule: PreTokenizer)] = [
    (
      ["default"],
      PreTokenizer(passes: [
        punctuationPass(and: "$+<=>^~|"), GPT2Pass(), NumberPass(), DigitTriplePass(),
      ])
    ),
    (
      [
        "gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es", "jina-v2-de", "a.x-4.0",
        "mellum", "modern-bert", "mpt", "olmo", "jais", "trillion", "granite-docling", "exaone4",
        "jina-v1-en", "jina-v2-code", "roberta-bpe",
      ], gpt2
    ),
    (
      [
        "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b",
        "mellum2",
      ], digitsThenGPT2
    ),
    (
      [
        "llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
        "jina-v5-nano",
      ], PreTokenizer(passes: [llama3], wholeWordsFirst: true, addBOS: true)
    ),
    (["dbrx", "smaug-bpe", "chatglm-bpe"], PreTokenizer(passes: [llama3])),
    (["glm4", "glm5"], PreTokenizer(passes: [llama3], wholeWordsFirst: true)),
    (
      [
        "qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan",
        "solar-open", "grok-2", "bailingmoe", "bailingmoe2", "llada-moe",
      ], qwen2
    ),
    (
      ["qwen35"],
      PreTokenizer(passes: [
        WordPass(
          letters: [.letter, .mark],
          others: ScalarSet(classes: [.space, .letter, .mark, .number], negated: true))
      ])
    ),
    (["ufakzeka"], PreTokenizer(passes: [WordPass(contractions: .none)])),
    (["laguna"], PreTokenizer(passes: [LinePass(), WordPass()])),
    (
      ["minicpm5"],
      PreTokenizer(passes: [NumberPass(limit: 3), WordPass(numbers: .max)], wholeWordsFirst: true)
    ),
    (["seed-coder"], PreTokenizer(passes: [WordPass(tail: .none)])),
    (
      ["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"], PreTokenizer(passes: [gpt4o])
    ),
    (["granite-embed-multi-97m"], PreTokenizer(passes: [gpt4o], wholeWordsFirst: true)),
    (
      ["tekken"],
      PreTokenizer(
        passes: [
          WordPass(
            contractions: .none, letters: [.letter, .mark], splitsCase: true,
            tail: .lineBreaksAndSlashes)
        ], wholeWordsFirst: true, addBOS: true)
    ),
    (
      ["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"],
      PreTokenizer(passes: [NumberPass(limit: 3), hanAndKana, deepSeek3])
    ),
    (
      ["spark2_5"],
      PreTokenizer(passes: [NumberPass(limit: 3), hanAndKana, spark, NumberPass(limit: 1)])
    ),
    (
      ["deepseek-llm"],
      PreTokenizer(passes: [
        LineBreakPass(), RunPass(lead: .anyWhitespace, set: casedLetters),
        RunPass(lead: .anyWhitespace, set: punctuationAndSpaceMarks), TrailingSpacePass(), cjk,
        NumberPass(),
      ])
    ),
    (
      ["deepseek-coder"],
      PreTokenizer(passes: [
        LineBreakPass(), RunPass(lead: .anyWhitespace, set: ScalarSet(classes: .letter)),
        RunPass(lead: .anyWhitespace, set: ScalarSet(classes: .punctuation)), cjk,
        NumberPass(limit: 1),
      ])
    ),
    (
      ["falcon"],
      PreTokenizer(passes: [punctuationPass(and: "$+<=>^~|`"), GPT2Pass(), DigitTriplePass()])
    ),
    (["poro-chat", "bloom", "gpt3-finnish"], PreTokenizer(passes: [bloom])),
    (["viking"], PreTokenizer(passes: [bloom, NumberPass(limit: 1)])),
    (
      ["gemma4", "granite-embed-multi-311m", "sarvam-moe"],
      PreTokenizer(passes: [LinePass()], usesCharacters: true)
    ),
  ]
}
