#!/usr/bin/env python3
"""Writes Tests/Fixtures/tiny: what llama.cpp says of models of random weights.

The models are not kept: Tests/TestSupport/RandomModel.swift makes them, bit for bit the same
everywhere, and the manifest has their sums. Run once by a person, never by a test; set-up as in
golden.py.

  APUS_WRITE_TINY=FOLDER swift test -c release --filter RandomModelTests
  VENV/bin/python tools/golden/tiny.py --models FOLDER --out Tests/Fixtures/tiny

A step has 80 rows, so llama.cpp's BLAS backend dequantises every matrix and calls sgemm: single
precision throughout, but for GELU, which it looks up in a table of half-precision numbers.
"""

import argparse
import datetime
import hashlib
import json
import pathlib

import llama_cpp as llama
import numpy

ROWS = 80
CONTEXT = 256
# Around the borders of pages, of attention's windows of 64 and of the sliding window of 24.
POSITIONS = [0, 1, 15, 16, 23, 24, 31, 32, 47, 63, 64, 79]
SAMPLE = [0, 5, 41, 97, 150, 201, 260, 287]


def log_probs(path, tokens):
    """Natural log-probabilities of every next token: [len(tokens), vocabulary], float64."""
    p = llama.llama_model_default_params()
    # Else it repacks some types for integer arithmetic, and BLAS does not get them.
    p.use_extra_bufts = False
    model = llama.llama_model_load_from_file(str(path).encode(), p)
    assert model, f"cannot load {path}"
    p = llama.llama_context_default_params()
    p.n_ctx, p.n_batch, p.n_ubatch = CONTEXT, ROWS, ROWS
    p.n_threads = p.n_threads_batch = 2
    p.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
    p.type_k = p.type_v = llama.GGML_TYPE_F32
    context = llama.llama_init_from_model(model, p)
    assert context, f"no context for {path}"
    batch = llama.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for i, token in enumerate(tokens):
        batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, i, 1
        batch.seq_id[i][0], batch.logits[i] = 0, True
    assert llama.llama_decode(context, batch) == 0
    size = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
    x = numpy.ctypeslib.as_array(
        llama.llama_get_logits(context), shape=(len(tokens), size)).astype(numpy.float64)
    llama.llama_batch_free(batch)
    llama.llama_free(context)
    llama.llama_model_free(model)
    x -= x.max(axis=1, keepdims=True)
    return x - numpy.log(numpy.exp(x).sum(axis=1, keepdims=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    llama.llama_backend_init()
    log = llama.llama_log_callback(lambda level, text, data: None)
    llama.llama_log_set(log, None)

    tokens = [3 + (i * 37 + i // 7 + 11) % 285 for i in range(ROWS)]
    models, sums = {}, {}
    for path in sorted(arguments.models.glob("*.gguf")):
        lp = log_probs(path, tokens)
        assert numpy.isfinite(lp).all(), path
        models[path.stem] = {
            "argmax": [int(lp[i].argmax()) for i in POSITIONS],
            "log_probs": [[round(float(lp[i, t]), 5) for t in SAMPLE] for i in POSITIONS]}
        sums[path.stem] = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"{path.stem:24} likeliest {lp.max(axis=1).mean():.3f} nats")

    arguments.out.mkdir(parents=True, exist_ok=True)
    figures = json.dumps({
        "tokens": tokens, "context": CONTEXT, "positions": POSITIONS, "sample": SAMPLE,
        "models": models}, separators=(",", ":")).replace('"argmax"', '\n"argmax"') + "\n"
    (arguments.out / "tiny.json").write_text(figures)
    manifest = {
        "engine": {
            "package": f"llama-cpp-python=={llama.__version__}",
            "build": "-DGGML_NATIVE=ON -DGGML_BLAS=ON -DGGML_BLAS_VENDOR=OpenBLAS",
            "system": llama.llama_print_system_info().decode().strip(" |"),
            "rows_per_step": ROWS, "kv_type": "f32", "flash_attention": False},
        "command": "python tools/golden/tiny.py --models FOLDER --out Tests/Fixtures/tiny",
        "date": datetime.date.today().isoformat(),
        "files": {"tiny.json": hashlib.sha256(figures.encode()).hexdigest()},
        # Of the models, as Tests/TestSupport/RandomModel.swift makes them.
        "models": sums}
    (arguments.out / "MANIFEST.json").write_text(json.dumps(manifest, indent=2) + "\n")


if __name__ == "__main__":
    main()
