"""How much faster the lab's ablation is than Captum's own loop, with the same result.

    python -m tests.benchmarks.attribution [checkpoint or preset] [rounds]

Both explain the whole answer to a question of about 64 tokens, word by word. Captum's `FeatureAblation` reads the text
anew for each word; the lab's reads many versions side by side and takes their common beginning from the cache.
Interleaved, medians of all rounds. Needs captum (extra `dev`).
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from captum.attr import FeatureAblation
from torch import Tensor

from litellama.chat import Message
from litellama.checkpoint import checkpoints_folder, open_checkpoint
from litellama.config import PRESETS, preset
from litellama.explain.attribution import attribute, finished
from litellama.explain.reading import read_chat
from litellama.explain.scoring import Scorer, Target
from litellama.model import LiteLlama
from litellama.training.commands import SMALL

STORY = (
    "Tom hid a red ball under the bed. Anna has a blue hat and six apples. Ben went to the pond in the morning. It was "
    "windy and Ben was sad because he lost a key. Anna put the hat behind the door. Where is the hat now?"
)
ANSWER = "The hat is behind the door."


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "tinytown"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    opened = open_checkpoint(checkpoints_folder() / "tinytown" if name in PRESETS else Path(name))
    # A preset without weights of its own is as fast with random ones; the embedded tokenizer cuts the text.
    model = opened.model if name == "tinytown" or name not in PRESETS else LiteLlama(preset(name)).eval()
    if model.config.num_parameters <= SMALL:
        torch.set_num_threads(1)
    reading = read_chat(model, opened.tokenizer, [Message("user", STORY)], answer=ANSWER)
    target, units = Target(reading.answer_start, len(reading.ids)), reading.units("word")
    scorer = Scorer(model, reading, target, units)
    mask = torch.zeros(len(scorer.embeddings), dtype=torch.long)
    for number, unit in enumerate(units):
        mask[list(unit)] = number + 1

    def ours() -> Tensor:
        return finished(attribute(model, reading, target, "ablation", units)).scores

    def captums() -> Tensor:
        with torch.no_grad():
            found = FeatureAblation(scorer.score).attribute(
                scorer.embeddings[None], baselines=scorer.blank[None], feature_mask=mask[None, :, None]
            )
        return torch.stack([found[0, unit[0], 0] for unit in units])

    torch.testing.assert_close(ours(), captums(), atol=1e-3, rtol=1e-3)
    times: dict[str, list[float]] = {"ours": [], "captum": []}
    for _ in range(rounds):
        for who, work in (("ours", ours), ("captum", captums)):
            times[who].append(_timed(work))
    medians = {who: statistics.median(each) for who, each in times.items()}
    spread = {who: max(each) - min(each) for who, each in times.items()}
    print(f"{name}: {len(scorer.embeddings)} tokens, {len(units)} words, {torch.get_num_threads()} thread(s)")
    for who in times:
        print(f"  {who:7} {medians[who]:7.3f} s  (spread {spread[who]:.3f} s)")
    print(f"  captum / ours = {medians['captum'] / medians['ours']:.1f}")


def _timed(work: Callable[[], Tensor]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
