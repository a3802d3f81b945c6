"""Messages to prompt ids, and a model's steps back to a reply's text.

The lab's own models learned conversations in this form, which `encode_document` writes and `prompt_ids` opens:

    <|begin|><|user|> What is a llama?<|end|><|assistant|> A woolly animal.<|end|><|user|> ...

A space leads every text, so a word has the same token first in a message as inside it. A model without these special
tokens (a foreign base model) is spoken to as a list of questions and answers: "Q: What is a llama?\\nA:".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from litellama.tokenizer import Tokenizer

Role = Literal["user", "assistant"]
TokenRole = Literal["frame", "user", "assistant"]


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str

    def __post_init__(self) -> None:
        if self.role not in ("user", "assistant"):
            raise ValueError(f"a message's role is {self.role!r}; 'user' or 'assistant' was expected")
        if not isinstance(self.content, str):
            raise ValueError(f"a message's content is of type {type(self.content).__name__}; text was expected")


def is_chat_tokenizer(tokenizer: Tokenizer) -> bool:
    """Whether the tokenizer has the special tokens that frame the lab's conversations."""
    return all(tokenizer.special(name) is not None for name in ("<|begin|>", "<|end|>", "<|user|>", "<|assistant|>"))


def encode_document(messages: Sequence[Message], tokenizer: Tokenizer) -> tuple[list[int], list[TokenRole]]:
    """A whole conversation as training text: its ids, and for each id who wrote it.

    A message's words and its closing <|end|> carry the message's role; <|begin|>, <|user|> and <|assistant|> are
    "frame", since the lab writes them. So the loss of answering is the loss over the ids with role "assistant".
    """
    begin = _special(tokenizer, "<|begin|>")
    ids, roles = [begin], ["frame"]
    for message, words in zip(messages, _encode_contents(messages, tokenizer), strict=True):
        ids += [_special(tokenizer, f"<|{message.role}|>"), *words, _special(tokenizer, "<|end|>")]
        roles += ["frame"] + [message.role] * (len(words) + 1)
    return ids, roles


def _encode_contents(messages: Sequence[Message], tokenizer: Tokenizer) -> list[list[int]]:
    return [tokenizer.encode(" " + message.content) for message in messages]


def _special(tokenizer: Tokenizer, name: str) -> int:
    id = tokenizer.special(name)
    if id is None:
        raise ValueError(f"this tokenizer has no special token {name}; only the lab's own chat tokenizers can be used")
    return id
