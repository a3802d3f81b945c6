"""llama.cpp on a GGUF file: what it makes of texts and ids, to be compared with what the lab makes of them.

    with LlamaCpp(file) as engine:
        ids = engine.tokenize("The largest bird is")
        engine.log_probabilities(ids)   # (T, V)
        engine.greedy(ids, 64)

The server of the package xllamacpp runs in a process of its own, so that it can be killed, and takes nobody along.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import httpx
import torch
from torch import Tensor

SERVER = Path(__file__).with_name("llama_cpp_server.py")
SECONDS = 120.0
GREEDY = {"samplers": ["top_k"], "top_k": 1}


class LlamaCpp:
    """One model in llama.cpp's server at `address`, whose process is `process`."""

    def __init__(
        self, file: Path, context: int = 256, *, threads: int = 1, exact: bool = True, name: str | None = None
    ) -> None:
        """Raises `RuntimeError`, with what it says, if llama.cpp does not open the file."""
        told = {"file": str(file), "name": name or file.stem, "context": context, "threads": threads, "exact": exact}
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        self.process = subprocess.Popen(
            [sys.executable, str(SERVER), json.dumps(told)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().decode().strip()
        if not self.address.startswith("http://127.0.0.1:"):
            self._end()
            raise RuntimeError(f"llama.cpp does not open {file.name} ({self.process.returncode}): {self._said()}")
        self._client = httpx.Client(base_url=self.address, timeout=SECONDS, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the server. May be called twice."""
        self._client.close()
        self._end()
        self._errors.close()

    def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = False) -> list[int]:
        """Ids of a text, with the beginning of text if `add_special`; special tokens by name if `parse_special`."""
        body = {"content": text, "add_special": add_special, "parse_special": parse_special}
        return list(self._post("/tokenize", body)["tokens"])

    def detokenize(self, ids: Sequence[int]) -> str:
        """The text of ids, special tokens by their names."""
        return str(self._post("/detokenize", {"tokens": list(ids)})["content"])

    @property
    def end_of_text(self) -> int:
        """The id that ends a text."""
        [id] = self.tokenize(self._get("/props")["eos_token"], parse_special=True)
        return id

    @property
    def vocab_size(self) -> int:
        return int(self._get("/v1/models")["data"][0]["meta"]["n_vocab"])

    def log_probabilities(self, ids: Sequence[int], *, start: int = 0, top: int | None = None) -> Tensor:
        """Of what follows each prefix of `ids` from `ids[:start + 1]` on: (T - start, V), in float32.

        A request for each position, of which the server reads only what is new. The whole vocabulary takes it about
        0.4 s for 50,000 tokens; `top` asks for the likeliest alone, 20 times as fast for 1,000; the others are NaN.
        """
        size = self.vocab_size
        # The server keeps half a character back, and its probabilities with it. So the token that follows is always the
        # one that ends a text: a bias changes what is written, not what is told of it.
        ending = [[self.end_of_text, 1e6]]
        rows = torch.full((len(ids) - start, size), torch.nan, device="cpu")
        for row, end in zip(rows, range(start + 1, len(ids) + 1), strict=True):
            answer = self._complete(ids[:end], 1, n_probs=top or size, logit_bias=ending)
            [step] = answer["completion_probabilities"]
            listed = step["top_logprobs"]
            row[[one["id"] for one in listed]] = torch.tensor(
                [-torch.inf if one["logprob"] is None else one["logprob"] for one in listed], device="cpu"
            )
        return rows

    def greedy(self, ids: Sequence[int], count: int) -> list[int]:
        """The `count` likeliest tokens after `ids`, also after one that ends a text."""
        written: list[int] = []
        while len(written) < count:
            answer = self._complete([*ids, *written], count - len(written), return_tokens=True)
            if not answer["tokens"]:
                raise RuntimeError(f"llama.cpp wrote {len(written)} of {count} tokens; is the context large enough?")
            written += answer["tokens"]
        return written

    def timings(self, ids: Sequence[int], count: int) -> dict[str, float]:
        """The server's own clock for reading `ids` anew and writing `count` tokens: prompt_ms, predicted_ms, ..."""
        answer = self._complete(ids, count, cache_prompt=False, ignore_eos=True)
        return dict(answer["timings"])

    def chat(self, messages: Sequence[dict[str, str]], max_tokens: int) -> dict[str, Any]:
        """The likeliest reply, by the template in the file, as the OpenAI protocol tells it."""
        body = {"messages": list(messages), "max_tokens": max_tokens, "temperature": 0}
        return self._post("/v1/chat/completions", body)

    def _complete(self, ids: Sequence[int], count: int, **more: object) -> dict[str, Any]:
        body = {"prompt": list(ids), "n_predict": count, "cache_prompt": True, **GREEDY, **more}
        return self._post("/completion", body)

    def _post(self, route: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._read(self._client.post(route, json=body))

    def _get(self, route: str) -> dict[str, Any]:
        return self._read(self._client.get(route))

    def _read(self, response: httpx.Response) -> dict[str, Any]:
        answer = response.json()
        if response.status_code != 200:
            raise RuntimeError(f"llama.cpp: {answer}")
        return dict(answer)

    def _end(self) -> None:
        """Let the process end, with its standard input."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=20)
        self.process.stdout.close()

    def _said(self) -> str:
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip()
        self._errors.close()
        return said
