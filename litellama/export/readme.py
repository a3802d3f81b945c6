"""README.md of an export: the model card, in the form that the Hugging Face hub shows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from litellama.chat.format import is_chat_tokenizer, is_text_tokenizer
from litellama.checkpoint import Opened

README = "README.md"
LICENCES = {"MIT": "mit", "Apache-2.0": "apache-2.0", "CC BY 4.0": "cc-by-4.0", "CC0": "cc0-1.0"}
"""As cards name them -> as the hub does."""

_WITH_TRANSFORMERS = """\
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained("{name}")
    model = AutoModelForCausalLM.from_pretrained("{name}")
"""

_CHAT = """\
    messages = [{"role": "user", "content": "What is a llama?"}]
    prompt = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, sanitize_control_tokens=True, return_tensors="pt", return_dict=True
    )
    ids = model.generate(**prompt, max_new_tokens=60, do_sample=False)
    print(tokenizer.decode(ids[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True).strip())

`sanitize_control_tokens` (transformers 5) keeps somebody who types `<|end|>` from ending their own turn. An engine
without it should not be given what strangers typed unless it refuses such words.
"""

_TEXT = """\
    prompt = tokenizer(tokenizer.bos_token + " Once upon a time", return_tensors="pt")
    ids = model.generate(**prompt, max_new_tokens=60, do_sample=True, temperature=0.8)
    print(tokenizer.decode(ids[0], skip_special_tokens=True))

Every text of its training began with `<|begin|>`, which the tokenizer does not add by itself.
"""

_WITH_LLAMA_CPP = """\
    llama-cli -m {file}

or, with Ollama, which reads the `Modelfile` beside it:

    ollama create {name} -f Modelfile
    ollama run {name}

The lab tests such files with llama.cpp. Ollama was not tried.
"""


def write_readme(opened: Opened, folder: Path, gguf: str | None) -> None:
    """Write the model card, or copy the one that came with the model; licences and notices always go along.

    `gguf` is the name of the GGUF file in `folder`, if it is not one for transformers.
    """
    for file in sorted(opened.folder.iterdir()) if opened.path.is_dir() else []:
        if file.is_file() and file.name.upper().startswith(("LICENSE", "LICENCE", "NOTICE", "USE_POLICY")):
            shutil.copyfile(file, folder / file.name)
    if opened.path.is_dir() and (opened.folder / README).is_file():
        shutil.copyfile(opened.folder / README, folder / README)
    else:
        (folder / README).write_text("\n".join(_readme(opened, gguf)).rstrip() + "\n", encoding="utf-8", newline="\n")


def _readme(opened: Opened, gguf: str | None) -> Iterator[str]:
    """The card's lines: licence and library as the hub reads them, then how it was made, measured and is used."""
    card, name = opened.card or {}, opened.name
    yield from _front_matter(card, name, "transformers" if gguf is None else "gguf")
    yield ""
    yield f"# {name}"
    yield ""
    yield f"A Llama of {opened.config.num_parameters:,} parameters, exported by LiteLlama Lab."
    yield from _made(card)
    yield from _measured(card)
    yield ""
    yield "## Use"
    yield ""
    if gguf is not None:
        yield _WITH_LLAMA_CPP.format(file=gguf, name=name)
        return
    yield _WITH_TRANSFORMERS.format(name=name)
    if is_chat_tokenizer(opened.tokenizer):
        yield _CHAT
    elif is_text_tokenizer(opened.tokenizer):
        yield _TEXT
    yield "The lab tests such folders with transformers. vLLM and SGLang read the same layout; that was not tried."


def _front_matter(card: dict[str, Any], name: str, library: str) -> Iterator[str]:
    yield "---"
    yield f"library_name: {library}"
    yield "pipeline_tag: text-generation"
    if licence := card.get("licence"):
        yield f"license: {LICENCES.get(licence, 'other')}"
        if licence not in LICENCES:
            yield f"license_name: {licence}"
    yield f"model_name: {name}"
    yield "---"


def _made(card: dict[str, Any]) -> Iterator[str]:
    if not {"steps", "tokens_seen", "corpus", "hours", "machine"} <= card.keys():
        yield "Its folder says nothing about how it was made."
        return
    start = f"It began as {card['began_as']} and was" if "began_as" in card else "It was"
    yield f"{start} trained for {card['steps']:,} steps on {card['tokens_seen']:,} tokens of {card['corpus']},"
    yield f"in {card['hours']} hours (measured on {card['machine']})" + (" by" if "command" in card else ".")
    if "command" in card:
        yield ""
        yield f"    {card['command']}"
    for words in (card.get("credit"), card.get("note")):
        if words:
            yield ""
            yield words


def _measured(card: dict[str, Any]) -> Iterator[str]:
    held, score = card.get("held_out"), card.get("evaluation")
    if held:
        yield ""
        yield f"On what was held out of its corpus ({held['tokens']:,} tokens): loss {held['loss']:.3f} nats per token,"
        yield f"perplexity {held['perplexity']:.1f} (measured)."
    if score:
        yield ""
        yield f"Measured on {score['documents']:,} held-out documents with {score['questions']:,} questions; an answer"
        yield "counts if greedy decoding gives exactly it:"
        yield ""
        yield "| Questions | Answered exactly |"
        yield "|---|---|"
        for kind in ("answerable", "unanswerable", "outside", "talk"):
            yield f"| {kind} | {score[kind]:.1%} |"
