"""A GGUF file is the same model to llama.cpp: same ids for every text, same probabilities, same greedy tokens.

Its server tells logarithms of probabilities; logits are these but for a number that is added to all of one position.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import pytest
import tokenizers
import torch
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from litellama.chat import Message, prompt_ids, reply
from litellama.checkpoint import Opened, open_checkpoint, save_checkpoint
from litellama.checkpoint.gguf.names import gguf_name, pair_neighbours
from litellama.checkpoint.gguf.tokenizer_splits import LLAMA3_SPLIT
from litellama.checkpoint.score_merges import SPACE
from litellama.config import preset
from litellama.export.gguf_file import rotary_factors
from litellama.export.vocabulary import vocabulary
from litellama.generate import generate
from litellama.model import LiteLlama
from litellama.sampling import Sampling
from litellama.tokenizer import Tokenizer
from tests.conftest import TEXTS as CORPUS
from tests.conftest import TINY
from tests.export.test_export import (
    GPT2,
    LITTLE_LITELLAMA,
    LLAMA3,
    SHAPES,
    TALK,
    TEXTS,
    TINYTOWN,
    conversation,
    leave,
    save,
)
from tests.support.llama_cpp import LlamaCpp

MORE_TEXTS = [
    *TEXTS, *CORPUS, "\r\n\r\n  x\u00a0y\u3000z ", "'s 's 'S 'll'", "½ ² ٣ Ⅷ 五", "İstanbul ﬁ ǅ",
    "\u200bzero\ufeffwidth", "tab\there", "trailing ", " leading", "\x00\x01\x7f", "\ufffd", "[INST] a [/INST]",
    "x = y+1; // ok?", "......!!!???",
]  # fmt: skip

PRECISIONS = {"float32": 1e-3, "float16": 0.05, "bfloat16": 0.4, "q8_0": 1.5}
"""Of the logarithms of TinyTown's probabilities, whose spread is about 5: how far they may be off."""


def only_file(folder: Path) -> Path:
    (file,) = folder.glob("*.gguf")
    return file


Open = Callable[..., LlamaCpp]
"""What the fixture `llama_cpp` is: a file to the server that has read it."""


def greedy(model: LiteLlama, prompt: list[int], count: int) -> list[int]:
    steps = generate(model, prompt, sampling=Sampling(greedy=True), max_new_tokens=count, seed=0)
    return [step.id for step in steps]


@torch.no_grad()
def our_log_probabilities(opened: Opened, ids: list[int]) -> torch.Tensor:
    """ids (T) -> (T, V)"""
    return opened.model(torch.tensor([ids]), padding_rows=True).logits[0].log_softmax(-1)


def margin(logits: torch.Tensor) -> float:
    """The least lead that a likeliest token has over the next."""
    best = logits.topk(2).values
    return float((best[:, 0] - best[:, 1]).min())


def differences(engine: LlamaCpp, ids: list[int], ours: torch.Tensor) -> float:
    """How far llama.cpp is off at most: of the 200 likeliest tokens at every position, of all at the last one."""
    likeliest = engine.log_probabilities(ids, top=200)
    listed = ~likeliest.isnan()
    assert (listed.sum(-1) == 200).all()
    last = engine.log_probabilities(ids, start=len(ids) - 1)
    return max(float((likeliest - ours)[listed].abs().max()), float((last[0] - ours[-1]).abs().max()))


# --- What llama.cpp makes of it --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_llama_cpp_runs_tinytown_and_writes_the_same_64_tokens(tmp_path: Path, llama_cpp: Open, dtype: str) -> None:
    ours = open_checkpoint(TINYTOWN)
    engine = llama_cpp(only_file(leave(TINYTOWN, tmp_path / "out", "gguf", dtype)))
    prompt = prompt_ids(TALK, ours.tokenizer, 512, 64).ids
    written = greedy(ours.model, prompt, 64)
    logits = our_log_probabilities(ours, prompt + written)
    theirs = engine.log_probabilities(prompt + written)
    torch.testing.assert_close(theirs, logits, atol=PRECISIONS[dtype], rtol=0)
    assert margin(logits[len(prompt) - 1 : -1]) > 0.01, "a near tie: choose another prompt"
    assert engine.greedy(prompt, 64) == written


