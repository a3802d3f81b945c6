"""Before the first step: the corpus tokenised, the tokenizer made or taken, the model made or opened."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import replace

import torch

from litellama.chat.format import is_chat_tokenizer
from litellama.checkpoint import Opened, find_checkpoint, open_checkpoint
from litellama.config import ModelConfig, preset
from litellama.data.corpora import Corpus
from litellama.data.documents import Item, TextChunk
from litellama.data.shards import Shards, open_shards, write_shards
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer
from litellama.training.dataset import (
    Dataset,
    corpus_dataset,
    corpus_tokenizer,
    find_corpus,
    tinytown_dataset,
    tinytown_tokenizer,
)
from litellama.training.events import Note, TrainingEvent
from litellama.training.initial_weights import new_model
from litellama.training.lora import add_lora
from litellama.training.parallel import World
from litellama.training.recipe import TINYTOWN, Recipe

SHORT = 256  # tokens in a row of a text, where nothing says otherwise: what a CPU reads without waiting long
LARGE = 100_000_000  # parameters; from here on the preset's whole context is read
PROMPT_WORDS = 6
TOKENIZER, SHARDS, PROMPT = "tokenizer.json", "corpus", "opening.json"


def prepare(recipe: Recipe, world: World) -> Generator[TrainingEvent, None, tuple[LiteLlama, Dataset]]:
    """The model to be trained and its dataset. The first process writes the files, then all read them."""
    opened = None if recipe.start is None else open_checkpoint(find_checkpoint(recipe.start))
    config = (recipe.config or preset(recipe.preset)) if opened is None else opened.config
    folder = recipe.dataset_folder or recipe.folder
    recipe.folder.mkdir(parents=True, exist_ok=True)
    if (
        world.is_first
        and recipe.dataset_folder is None
        and not (recipe.resume and (recipe.folder / TOKENIZER).exists())
    ):
        yield from write_dataset(recipe, config, opened)
    world.wait()
    tokenizer = Tokenizer.load(folder / TOKENIZER)
    if recipe.corpus == TINYTOWN:
        dataset = tinytown_dataset(tokenizer, recipe.lookup_drills, recipe.exercises)
    else:
        prompt = json.loads((folder / PROMPT).read_text(encoding="utf-8"))
        dataset = corpus_dataset(open_shards(folder / SHARDS, tokenizer), tokenizer, prompt, recipe.separate)
    model = _untrained(recipe, config, tokenizer) if opened is None else _opened_model(recipe, opened, tokenizer)
    return model, dataset


def write_dataset(
    recipe: Recipe, config: ModelConfig, opened: Opened | None = None
) -> Generator[TrainingEvent, None, None]:
    """The tokenizer, and any corpus but TinyTown as shards, into the training's folder."""
    recipe.folder.mkdir(parents=True, exist_ok=True)
    (recipe.folder / "metrics.jsonl").unlink(missing_ok=True)
    if recipe.corpus == TINYTOWN and opened is None and recipe.tokenizer is None:
        yield Note("learning the tokenizer from TinyTown")
        tinytown_tokenizer(config.vocab_size).save(recipe.folder / TOKENIZER)
        return
    bad: list[str] = []
    corpus: Corpus | None = None
    if recipe.corpus != TINYTOWN:
        corpus = find_corpus(recipe.corpus, skip_bad=recipe.skip_bad, limit=recipe.limit, on_bad=bad.append)
    tokenizer: Tokenizer
    if recipe.tokenizer is not None:
        tokenizer = Tokenizer.load(recipe.tokenizer)
    elif opened is not None:
        tokenizer = opened.tokenizer
    else:
        assert corpus is not None
        yield Note("learning the tokenizer from the corpus")
        tokenizer = corpus_tokenizer(corpus, config.vocab_size)
    if (corpus is None or corpus.kind == "chat") and not is_chat_tokenizer(tokenizer):
        tokenizer = tokenizer.with_chat_tokens()
    tokenizer.save(recipe.folder / TOKENIZER)
    if corpus is None:
        return
    (recipe.folder / PROMPT).write_text(json.dumps(_first_prompt(next(iter(corpus)))), encoding="utf-8")
    bad.clear()
    for event in write_shards(corpus, tokenizer, recipe.folder / SHARDS, source=corpus.source):
        if not isinstance(event, Shards):
            yield Note(f"reading the corpus: {event.documents:,} documents, {event.tokens:,} tokens")
    for line in bad:
        yield Note(f"left out: {line}")


def _first_prompt(first: Item) -> str:
    """What the model continues while it learns: the first words of a text, or the first message of a conversation."""
    return " ".join(first.text.split()[:PROMPT_WORDS]) if isinstance(first, TextChunk) else first[0].content


def _untrained(recipe: Recipe, config: ModelConfig, tokenizer: Tokenizer) -> LiteLlama:
    """An untrained model of the preset's shape, with the vocabulary there is and the context that is trained."""
    whole = recipe.corpus == TINYTOWN or config.num_parameters > LARGE
    longest = (
        preset("tinytown").max_position_embeddings if recipe.corpus == TINYTOWN else config.max_position_embeddings
    )
    special = {name: tokenizer.special(f"<|{name}|>") for name in ("begin", "end", "pad")}
    if recipe.tokenizer is not None and tokenizer.vocab_size > config.vocab_size:
        raise ValueError(
            f"{recipe.tokenizer.name} has {tokenizer.vocab_size} tokens and {recipe.preset} has room for "
            f"{config.vocab_size}"
        )
    config = replace(
        config,
        max_position_embeddings=recipe.length or (min(longest, config.max_position_embeddings) if whole else SHORT),
        vocab_size=config.vocab_size if recipe.tokenizer else tokenizer.vocab_size,
        padding_rows=config.vocab_size - tokenizer.vocab_size if recipe.tokenizer else 0,
        bos_token_id=special["begin"],
        eos_token_ids=() if special["end"] is None else (special["end"],),
        pad_token_id=special["pad"],
    )
    return new_model(config, recipe.seed)


def _opened_model(recipe: Recipe, opened: Opened, tokenizer: Tokenizer) -> LiteLlama:
    """A trained model to go on from: with rows for new tokens, and with LoRA if the recipe says so."""
    model = _grown(opened.model, tokenizer.id_limit)
    model.config = replace(model.config, padding_rows=model.config.vocab_size - tokenizer.id_limit)
    if recipe.length:
        model.config = replace(model.config, max_position_embeddings=recipe.length)
    if recipe.lora_rank:
        add_lora(model, rank=recipe.lora_rank, alpha=2.0 * recipe.lora_rank, seed=recipe.seed)
    return model


def _grown(model: LiteLlama, vocab_size: int) -> LiteLlama:
    """The model with rows for `vocab_size` tokens: new ones begin as the mean of the others, nothing in particular."""
    if vocab_size <= model.config.vocab_size:
        return model
    grown = LiteLlama(replace(model.config, vocab_size=vocab_size, padding_rows=0))
    weights = dict(model.state_dict())
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        old = weights[name]
        mean = old.mean(0, keepdim=True).expand(vocab_size - len(old), -1)
        weights[name] = torch.cat([old, mean])
    grown.load_state_dict(weights)
    return grown
