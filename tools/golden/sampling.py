#!/usr/bin/env python3
"""Writes Tests/Fixtures/sampling: what llama.cpp's samplers leave of fixed logits.

Run once by a person, never by a test, in the environment that golden.py describes; the model gives
nothing but its vocabulary, by which DRY finds its sequence breakers.

  VENV/bin/python tools/golden/sampling.py --model "$(tools/fetch smollm2)" --out Tests/Fixtures/sampling

Each case is one sampler or a chain of them, applied to candidates with the ids 0 … n-1. Recorded is
what is left, as [id, probability]; tokens whose probability is zero count as gone.
"""

import argparse
import ctypes
import datetime
import hashlib
import json
import math
import pathlib
import random

import llama_cpp as llama

SIZE = 64
SEED = 1
# The same tokens again and again, with breakers of the vocabulary between some of them.
WORDS = [52, 53, 54, 55, 56, 57]  # D E F G H I
BREAKERS = ["\n", ":", "\"", "*"]


def logits(scale, seed):
    """Multiples of 1/64: exact in single precision and short in JSON. No two alike: which of equals a
    sampler keeps is nobody's promise."""
    source, values = random.Random(seed), []
    while len(values) < SIZE:
        value = round(source.gauss(0, scale) * 64) / 64
        if value not in values:
            values.append(value)
    return values


LOGITS = {"flat": logits(0.5, 1), "broad": logits(2, 2), "steep": logits(6, 3)}


def histories(breaker):
    source = random.Random(4)
    loop = WORDS * 6
    return {
        "none": [],
        "loop": loop,
        "broken": loop[:15] + [breaker] + loop[2:11],
        "ended": loop + [breaker],
        "mixed": [source.choice(WORDS + [breaker, 20, 21]) for _ in range(150)],
        "one": [50] * 90,
    }


class Vocabulary:
    def __init__(self, path):
        llama.llama_backend_init()
        self.log = llama.llama_log_callback(lambda level, text, data: None)
        llama.llama_log_set(self.log, None)
        parameters = llama.llama_model_default_params()
        parameters.vocab_only = True
        self.model = llama.llama_model_load_from_file(str(path).encode(), parameters)
        assert self.model, f"cannot load {path}"
        self.pointer = llama.llama_model_get_vocab(self.model)
        self.size = llama.llama_vocab_n_tokens(self.pointer)

    def tokenize(self, data):
        out = (llama.llama_token * (len(data) + 8))()
        count = llama.llama_tokenize(self.pointer, data, len(data), out, len(out), False, False)
        return list(out[:count])

    def piece(self, token):
        out = ctypes.create_string_buffer(512)
        count = llama.llama_token_to_piece(self.pointer, token, out, len(out), 0, True)
        assert count >= 0
        return out.raw[:count]

    def breakers(self, texts):
        """For each text: the tokens that hold it, and those whose end begins it with the rest's tokens."""
        found = set()
        for text in (text.encode() for text in texts):
            for token in range(self.size):
                piece = self.piece(token)
                if text in piece:
                    found.add((token,))
                    continue
                for length in range(1, len(text)):
                    if piece.endswith(text[:length]):
                        found.add((token, *self.tokenize(text[length:])))
        return sorted(found)


def sampler(vocabulary, name, arguments):
    if name == "penalties":
        return llama.llama_sampler_init_penalties(SIZE, *arguments)
    if name == "dry":
        texts = [text.encode() for text in arguments[4]]
        return llama.llama_sampler_init_dry(
            vocabulary.pointer, *arguments[:4], (ctypes.c_char_p * len(texts))(*texts), len(texts))
    if name == "logit_bias":
        biases = [llama.llama_logit_bias(token, bias) for token, bias in arguments]
        return llama.llama_sampler_init_logit_bias(
            SIZE, len(biases), (llama.llama_logit_bias * len(biases))(*biases))
    if name == "xtc":
        return llama.llama_sampler_init_xtc(*arguments, 0, SEED)
    if name in ("typical", "top_p", "min_p"):
        return getattr(llama, f"llama_sampler_init_{name}")(*arguments, 0)
    return getattr(llama, f"llama_sampler_init_{name}")(*arguments)


