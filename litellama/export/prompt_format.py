"""What another engine must know to prompt a model as the lab does: its special ids and the form of its prompts.

The same form is written twice: in Jinja for `transformers`, vLLM and llama.cpp, in Go's templates for Ollama.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litellama.chat import beginning_id, stop_ids
from litellama.chat.format import QUESTION_STOPS, is_chat_tokenizer, is_text_tokenizer
from litellama.checkpoint import Opened
from litellama.tokenizer import CHAT_TOKENS, SPECIAL_TOKENS

# One turn: <|user|> What is a llama?<|end|>; the space belongs to the text (litellama/chat/messages.py says why).
CHAT_TEMPLATE = """\
{{- bos_token }}
{%- for message in messages %}
    {%- if message['role'] not in ['user', 'assistant'] %}
        {{- raise_exception("this model knows the roles 'user' and 'assistant' only") }}
    {%- endif %}
    {{- '<|' + message['role'] + '|> ' + message['content'] + '<|end|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant|>' }}
{%- endif %}"""

# llama.cpp puts the beginning of text before these by itself.
_OLLAMA_CHAT = (
    '{{ range .Messages }}{{ if or (eq .Role "user") (eq .Role "assistant") }}'
    "<|{{ .Role }}|> {{ .Content }}<|end|>{{ end }}{{ end }}<|assistant|>"
)
_OLLAMA_TEXT = "{{ range .Messages }} {{ .Content }}{{ end }}"
_OLLAMA_QUESTIONS = (
    '{{ range .Messages }}{{ if eq .Role "user" }}Q: {{ .Content }}\n{{ end }}'
    '{{ if eq .Role "assistant" }}A: {{ .Content }}\n{{ end }}{{ end }}A:'
)


@dataclass(frozen=True)
class SpecialIds:
    """Special ids: what opens every text, what ends a reply (what the model itself writes first), and padding."""

    bos: int | None
    eos: tuple[int, ...]
    pad: int | None


def special_ids(opened: Opened) -> SpecialIds:
    """The special ids that the lab uses. Wrong ones of a config are left out, such as LiteLlama's 1, 2 and 0."""
    config, tokenizer = opened.config, opened.tokenizer
    bos = beginning_id(opened.model, tokenizer)
    pad = config.pad_token_id if config.pad_token_id is not None and tokenizer.is_special(config.pad_token_id) else None
    stops = stop_ids(opened.model, tokenizer)
    if pad not in config.eos_token_ids:  # GPT-2's one special token is both
        stops -= {pad}
    likeliest = [*config.eos_token_ids, *(tokenizer.special(name) for name in ("<|end|>", "<|endoftext|>", "</s>"))]
    first = [id for id in likeliest if id in stops]
    eos = dict.fromkeys([*first, *sorted(stops)])
    return SpecialIds(bos, tuple(id for id in eos if id is not None), pad)


def chat_template(opened: Opened) -> str | None:
    """The form of a conversation in Jinja: the lab's own, or what came with a foreign folder. A base model has none."""
    if is_chat_tokenizer(opened.tokenizer):
        return CHAT_TEMPLATE
    return opened.chat_template


def modelfile(opened: Opened, gguf: str) -> str:
    """The text of an Ollama `Modelfile` for the GGUF file called `gguf`, with the lab's own form and settings."""
    lines = [f"FROM ./{gguf}"]
    stops: tuple[str, ...] = ()
    if is_chat_tokenizer(opened.tokenizer):
        lines.append(_template(_OLLAMA_CHAT))
        stops = ("<|end|>", *CHAT_TOKENS)
    elif is_text_tokenizer(opened.tokenizer):
        lines.append(_template(_OLLAMA_TEXT))
        stops = ("<|end|>",)
    elif chat_template(opened) is None:  # otherwise Ollama reads the template in the GGUF file
        lines.append(_template(_OLLAMA_QUESTIONS))
        stops = QUESTION_STOPS
    lines += [f'PARAMETER stop """{stop}"""' for stop in stops]
    # Ollama's own default punishes repetition, which a small model needs to answer from a story.
    lines += ["PARAMETER repeat_penalty 1.0", "PARAMETER temperature 0.7", "PARAMETER top_p 0.95"]
    lines.append(f"PARAMETER num_ctx {opened.config.max_position_embeddings}")
    return "\n".join(lines) + "\n"


def _template(go: str) -> str:
    return f'TEMPLATE """{go}"""'


def special_token_names(opened: Opened) -> dict[str, Any]:
    """The special tokens as `tokenizer_config.json` names them."""
    ids, tokenizer = special_ids(opened), opened.tokenizer
    named: dict[str, Any] = {}
    for name, id in (("bos_token", ids.bos), ("eos_token", ids.eos[0] if ids.eos else None), ("pad_token", ids.pad)):
        if id is not None:
            named[name] = tokenizer.token_text(id)
    others = [name for name in SPECIAL_TOKENS if tokenizer.special(name) is not None and name not in named.values()]
    if others:
        named["additional_special_tokens"] = others
    return named
