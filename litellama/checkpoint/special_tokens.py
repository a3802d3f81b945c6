"""Which tokens begin, end and fill up a text: what a config says of them, checked against its tokenizer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from litellama.checkpoint.tokenizers import TokenizerFiles
from litellama.config import ModelConfig, token_ids
from litellama.tokenizer import Tokenizer

ENDS = ("<|endoftext|>", "</s>", "<|end|>")  # what ends a text where the folder does not name it


@dataclass(frozen=True)
class Corrected:
    """Tokens that a config names as the beginning, end or filling of texts although they are ordinary text, and what
    the lab takes instead (None if the tokenizer has nothing for it), both as people read them: `# (2)`."""

    named: str
    instead: str | None

    def __str__(self) -> str:
        return (
            f"Its config names {self.named} as the tokens that begin, end or fill up a text, but in its vocabulary "
            f"they are ordinary text; the lab takes {self.instead or 'none'} instead."
        )


def correct_special_tokens(
    config: ModelConfig, generation: dict[str, Any], files: TokenizerFiles
) -> tuple[ModelConfig, Corrected | None]:
    """The config with ids that the tokenizer agrees with, and what was wrong. Raises `ValueError` for too many tokens.

    LiteLlama's config says that id 1 begins a text, 2 ends it and 0 fills it up, as in LLaMA's vocabulary. But it has
    GPT-2's vocabulary, where these are `"`, `#` and `!`: a reply would end at a number sign. Only a special token,
    which ordinary text never becomes, can begin, end or fill up a text.
    """
    tokenizer = files.tokenizer
    check_room_for_tokens(config, tokenizer)
    bos = _first(config.bos_token_id, *token_ids(generation, "bos_token_id"))
    pad = _first(config.pad_token_id, *token_ids(generation, "pad_token_id"))
    ends = tuple(dict.fromkeys([*config.eos_token_ids, *token_ids(generation, "eos_token_id")]))
    named = dict.fromkeys(id for id in (bos, *ends, pad) if id is not None)
    wrong = [id for id in named if not tokenizer.is_special(id)]
    corrected = None
    if wrong:
        end = _special_id(files, "eos_token")
        bos = _special_id(files, "bos_token") if bos in wrong else bos
        pad = _special_id(files, "pad_token") if pad in wrong else pad
        ends = tuple(id for id in ends if id not in wrong) or (() if end is None else (end,))
        named_wrongly = ", ".join(_shown(tokenizer, id) for id in wrong)
        corrected = Corrected(named_wrongly, None if end is None else _shown(tokenizer, end))
    rows = config.vocab_size - tokenizer.id_limit
    corrected_config = replace(
        config, bos_token_id=bos, eos_token_ids=ends, pad_token_id=pad, padding_rows=rows,
        add_bos_token=files.add_bos is not False,
    )  # fmt: skip
    return corrected_config, corrected


def check_room_for_tokens(config: ModelConfig, tokenizer: Tokenizer) -> None:
    """Raise `ValueError` if the model has fewer rows than the tokenizer has tokens."""
    if tokenizer.id_limit > config.vocab_size:
        raise ValueError(f"the tokenizer has {tokenizer.id_limit} tokens but the model only {config.vocab_size}")


def _first(*ids: int | None) -> int | None:
    return next((id for id in ids if id is not None), None)


def _shown(tokenizer: Tokenizer, id: int) -> str:
    return f"{tokenizer.token_text(id)} ({id})"


def _special_id(files: TokenizerFiles, role: str) -> int | None:
    """The id of the token that the folder's tokenizer files name for `role`, or else of a usual end of text."""
    names = [name for name in (files.roles.get(role), *ENDS) if name is not None]
    return _first(*(files.tokenizer.special(name) for name in names))
