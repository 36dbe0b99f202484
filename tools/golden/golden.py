#!/usr/bin/env python3
"""Writes the golden files under Tests/Fixtures: what llama.cpp says of a model and a text.

Run once by a person, never by a test; the diff of its output is reviewed like code.

  python3 -m venv VENV        # needs libopenblas-dev, cmake and a C++ compiler; about 20 minutes
  CMAKE_ARGS="-DGGML_NATIVE=ON -DGGML_BLAS=ON -DGGML_BLAS_VENDOR=OpenBLAS" \\
    VENV/bin/pip install llama-cpp-python==0.3.36
  VENV/bin/python tools/golden/golden.py --model "$(tools/fetch smollm2)" \\
    --text "$(tools/fetch text)" --out Tests/Fixtures/smollm2

Activation setting. llama.cpp quantises activations to int8 blocks of 32 for a quantised matrix,
except where its BLAS backend takes over: from 32 rows a step on it dequantises the weights and
calls sgemm. So a step of 512 rows is `f32` and steps of 16 rows are `int8`. To keep the f32 setting
at `f32` for short prompts, filler tokens are appended until a step has 64 rows: under a causal mask
they cannot reach the rows in front of them. The script stops when the two settings agree exactly,
which means that the engine was built without BLAS.
"""

import argparse
import ctypes
import datetime
import hashlib
import json
import math
import pathlib

import jinja2.sandbox
import llama_cpp as llama
import numpy

from cases import CHATS, CODE, GREEDY_PROMPTS, SLICE_PROMPT, TOKENIZATION

SETTINGS = {"f32": 512, "int8": 16}  # activation setting → rows a step (n_ubatch)
CONTEXT = 512
WINDOWS = 8
GREEDY_TOKENS = 24
FILLED_ROWS = 64


class Engine:
    """A model and one context a setting, each step from an empty cache."""

    def __init__(self, path, threads, kv_type=llama.GGML_TYPE_F16):
        llama.llama_backend_init()
        # Quiet: the log of the engine is no part of what is recorded.
        self.log = llama.llama_log_callback(lambda level, text, data: None)
        llama.llama_log_set(self.log, None)
        p = llama.llama_model_default_params()
        # Else types that the engine repacks for its int8 kernels (Q4_0, IQ4_NL, Q4_K) never reach BLAS.
        p.use_extra_bufts = False
        self.model = llama.llama_model_load_from_file(str(path).encode(), p)
        assert self.model, f"cannot load {path}"
        self.vocab = llama.llama_model_get_vocab(self.model)
        self.size = llama.llama_vocab_n_tokens(self.vocab)
        self.contexts = {}
        for setting, rows in SETTINGS.items():
            p = llama.llama_context_default_params()
            p.n_ctx = p.n_batch = CONTEXT
            p.n_ubatch = rows
            p.n_threads = p.n_threads_batch = threads
            p.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
            p.type_k = p.type_v = kv_type
            self.contexts[setting] = llama.llama_init_from_model(self.model, p)

    def tokenize(self, text, special=False):
        data = text.encode()
        out = (llama.llama_token * (len(data) + 8))()
        count = llama.llama_tokenize(
            self.vocab, data, len(data), out, len(out), True, special)
        assert count >= 0
        return list(out[:count])

    def detokenize(self, ids):
        array = (llama.llama_token * len(ids))(*ids)
        out = ctypes.create_string_buffer(64 * len(ids) + 64)
        count = llama.llama_detokenize(
            self.vocab, array, len(ids), out, len(out), False, True)
        assert count >= 0
        return out.raw[:count].decode(errors="replace")

    def metadata(self, key):
        out = ctypes.create_string_buffer(1 << 16)
        count = llama.llama_model_meta_val_str(self.model, key.encode(), out, len(out))
        return out.value.decode() if count >= 0 else None

    def log_probs(self, setting, ids):
        """Natural log-probabilities of every next token: [len(ids), vocabulary], float64."""
        context = self.contexts[setting]
        llama.llama_memory_clear(llama.llama_get_memory(context), True)
        rows = list(ids)
        if setting == "f32" and len(rows) < FILLED_ROWS:
            rows += [rows[-1]] * (FILLED_ROWS - len(rows))
        batch = llama.llama_batch_init(len(rows), 0, 1)
        batch.n_tokens = len(rows)
        for i, token in enumerate(rows):
            batch.token[i] = token
            batch.pos[i] = i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = 0
            batch.logits[i] = True
        assert llama.llama_decode(context, batch) == 0
        llama.llama_batch_free(batch)
        logits = numpy.ctypeslib.as_array(
            llama.llama_get_logits(context), shape=(len(rows), self.size))
        x = logits[: len(ids)].astype(numpy.float64)
        x -= x.max(axis=1, keepdims=True)
        return x - numpy.log(numpy.exp(x).sum(axis=1, keepdims=True))


def short(x):
    """Five significant digits: what a golden figure carries."""
    return float(f"{x:.5g}")


def perplexity(engine, setting, ids, context, windows):
    """llama.cpp's definition: windows do not overlap, positions c/2 … c-2 are scored on their next token."""
    start, nats, per_window = context // 2, [], []
    for w in range(windows):
        window = ids[w * context : (w + 1) * context]
        lp = engine.log_probs(setting, window)
        scored = [-lp[i, window[i + 1]] for i in range(start, context - 1)]
        per_window.append(round(float(numpy.mean(scored)), 6))
        nats += scored
    mean = float(numpy.mean(nats))
    error = float(numpy.std(nats, ddof=1) / math.sqrt(len(nats)))
    return {
        "perplexity": round(math.exp(mean), 5),
        "perplexity_error": round(math.exp(mean) * error, 5),
        "nats_per_token": round(mean, 6),
        "nats_per_token_error": round(error, 6),
        "context": context, "windows": windows, "tokens": len(nats),
        "nats_per_token_by_window": per_window,
    }


