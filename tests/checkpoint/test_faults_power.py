"""What a full disk leaves of a checkpoint that is being saved."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from safetensors import SafetensorError

from litellama.checkpoint import open_checkpoint, save_checkpoint
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer

if sys.platform == "win32":
    pytest.skip("limits on the size of files are set as Unix does", allow_module_level=True)

import resource
import signal


@contextmanager
def files_of_at_most(count: int) -> Iterator[None]:
    """A real limit in bytes, as a full disk or a quota would set one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.fault(28)
@pytest.mark.parametrize("room", [10, 2000, 40_000])  # not even the settings; not the weights; not all of them
def test_a_full_disk_leaves_the_checkpoint_before(
    tmp_path: Path, tiny_model: LiteLlama, tokenizer: Tokenizer, room: int
) -> None:
    save_checkpoint(tmp_path / "model", tiny_model, tokenizer, card={"number": 1})
    with files_of_at_most(room), pytest.raises((OSError, SafetensorError)):
        save_checkpoint(tmp_path / "model", tiny_model, tokenizer, card={"number": 2})
    opened = open_checkpoint(tmp_path / "model")
    assert opened.verified
    assert opened.card == {"number": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["model"], "nothing half-made is left"
    save_checkpoint(tmp_path / "model", tiny_model, tokenizer, card={"number": 3})
    assert open_checkpoint(tmp_path / "model").card == {"number": 3}
