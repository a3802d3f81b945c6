"""Which words of the prompt an answer rests on, by six methods that disagree, and chance.

    for news in attribute(model, reading, Target(24, 28), "ablation"):
        ...  # Progress, again and again; at last the Attribution

Every method gives each unit (token, word or sentence) a number: how much it speaks for the answer. None of them is the
truth; `trust` measures how often each points at the words that a TinyTown answer really rests on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from litellama.explain.attention import AttentionMaps, attention_maps, rollout
from litellama.explain.scoring import Scorer, ScoringProgress, Target
from litellama.explain.tokenized_run import TokenizedRun, Unit
from litellama.model import LiteLlama

METHODS = (
    "integrated gradients", "gradient x input", "ablation", "shapley sampling", "attention", "attention rollout",
    "random",
)  # fmt: skip

FEWEST_STEPS, MOST_STEPS = 32, 512
LARGEST_GAP = 0.01
PERMUTATIONS = 16


@dataclass(frozen=True)
class Attribution:
    """`scores` (U): what each unit adds to the score, in nats for the methods that measure it.

    `score` is the whole text's, `blank_score` that of the text with all units blanked out. `gap` is how far the scores'
    sum is from their difference, as a share of it, for the methods that promise it to be zero; None for the others.
    """

    method: str
    units: tuple[Unit, ...]
    scores: Tensor
    score: float
    blank_score: float
    gap: float | None
    seconds: float


Work = Iterator[int | Tensor]
"""A method at work: how many texts were just read, again and again, and at last the scores (U)."""


def attribute(
    model: LiteLlama,
    reading: TokenizedRun,
    target: Target,
    method: str,
    units: Sequence[Unit] | None = None,
    seed: int = 0,
) -> Iterator[ScoringProgress | Attribution]:
    """What each unit (the prompt's words, if none are named) adds to the target. Close it to cancel.

    Raises `ValueError` for a method there is not, or what `Scorer` refuses.
    """
    if method not in METHODS:
        raise ValueError(f"there is no method called {method!r}; choose one of {', '.join(METHODS)}")
    scorer = Scorer(model, reading, target, reading.units("word") if units is None else units)
    return _attribute(scorer, method, seed)


def _attribute(scorer: Scorer, method: str, seed: int) -> Iterator[ScoringProgress | Attribution]:
    began = time.perf_counter()
    whole, blank = scorer.ends()
    total = texts_needed(method, len(scorer.units))
    started, done = time.perf_counter(), 0
    yield ScoringProgress(0, total, (started - began) / 2 * total)  # two texts were read already
    scores = torch.zeros(len(scorer.units))
    for news in _WORK[method](scorer, seed):
        if isinstance(news, Tensor):
            scores = news
            break
        done += news
        total = max(total, done)
        yield ScoringProgress(done, total, (time.perf_counter() - started) / done * (total - done))
    complete = method in ("integrated gradients", "shapley sampling")
    gap = abs(scores.sum().item() - (whole - blank)) / max(abs(whole - blank), 1e-9) if complete else None
    yield Attribution(method, scorer.units, scores, whole, blank, gap, time.perf_counter() - began)


def finished(work: Iterator[ScoringProgress | Attribution]) -> Attribution:
    """Run an attribution to its end."""
    for news in work:
        if isinstance(news, Attribution):
            return news
    raise RuntimeError("the attribution ended without a result")


def texts_needed(method: str, units: int) -> int:
    """How many versions of the text the method reads, the measure of its cost (a gradient counts as three)."""
    return {
        "integrated gradients": 3 * FEWEST_STEPS, "gradient x input": 3, "ablation": units,
        "shapley sampling": PERMUTATIONS * max(1, units - 1), "attention": 1, "attention rollout": 1, "random": 1,
    }[method]  # fmt: skip


def _by_unit(scorer: Scorer, by_position: Tensor) -> Tensor:
    """Sum what each position got (T) over each unit's positions: (U)."""
    return torch.stack([by_position[list(unit)].sum() for unit in scorer.units]).float().cpu()


# --- By gradients ----------------------------------------------------------------------------------------------------


def _gradients(scorer: Scorer, embeddings: Tensor) -> Tensor:
    """The score's gradient at each of some texts (N, T, E), of the same shape."""
    with torch.enable_grad():
        embeddings = embeddings.detach().requires_grad_()
        (gradients,) = torch.autograd.grad(scorer.score(embeddings).sum(), embeddings)
    return gradients


def _gradient_x_input(scorer: Scorer, seed: int) -> Work:
    """A first-order guess of what each embedding adds: its product with the gradient (Shrikumar et al. 2017)."""
    gradient = _gradients(scorer, scorer.embeddings[None])[0]
    yield 3
    yield _by_unit(scorer, (gradient * scorer.embeddings).sum(-1))


def integrated_gradients(scorer: Scorer, steps: int) -> Iterator[int | Tensor]:
    """The gradient averaged on the straight way from the blank text to the real one, times that way.

    Sundararajan, Taly & Yan 2017. The integral by Gauss-Legendre at `steps` points; what the units get adds up to the
    difference of the two texts' scores, up to the integral's error.
    """
    points, weights = numpy.polynomial.legendre.leggauss(steps)
    blank, way = scorer.blank, scorer.embeddings - scorer.blank
    total = torch.zeros_like(way, dtype=torch.float32)
    for start in range(0, steps, scorer.chunk()):
        at = torch.tensor((points[start : start + scorer.chunk()] + 1) / 2, dtype=way.dtype, device=way.device)
        weight = torch.tensor(weights[start : start + scorer.chunk()] / 2, dtype=torch.float32, device=way.device)
        gradients = _gradients(scorer, blank + at[:, None, None] * way)
        total += (gradients.float() * weight[:, None, None]).sum(0)
        yield 3 * len(at)
    yield _by_unit(scorer, (total * way).sum(-1))


def _integrated_gradients(scorer: Scorer, seed: int) -> Work:
    """With ever more points, until the scores add up to within `LARGEST_GAP`."""
    whole, blank = scorer.ends()
    steps = FEWEST_STEPS
    while True:
        for news in integrated_gradients(scorer, steps):
            if isinstance(news, int):
                yield news
            elif steps >= MOST_STEPS or abs(news.sum().item() - (whole - blank)) < LARGEST_GAP * abs(whole - blank):
                yield news
                return
        steps *= 2


# --- By trying -------------------------------------------------------------------------------------------------------


def _ablation(scorer: Scorer, seed: int) -> Work:
    """What is lost when this unit alone is blanked out."""
    count = len(scorer.units)
    kept = torch.cat((torch.ones(1, count, dtype=torch.bool), ~torch.eye(count, dtype=torch.bool)))
    scores = torch.empty(count + 1)
    for rows, found in scorer.iter_scores(kept):
        scores[rows] = found
        yield len(rows)
    yield scores[0] - scores[1:]


def _shapley_sampling(scorer: Scorer, seed: int) -> Work:
    """What a unit adds when it joins the others in random order, averaged over orders.

    Castro, Gomez & Tejada 2009. Orders come in pairs, one the reverse of the other, which cancels much of the noise.
    """
    count = len(scorer.units)
    generator = torch.Generator().manual_seed(seed)
    orders = []
    for _ in range(PERMUTATIONS // 2):
        order = torch.randperm(count, generator=generator, device="cpu")
        orders += [order, order.flip(0)]
    # In version k of an order, its first k units are kept.
    kept = torch.zeros(len(orders), count + 1, count, dtype=torch.bool)
    for number, order in enumerate(orders):
        for size in range(1, count + 1):
            kept[number, size] = kept[number, size - 1]
            kept[number, size, order[size - 1]] = True
    versions = kept.view(-1, count)
    scores = torch.empty(len(versions))
    for rows, found in scorer.iter_scores(versions):
        scores[rows] = found
        yield len(rows)
    gains = scores.view(len(orders), count + 1).diff(dim=-1)  # (orders, U), in the order's own sequence
    added = torch.zeros(count)
    for order, gain in zip(orders, gains, strict=True):
        added[order] += gain / len(orders)
    yield added


# --- By looking ------------------------------------------------------------------------------------------------------


def _looks(scorer: Scorer, seen: Callable[[AttentionMaps], Tensor]) -> Tensor:
    """`seen` turns a text's maps into (T, T); of those, the mean row at which the target is predicted, by unit."""
    maps = attention_maps(scorer.model, scorer.reading.ids[: scorer.target.end - 1])
    rows = seen(maps)[scorer.target.start - 1 :]
    return _by_unit(scorer, rows.mean(0))


def _attention(scorer: Scorer, seed: int) -> Work:
    """The mean look of all heads of all layers from where the answer is predicted."""
    yield 1
    yield _looks(scorer, lambda maps: maps.weights.mean((0, 1)))


def _attention_rollout(scorer: Scorer, seed: int) -> Work:
    """The same look followed through all layers (see `rollout`)."""
    yield 1
    yield _looks(scorer, rollout)


def _random(scorer: Scorer, seed: int) -> Work:
    """Chance: the floor that a method has to beat."""
    yield 1
    yield torch.rand(len(scorer.units), generator=torch.Generator().manual_seed(seed), device="cpu")


_WORK: dict[str, Callable[[Scorer, int], Work]] = {
    "integrated gradients": _integrated_gradients, "gradient x input": _gradient_x_input, "ablation": _ablation,
    "shapley sampling": _shapley_sampling, "attention": _attention, "attention rollout": _attention_rollout,
    "random": _random,
}  # fmt: skip
