"""The lab's models for lessons and their checks, each opened once."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import torch

from litellama.chat import Message, reply
from litellama.checkpoint import checkpoints_folder
from litellama.checkpoint.load import Opened, open_checkpoint
from litellama.device import choose_device
from litellama.sampling import Sampling
from litellama.tokenizer import Tokenizer

GREEDY = Sampling(temperature=0)
DEVICE = "LITELLAMA_DEVICE"  # cpu, cuda, cuda:1, mps or auto


def device() -> str:
    """Where lessons run: on the device that the environment names, else on a CUDA GPU if there is one."""
    named = os.environ.get(DEVICE, "").strip()
    chosen = choose_device(named or ("cuda" if torch.cuda.is_available() else "cpu"))
    return str(chosen) if chosen.index else chosen.type


@cache
def opened(name: str = "tinytown") -> Opened:
    """One of the lab's checkpoints by its name, or a folder."""
    folder = checkpoints_folder() / name
    return open_checkpoint(folder if folder.is_dir() else Path(name), device=device())


@cache
def gpt2() -> Tokenizer:
    """GPT-2's tokenizer, which LiteLlama has too. Of its models the repository holds nothing else."""
    return Tokenizer.load(Path(__file__).resolve().parents[2] / "tests" / "data" / "gpt2-tokenizer.json")


def ask(text: str, name: str = "tinytown", *, sampling: Sampling = GREEDY, seed: int = 0) -> str:
    """What a model replies to one message; by itself it takes the likeliest token each time."""
    model = opened(name)
    said = reply(
        model.model, model.tokenizer, [Message("user", text)], sampling, 100, seed, chat_format=model.chat_format
    )
    return "".join(piece.text for piece in said).strip()
