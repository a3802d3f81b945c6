"""Makes tests/data/sentencepiece.model and .json anew: a small model as LLaMA 2's, trained by SentencePiece itself, and
the ids that SentencePiece gives some texts. Needs `pip install sentencepiece==0.2.3` (Apache-2.0)."""

from __future__ import annotations

import io
import json
from pathlib import Path

import sentencepiece

from tests.checkpoint.test_gguf_tokenizer import ALL_TEXTS, random_texts
from tests.conftest import TEXTS
from tests.support.gguf_files import MIXED

DATA = Path(__file__).resolve().parents[1] / "data"


def main() -> None:
    runs = [f"{letter * count}b" for letter in " a7" for count in range(2, 10)] * 9
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*TEXTS * 9, *MIXED * 9, *runs]), model_writer=written, vocab_size=640,
        model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        split_digits=True, allow_whitespace_only_pieces=True, character_coverage=0.98, minloglevel=2,
    )  # fmt: skip
    (DATA / "sentencepiece.model").write_bytes(written.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())
    more = [letter * count + end for letter in " a7" for count in range(12) for end in ("", "b", " b")]
    ids = {text: processor.encode(text) for text in [*ALL_TEXTS, *more, *random_texts(100, 1)] if "\0" not in text}
    (DATA / "sentencepiece.json").write_text(json.dumps(ids, ensure_ascii=True), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
