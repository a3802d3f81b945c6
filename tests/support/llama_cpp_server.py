"""llama.cpp's own server on one GGUF file, until standard input ends: the process behind `tests.support.llama_cpp`.

It is told what to do as one JSON argument, and prints the server's address as soon as the model is ready.
"""

from __future__ import annotations

import json
import os
import sys

import xllamacpp


def parameters(file: str, name: str, context: int, threads: int, exact: bool) -> xllamacpp.CommonParams:
    """With `exact`, keys and values are stored in 32 bits and attention is computed step by step."""
    params = xllamacpp.CommonParams()
    params.model.path = file
    params.model_alias = {name}
    params.n_ctx = context
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.cache_ram_mib = 0  # one conversation, so there is no other one to go back to
    params.fit_params = False  # what is asked for is what is done, whatever memory there is
    params.warmup = False
    params.ui = False
    params.verbosity = 1  # errors alone
    if exact:
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    return params


def main() -> None:
    server = xllamacpp.Server(parameters(**json.loads(sys.argv[1])))
    print(server.listening_address, flush=True)
    sys.stdin.buffer.read()
    os._exit(0)  # at once, also in the middle of a reply


if __name__ == "__main__":
    main()