def test_four_bits_cost_what_four_bits_cost(tmp_path: Path, llama_cpp: Open) -> None:
    """Q4_0 is not the same model any more; but it is one that answers."""
    ours = open_checkpoint(TINYTOWN)
    engine = llama_cpp(only_file(leave(TINYTOWN, tmp_path / "out", "gguf", "q4_0")))
    prompt = prompt_ids(TALK, ours.tokenizer, 512, 64).ids
    written = greedy(ours.model, prompt, 6)
    theirs, mine = engine.log_probabilities(prompt + written), our_log_probabilities(ours, prompt + written)
    agree = (theirs.argmax(-1) == mine.argmax(-1)).float().mean()
    assert agree > 0.6
    assert engine.greedy(prompt, 5) == written[:5] == ours.tokenizer.encode(" Tom has the ball.")


def test_llama_cpp_chats_with_tinytown_by_the_template_in_the_file(tmp_path: Path, llama_cpp: Open) -> None:
    ours = open_checkpoint(TINYTOWN)
    engine = llama_cpp(only_file(leave(TINYTOWN, tmp_path / "out", "gguf", "float32")))
    answer = engine.chat(conversation(TALK), max_tokens=60)
    said = "".join(piece.text for piece in reply(ours.model, ours.tokenizer, TALK, Sampling(greedy=True), 60, 0))
    assert answer["choices"][0]["message"]["content"].strip() == said
    assert answer["choices"][0]["finish_reason"] == "stop", "<|end|> ended it"
    assert answer["usage"]["prompt_tokens"] == len(prompt_ids(TALK, ours.tokenizer, 512, 60).ids), "one beginning only"


@pytest.mark.parametrize("shape", SHAPES)
def test_llama_cpp_runs_gpt2s_vocabulary_and_writes_the_same_64_tokens(
    tmp_path: Path, llama_cpp: Open, shape: str
) -> None:
    tokenizer_file, config = SHAPES[shape]
    folder = save(tmp_path / "model", config, Tokenizer.load(tokenizer_file))
    ours, engine = open_checkpoint(folder), llama_cpp(only_file(leave(folder, tmp_path / "out", "gguf", "float32")))
    prompt = ours.tokenizer.encode("The largest bird is")
    written = greedy(ours.model, prompt, 64)
    logits = our_log_probabilities(ours, prompt + written)
    off = differences(engine, prompt + written, logits)
    assert off < 5e-3
    lead = margin(logits[len(prompt) - 1 : -1])
    assert off < lead / 2, "a near tie: choose another prompt"
    assert engine.greedy(prompt, 64) == written


@pytest.mark.parametrize("name", ["tinytown", "storyteller", "gpt2"])
def test_llama_cpp_makes_the_same_ids(tmp_path: Path, llama_cpp: Open, name: str) -> None:
    folder = TINYTOWN.parent / name
    if name == "gpt2":
        folder = save(tmp_path / "model", LITTLE_LITELLAMA, Tokenizer.load(GPT2))
    ours, engine = open_checkpoint(folder), llama_cpp(only_file(leave(folder, tmp_path / "out", "gguf")))
    for text in MORE_TEXTS:
        assert engine.tokenize(text) == ours.tokenizer.encode(text), text
    special = [id for id in range(ours.config.vocab_size) if ours.tokenizer.is_special(id)]
    for id in special:
        assert engine.tokenize(ours.tokenizer.token_text(id), parse_special=True) == [id]
    begins = [] if name == "gpt2" else [1]
    assert engine.tokenize("Hi", add_special=True) == begins + ours.tokenizer.encode("Hi")
    assert engine.end_of_text == (50256 if name == "gpt2" else 2)


# --- Tokenizers of other makes ---------------------------------------------------------------------------------------


