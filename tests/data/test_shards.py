"""Shards: what is written comes back, damage is noticed, each token is predicted once, and packed texts stay apart."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import decoders, models, pre_tokenizers
from torch.nn import functional as F

from litellama.chat import Message, encode_document
from litellama.data import encoding
from litellama.data.batches import TokenBatch
from litellama.data.documents import Item, TextChunk
from litellama.data.encoding import frame
from litellama.data.packing import CorpusBatches, PackedRows, WindowRows, pack
from litellama.data.shard_files import TokenStore, token_dtype
from litellama.data.shards import LONG, ShardProgress, Shards, open_shards, split, write_shards
from litellama.evaluation.perplexity import validation_loss
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer
from tests.conftest import TINY, random_model

STORY = "Tom went to the park. He found a red kite near the old tree, and Mia was glad.\n"


def talk(number: int) -> tuple[Message, ...]:
    """A conversation of one to three turns, different for each number."""
    turn = Message("user", f"Where is kite {number}?"), Message("assistant", f"Mia has kite {number % 7} now.")
    return turn * (1 + number % 3)


def prepare(folder: Path, items: Iterable[Item], tokenizer: Tokenizer, shard_tokens: int = 1000) -> Shards:
    *news, shards = write_shards(items, tokenizer, folder, source="test", shard_tokens=shard_tokens)
    assert all(isinstance(item, ShardProgress) for item in news)
    assert isinstance(shards, Shards)
    return shards


def stories(count: int) -> list[Item]:
    return [TextChunk(f"Story {number}. " + STORY * (number % 4), ends=True) for number in range(count)]


@pytest.fixture
def texts(tmp_path: Path, tokenizer: Tokenizer) -> Shards:
    return prepare(tmp_path / "texts", stories(45), tokenizer)


@pytest.fixture
def chats(tmp_path: Path, tokenizer: Tokenizer) -> Shards:
    return prepare(tmp_path / "chats", [talk(number) for number in range(45)], tokenizer)


def everything(shards: Shards) -> tuple[list[int], list[float]]:
    places = np.arange(shards.tokens)
    return shards.store.ids(places).tolist(), shards.store.weights(places).tolist()


# --- Writing and opening ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shard_tokens", [7, 1000, 2**24])
def test_texts_come_back(tmp_path: Path, tokenizer: Tokenizer, shard_tokens: int) -> None:
    shards = prepare(tmp_path / "a", stories(12), tokenizer, shard_tokens)
    begin, end = tokenizer.special("<|begin|>"), tokenizer.special("<|end|>")
    made = [[begin, *tokenizer.encode(" " + item.text), end] for item in stories(12) if isinstance(item, TextChunk)]
    ids, weights = everything(shards)
    assert ids == [id for document in made for id in document]
    assert set(weights) == {1.0}
    assert shards.ends.tolist() == np.cumsum([len(document) for document in made]).tolist()
    assert (shards.kind, shards.documents, shards.tokens, shards.wanted) == ("text", 12, len(ids), len(ids))
    assert len(list((tmp_path / "a").glob("tokens-*.npy"))) == -(-len(ids) // shard_tokens)
    assert list((tmp_path / "a").glob("wanted-*.npy")) == []


@pytest.mark.parametrize("shard_tokens", [7, 2**24])
def test_conversations_come_back(tmp_path: Path, tokenizer: Tokenizer, shard_tokens: int) -> None:
    shards = prepare(tmp_path / "a", [talk(number) for number in range(12)], tokenizer, shard_tokens)
    made = [encode_document(talk(number), tokenizer) for number in range(12)]
    ids, weights = everything(shards)
    assert ids == [id for document, _ in made for id in document]
    assert weights == [float(role == "assistant") for _, roles in made for role in roles]
    assert shards.wanted == sum(weights)
    assert shards.kind == "chat"


@pytest.mark.parametrize("at_once", [1, 2**20])
def test_a_text_in_parts_is_the_text(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(encoding, "AT_ONCE", at_once)
    parts = [
        TextChunk("Tom went", False),
        TextChunk(" to the", False),
        TextChunk(" park", True),
        TextChunk("Mia", True),
        TextChunk("Tom", False),
    ]
    in_parts = prepare(tmp_path / "a", [*parts, TextChunk("", True)], tokenizer)
    documents = [TextChunk("Tom went to the park", True), TextChunk("Mia", True), TextChunk("Tom", True)]
    whole = prepare(tmp_path / "b", documents, tokenizer)
    assert everything(in_parts) == everything(whole)
    assert in_parts.ends.tolist() == whole.ends.tolist()
    cut_short = prepare(tmp_path / "c", parts, tokenizer)
    assert cut_short.documents == 3


def foreign(*special: str) -> Tokenizer:
    inner = tokenizers.Tokenizer(
        models.BPE({letter: n for n, letter in enumerate(pre_tokenizers.ByteLevel.alphabet())}, [])
    )
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(list(special))
    return Tokenizer(inner)


@pytest.mark.parametrize(
    ("special", "expected"),
    [
        ((), ([], [])),
        (("<s>", "</s>"), ([256], [257])),
        (("<|endoftext|>",), ([256], [])),
        (("<|begin_of_text|>", "<|end_of_text|>"), ([256], [257])),
        (("</s>",), ([], [256])),
    ],
)
def test_texts_are_framed_by_what_the_tokenizer_has(
    tmp_path: Path, special: tuple[str, ...], expected: tuple[list[int], list[int]]
) -> None:
    tokenizer = foreign(*special)
    assert frame(tokenizer) == expected
    shards = prepare(tmp_path / "a", [TextChunk("ab", True), TextChunk("c", True)], tokenizer)
    opening, closing = expected
    a, b, c = tokenizer.encode("abc")
    assert everything(shards)[0] == [*opening, a, b, *closing, *opening, c, *closing]
    with pytest.raises(ValueError, match="no special tokens for conversations"):
        prepare(tmp_path / "b", [talk(0)], tokenizer)


def test_ids_take_as_few_bytes_as_they_can(texts: Shards, tokenizer: Tokenizer) -> None:
    assert [token_dtype(size) for size in (2**16, 2**16 + 1)] == [np.uint16, np.uint32]
    stored = np.load(texts.folder / "tokens-00000.npy")
    assert stored.dtype == np.uint16
    assert len(stored) == 1000


def test_the_manifest_says_what_is_there(chats: Shards, tokenizer: Tokenizer) -> None:
    manifest = json.loads((chats.folder / "manifest.json").read_text(encoding="utf-8"))
    files = manifest.pop("files")
    assert set(files) | {"manifest.json"} == {path.name for path in chats.folder.iterdir()}
    assert manifest == {
        "version": 1, "kind": "chat", "source": "test", "tokenizer": tokenizer.sha256, "documents": 45,
        "tokens": chats.tokens, "wanted": chats.wanted, "held_out": chats.held_out_tokens, "shard_tokens": 1000,
    }  # fmt: skip
    opened = open_shards(chats.folder, tokenizer)
    assert everything(opened) == everything(chats)
    assert replace(opened, store=chats.store, ends=chats.ends) == chats


def test_a_tokenizer_has_the_same_fingerprint_when_saved(tmp_path: Path, tokenizer: Tokenizer) -> None:
    tokenizer.save(tmp_path / "tokenizer.json")
    assert Tokenizer.load(tmp_path / "tokenizer.json").sha256 == tokenizer.sha256
    assert foreign("<s>").sha256 != foreign("</s>").sha256


def damage(name: str, change: Any) -> Any:
    """What changes the file called `name` in a folder."""

    def do(folder: Path) -> None:
        path = folder / name
        content = change(path.read_bytes())
        path.unlink() if content is None else path.write_bytes(content)

    return do


def entry(name: str, value: Any) -> Any:
    def change(content: bytes) -> bytes:
        manifest = json.loads(content)
        if value is None:
            del manifest[name]
        else:
            manifest[name] = value
        return json.dumps(manifest).encode()

    return damage("manifest.json", change)


DAMAGES = {
    "manifest gone": (
        damage("manifest.json", lambda content: None),
        "there is no prepared corpus in .*prepare it first",
    ),
    "manifest cut": (damage("manifest.json", lambda content: content[:50]), "delete this folder"),
    "manifest a list": (damage("manifest.json", lambda content: b"[]"), "delete this folder"),
    "file gone": (
        damage("tokens-00001.npy", lambda content: None),
        r"tokens-00001\.npy is missing; delete this folder",
    ),
    "file cut": (
        damage("wanted-00000.npy", lambda content: content[:-1]),
        r"wanted-00000\.npy is not the file that was",
    ),
    "ends changed": (damage("ends.npy", lambda content: content[:-1] + b"\1"), r"ends\.npy is not the file"),
    "version": (entry("version", 2), "of version 2, which is not known here"),
    "kind": (entry("kind", "music"), "it is 'music'"),
    "tokenizer": (entry("tokenizer", "0"), "made with another tokenizer"),
    "entry gone": (entry("files", None), "manifest.json has no entry 'files'"),
    "documents": (entry("documents", 44), r"ends\.npy tells of are not those of the manifest"),
    "tokens": (
        entry("tokens", 10),
        r"tokens-00000\.npy holds uint16 of shape \(1000,\); uint16 of \(10,\) was expected",
    ),
    "tokens no number": (entry("tokens", "many"), "delete this folder"),
    "shards of nothing": (entry("shard_tokens", 0), "delete this folder"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_noticed(chats: Shards, tokenizer: Tokenizer, name: str) -> None:
    change, problem = DAMAGES[name]
    change(chats.folder)
    with pytest.raises(ValueError, match=problem):
        open_shards(chats.folder, tokenizer)


def test_a_flipped_bit_is_noticed_by_those_who_look(texts: Shards, tokenizer: Tokenizer) -> None:
    damage("tokens-00000.npy", lambda content: content[:-2] + b"\1" + content[-1:])(texts.folder)
    assert open_shards(texts.folder, tokenizer, verify=False).tokens == texts.tokens
    with pytest.raises(ValueError, match=r"tokens-00000\.npy is not the file .* delete this folder and prepare"):
        open_shards(texts.folder, tokenizer)


def test_what_stood_there_stays_until_all_is_written(texts: Shards, tokenizer: Tokenizer) -> None:
    before = everything(texts)
    stream = write_shards(
        [TextChunk(STORY * 5000, True), TextChunk("More.", True)], tokenizer, texts.folder, source="new"
    )
    next(stream)
    stream.close()
    problem = "new mixes texts and conversations"
    for items in ([TextChunk("One.", True), talk(1)], [talk(1), TextChunk("One.", True)]):
        with pytest.raises(ValueError, match=problem):
            list(write_shards(items, tokenizer, texts.folder, source="new"))
    with pytest.raises(ValueError, match="new holds not a single document"):
        list(write_shards([], tokenizer, texts.folder, source="new"))
    assert everything(open_shards(texts.folder, tokenizer)) == before
    assert [path.name for path in texts.folder.parent.iterdir()] == [texts.folder.name]
    prepare(texts.folder, [TextChunk("One.", True)], tokenizer)
    assert open_shards(texts.folder, tokenizer).documents == 1


def test_progress_is_told(tmp_path: Path, tokenizer: Tokenizer) -> None:
    news = list(write_shards([TextChunk(STORY * 2000, True)] * 20, tokenizer, tmp_path / "a", source="x"))
    told = [item for item in news if isinstance(item, ShardProgress)]
    assert len(told) > 5
    assert [item.tokens for item in told] == sorted({item.tokens for item in told})
    assert told[-1].documents <= 20


# --- What is held out ------------------------------------------------------------------------------------------------


def test_a_twentieth_is_held_out() -> None:
    lengths = np.array([5000, *[10] * 31, LONG, LONG + 20])
    ends = np.cumsum(lengths)
    training, held_out = split(ends, "text")
    assert training[0].tolist() == [0, 4750]
    assert held_out.tolist() == [[4750, 5000], [5100, 5110], [5300, 5310], [int(ends[-1]) - 201, int(ends[-1])]]
    assert split(ends, "chat")[1].tolist() == [[5090, 5100], [5290, 5300]]
    assert split(np.array([9]), "text")[1].tolist() == []


@given(lengths=st.lists(st.integers(1, 9000), min_size=1, max_size=60), kind=st.sampled_from(["text", "chat"]))
def test_training_and_what_is_held_out_are_the_whole(lengths: list[int], kind: Any) -> None:
    ends = np.cumsum(lengths)
    training, held_out = split(ends, kind)
    both = sorted([*training.tolist(), *held_out.tolist()])
    assert [start for start, _ in both] == [0, *(stop for _, stop in both[:-1])]
    assert both[-1][1] == ends[-1]
    assert all(start < stop for start, stop in both)
    assert len(training) > 0
    assert (held_out[:, 1] - held_out[:, 0]).sum() <= ends[-1] / 2


# --- Batches ---------------------------------------------------------------------------------------------------------


def counting_store(total: int, shard_tokens: int = 50) -> TokenStore:
    """A corpus whose ids are their own positions."""
    ids = np.arange(total, dtype=np.uint32)
    return TokenStore([ids[start : start + shard_tokens] for start in range(0, total, shard_tokens)], [], shard_tokens)


def epoch_of(rows: WindowRows | PackedRows, seed: int = 0, number: int = 0) -> TokenBatch:
    """All rows of an epoch as one batch."""
    return CorpusBatches(rows, seed, rows.count)[number]


def spans_of(lengths: Iterable[int], gap: int = 0) -> np.ndarray[Any, np.dtype[np.int64]]:
    found, start = [], 0
    for length in lengths:
        found.append((start, start + length))
        start += length + gap
    return np.array(found, np.int64)


LENGTHS = st.lists(st.integers(2, 40), min_size=1, max_size=30)


@given(lengths=LENGTHS, gap=st.integers(0, 3), length=st.integers(1, 50), seed=st.integers(0, 5))
def test_windows_predict_each_token_once(lengths: list[int], gap: int, length: int, seed: int) -> None:
    spans = spans_of(lengths, gap)
    stream = np.concatenate([np.arange(start, stop) for start, stop in spans])
    follows = dict(zip(stream.tolist(), np.roll(stream, -1).tolist(), strict=True))
    rows = WindowRows(counting_store(int(spans[-1, 1])), spans, length)
    for number in range(3):
        batch = epoch_of(rows, seed, number)
        counts = Counter(batch.targets.flatten().tolist())
        assert max(counts.values()) == 1
        assert counts.keys() <= set(stream.tolist())
        assert len(stream) - len(counts) == len(stream) % rows.length < rows.length <= length
        inputs, targets = batch.input_ids.flatten().tolist(), batch.targets.flatten().tolist()
        assert [follows[id] for id in inputs] == targets
        assert batch.documents is None
        assert bool((batch.weights == 1).all())


def test_windows_begin_elsewhere_in_each_epoch() -> None:
    rows = WindowRows(counting_store(1000), spans_of([1000]), 10)
    batches = CorpusBatches(rows, 0, 4)
    assert batches.steps_per_epoch == 25
    starts = [
        sorted(batches[step].input_ids[:, 0].tolist()[0] % 10 for step in range(e * 25, e * 25 + 25)) for e in range(5)
    ]
    assert all(len(set(epoch)) == 1 for epoch in starts)
    assert len({epoch[0] for epoch in starts}) > 1
    epochs = [[batches[step].input_ids[0, 0].item() for step in range(e * 25, e * 25 + 25)] for e in range(2)]
    distances = [[(after - before) % 1000 for before, after in pairwise(epoch)] for epoch in epochs]
    assert len(set(distances[0])) > 10, "windows are read in no order"
    assert distances[0] != distances[1]


def test_a_short_text_has_shorter_rows(tmp_path: Path, tokenizer: Tokenizer) -> None:
    shards = prepare(tmp_path / "a", [TextChunk("Tom has a kite.", True)], tokenizer)
    batch = shards.batches(0, 8, 256)[3]
    assert batch.input_ids.shape == (8, shards.tokens - 1)
    assert len({tuple(row) for row in batch.input_ids.tolist()}) > 1  # each row is of another epoch
    assert shards.held_out(8, 256) == []
    assert shards.held_out_tokens == 0
    packed = shards.batches(0, 8, 256, separate=True)[3]
    assert packed.input_ids.tolist() == [everything(shards)[0][:-1]] * 8


def test_what_cannot_be_batched_is_refused(texts: Shards, tmp_path: Path) -> None:
    for rows, length in ((0, 5), (5, 0)):
        with pytest.raises(ValueError, match="at least 1 of each was expected"):
            texts.batches(0, rows, length)
        with pytest.raises(ValueError, match="at least 1 of each was expected"):
            texts.held_out(rows, length)
    single = prepare(tmp_path / "single", [TextChunk("a", True)], foreign())
    for separate in (False, True):
        with pytest.raises(ValueError, match="at least 2"):
            single.batches(0, 1, 8, separate=separate)


@given(lengths=LENGTHS, gap=st.integers(0, 3), length=st.integers(1, 50), seed=st.integers(0, 5))
def test_packed_rows_predict_each_token_but_the_first_once(
    lengths: list[int], gap: int, length: int, seed: int
) -> None:
    spans = spans_of(lengths, gap)
    rows = PackedRows(counting_store(int(spans[-1, 1])), spans, length, pad_id=7)
    batch = epoch_of(rows, seed)
    assert batch.documents is not None
    real = batch.documents > 0
    assert batch.input_ids.shape[1] <= length
    assert bool(real.any(dim=0).all()), "padding that all rows share is cut off"
    predicted = sorted(batch.targets[real].tolist())
    assert predicted == [id for start, stop in spans.tolist() for id in range(start + 1, stop)]
    assert torch.equal(batch.input_ids[real] + 1, batch.targets[real])
    assert torch.equal(batch.weights, real.float())
    assert set(batch.input_ids[~real].tolist()) <= {7}
    for numbers, ids in zip(batch.documents, batch.input_ids, strict=True):
        kept = numbers[numbers > 0]
        assert torch.equal(numbers[: len(kept)], kept), "padding is on the right"
        steps = kept.diff(prepend=torch.tensor([0]))
        assert set(steps.tolist()) <= {0, 1}
        for number in range(1, int(kept.max()) + 1):
            piece = ids[numbers == number]
            assert torch.equal(piece, torch.arange(len(piece)) + piece[0])


@given(lengths=st.lists(st.integers(1, 20), max_size=60))
def test_packing(lengths: list[int]) -> None:
    order, borders = pack(np.array(lengths, np.int64), 20)
    assert sorted(order.tolist()) == list(range(len(lengths)))
    filled = [sum(lengths[number] for number in order[a:b]) for a, b in pairwise(borders)]
    assert all(0 < size <= 20 for size in filled)
    assert sum(size <= 10 for size in filled) <= 1  # two such rows would have been one
    assert pack(np.array([3, 9, 6, 1]), 10)[0].tolist() == [1, 3, 2, 0]
    assert pack(np.array([3, 9, 6, 1]), 10)[1].tolist() == [0, 2, 4]


@pytest.mark.parametrize("separate", [False, True])
def test_batches_depend_on_seed_and_step_alone(chats: Shards, tokenizer: Tokenizer, separate: bool) -> None:
    """So that a resumed training, and every process of several, reads what one unbroken process would."""
    forth = chats.batches(3, 6, 24, separate=separate)
    back = open_shards(chats.folder, tokenizer).batches(3, 6, 24, separate=separate)
    steps = range(math.ceil(3 * forth.steps_per_epoch))
    one, two = [forth[step] for step in steps], [back[step] for step in reversed(steps)][::-1]
    for mine, theirs in zip(one, two, strict=True):
        assert torch.equal(mine.input_ids, theirs.input_ids)
        assert torch.equal(mine.weights, theirs.weights)
    other = chats.batches(4, 6, 24, separate=separate)
    assert any(not torch.equal(other[step].targets[0, :5], one[step].targets[0, :5]) for step in steps)
    for count in (2, 3, 6):
        shares = [forth[1].share(rank, count) for rank in range(count)]
        together = torch.stack([shares[row % count].targets[row // count] for row in range(6)])
        assert torch.equal(together, forth[1].targets)


def test_conversations_are_learned_where_the_assistant_speaks(chats: Shards, tokenizer: Tokenizer) -> None:
    for separate in (None, False):
        rows = chats.batches(0, 1, 64, separate=separate)
        counts = 0.0
        for step in range(rows.rows.count):
            batch = rows[step]
            assert (batch.documents is None) == (separate is False)
            counts += batch.weights.sum().item()
            learned = [tokenizer.token_text(id) for id in batch.targets[batch.weights > 0].tolist()]
            assert not {"<|user|>", "<|assistant|>", "<|begin|>", "<|pad|>", "?"} & set(learned)
        held_out = sum(batch.weights.sum().item() for batch in chats.held_out(4, 64))
        assert counts + held_out == pytest.approx(chats.wanted, abs=64 if separate is False else 0)


# --- A real model ----------------------------------------------------------------------------------------------------


def losses(model: LiteLlama, batch: TokenBatch) -> torch.Tensor:
    """Cross-entropy at each place (B, T)."""
    with torch.no_grad():
        logits = model(batch.input_ids, document_ids=batch.documents).logits
        return F.cross_entropy(logits.transpose(1, 2), batch.targets, reduction="none")


def test_packed_texts_do_not_see_one_another(chats: Shards, tiny_model: LiteLlama) -> None:
    batch = chats.batches(0, 8, 100)[0]
    assert batch.documents is not None
    together = losses(tiny_model, batch)
    several = 0
    for row, numbers in enumerate(batch.documents):
        for number in range(1, int(numbers.max()) + 1):
            here = numbers == number
            alone = TokenBatch(
                batch.input_ids[row][here][None], batch.targets[row][here][None], torch.ones(1, int(here.sum()))
            )
            torch.testing.assert_close(together[row][here], losses(tiny_model, alone)[0], rtol=1e-4, atol=1e-4)
            several += number > 1
    assert several > 5
    leaking = losses(tiny_model, replace(batch, documents=(batch.documents > 0).long()))
    assert not torch.allclose(leaking, together, atol=1e-2)


@pytest.mark.parametrize("separate", [None, False, True])
@pytest.mark.parametrize("kind", ["texts", "chats"])
def test_the_held_out_loss_is_the_mean_over_what_is_held_out(
    request: pytest.FixtureRequest, tokenizer: Tokenizer, tiny_model: LiteLlama, kind: str, separate: bool | None
) -> None:
    shards: Shards = request.getfixturevalue(kind)
    batches = shards.held_out(2, 40, separate=separate)
    packed = shards.kind == "chat" if separate is None else separate
    assert all((batch.documents is not None) == packed for batch in batches)
    _, spans = split(shards.ends, shards.kind)
    counts = [shards.store.weights(np.arange(start + packed, stop)).sum() for start, stop in spans]
    lost = shards.held_out_tokens // 40 + 2 if not packed else 0  # the first token, and what does not come out even
    assert sum(counts) - lost <= sum(batch.weights.sum().item() for batch in batches) <= sum(counts)
    tiny_model.train()
    found = validation_loss(tiny_model, batches, tokenizer=tokenizer)
    assert tiny_model.training
    each = torch.cat([losses(tiny_model, batch)[batch.weights > 0] for batch in batches])
    assert found.tokens == len(each)
    assert found.loss == pytest.approx(each.mean().item(), rel=1e-4)
    assert found.perplexity == pytest.approx(math.exp(found.loss))
    assert validation_loss(tiny_model, batches).bits_per_byte is None


def test_bits_per_byte_of_a_model_that_knows_nothing(tmp_path: Path) -> None:
    """With a token for each byte, one that guesses evenly among V tokens needs log2(V) bits for each byte."""
    tokenizer = foreign()
    shards = prepare(tmp_path / "a", [TextChunk("Grüße! " * 900, True)], tokenizer)
    model = random_model(replace(TINY, vocab_size=tokenizer.vocab_size))
    with torch.no_grad():
        model.lm_head.weight.zero_()
    found = validation_loss(model, shards.held_out(4, shards.tokens), tokenizer=tokenizer)
    assert found.loss == pytest.approx(math.log(256), rel=1e-5)
    assert found.perplexity == pytest.approx(256, rel=1e-4)
    assert found.bits_per_byte == pytest.approx(8, rel=0.01)  # the first byte is half a letter's
    assert found.tokens == shards.held_out_tokens - 1 == shards.tokens // 20 - 1


def test_bits_per_byte_of_conversations_are_of_the_answers(
    chats: Shards, tokenizer: Tokenizer, tiny_model: LiteLlama
) -> None:
    found = validation_loss(tiny_model, chats.held_out(2, 100), tokenizer=tokenizer)
    answers = [" " + turn.content for number in (10, 30) for turn in talk(number) if turn.role == "assistant"]
    assert found.bits_per_byte == pytest.approx(found.loss * found.tokens / math.log(2) / len("".join(answers)))


def test_held_out_is_as_much_as_is_asked_for(texts: Shards, tiny_model: LiteLlama) -> None:
    assert texts.held_out_tokens > 60
    for separate in (False, True):
        tokens = [
            sum(batch.weights.sum().item() for batch in texts.held_out(2, 16, separate=separate, tokens=n))
            for n in (0, 1, 2, 30)
        ]
        assert tokens[:3] == [0, 0, 1]
        assert 26 <= tokens[3] <= 29
    assert texts.epoch_tokens + texts.held_out_tokens == texts.tokens
    with pytest.raises(ValueError, match="nothing is held out"):
        validation_loss(tiny_model, [])