def teacher_forced(engine, setting, ids, context, windows):
    """Per position: arg-max id, its log-prob, the runner-up's, and that of the text's own next token."""
    rows = {"argmax": [], "top": [], "second": [], "next": []}
    for w in range(windows):
        lp = engine.log_probs(setting, ids[w * context : (w + 1) * context])
        for i in range(context):
            second, top = numpy.argpartition(lp[i], -2)[-2:]
            rows["argmax"].append(int(top))
            rows["top"].append(short(lp[i, top]))
            rows["second"].append(short(lp[i, second]))
            rows["next"].append(short(lp[i, ids[w * context + i + 1]]))
    return rows


def greedy(engine, setting, prompt):
    ids, out = engine.tokenize(prompt), []
    for _ in range(GREEDY_TOKENS):
        out.append(int(engine.log_probs(setting, ids + out)[-1].argmax()))
    return {"ids": out, "text": engine.detokenize(out)}


def first_token(engine, setting, ids, count=20):
    lp = engine.log_probs(setting, ids)[-1]
    best = numpy.argsort(-lp)[:count]
    return [[int(i), short(lp[i])] for i in best]


def chats(engine):
    """The file's own template under the settings that Hugging Face renders with.

    Where no system message is given the template inserts its author's, which is not ours to copy: the
    rendered text stands there as its sum, and as its ids.
    """
    source = engine.metadata("tokenizer.chat_template")
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    template, cases = environment.from_string(source), []
    for messages, prompt in CHATS:
        text = template.render(messages=messages, add_generation_prompt=prompt)
        case = {"messages": messages, "add_generation_prompt": prompt}
        if messages[0]["role"] == "system":
            case["text"] = text
        case["sha256"] = digest(text.encode())
        case["ids"] = engine.tokenize(text, special=True)
        cases.append(case)
    return {"template_sha256": digest(source.encode()), "cases": cases}


def digest(data):
    return hashlib.sha256(data).hexdigest()


def write(path, value):
    path.write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n")
    print(f"{path.name:24} {path.stat().st_size:8} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    engine, out = Engine(arguments.model, arguments.threads), arguments.out
    out.mkdir(parents=True, exist_ok=True)
    text = arguments.text.read_bytes()
    ids = engine.tokenize(text.decode())

    write(out / "tokenization.json", {
        "add_bos": bool(llama.llama_vocab_get_add_bos(engine.vocab)),
        "end_of_generation": [
            i for i in range(engine.size) if llama.llama_vocab_is_eog(engine.vocab, i)],
        "cases": [{
            "text": case, "ids": engine.tokenize(case),
            "ids_parse_special": engine.tokenize(case, special=True)}
            for case in TOKENIZATION + CODE],
        "wiki": {
            "count": len(ids),
            # Of the ids as little-endian 32-bit integers.
            "sha256": digest(numpy.array(ids, dtype="<i4").tobytes()),
            "first": ids[: CONTEXT * WINDOWS + 1]}})

    figures = {
        setting: {
            "windows_512": perplexity(engine, setting, ids, CONTEXT, WINDOWS),
            "window_64": perplexity(engine, setting, ids, 64, 1)}
        for setting in SETTINGS}
    f32, int8 = (figures[s]["windows_512"]["perplexity"] for s in ("f32", "int8"))
    print(f"perplexity f32 {f32}, int8 {int8}")
    assert f32 != int8, "both settings agree exactly: this engine has no BLAS backend"
    write(out / "perplexity.json", figures)

    write(out / "teacher-forced.json", {
        "context": CONTEXT, "windows": 4,
        **{s: teacher_forced(engine, s, ids, CONTEXT, 4) for s in SETTINGS}})
    write(out / "greedy.json", [
        {"prompt": prompt, "prompt_ids": engine.tokenize(prompt),
         **{s: greedy(engine, s, prompt) for s in SETTINGS}}
        for prompt in GREEDY_PROMPTS])
    slice_ids = engine.tokenize(SLICE_PROMPT)
    write(out / "first-token.json", {
        "prompt": SLICE_PROMPT, "prompt_ids": slice_ids,
        **{s: first_token(engine, s, slice_ids) for s in SETTINGS}})
    write(out / "chat.json", chats(engine))

    manifest = {
        "model": {"name": "smollm2", "sha256": digest(arguments.model.read_bytes())},
        "text": {"name": "text", "sha256": digest(text)},
        "engine": {
            "package": f"llama-cpp-python=={llama.__version__}",
            "build": "-DGGML_NATIVE=ON -DGGML_BLAS=ON -DGGML_BLAS_VENDOR=OpenBLAS",
            "system": llama.llama_print_system_info().decode().strip(" |"),
            "rows_per_step": SETTINGS, "kv_type": "f16", "flash_attention": False},
        "command": 'python tools/golden/golden.py --model "$(tools/fetch smollm2)" '
                   '--text "$(tools/fetch text)" --out Tests/Fixtures/smollm2',
        "date": datetime.date.today().isoformat(),
        "files": {p.name: digest(p.read_bytes())
                  for p in sorted(out.glob("*.json")) if p.name != "MANIFEST.json"}}
    (out / "MANIFEST.json").write_text(json.dumps(manifest, indent=2) + "\n")


if __name__ == "__main__":
    main()
