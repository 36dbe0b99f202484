import GGUF
import Tensors

/// Where fuzzing starts: small valid files of every kind that the readers know.
package enum FuzzSeeds {
  package static var gguf: [(name: String, bytes: [UInt8])] {
    let template = ("tokenizer.chat_template", MetadataValue.string("{{ messages[0].content }}"))
    let linear: [(String, MetadataValue)] = [
      ("llama.rope.scaling.type", .string("linear")), ("llama.rope.scaling.factor", .real(2)),
      ("llama.attention.key_length", .unsigned(4)), ("general.alignment", .unsigned(32)),
    ]
    var kinds = GGUFWriter()
    for (key, value) in kindsOfValues { kinds.set(key, value) }
    return [
      ("bpe", model("llama", bytePair + [template]).encoded()),
      ("qwen2", model("qwen2", bytePair, [("attn_q.bias", [4])]).encoded()),
      ("qwen3", model("qwen3", bytePair + yarn, heads).encoded()),
      ("gemma3", model("gemma3", sentencePiece + windows, heads + posts).encoded()),
      ("phi3", model("phi3", sentencePiece + longRope, fused).encoded()),
      ("spm", model("llama", sentencePiece + linear).encoded()),
      ("wordpiece", model("llama", wordPiece).encoded()),
      ("first-shard", model("llama", bytePair).encoded(shards: 2)[0]),
      ("second-shard", model("llama", bytePair).encoded(shards: 2)[1]),
      ("metadata", kinds.encoded()),
      ("empty", GGUFWriter().encoded()),
    ]
  }

  package static var template: [(name: String, bytes: [UInt8])] {
    templates.enumerated().map { index, pair in
      (pair.name, [UInt8(0x40 | index % 4)] + Array(pair.text.utf8))
    }
  }

  private static let yarn: [(String, MetadataValue)] = [
    ("qwen3.rope.scaling.type", .string("yarn")), ("qwen3.rope.scaling.factor", .real(4)),
    ("qwen3.rope.scaling.original_context_length", .unsigned(4)),
  ]
  private static let windows: [(String, MetadataValue)] = [
    ("gemma3.attention.sliding_window", .unsigned(4)),
    ("gemma3.attention.sliding_window_pattern", .bools([true])),
  ]
  private static let longRope: [(String, MetadataValue)] = [
    ("phi3.rope.scaling.type", .string("longrope")), ("phi3.rope.scaling.attn_factor", .real(1.5)),
  ]
  // Tensors of a layer that not every architecture has.
  private static let heads = [("attn_q_norm.weight", [4]), ("attn_k_norm.weight", [4])]
  private static let posts = [("post_attention_norm.weight", [4]), ("post_ffw_norm.weight", [4])]
  private static let fused = [("attn_qkv.weight", [4, 12])]

  /// A model of one layer, four wide.
  private static func model(
    _ architecture: String, _ vocabulary: [(String, MetadataValue)],
    _ more: [(name: String, shape: [Int])] = []
  ) -> GGUFWriter {
    var writer = GGUFWriter()
    let sizes: [(String, UInt64)] = [
      ("block_count", 1), ("context_length", 8), ("embedding_length", 4),
      ("feed_forward_length", 4),
      ("attention.head_count", 1),
    ]
    writer.set("general.architecture", .string(architecture))
    for (key, value) in sizes { writer.set("\(architecture).\(key)", .unsigned(value)) }
    for (key, value) in vocabulary { writer.set(key, value) }
    var tokens = 8
    if case .strings(let texts)? = vocabulary.first(where: { $0.0.hasSuffix(".tokens") })?.1 {
      tokens = texts.count
    }
    func add(_ name: String, _ shape: [Int]) {
      let values = [Float](repeating: 0.5, count: shape.reduce(1, *))
      writer.add(name, .f32, shape, ElementType.f32.encoded(values))
    }
    add("token_embd.weight", [4, tokens])
    add("output_norm.weight", [4])
    for norm in ["attn_norm", "ffn_norm"] { add("blk.0.\(norm).weight", [4]) }
    let isFused = more.contains { $0.name == "attn_qkv.weight" }
    for name in isFused ? [] : ["attn_q", "attn_k", "attn_v", "ffn_gate"] {
      add("blk.0.\(name).weight", [4, 4])
    }
    add("blk.0.attn_output.weight", [4, 4])
    add("blk.0.ffn_up.weight", [4, isFused ? 8 : 4])
    add("blk.0.ffn_down.weight", [4, 4])
    for tensor in more { add("blk.0.\(tensor.name)", tensor.shape) }
    for factors in ["long", "short"] where isFused { add("rope_factors_\(factors).weight", [2]) }
    return writer
  }

  private static func vocabulary(
    _ model: String, _ tokens: [String], _ types: [Int64], _ more: [(String, MetadataValue)]
  ) -> [(String, MetadataValue)] {
    let pairs: [(String, MetadataValue)] = [
      ("model", .string(model)), ("tokens", .strings(tokens)), ("token_type", .signeds(types)),
    ]
    return (pairs + more).map { ("tokenizer.ggml.\($0.0)", $0.1) }
  }

  private static let bytePair = vocabulary(
    "gpt2", ["a", "b", "Ġ", "ab", "Ġa", "<|im_end|>"], [1, 1, 1, 1, 1, 3],
    [
      ("pre", .string("qwen2")), ("merges", .strings(["a b", "Ġ a"])),
      ("eos_token_id", .unsigned(5)), ("add_bos_token", .bool(false)),
    ])

  private static let sentencePiece = vocabulary(
    "llama", ["<unk>", "<s>", "</s>", "<0x41>", "▁", "a", "▁a"], [2, 3, 3, 6, 1, 1, 1],
    [
      ("scores", .reals([0, 0, 0, 0, -1, -2, -3])), ("bos_token_id", .unsigned(1)),
      ("eos_token_id", .unsigned(2)), ("unknown_token_id", .unsigned(0)),
      ("add_space_prefix", .bool(true)),
    ])

  private static let wordPiece = vocabulary(
    "bert", ["[UNK]", "[CLS]", "[SEP]", "▁a", "b"], [3, 3, 3, 1, 1],
    [
      ("unknown_token_id", .unsigned(0)), ("cls_token_id", .unsigned(1)),
      ("seperator_token_id", .unsigned(2)),
    ])

  private static let kindsOfValues: [(String, MetadataValue)] = [
    ("a", .unsigned(7)), ("b", .unsigned(1 << 40)), ("c", .signed(-3)), ("d", .real(0.5)),
    ("e", .bool(true)), ("f", .string("héllo")), ("g", .strings(["x", ""])),
    ("h", .signeds([-1, 2])),
    ("i", .reals([0.25])), ("j", .bools([true, false])), ("k", .unsigneds([1, 2])),
  ]

  private static let templates: [(name: String, text: String)] = [
    (
      "plain",
      "{%- for m in messages -%}<|{{ m.role }}|>{{ m['content'] | trim }}{{ eos_token }}\n"
        + "{%- endfor -%}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    ),
    (
      "tools",
      "{% if tools is not none and tools %}{{ tools | tojson(indent=2) }}{% endif %}"
        + "{% for m in messages if m.tool_calls is defined %}{% for c in m.tool_calls %}"
        + "{{ loop.index0 ~ ':' ~ c.function.name }}{% for k, v in c.function.arguments.items() %}"
        + "{{ k }}={{ v | tojson }}{% if not loop.last %}, {% endif %}{% endfor %}{% endfor %}"
        + "{% else %}none{% endfor %}"
    ),
    (
      "namespace",
      "{% set ns = namespace(n=0, s='') %}{% for m in messages[::-1] %}{% set ns.n = ns.n + 1 %}"
        + "{% if m.role == 'tool' %}{% continue %}{% elif loop.first %}{% break %}{% endif %}"
        + "{% set ns.s = ns.s ~ m.role[0:2] | upper %}{% endfor %}{{ '%d %s' % (ns.n, ns.s) }}"
    ),
    (
      "macros",
      "{% macro tag(name, n=1) -%}<{{ name }}>{{ caller() if caller else '' }}{%- endmacro %}"
        + "{% call tag('b', n=2) %}{{ tag(name='i') }}{% endcall %}{% filter upper %}x{% endfilter %}"
        + "{% set t %}captured{% endset %}{{ t | replace('p', 'q') | length }}{% raw %}{{ }}{% endraw %}"
    ),
    (
      "expressions",
      "{{ 1 + 2 * -3 // 2 ** 2 % 5 }} {{ 'a' in 'abc' and not false or none }} {{ 1 < 2 <= 3 }}"
        + "{{ [1, 2.5, (3,), {'k': 'v'}] }} {{ 'x' if messages else 'y' }} {{ 'a,b'.split(',')[-1] }}"
    ),
    (
      "filters",
      "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list | first }}"
        + "{{ [3, 1, 2] | sort(reverse=true) | join('-') }}{{ range(3) | batch(2, 0) | list }}"
        + "{{ {'b': 1, 'a': 2} | dictsort }}{{ 'x\\ny' | indent(2) }}{{ 2.567 | round(1) }}"
    ),
    (
      "refusal",
      "{% if messages[0].role != 'system' %}{{ raise_exception('no system: ' + messages[0].role) }}"
        + "{% endif %}{{ strftime_now('%d %b %Y') }}"
    ),
    (
      "strings",
      "{{ 'Hello'.startswith('He') }}{{ ' x '.strip() }}{{ 'a-b'.replace('-', '+') }}{{ 'é'.upper() }}"
        + "{{ 'abc'[1:] ~ 'abc'[::-1] }}{{ '{} {:>5}'.format(1, 'a') }}{{ \"q'\\n\" | tojson }}"
    ),
  ]
}
