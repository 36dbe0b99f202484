#!/usr/bin/env python3
"""Requantises a model file to the types that its row widths hold, by llama.cpp's own quantiser.

usage: tools/golden/requantise.py MODEL.gguf FOLDER

Writes FOLDER/smollm2-TYPE.gguf for each type. Run once by a person, as golden.py is; full tests that
need these files run where they lie in the cache's `models` folder.
"""

import argparse
import pathlib

import llama_cpp as llama

TYPES = {
    "q4_0": llama.LLAMA_FTYPE_MOSTLY_Q4_0, "q4_1": llama.LLAMA_FTYPE_MOSTLY_Q4_1,
    "q5_0": llama.LLAMA_FTYPE_MOSTLY_Q5_0, "q5_1": llama.LLAMA_FTYPE_MOSTLY_Q5_1,
    "q8_0": llama.LLAMA_FTYPE_MOSTLY_Q8_0, "iq4_nl": llama.LLAMA_FTYPE_MOSTLY_IQ4_NL,
    "f16": llama.LLAMA_FTYPE_MOSTLY_F16, "bf16": llama.LLAMA_FTYPE_MOSTLY_BF16,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    llama.llama_backend_init()
    for name, ftype in TYPES.items():
        target = arguments.folder / f"smollm2-{name}.gguf"
        parameters = llama.llama_model_quantize_default_params()
        parameters.ftype = ftype
        parameters.allow_requantize = True
        status = llama.llama_model_quantize(
            str(arguments.model).encode(), str(target).encode(), parameters)
        assert status == 0, f"{target}: status {status}"


main()
