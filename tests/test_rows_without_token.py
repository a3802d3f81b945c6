"""Some models have more rows than their tokenizer has tokens (LiteLlama: 50,304 and 50,257). No view may show them.

TinyTown gets such rows here, likelier by far than every token, and every path of the library and the app that computes
with a model has to give the same numbers with them as without.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from litellama.checkpoint import checkpoints_folder, save_checkpoint
from litellama.checkpoint.load import Opened, open_checkpoint
from litellama.model import LiteLlama
from tests.support.device_paths import PATHS, numbers

ROWS = 64
# They train a model: its loss counts every row of its matrices, as that of transformers does.
TRAINING = {"training_step", "training_with_muon", "low_rank_training", "fine_tuning", "whole_training"}
WITHOUT_A_CHECKPOINT = {"comparison", "the_machine"}


@pytest.fixture(scope="module")
def plain() -> Opened:
    return open_checkpoint(checkpoints_folder() / "tinytown")


@pytest.fixture(scope="module")
def padded(plain: Opened, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """The same model with rows in pairs of opposite direction: wherever one looks, one of each pair is likely."""
    model = LiteLlama(replace(plain.config, vocab_size=plain.config.vocab_size + ROWS)).eval()
    weights = plain.model.state_dict()
    direction = 4 * torch.randn(ROWS // 2, plain.config.hidden_size, generator=torch.Generator().manual_seed(0))
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        weights[name] = torch.cat((weights[name], direction, -direction))
    model.load_state_dict(weights)
    folder = tmp_path_factory.mktemp("padded") / "tinytown"
    save_checkpoint(folder, model, plain.tokenizer, card=plain.card or {}, dtype=torch.float16)
    return open_checkpoint(folder)


def test_the_rows_would_be_seen(plain: Opened, padded: Opened) -> None:
    assert padded.config.padding_rows == ROWS
    ids = torch.tensor([plain.tokenizer.encode("Tom went to the park. He found a red kite.")])
    with torch.inference_mode():
        every = padded.model(ids, padding_rows=True).logits
        assert (every.argmax(-1) >= plain.config.vocab_size).all()
        assert every.softmax(-1)[..., : plain.config.vocab_size].sum(-1).max() < 0.01
        assert torch.equal(padded.model(ids).logits, every[..., : plain.config.vocab_size])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PATHS if name not in TRAINING | WITHOUT_A_CHECKPOINT])
def test_no_view_shows_or_counts_a_row_without_a_token(plain: Opened, padded: Opened, name: str) -> None:
    np.testing.assert_allclose(numbers(PATHS[name](padded)), numbers(PATHS[name](plain)), rtol=2e-3, atol=2e-3)
