"""LiteLlama itself, all 461,685,760 parameters, takes one real step on this machine's CPU."""

from __future__ import annotations

import gc
import math

import pytest
import torch
from torch.nn import functional as F

from litellama.config import preset
from litellama.model import LiteLlama
from litellama.training.optimizers import make_optimizers
from litellama.training.recipe import Recipe

RATE = 1e-4


@pytest.mark.slow
def test_the_full_model_takes_one_step_and_is_better_for_it() -> None:
    """About 8 GB: weights, gradients and two moments, 4 bytes each."""
    torch.manual_seed(0)
    config = preset("litellama-460m")
    model = LiteLlama(config)
    assert sum(weight.numel() for weight in model.parameters()) == 461_685_760
    text = torch.randint(config.vocab_size, (1, 65))
    ids, targets = text[:, :-1], text[0, 1:]

    first = F.cross_entropy(model(ids).logits[0], targets)
    assert first.item() == pytest.approx(math.log(50_304), abs=0.5)  # no better than guessing
    first.backward()
    before = {name: sample(weight.detach()).clone() for name, weight in model.named_parameters()}
    unread = next(id for id in range(config.vocab_size) if id not in ids)
    rows = model.model.embed_tokens.weight.detach()
    read_row, unread_row = rows[ids[0, 0]].clone(), rows[unread].clone()
    for optimizer in make_optimizers(model, Recipe(steps=1)):
        for group in optimizer.param_groups:
            group["lr"] = RATE * group["scale"]
        optimizer.step()
        moments = [value for state in optimizer.state.values() for value in state.values() if value.dim() > 0]
        assert sum(moment.numel() for moment in moments) == 2 * 461_685_760

    model.zero_grad()
    for name, weight in model.named_parameters():
        if "embed_tokens" not in name:
            assert (sample(weight.detach()) != before[name]).float().mean() > 0.99, name
    assert (rows[ids[0, 0]] != read_row).float().mean() > 0.99
    assert torch.equal(rows[unread], unread_row)  # no token asked for it
    with torch.no_grad():
        second = F.cross_entropy(model(ids).logits[0], targets)
    assert second.item() < first.item() - 0.1
    del model, optimizer, moments, rows, weight
    gc.collect()


def sample(weight: torch.Tensor) -> torch.Tensor:
    """Some of a large tensor's values, from all over it."""
    return weight.flatten()[:: max(1, weight.numel() // 1009)]
