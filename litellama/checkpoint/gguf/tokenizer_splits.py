"""How text is split before byte-pair merges, by the name that llama.cpp has for it (`tokenizer.ggml.pre`).

A GGUF file holds no pattern, only such a name; what it means stands in llama.cpp (src/llama-vocab.cpp). Only names are
known here whose splitting Hugging Face's pre-tokenizers do alike, which a test proves with llama.cpp itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tokenizers import Regex
from tokenizers.pre_tokenizers import ByteLevel, Digits, PreTokenizer, Sequence, Split

LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
_QWEN2_SPLIT = LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")
_SEED_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_BLOOM_SPLIT = r" ?[^(\s|.,!?…。，、।۔،)]+"
# Mistral's own. llama.cpp takes capitals outside ASCII for small letters as well, and so splits "ÉCOLE" otherwise.
_TEKKEN_SPLIT = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _gpt2() -> PreTokenizer:
    return ByteLevel(add_prefix_space=False)


def _digits() -> PreTokenizer:
    """As in SmolLM2's own tokenizer.json."""
    return Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])


def _by(*patterns: str) -> Callable[[], PreTokenizer]:
    """One pattern after the other: what it matches and what lies between become pieces of their own."""
    return lambda: Sequence(
        [*(Split(Regex(one), "isolated") for one in patterns), ByteLevel(add_prefix_space=False, use_regex=False)]
    )


@dataclass(frozen=True)
class SplitRule:
    """`pre_tokenizer` makes the splitter. `ignore_merges`: a piece that is a token needs no merges to become it;
    `add_bos`: texts begin with the beginning-of-text token where the file doesn't say whether they do."""

    pre_tokenizer: Callable[[], PreTokenizer]
    ignore_merges: bool = False
    add_bos: bool = False


_RULES: list[tuple[SplitRule, str]] = [
    (SplitRule(_gpt2), "gpt-2 phi-2 gigachat a.x-4.0 mellum mpt olmo jais trillion granite-docling exaone4"),
    (SplitRule(_digits), "smollm starcoder refact command-r codeshell exaone minerva-7b"),
    (
        SplitRule(_by(LLAMA3_SPLIT), ignore_merges=True, add_bos=True),
        "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2",
    ),
    (SplitRule(_by(LLAMA3_SPLIT)), "dbrx smaug-bpe"),
    (SplitRule(_by(_QWEN2_SPLIT)), "qwen2 stablelm2 deepseek-r1-qwen megrez hunyuan grok-2"),
    (SplitRule(_by(_TEKKEN_SPLIT), ignore_merges=True, add_bos=True), "tekken"),
    (SplitRule(_by(_SEED_SPLIT)), "seed-coder"),
    (SplitRule(_by(_BLOOM_SPLIT)), "bloom poro-chat gpt3-finnish"),
    (SplitRule(_by(_BLOOM_SPLIT, r"\p{N}")), "viking"),
]

SPLITS = {name: rule for rule, names in _RULES for name in names.split()}
"""llama.cpp's name -> what it means."""
