#!/usr/bin/env python3
"""Writes Tests/Fixtures/perplexity/perplexity.json: llama.cpp's perplexity of models on a text.

usage: tools/golden/perplexity.py --text "$(tools/fetch text)" MODEL.gguf…

Run once by a person, with the engine that golden.py describes; figures of other models are kept.
Keys and values are single precision, as with `--activations f32`. Where a model's texts begin with a
token of their own, each window does, in place of its first token: as llama.cpp's own tool has it.
"""

import argparse
import json
import pathlib

import llama_cpp as llama

from golden import CONTEXT, WINDOWS, Engine, digest, perplexity, write


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("models", type=pathlib.Path, nargs="+")
    arguments = parser.parse_args()
    out = pathlib.Path(__file__).parents[2] / "Tests/Fixtures/perplexity"
    out.mkdir(parents=True, exist_ok=True)
    path = out / "perplexity.json"
    figures = json.loads(path.read_text()) if path.exists() else {"models": {}}
    figures["engine"] = f"llama-cpp-python=={llama.__version__}, OpenBLAS, f32 keys and values"
    text = arguments.text.read_bytes()
    figures["text_sha256"] = digest(text)
    for model in arguments.models:
        engine = Engine(model, arguments.threads, llama.GGML_TYPE_F32)
        # More text than the windows need, and less than would take long.
        ids = engine.tokenize(text.decode()[: CONTEXT * WINDOWS * 8])
        if llama.llama_vocab_get_add_bos(engine.vocab):
            ids[:: CONTEXT] = [llama.llama_vocab_bos(engine.vocab)] * len(ids[:: CONTEXT])
        figures["models"][model.name] = {
            "sha256": digest(model.read_bytes()), "rows_512": perplexity(
                engine, "f32", ids, CONTEXT, WINDOWS)}
        print(model.name, figures["models"][model.name]["rows_512"]["perplexity"], flush=True)
        write(path, figures)


main()