def sentencepiece(complete: bool = True) -> Tokenizer:
    """A tokenizer as LLaMA 2's: pieces with scores, turned into merges as Hugging Face's converter does."""
    trained = tokenizers.Tokenizer(models.BPE())
    trained.train_from_iterator(
        [SPACE + text.replace(" ", SPACE) for text in CORPUS * 20],
        trainers.BpeTrainer(vocab_size=300, show_progress=False),
    )
    pieces = sorted(trained.get_vocab(), key=lambda piece: (len(piece) == 1, trained.token_to_id(piece)))
    base = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    vocab = {piece: id for id, piece in enumerate(base + pieces)}
    merges = [
        (piece[:cut], piece[cut:])
        for piece in pieces
        for cut in range(1, len(piece))
        if piece[:cut] in vocab and piece[cut:] in vocab
    ]
    if not complete:
        merges.pop()
    inner = tokenizers.Tokenizer(
        models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)  # type: ignore[arg-type]
    )
    inner.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])  # type: ignore[assignment]
    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    inner.decoder = decoders.Sequence(steps)  # type: ignore[assignment]
    inner.add_special_tokens([tokenizers.AddedToken(name, special=True) for name in base[:3]])
    return Tokenizer(inner)


def llama3_like() -> Tokenizer:
    inner = tokenizers.Tokenizer(models.BPE(ignore_merges=True))
    steps = [
        pre_tokenizers.Split(tokenizers.Regex(LLAMA3_SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
    inner.pre_tokenizer = pre_tokenizers.Sequence(steps)  # type: ignore[assignment]
    inner.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    names = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner.train_from_iterator(
        CORPUS * 20,
        trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, special_tokens=names, show_progress=False),
    )
    return Tokenizer(inner)


LLAMA2_IDS: dict[str, Any] = {"bos_token_id": 1, "eos_token_ids": (2,), "rms_norm_eps": 1e-5}


def test_llama_cpp_makes_the_ids_of_a_sentencepiece_tokenizer(tmp_path: Path, llama_cpp: Open) -> None:
    tokenizer = sentencepiece()
    config = replace(TINY, vocab_size=tokenizer.vocab_size + 5, max_position_embeddings=256, **LLAMA2_IDS)
    folder = save(tmp_path / "model", config, tokenizer)
    ours, engine = open_checkpoint(folder), llama_cpp(only_file(leave(folder, tmp_path / "out", "gguf", "float32")))
    assert len(tokenizer.encode("the park")) < 5, "whole pieces, not bytes"
    for text in MORE_TEXTS:
        assert engine.tokenize(text) == tokenizer.encode(text), text
    assert engine.tokenize("Tom", add_special=True) == [1, *tokenizer.encode("Tom")]
    prompt = [1, *tokenizer.encode("Tom went to")]
    assert engine.greedy(prompt, 64) == greedy(ours.model, prompt, 64)
    assert engine.detokenize([1, *tokenizer.encode("Tom 🦙 went")]) == "<s> Tom 🦙 went"


def test_llama_cpp_makes_the_ids_of_a_llama_3_tokenizer(tmp_path: Path, llama_cpp: Open) -> None:
    tokenizer = llama3_like()
    config = replace(TINY, vocab_size=tokenizer.vocab_size, bos_token_id=0, eos_token_ids=(1, 2), rope_scaling=LLAMA3)
    folder = save(tmp_path / "model", config, tokenizer)
    engine = llama_cpp(only_file(leave(folder, tmp_path / "out", "gguf")))
    for text in MORE_TEXTS:
        assert engine.tokenize(text) == tokenizer.encode(text), text


ADDED = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}


def changed(tokenizer: Tokenizer, **changes: Any) -> Tokenizer:
    definition = tokenizer.definition
    for place, value in changes.items():
        *outer, last = place.split("__")
        part = definition
        for name in outer:
            part = part[name]
        part[last] = value
    return Tokenizer(tokenizers.Tokenizer.from_str(json.dumps(definition)))


def test_a_tokenizer_that_llama_cpp_would_not_follow_is_refused(tokenizer: Tokenizer) -> None:
    lower = {"type": "Lowercase"}
    metaspace = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "first", "split": False}
    words = tokenizers.Tokenizer(models.WordLevel({"a": 0, "<unk>": 1}, "<unk>"))
    refused = {
        "marked words": (changed(tokenizer, model__end_of_word_suffix="</w>"), "marks words with '</w>'"),
        "lower case": (changed(tokenizer, normalizer=lower), "splits text in a way"),
        "space first": (changed(tokenizer, pre_tokenizer__add_prefix_space=True), "splits text in a way"),
        "no pattern": (changed(tokenizer, pre_tokenizer__use_regex=False), "splits text in a way"),
        "whole words first": (changed(tokenizer, model__ignore_merges=True), "splits text in a way"),
        "digits": (changed(tokenizer, pre_tokenizer={"type": "Digits", "individual_digits": True}), "splits text"),
        "whole words": (Tokenizer(words), "of type WordLevel"),
        "a merge missing": (sentencepiece(complete=False), "not SentencePiece's"),
        "Metaspace": (changed(sentencepiece(), normalizer=None, pre_tokenizer=metaspace), "puts spaces otherwise"),
    }
    for what, (strange, says) in refused.items():
        with pytest.raises(ValueError, match=says):
            vocabulary(strange, 1000)
        assert what


