#!/usr/bin/env python3
"""Writes Tests/Fixtures/templates: what Python's jinja2 makes of chat templates.

Run once by a person, never by a test; the diff of its output is reviewed like code. The templates are
not ours to copy, and neither is the text that they insert: a result is its sha256, or null where
jinja2 raises an error.

  VENV/bin/pip install jinja2==3.1.6 llama-cpp-python==0.3.36
  VENV/bin/python tools/golden/templates.py --vocab "$(tools/fetch vocab)" \\
    --models $(tools/fetch smollm2 qwen05 qwen15) --out Tests/Fixtures/templates

The settings are those under which Hugging Face renders: a sandbox whose collections cannot be changed,
blocks that take their line break and the blanks before them along, `break` and `continue`, a `tojson`
that escapes nothing for HTML, `raise_exception`, `strftime_now`, and `{% generation %}` blocks.
"""

import argparse
import datetime
import hashlib
import importlib.metadata
import json
import pathlib

import jinja2.ext
import jinja2.sandbox

NOW = datetime.datetime(2026, 2, 28, 9, 5, 6)
BOS, EOS = "<s>", "</s>"

_WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather's course at a \"place\", for <days> & hours",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "The city, e.g. Zürich"},
                "days": {"type": "integer", "description": "How many days", "default": 1},
                "units": {"type": "string", "enum": ["metric", "imperial"]},
            },
            "required": ["city"],
        },
    },
}
_TIME = {
    "type": "function",
    "function": {
        "name": "get_time",
        "description": "The time of day",
        "parameters": {"type": "object", "properties": {}},
    },
}
_CALL = {
    "id": "call12345",
    "type": "function",
    "function": {"name": "get_weather", "arguments": {"city": "Zürich", "days": 2}},
}

CONVERSATIONS = [
    {"name": "plain", "tools": None, "messages": [
        {"role": "user", "content": "Why is the sky blue?"},
    ]},
    {"name": "system", "tools": None, "messages": [
        {"role": "system", "content": "You answer in one short sentence."},
        {"role": "user", "content": "  Why is the sky \"blue\" & not <red>?\n"},
    ]},
    {"name": "tools", "tools": [_WEATHER, _TIME], "messages": [
        {"role": "system", "content": "Be helpful."},
        {"role": "user", "content": "Will it rain in Zürich?"},
    ]},
    {"name": "tool result", "tools": [_WEATHER], "messages": [
        {"role": "user", "content": "Hi!"},
        {"role": "assistant", "content": "Hello. What can I do?"},
        {"role": "user", "content": "Will it rain in Zürich tomorrow?"},
        {"role": "assistant", "content": "", "tool_calls": [_CALL]},
        {"role": "tool", "name": "get_weather", "tool_call_id": "call12345",
         "content": "{\"rain\": 0.25, \"text\": \"schön\"}"},
        {"role": "assistant", "content": "Hardly: one chance in four."},
        {"role": "user", "content": "Thanks. And on Sunday?"},
    ]},
]


class Generation(jinja2.ext.Extension):
    """`{% generation %}` marks what the model itself would write; here it only is a block."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("_contents")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _contents(self, caller):
        return caller()


def environment():
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(
            x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


def render(source, conversation):
    """The sha256 of the text, or None and the error."""
    try:
        text = environment().from_string(source).render(
            messages=conversation["messages"], tools=conversation["tools"], documents=None,
            add_generation_prompt=True, bos_token=BOS, eos_token=EOS)
    except Exception as error:  # Whatever it is, the conversation cannot be written.
        return None, f"{type(error).__name__}: {error}"
    return digest(text.encode()), None


def ordered(value):
    """JSON whose reader keeps the order of keys, which templates show: an object is its pairs."""
    if isinstance(value, dict):
        return {"object": [[key, ordered(item)] for key, item in value.items()]}
    return [ordered(item) for item in value] if isinstance(value, list) else value


def template_of(path):
    """The chat template of a GGUF file."""
    import llama_cpp as llama
    quiet = llama.llama_log_callback(lambda level, text, data: None)
    llama.llama_log_set(quiet, None)
    parameters = llama.llama_model_default_params()
    parameters.vocab_only = True
    model = llama.llama_model_load_from_file(str(path).encode(), parameters)
    source = llama.llama_model_chat_template(model, None).decode()
    llama.llama_model_free(model)
    return source


def digest(data):
    return hashlib.sha256(data).hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vocab", type=pathlib.Path, required=True)
    parser.add_argument("--models", type=pathlib.Path, nargs="*", default=[])
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    sources = {path.name: path.read_text() for path in sorted(arguments.vocab.glob("*.jinja"))}
    sources |= {path.name: template_of(path) for path in arguments.models}
    templates = []
    for name, source in sources.items():
        results = [render(source, conversation) for conversation in CONVERSATIONS]
        for conversation, (_, error) in zip(CONVERSATIONS, results):
            if error:
                print(f"{name}, {conversation['name']}: {error}")
        templates.append({
            "name": name, "sha256": digest(source.encode()), "results": [sum for sum, _ in results]})
    value = {
        "bos": BOS, "eos": EOS,
        "now": [NOW.year, NOW.month, NOW.day, NOW.hour, NOW.minute, NOW.second],
        "conversations": [
            {"name": c["name"], "tools": ordered(c["tools"]), "messages": ordered(c["messages"])}
            for c in CONVERSATIONS],
        "templates": templates}
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "templates.json"
    path.write_text(json.dumps(value, indent=1) + "\n")
    manifest = {
        "engine": {"jinja2": importlib.metadata.version("jinja2")},
        "templates": "vocab and the models of tools/fetch; sums of each in templates.json",
        "command": 'python tools/golden/templates.py --vocab "$(tools/fetch vocab)" '
                   '--models $(tools/fetch smollm2 qwen05 qwen15) --out Tests/Fixtures/templates',
        "date": datetime.date.today().isoformat(),
        "files": {path.name: digest(path.read_bytes())}}
    (arguments.out / "MANIFEST.json").write_text(json.dumps(manifest, indent=2) + "\n")
    print(f"{len(templates)} templates, {len(CONVERSATIONS)} conversations, "
          f"{sum(r is None for t in templates for r in t['results'])} refusals")


if __name__ == "__main__":
    main()