def apply(vocabulary, chain, values, history):
    data = (llama.llama_token_data * SIZE)(
        *[llama.llama_token_data(i, value, 0) for i, value in enumerate(values)])
    candidates = llama.llama_token_data_array(data, SIZE, -1, False)
    for name, arguments in chain:
        one = sampler(vocabulary, name, arguments)
        for token in history:
            llama.llama_sampler_accept(one, token)
        llama.llama_sampler_apply(one, ctypes.byref(candidates))
        llama.llama_sampler_free(one)
    left = [(candidates.data[i].id, candidates.data[i].logit) for i in range(candidates.size)]
    peak = max(logit for _, logit in left)
    shares = {token: math.exp(logit - peak) for token, logit in left}
    total = sum(shares.values())
    return [[token, float(f"{share / total:.5g}")]
            for token, share in sorted(shares.items()) if share / total > 1e-30]


def cases(names):
    single = [
        *(("top_k", [k]) for k in (1, 7, 40, 63, 500)),
        *(("typical", [p]) for p in (0.05, 0.3, 0.7, 0.95)),
        *(("top_p", [p]) for p in (0.01, 0.5, 0.9, 0.999)),
        *(("min_p", [p]) for p in (0.001, 0.05, 0.5, 1.0)),
        *(("xtc", [1.0, t]) for t in (0.0, 0.01, 0.1, 0.3, 0.6)),
        *(("top_n_sigma", [n]) for n in (0.5, 1.0, 3.0)),
        *(("temp", [t]) for t in (0.3, 1.7)),
        ("logit_bias", [[3, 2.5], [4, -7.25], [5, -math.inf]]),
    ]
    for one in single:
        for values in LOGITS:
            yield values, "none", [one]
    repeated = [
        *(("penalties", [64, *p]) for p in
          ((1.3, 0.0, 0.0), (0.8, 0.0, 0.0), (1.0, 0.5, 0.0), (1.0, 0.0, 1.5), (1.1, -0.25, 0.75))),
        ("penalties", [5, 1.5, 0.1, 0.1]),
        ("dry", [0.8, 1.75, 2, 64, BREAKERS]),
        ("dry", [0.5, 1.2, 4, 1000, BREAKERS]),
        ("dry", [0.8, 1.75, 0, 16, []]),
        ("dry", [1.0, 3.0, 1, 64, ["FG", "HI:"]]),
        ("dry", [-0.1, 1.0, 2, 64, []]),
    ]
    for one in repeated:
        for history in names:
            yield "broad", history, [one]
    for values in LOGITS:
        for history in ("mixed", "loop"):
            for typical, xtc, temperature in ((1.0, 0.0, 0.8), (0.6, 1.0, 1.5)):
                yield values, history, [
                    ("logit_bias", [[55, 1.5], [9, -2.0]]), ("penalties", [64, 1.1, 0.05, 0.1]),
                    ("dry", [0.8, 1.75, 2, 64, BREAKERS]), ("top_n_sigma", [-1.0]),
                    ("top_k", [40]), ("typical", [typical]), ("top_p", [0.95]), ("min_p", [0.05]),
                    ("xtc", [xtc, 0.1]), ("temp", [temperature])]


def digest(data):
    return hashlib.sha256(data).hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    vocabulary = Vocabulary(arguments.model)
    past = histories(vocabulary.tokenize(b":")[0])
    texts = [BREAKERS, ["FG", "HI:"]]
    fixture = {
        "logits": LOGITS, "histories": past,
        # All that the histories can meet; and how many there are in the whole vocabulary.
        "breakers": [
            {"texts": t, "all": len(found), "sha256": digest(json.dumps(found).encode()),
             "met": [list(f) for f in found if f[0] < SIZE]}
            for t, found in ((t, vocabulary.breakers(t)) for t in texts)],
        "cases": [
            {"logits": values, "history": history,
             # JSON has no infinity: a string stands for it.
             "chain": json.loads(json.dumps(chain).replace("-Infinity", '"-inf"')),
             "left": apply(vocabulary, chain, LOGITS[values], past[history])}
            for values, history, chain in cases(past)]}
    path = arguments.out / "samplers.json"
    path.write_text(json.dumps(fixture, separators=(",", ":")) + "\n")
    print(f"{path.name} {path.stat().st_size} bytes, {len(fixture['cases'])} cases")
    (arguments.out / "MANIFEST.json").write_text(json.dumps({
        "model": {"name": "smollm2", "sha256": digest(arguments.model.read_bytes())},
        "engine": {"package": f"llama-cpp-python=={llama.__version__}"},
        "command": 'python tools/golden/sampling.py --model "$(tools/fetch smollm2)" '
                   '--out Tests/Fixtures/sampling',
        "date": datetime.date.today().isoformat(),
        "files": {path.name: digest(path.read_bytes())}}, indent=2) + "\n")


if __name__ == "__main__":
    main()