def test_merges_of_one_token_that_lie_apart_are_refused() -> None:
    """A score says when a token is made, not of which pair; so all pairs that make it must have the same turn."""
    merges = sentencepiece().definition["model"]["merges"]
    makes = ["".join(merge) for merge in merges]
    first = next(place for place, token in enumerate(makes) if makes.count(token) > 1)
    torn = [*merges[:first], *merges[first + 1 :], merges[first]]
    with pytest.raises(ValueError, match=f"merges that make '{makes[first]}' are not SentencePiece's"):
        vocabulary(changed(sentencepiece(), model__merges=torn), 1000)


def test_a_model_without_an_end_of_text_is_refused(tmp_path: Path) -> None:
    tokenizer = Tokenizer.train(CORPUS * 20, 300, special_tokens=())
    folder = save(tmp_path / "model", replace(TINY, vocab_size=300), tokenizer)
    with pytest.raises(ValueError, match="no special token that ends a text"):
        leave(folder, tmp_path / "out", "gguf")


# --- The file itself -------------------------------------------------------------------------------------------------


def test_rotary_pairs_become_neighbours() -> None:
    """Two heads of four rows, in which (0, 2) and (1, 3) turn together."""
    rows = torch.arange(8.0)[:, None] * torch.ones(1, 3)
    assert pair_neighbours(rows, 4)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_rotary_factors_slow_the_slow_pairs_down() -> None:
    config = replace(TINY, head_dim=8, rope_theta=1e4, rope_scaling=LLAMA3)
    factors = rotary_factors(config)
    assert factors is not None
    # 32 positions hold 5.1 turns of the first pair, more than 4, so it stays; 0.5, 0.05, ... of the others, below 1.
    assert factors.tolist() == pytest.approx([1, 8, 8, 8])
    assert rotary_factors(TINY) is None


def test_names_are_llama_cpps() -> None:
    names = LiteLlama(TINY).state_dict()
    renamed = {gguf_name(name) for name in names}
    known = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, TINY.num_hidden_layers)
    assert renamed == {known.get_name(name, try_suffixes=(".weight",)) for name in names}


