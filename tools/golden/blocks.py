#!/usr/bin/env python3
"""Makes Tests/Fixtures/blocks/blocks.json: two random blocks of every element type, and what they
decode to by the `gguf` package (llama.cpp's own Python tools).

usage: pip install gguf==0.19.0; tools/golden/blocks.py
"""

import json
import pathlib

import gguf
import numpy

TYPES = """BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS MXFP4""".split()

# Where a block keeps its half-precision scales, so that they can be made finite.
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82],
    "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0],
}


def main():
    random = numpy.random.default_rng(7)
    blocks = {}
    for name in TYPES:
        kind = gguf.GGMLQuantizationType[name]
        length, size = gguf.GGML_QUANT_SIZES[kind]
        count = 2 if length > 1 else 32
        data = random.integers(0, 256, (count, size), dtype=numpy.uint8)
        for at in HALVES.get(name, []):
            scales = random.uniform(-0.1, 0.1, count).astype(numpy.float16)
            data[:, at : at + 2] = scales.view(numpy.uint8).reshape(count, 2)
        if name == "MXFP4":
            data[:, 0] = random.integers(110, 130, count)
        if name == "BF16":
            data[:, 1] = data[:, 1] & 0xBF  # no infinities
        values = gguf.dequantize(data.reshape(-1) if length == 1 else data, kind)
        bits = numpy.ascontiguousarray(values, dtype=numpy.float32).reshape(-1).view(numpy.uint32)
        blocks[name] = {
            "bytes": data.tobytes().hex(),
            "values": " ".join(f"{b:x}" for b in bits),
        }
    path = pathlib.Path(__file__).parents[2] / "Tests/Fixtures/blocks/blocks.json"
    text = json.dumps({"gguf": "0.19.0", "types": blocks}, indent=1)
    path.write_text(text + "\n")


main()
