"""One step of the model with its real numbers: everything between a token and the guess of the next one.

    trace = trace_step(model, reading.ids, position=12, layer=0, head=3)
    trace.query_turned @ trace.keys_turned.T / math.sqrt(head_dim)  # the scores, as in attend_explicitly

`STAGES` names the steps in their order, each with its formula and the line of code that does it, so that the
numbers, the formula and the code can be read side by side.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from litellama import model as architecture
from litellama.explain.heads import twin
from litellama.model import LiteLlama, rotary_tables, rotate
from litellama.sampling import Sampling


@dataclass(frozen=True)
class Stage:
    """One step: its name, its formula, and the code: a part of the line in `where` that does it."""

    name: str
    formula: str
    where: Callable[..., object]
    code: str

    def line(self) -> tuple[str, int, str]:
        """File, number and text of that line, read from the code that runs. Raises `LookupError`."""
        lines, first = inspect.getsourcelines(self.where)
        for number, text in enumerate(lines, first):
            if self.code in text:
                return Path(inspect.getfile(self.where)).name, number, text.strip()
        raise LookupError(f"{self.where.__qualname__} has no line with {self.code!r}; `STAGES` is out of date")


STAGES = (
    Stage("embedding", "x = E[id]", architecture.Decoder.forward, "self.embed_tokens("),
    Stage("norm", "y = x / √(mean(x²) + ε) · weight", architecture.RMSNorm.forward, "torch.rsqrt"),
    Stage("projections", "q = W_Q y,  k = W_K y,  v = W_V y", architecture.Attention.forward, "projection(x)"),
    Stage(
        "rotary", "(a, b) → (a cos φ − b sin φ,  b cos φ + a sin φ),  φ = position · θ^(−2i/D)",
        architecture.rotate, "return x * cos",
    ),
    Stage("scores", "score_s = q · k_s / √D", architecture.attend_explicitly, "key.transpose(-2, -1)"),
    Stage("softmax", "weight_s = exp(score_s) / Σ exp(score)", architecture.attend_explicitly, "softmax"),
    Stage("values", "z = Σ weight_s v_s", architecture.attend_explicitly, "@ value"),
    Stage("output", "h = x + W_O [z of every head]", architecture.Block.forward, "h = x + mixed"),
    Stage("feed_forward", "W_down (silu(W_gate y) ⊙ W_up y)", architecture.FeedForward.forward, "F.silu"),
    Stage("residual", "x' = h + feed-forward", architecture.Block.forward, "return h + self.mlp"),
    Stage("logits", "logits = W_head · norm(x)", architecture.LiteLlama.logits, "self.lm_head("),
    Stage("sampling", "p = softmax(logits / temperature)", Sampling.probabilities, "/ self.temperature"),
)  # fmt: skip


@dataclass(frozen=True)
class Trace:
    """The numbers of one position, at one layer and one of its heads, all on the CPU in float32.

    (E): `embedding`; `entering` the layer; `normed`; `attended`, what all heads write; `between` attention and
    feed-forward; `normed_between`; `written` by the feed-forward; `leaving` the layer; `final`, behind the last norm.
    (F, intermediate_size): `gate`; `opened`, which is silu(gate); `up`; `hidden`, their product.
    Of the head: `query`, `query_turned`, `mixed`, which it hands to W_O (D), and `head_written`, what that adds to the
    stream (E); of its group, for the S tokens it sees, `keys`, `keys_turned`, `values` (S, D); `scores`, `weights` (S).
    `angles` (D/2) in radians per position; lengths of the stream, `stream_size` (L + 1), and of what each layer adds to
    it, `attention_size` and `feed_forward_size` (L); `logits` (V).
    """

    position: int
    layer: int
    head: int
    group: int
    embedding: Tensor
    entering: Tensor
    normed: Tensor
    query: Tensor
    query_turned: Tensor
    keys: Tensor
    keys_turned: Tensor
    values: Tensor
    angles: Tensor
    scores: Tensor
    weights: Tensor
    mixed: Tensor
    head_written: Tensor
    attended: Tensor
    between: Tensor
    normed_between: Tensor
    gate: Tensor
    opened: Tensor
    up: Tensor
    hidden: Tensor
    written: Tensor
    leaving: Tensor
    stream_size: Tensor
    attention_size: Tensor
    feed_forward_size: Tensor
    final: Tensor
    logits: Tensor


@torch.inference_mode()
def trace_step(model: LiteLlama, ids: Sequence[int], *, position: int, layer: int, head: int) -> Trace:
    """Run the model on `ids` and keep what passes `position`, at `layer` and `head` (both from 0).

    Raises `ValueError` for an empty or too long text, or a position, layer or head that is not there.
    """
    config = model.config
    if not ids or len(ids) > config.max_position_embeddings:
        raise ValueError(f"the text has {len(ids)} tokens; from 1 to {config.max_position_embeddings} can be read")
    for name, number, count in (
        ("place", position, len(ids)), ("layer", layer, config.num_hidden_layers),
        ("head", head, config.num_attention_heads),
    ):  # fmt: skip
        if not 0 <= number < count:
            raise ValueError(f"{name} {number} was asked for; from 0 to {count - 1} there are some")
    copied = twin(model)  # hooks of its own, beside whoever else uses the model
    blocks = [block for block in copied.model.layers if isinstance(block, architecture.Block)]
    block, size = blocks[layer], config.head_dim
    attention, feed_forward = block.self_attn, block.mlp
    seen = torch.tensor([list(ids[: position + 1])], device=model.device)  # later tokens change nothing
    watched: dict[str, nn.Module] = {
        "normed": block.input_layernorm, "query": attention.q_proj, "keys": attention.k_proj,
        "values": attention.v_proj, "attended": attention.o_proj, "normed_between": block.post_attention_layernorm,
        "gate": feed_forward.gate_proj, "up": feed_forward.up_proj, "written": feed_forward,
        "final": copied.model.norm,
    }  # fmt: skip
    watched |= {f"attention {number}": one.self_attn.o_proj for number, one in enumerate(blocks)}
    watched |= {f"feed-forward {number}": one.mlp for number, one in enumerate(blocks)}
    found: dict[str, Tensor] = {}
    for name, module in watched.items():
        module.register_forward_hook(lambda _, __, result, name=name: found.update({name: result}))
    output = copied(seen, logits_to_keep=1, output_hidden_states=True)
    states = torch.stack([state[0, -1] for state in output.hidden_states]).float()  # (L + 1, E)
    layers = range(config.num_hidden_layers)

    cos, sin = rotary_tables(model.model.rotary, torch.arange(position + 1, device=seen.device)[None])
    query = found["query"].unflatten(-1, (-1, size)).transpose(1, 2)  # (1, H, S, D)
    keys = found["keys"].unflatten(-1, (-1, size)).transpose(1, 2)  # (1, G, S, D)
    group = head // (config.num_attention_heads // config.num_key_value_heads)
    values = found["values"].unflatten(-1, (-1, size))[0, :, group]
    query_turned, keys_turned = rotate(query, cos, sin)[0, head, -1], rotate(keys, cos, sin)[0, group]
    scores = (keys_turned @ query_turned).float() / math.sqrt(size)
    weights = scores.softmax(-1)
    mixed = weights @ values.float()
    gate, up = found["gate"][0, -1], found["up"][0, -1]
    opened = F.silu(gate)
    numbers = {
        "embedding": states[0], "entering": states[layer], "normed": found["normed"][0, -1],
        "query": query[0, head, -1], "query_turned": query_turned, "keys": keys[0, group], "keys_turned": keys_turned,
        "values": values, "angles": model.model.rotary, "scores": scores, "weights": weights, "mixed": mixed,
        "head_written": attention.o_proj.weight[:, head * size : (head + 1) * size].float() @ mixed,
        "attended": found["attended"][0, -1], "between": states[layer] + found["attended"][0, -1],
        "normed_between": found["normed_between"][0, -1], "gate": gate, "opened": opened, "up": up,
        "hidden": opened * up, "written": found["written"][0, -1], "leaving": states[layer + 1],
        "stream_size": states.norm(dim=-1),
        "attention_size": torch.stack([found[f"attention {number}"][0, -1].float().norm() for number in layers]),
        "feed_forward_size": torch.stack([found[f"feed-forward {number}"][0, -1].float().norm() for number in layers]),
        "final": found["final"][0, -1], "logits": output.logits[0, -1],
    }  # fmt: skip
    return Trace(position, layer, head, group, **{name: value.float().cpu() for name, value in numbers.items()})


def vectors(trace: Trace) -> dict[str, Tensor]:
    """All of a trace's numbers by name, to save or to draw."""
    return {field.name: value for field in fields(trace) if isinstance(value := getattr(trace, field.name), Tensor)}
