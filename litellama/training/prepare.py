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
    TINYTOWN,
    Dataset,
    corpus_dataset,
    corpus_tokenizer,
    find_corpus,
    tinytown,
    tinytown_tokenizer,
)
from litellama.training.events import Note, TrainingEvent
from litellama.training.initial_weights import new_model
from litellama.training.job import Job
from litellama.training.lora import add_lora
from litellama.training.parallel import World

SHORT = 256  # tokens in a row of a text, where nothing says otherwise: what a CPU reads without waiting long
LARGE = 100_000_000  # parameters; from here on the preset's whole context is read
OPENING_WORDS = 6
TOKENIZER, SHARDS, OPENING = "tokenizer.json", "corpus", "opening.json"


def prepared(job: Job, world: World) -> Generator[TrainingEvent, None, tuple[LiteLlama, Dataset]]:
    """The model to be trained and what it is to read; the first process writes what all read then."""
    opened = None if job.start is None else open_checkpoint(find_checkpoint(job.start))
    config = (job.config or preset(job.preset)) if opened is None else opened.config
    folder = job.material or job.folder
    job.folder.mkdir(parents=True, exist_ok=True)
    if world.is_first and job.material is None and not (job.resume and (job.folder / TOKENIZER).exists()):
        yield from write_material(job, config, opened)
    world.wait()
    tokenizer = Tokenizer.load(folder / TOKENIZER)
    if job.corpus == TINYTOWN:
        material = tinytown(tokenizer, job.drills, job.exercises)
    else:
        opening = json.loads((folder / OPENING).read_text(encoding="utf-8"))
        material = corpus_dataset(open_shards(folder / SHARDS, tokenizer), tokenizer, opening, job.separate)
    model = _new(job, config, tokenizer) if opened is None else _taken(job, opened, tokenizer)
    return model, material


def write_material(job: Job, config: ModelConfig, opened: Opened | None = None) -> Generator[TrainingEvent, None, None]:
    """The tokenizer, and any corpus but TinyTown as shards, into the training's folder."""
    job.folder.mkdir(parents=True, exist_ok=True)
    (job.folder / "metrics.jsonl").unlink(missing_ok=True)
    if job.corpus == TINYTOWN and opened is None and job.tokenizer is None:
        yield Note("learning the tokenizer from TinyTown")
        tinytown_tokenizer(config.vocab_size).save(job.folder / TOKENIZER)
        return
    bad: list[str] = []
    corpus: Corpus | None = None
    if job.corpus != TINYTOWN:
        corpus = find_corpus(job.corpus, skip_bad=job.skip_bad, limit=job.limit, on_bad=bad.append)
    tokenizer: Tokenizer
    if job.tokenizer is not None:
        tokenizer = Tokenizer.load(job.tokenizer)
    elif opened is not None:
        tokenizer = opened.tokenizer
    else:
        assert corpus is not None
        yield Note("learning the tokenizer from the corpus")
        tokenizer = corpus_tokenizer(corpus, config.vocab_size)
    if (corpus is None or corpus.kind == "chat") and not is_chat_tokenizer(tokenizer):
        tokenizer = tokenizer.with_chat_tokens()
    tokenizer.save(job.folder / TOKENIZER)
    if corpus is None:
        return
    (job.folder / OPENING).write_text(json.dumps(_opening(next(iter(corpus)))), encoding="utf-8")
    bad.clear()
    for event in write_shards(corpus, tokenizer, job.folder / SHARDS, source=corpus.source):
        if not isinstance(event, Shards):
            yield Note(f"reading the corpus: {event.documents:,} documents, {event.tokens:,} tokens")
    for line in bad:
        yield Note(f"left out: {line}")


def _opening(first: Item) -> str:
    """What the model is asked to go on from: the corpus's own first words, or a conversation's first message."""
    return " ".join(first.text.split()[:OPENING_WORDS]) if isinstance(first, TextChunk) else first[0].content


def _new(job: Job, config: ModelConfig, tokenizer: Tokenizer) -> LiteLlama:
    """An untrained model of the preset's shape, with the vocabulary there is and the context that is trained."""
    whole = job.corpus == TINYTOWN or config.num_parameters > LARGE
    longest = preset("tinytown").max_position_embeddings if job.corpus == TINYTOWN else config.max_position_embeddings
    special = {name: tokenizer.special(f"<|{name}|>") for name in ("begin", "end", "pad")}
    if job.tokenizer is not None and tokenizer.vocab_size > config.vocab_size:
        raise ValueError(
            f"{job.tokenizer.name} has {tokenizer.vocab_size} tokens and {job.preset} has room for {config.vocab_size}"
        )
    config = replace(
        config,
        max_position_embeddings=job.length or (min(longest, config.max_position_embeddings) if whole else SHORT),
        vocab_size=config.vocab_size if job.tokenizer else tokenizer.vocab_size,
        padding_rows=config.vocab_size - tokenizer.vocab_size if job.tokenizer else 0,
        bos_token_id=special["begin"],
        eos_token_ids=() if special["end"] is None else (special["end"],),
        pad_token_id=special["pad"],
    )
    return new_model(config, job.seed)


def _taken(job: Job, opened: Opened, tokenizer: Tokenizer) -> LiteLlama:
    """A trained model to go on with: with room for new tokens, and low-rank additions if they are asked for."""
    model = _grown(opened.model, tokenizer.id_limit)
    model.config = replace(model.config, padding_rows=model.config.vocab_size - tokenizer.id_limit)
    if job.length:
        model.config = replace(model.config, max_position_embeddings=job.length)
    if job.lora_rank:
        add_lora(model, rank=job.lora_rank, alpha=2.0 * job.lora_rank, seed=job.seed)
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