def read(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    reader = gguf.GGUFReader(file)
    return {key: field.contents() for key, field in reader.fields.items()}, {t.name: t for t in reader.tensors}


def test_the_file_says_what_the_model_is(tmp_path: Path) -> None:
    """LiteLlama in small: 47 rows that no token stands for, the last token ends a text, wrong ids in its config."""
    tokenizer = Tokenizer.train(CORPUS * 20, 300, special_tokens=())
    tokenizer = changed(tokenizer, added_tokens=[{**ADDED, "id": 300, "content": "<|endoftext|>"}])
    config = replace(LITTLE_LITELLAMA, vocab_size=301 + 47)
    file = only_file(leave(save(tmp_path / "LiteLlama", config, tokenizer), tmp_path / "out", "gguf", "float16"))
    assert file.name == "LiteLlama-F16.gguf"
    facts, weights = read(file)
    expected: dict[str, Any] = {
        "general.architecture": "llama", "general.name": "LiteLlama", "general.license": "MIT", "general.file_type": 1,
        "llama.vocab_size": 348, "llama.context_length": 256, "llama.embedding_length": 64, "llama.block_count": 2,
        "llama.feed_forward_length": 256, "llama.attention.head_count": 4, "llama.attention.head_count_kv": 2,
        "llama.attention.key_length": 16, "llama.attention.value_length": 16, "llama.rope.dimension_count": 16,
        "llama.rope.freq_base": 10_000.0, "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.eos_token_id": 300, "tokenizer.ggml.bos_token_id": 300,
        "tokenizer.ggml.add_bos_token": False, "tokenizer.ggml.add_eos_token": False,
    }  # fmt: skip
    assert {key: facts.get(key) for key in expected} == expected
    assert facts["llama.attention.layer_norm_rms_epsilon"] == pytest.approx(1e-6)
    assert "tokenizer.chat_template" not in facts
    assert facts["tokenizer.ggml.padding_token_id"] == 300, "the config's 0 is an ordinary token"
    tokens, kinds = facts["tokenizer.ggml.tokens"], facts["tokenizer.ggml.token_type"]
    assert kinds == [1] * 300 + [3] + [5] * 47
    assert tokens[300:302] + tokens[-1:] == ["<|endoftext|>", "[PAD301]", "[PAD347]"]
    assert len(facts["tokenizer.ggml.merges"]) == 300 - 256
    assert len(weights) == 3 + 9 * 2


@pytest.mark.parametrize(("dtype", "kind", "head"), [("q8_0", "Q8_0", "Q8_0"), ("q4_0", "Q4_0", "Q8_0")])
@pytest.mark.parametrize("tied", [True, False])
def test_few_bits_spare_norms_and_the_head(
    tmp_path: Path, tokenizer: Tokenizer, dtype: str, kind: str, head: str, tied: bool
) -> None:
    folder = save(tmp_path / "model", replace(TINY, tie_word_embeddings=tied), tokenizer)
    _, weights = read(only_file(leave(folder, tmp_path / "out", "gguf", dtype)))
    kinds = {name: tensor.tensor_type.name for name, tensor in weights.items()}
    assert kinds["blk.1.attn_norm.weight"] == kinds["output_norm.weight"] == "F32"
    assert kinds["blk.0.ffn_down.weight"] == kind
    assert kinds["token_embd.weight" if tied else "output.weight"] == head
    assert ("output.weight" in kinds) == (not tied)
    assert tied or kinds["token_embd.weight"] == kind


def test_rows_that_blocks_do_not_fill_are_refused(tmp_path: Path, tokenizer: Tokenizer) -> None:
    folder = save(tmp_path / "model", replace(TINY, hidden_size=48), tokenizer)
    with pytest.raises(ValueError, match=r"rows of 48 weights; q8_0 stores 32 at once; choose float16"):
        leave(folder, tmp_path / "out", "gguf", "q8_0")
    assert not (tmp_path / "out").exists()
    leave(folder, tmp_path / "out", "gguf", "float16")


def test_without_the_library_a_sentence_says_how_to_get_it(
    tmp_path: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ValueError, match="python -m pip install gguf"):
        leave(tiny_checkpoint, tmp_path / "out", "gguf")
    leave(tiny_checkpoint, tmp_path / "out", "hf")


# --- Ollama ----------------------------------------------------------------------------------------------------------


def ollama_prompt(modelfile: str, messages: list[Message]) -> str:
    """What Go's templates make of the Modelfile's, for the few forms that are used there."""
    template = modelfile.split('TEMPLATE """', 1)[1].split('"""', 1)[0]
    head, rest = template.split("{{ range .Messages }}")
    turn, tail = rest.rsplit("{{ end }}", 1)
    written = head
    for message in messages:
        said = turn.replace("{{ .Content }}", message.content).replace("{{ .Role }}", message.role)
        for role in ("user", "assistant"):
            opening = f'{{{{ if eq .Role "{role}" }}}}'
            if opening in said:
                before, after = said.split(opening)
                inside, after = after.split("{{ end }}", 1)
                said = before + (inside if role == message.role else "") + after
        said = said.replace('{{ if or (eq .Role "user") (eq .Role "assistant") }}', "").replace("{{ end }}", "")
        written += said
    return written + tail


def test_the_modelfile_has_the_labs_forms(tmp_path: Path) -> None:
    talk = (leave(TINYTOWN, tmp_path / "talk", "gguf") / "Modelfile").read_text(encoding="utf-8")
    assert talk.startswith("FROM ./tinytown-F16.gguf\n")
    assert ollama_prompt(talk, TALK[:2]) == (
        "<|user|> Tom has a red ball. Anna has a blue hat. What colour is the hat?<|end|>"
        "<|assistant|> The hat is blue.<|end|><|assistant|>"
    )
    assert 'PARAMETER stop """<|end|>"""\n' in talk
    assert "PARAMETER num_ctx 512\n" in talk
    text = (leave(TINYTOWN.parent / "storybooks", tmp_path / "text", "gguf") / "Modelfile").read_text("utf-8")
    assert ollama_prompt(text, [Message("user", "Once")]) == " Once"
    base = leave(save(tmp_path / "model", LITTLE_LITELLAMA, Tokenizer.load(GPT2)), tmp_path / "base", "gguf")
    questions = (base / "Modelfile").read_text(encoding="utf-8")
    assert ollama_prompt(questions, [Message("user", "1?"), Message("assistant", "One."), Message("user", "2?")]) == (
        "Q: 1?\nA: One.\nQ: 2?\nA:"
    )
    assert 'PARAMETER stop """\nQ:"""\n' in questions


# --- LiteLlama's own size --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="where else a process's peak memory stands is not known here")
def test_a_model_of_litellamas_size_leaves_in_little_memory_and_runs(tmp_path: Path, llama_cpp: Open) -> None:
    """0.92 GB on disk twice. The export holds the weights, and of what it writes one at a time."""
    torch.manual_seed(0)
    model = LiteLlama(preset("litellama-460m")).eval()
    save_checkpoint(tmp_path / "lite", model, Tokenizer.load(GPT2), card={}, dtype=torch.float16)
    del model
    program = (
        "import pathlib, sys\n"
        "from litellama.export.run import export\n"
        "list(export(*sys.argv[1:], format='gguf'))\n"
        "print(pathlib.Path('/proc/self/status').read_text())\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "lite"), str(tmp_path / "out")]
    status = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert peak is not None
    assert int(peak[1]) * 1024 < 0.92e9 + 0.9e9, "all weights, and beside them what a few of them need"

    ours = open_checkpoint(tmp_path / "lite")
    shutil.rmtree(tmp_path / "lite")  # 0.9 GB less while the test runs on
    engine = llama_cpp(only_file(tmp_path / "out"))
    ids = ours.tokenizer.encode("The largest bird is the ostrich, which cannot fly.")
    logits, theirs = our_log_probabilities(ours, ids), engine.log_probabilities(ids)
    assert engine.tokenize("The largest bird is the ostrich, which cannot fly.") == ids
    torch.testing.assert_close(theirs, logits, atol=0.02 * float(logits.std()), rtol=0)
    best = logits.topk(2).values
    clear = best[:, 0] - best[:, 1] > 2 * (theirs - logits).abs().max()
    assert clear.sum() >= 5
    assert torch.equal(theirs.argmax(-1)[clear], logits.argmax(-1)[clear])
    shutil.rmtree(tmp_path / "out")
