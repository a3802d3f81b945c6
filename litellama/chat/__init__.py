"""Conversations: messages to prompt ids in the form a model was taught, and a model's steps back to a reply's text.

`messages` is the way in and out; `format` says how one model's conversations are written, `template` reads that from a
folder's own chat template.
"""

from litellama.chat.messages import (
    Message,
    Piece,
    answer_steps,
    beginning_id,
    choose_format,
    encode_document,
    prompt_ids,
    reply,
    reply_to,
    stop_ids,
)

__all__ = [
    "Message", "Piece", "answer_steps", "beginning_id", "choose_format", "encode_document", "prompt_ids", "reply",
    "reply_to", "stop_ids",
]  # fmt: skip
