"""How much faster the lab's ablation is than Captum's own loops, with the same result.

    python -m tests.benchmarks.attribution [checkpoint or preset] [rounds]

All explain the whole answer to a question of about 64 tokens, token by token of the question. Captum's loop for
language models, `LLMAttribution`, reads the text anew for each blanked token and each token of the answer; its bare
`FeatureAblation`, handed the lab's own score of the whole answer, once for each blanked token. The lab reads many
versions side by side and takes their common beginning from the cache. Interleaved, medians of all rounds. Needs captum
(extra `dev`).
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from captum.attr import FeatureAblation, LLMAttribution, TextTokenInput
from torch import Tensor, nn
from torch.nn import functional as F

from litellama.chat import Message
from litellama.checkpoint import checkpoints_folder, open_checkpoint
from litellama.config import PRESETS, preset
from litellama.explain.attribution import attribute, finished
from litellama.explain.scoring import Scorer, Target
from litellama.explain.tokenized_run import TokenizedRun, read_chat
from litellama.footprint.machine import ROWS_SHARED_UP_TO
from litellama.model import LiteLlama, Output

STORY = (
    "Tom hid a red ball under the bed. Anna has a blue hat and six apples. Ben went to the pond in the morning. It was "
    "windy and Ben was sad because he lost a key. Anna put the hat behind the door. Where is the hat now?"
)
ANSWER = "The hat is behind the door."


class AsCaptumWants(nn.Module):
    """The model behind Captum's interface; one more id stands for a blanked token."""

    device = torch.device("cpu")

    def __init__(self, model: LiteLlama, blank: Tensor) -> None:
        super().__init__()
        self.model = model
        self.table = torch.cat((model.model.embed_tokens.weight.detach(), blank[None]))

    def forward(self, input_ids: Tensor, attention_mask: object = None, use_cache: object = None) -> Output:
        return self.model(F.embedding(input_ids, self.table))


class ReadAlready:
    """A tokenizer, as far as Captum asks, of the one prompt that was read."""

    def __init__(self, reading: TokenizedRun) -> None:
        self.reading = reading

    def encode(self, text: str, **options: object) -> Tensor:
        return torch.tensor([self.reading.ids[: self.reading.answer_start]])

    def convert_ids_to_tokens(self, ids: Tensor) -> list[str]:
        return [str(int(id)) for id in ids]

    def decode(self, ids: Tensor) -> str:
        return " ".join(self.convert_ids_to_tokens(ids))

    def __call__(self, text: str, **options: object) -> dict[str, object]:
        """What Captum asks for the labels of its result, which are not looked at here."""
        ids = [int(number) for number in text.split()]
        ends = [len(" ".join(text.split()[: count + 1])) for count in range(len(ids))]
        return {"input_ids": ids, "offset_mapping": list(zip([0, *ends], ends, strict=False))}


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "tinytown"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    opened = open_checkpoint(checkpoints_folder() / "tinytown" if name in PRESETS else Path(name))
    # A preset without weights of its own is as fast with random ones; the embedded tokenizer cuts the text.
    model = opened.model if name == "tinytown" or name not in PRESETS else LiteLlama(preset(name)).eval()
    if model.config.num_parameters <= ROWS_SHARED_UP_TO:
        torch.set_num_threads(1)
    reading = read_chat(model, opened.tokenizer, [Message("user", STORY)], answer=ANSWER)
    target, units = Target(reading.answer_start, len(reading.ids)), reading.units("token")
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

    tokenizer, blank_id = ReadAlready(reading), model.config.vocab_size
    frame = sorted({reading.ids[place] for place in reading.special})
    prompt = TextTokenInput(STORY, tokenizer, baselines=blank_id, skip_tokens=frame)
    wanted = torch.tensor(reading.ids[reading.answer_start :])

    def captums_for_language_models() -> Tensor:
        with torch.no_grad():
            explainer = LLMAttribution(FeatureAblation(AsCaptumWants(model, scorer.baseline)), tokenizer)
            return explainer.attribute(prompt, target=wanted, use_cached_outputs=False).seq_attr

    contest = {"ours": ours, "FeatureAblation": captums, "LLMAttribution": captums_for_language_models}
    for work in (captums, captums_for_language_models):
        torch.testing.assert_close(ours(), work(), atol=1e-3, rtol=1e-3)
    times: dict[str, list[float]] = {who: [] for who in contest}
    for _ in range(rounds):
        for who, work in contest.items():
            times[who].append(_timed(work))
    medians = {who: statistics.median(each) for who, each in times.items()}
    spread = {who: max(each) - min(each) for who, each in times.items()}
    print(f"{name}: {len(scorer.embeddings)} tokens, {len(units)} of them blanked, {torch.get_num_threads()} thread(s)")
    for who in times:
        times_ours = medians[who] / medians["ours"]
        print(f"  {who:16} {medians[who]:7.3f} s  (spread {spread[who]:.3f} s)  {times_ours:4.1f} times ours")


def _timed(work: Callable[[], Tensor]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
