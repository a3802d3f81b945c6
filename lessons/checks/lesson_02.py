"""The exercises of lesson 2: a whole word, pairs counted and merged, a word cut, a dear text, a context, a prompt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from lessons.kit.asking import gpt2, opened
from lessons.kit.checking import EMPTY, Wrong, called, exercise

WORDS = [["t", "h", "e"], [" ", "t", "h", "e", "th"], ["a", "a", "a"], ["x"]]
PIECES = [" the", "at", "r", "e"]
LEAST_LETTERS, MOST_CHARACTERS, LEAST_TOKENS = 7, 3, 9


@exercise("2.1")
def whole_word(answer: str) -> None:
    word = answer.strip() if isinstance(answer, str) else ""
    if not word.isalpha():
        raise Wrong(
            'Write one word in quotation marks, without anything else, such as "garden".',
            'Schreibe ein einziges Wort in Anführungszeichen und sonst nichts, etwa "garden".',
        )
    if len(word) < LEAST_LETTERS:
        raise Wrong(
            f"“{word}” has {len(word)} letters; at least {LEAST_LETTERS} are wanted.",
            f"„{word}“ hat {len(word)} Buchstaben; gesucht sind mindestens {LEAST_LETTERS}.",
        )
    if word == "strawberries":
        raise Wrong("You have seen that one above. Find another.", "Das stand schon oben. Finde ein anderes.")
    tokenizer = opened().tokenizer
    pieces = [tokenizer.token_text(id) for id in tokenizer.encode(" " + word)]
    if len(pieces) > 1:
        cut = " | ".join(pieces).strip()
        raise Wrong(
            f"It is cut into {len(pieces)} tokens: {cut}. Try meals, musical instruments, days, weather, animals.",
            f"Es wird in {len(pieces)} Tokens zerlegt: {cut}. Versuche es (auf Englisch) mit Mahlzeiten, Instrumenten, "
            "Wochentagen, Wetter, Tieren.",
        )


@exercise("2.2")
def count_pairs(answer: Any) -> None:
    found = called(answer, [list(word) for word in WORDS])
    if not isinstance(found, Mapping) or not all(isinstance(count, int | float) for count in found.values()):
        raise Wrong(
            "A dictionary was expected that says for each pair how often it occurs.",
            "Erwartet wird ein Dictionary, das zu jedem Paar sagt, wie oft es vorkommt.",
        )
    if not found:
        raise EMPTY
    right = Counter(pair for word in WORDS for pair in pairwise(word))
    counts = {pair: count for pair, count in found.items() if count != 0}
    if counts == right:
        return
    if any(not isinstance(pair, tuple) or len(pair) != 2 for pair in counts):
        raise Wrong(
            "The keys of the dictionary must be the pairs: write counts[pair] = ...",
            "Die Schlüssel des Dictionarys müssen die Paare sein: Schreibe counts[pair] = ...",
        )
    if set(counts) == set(right) and set(counts.values()) == {1}:
        raise Wrong(
            'Each pair is counted once only. "t", "h" occurs twice in the test: add 1 to what was counted before.',
            'Jedes Paar ist nur einmal gezählt. "t", "h" kommt im Test zweimal vor: Zähle 1 zur bisherigen Zahl dazu.',
        )
    if set(counts) - set(right):
        extra = next(iter(set(counts) - set(right)))
        raise Wrong(
            f"{extra} is counted, but these are not neighbours in one word. Pairs never reach across two words.",
            f"{extra} wird gezählt, aber das sind keine Nachbarn in einem Wort. Paare reichen nie über Wörter hinweg.",
        )
    if missing := set(right) - set(counts):
        pair = min(missing)
        raise Wrong(
            f"The pair {pair} is not counted. Look at every pair of neighbours of every word.",
            f"Das Paar {pair} wird nicht gezählt. Sieh dir jedes Paar von Nachbarn in jedem Wort an.",
        )
    pair = next(pair for pair in sorted(right) if counts[pair] != right[pair])
    raise Wrong(
        f"The pair {pair} occurs {right[pair]} times in the test, and you count {counts[pair]}. Add 1 each time.",
        f"Das Paar {pair} kommt im Test {right[pair]}-mal vor, du zählst {counts[pair]}. Zähle jedes Mal 1 dazu.",
    )


@exercise("2.3")
def merge(answer: Any) -> None:
    trials: list[tuple[list[str], tuple[str, str], list[str]]] = [
        (["t", "h", "e"], ("t", "h"), ["th", "e"]),
        (["c", "a", "t"], ("t", "h"), ["c", "a", "t"]),
        ([" ", "th", "a", "th"], ("a", "th"), [" ", "th", "ath"]),
        (["h", "t", "t", "h", "t"], ("t", "h"), ["h", "t", "th", "t"]),
        (["a", "a", "a", "a", "a"], ("a", "a"), ["aa", "aa", "a"]),
        (["x"], ("x", "y"), ["x"]),
    ]
    for word, pair, right in trials:
        given = list(word)
        found = called(answer, given, pair)
        found = list(found) if isinstance(found, tuple | list) else found
        if found == right:
            continue
        if found == []:
            if len(word) == 3 and word[0] == "t":
                raise EMPTY
            raise Wrong(
                "An empty list comes back: tokens that are not merged must be put into it, too.",
                "Zurück kommt eine leere Liste: Auch Tokens, die nicht verschmolzen werden, gehören hinein.",
            )
        if isinstance(found, list) and found == _kept_left(word, pair):
            raise Wrong(
                f"{word} becomes {found}: the left token is still there beside the merged one. Change `merged[-1]` "
                "instead of appending.",
                f"Aus {word} wird {found}: Das linke Token steht noch neben dem neuen. Ändere `merged[-1]`, statt "
                "anzuhängen.",
            )
        if found == word:
            raise Wrong(
                f"{word} stays as it is, though {pair} occurs in it. In the `if`, make one token of the two: left + "
                "right.",
                f"{word} bleibt, wie es ist, obwohl {pair} darin vorkommt. Mache im `if` aus den beiden ein Token: "
                "left + right.",
            )
        raise Wrong(
            f"With the pair {pair}, {word} must become {right}; yours gives {found}.",
            f"Mit dem Paar {pair} muss aus {word} {right} werden; bei dir kommt {found} heraus.",
        )


def _kept_left(word: list[str], pair: tuple[str, str]) -> list[str]:
    """What comes out if the merged token is put behind the left one."""
    merged: list[str] = []
    for token in word:
        merged.append("".join(pair) if merged and (merged[-1], token) == pair else token)
    return merged


@exercise("2.4")
def pieces(answer: Any) -> None:
    if isinstance(answer, str) or not isinstance(answer, list | tuple):
        raise Wrong(
            'A list of texts was expected, such as [" t", "he"].',
            'Erwartet wird eine Liste von Texten, etwa [" t", "he"].',
        )
    found = list(answer)
    if found == PIECES:
        return
    if not all(isinstance(piece, str) for piece in found):
        raise Wrong("Each piece is a text in quotation marks.", "Jedes Stück ist ein Text in Anführungszeichen.")
    joined = "".join(found)
    if joined == "theatre":
        raise Wrong(
            "The space in front is missing; it is part of the word. Is there a merge with a space?",
            "Das Leerzeichen am Anfang fehlt; es gehört zum Wort. Gibt es einen Merge mit Leerzeichen?",
        )
    if joined != " theatre":
        raise Wrong(
            f"Put together, your pieces are {joined!r}. They must give ' theatre' again.",
            f"Zusammengesetzt ergeben deine Stücke {joined!r}. Es muss wieder ' theatre' herauskommen.",
        )
    known = {"th", "at", "the", " the", " c", " cat"}
    if unknown := [piece for piece in found if len(piece) > 1 and piece not in known]:
        raise Wrong(
            f"{unknown[0]!r} is none of the six merges. Only what was merged in the table can be one piece.",
            f"{unknown[0]!r} ist keiner der sechs Merges. Nur was in der Tabelle verschmolzen wurde, kann ein Stück "
            "sein.",
        )
    raise Wrong(
        "One merge more is possible. Go through the six in their order: t+h, a+t, th+e, space+the, ...",
        "Da geht noch ein Merge. Gehe die sechs der Reihe nach durch: t+h, a+t, th+e, Leerzeichen+the, ...",
    )


@exercise("2.5")
def dear_text(answer: str) -> None:
    if not isinstance(answer, str) or not answer:
        raise Wrong("Write a text in quotation marks.", "Schreibe einen Text in Anführungszeichen.")
    if len(answer) > MOST_CHARACTERS:
        raise Wrong(
            f"That is {len(answer)} characters to Python; at most {MOST_CHARACTERS} are allowed.",
            f"Das sind für Python {len(answer)} Zeichen; erlaubt sind höchstens {MOST_CHARACTERS}.",
        )
    count = len(gpt2().encode(answer))
    if count < LEAST_TOKENS:
        raise Wrong(
            f"GPT-2 needs only {count} for it. Look at the table: which character costs several tokens alone?",
            f"GPT-2 braucht dafür nur {count}. Sieh in die Tabelle: Welches Zeichen kostet allein mehrere Tokens?",
        )


@exercise("2.6")
def fits(answer: Any, english: int, hindi: int, context: int) -> None:
    if not isinstance(answer, tuple | list) or len(answer) != 2 or not all(_is_number(part) for part in answer):
        raise Wrong(
            "Give two numbers: (English, Hindi).", "Gesucht sind zwei Zahlen: erst Englisch, dann Hindi, in Klammern."
        )
    right = (context // english, context // hindi)
    first, second = answer
    if (first, second) == right:
        return
    if (second, first) == right:
        raise Wrong("Right numbers, other order: English first.", "Richtige Zahlen, aber Englisch kommt zuerst.")
    if (first, second) == (english, hindi):
        raise Wrong(
            f"That is what one sentence costs. How many of them fit into {context} tokens?",
            f"So viel kostet ein Satz. Wie viele davon passen in {context} Tokens?",
        )
    if any(part % 1 for part in (first, second)):
        raise Wrong(
            "Only whole sentences count. Divide with `//`, which leaves out the rest.",
            "Es zählen nur ganze Sätze. Teile mit `//`, das lässt den Rest weg.",
        )
    if any(part == whole + 1 for part, whole in zip((first, second), right, strict=True)):
        raise Wrong(
            "The last sentence does not fit any more: do not round up.",
            "Der letzte Satz passt nicht mehr ganz: Runde nicht auf.",
        )
    raise Wrong(
        f"Divide {context} by the number of tokens of the sentence: English has {english}, Hindi {hindi}.",
        f"Teile {context} durch die Anzahl der Tokens des Satzes: Englisch hat {english}, Hindi {hindi}.",
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


@exercise("2.7")
def my_prompt(answer: Any, message: str) -> None:
    if not isinstance(answer, tuple | list):
        raise Wrong("A list of ids was expected.", "Erwartet wird eine Liste von Ids.")
    found = [part for part in answer if part is not ...]
    if any(not isinstance(part, int) or isinstance(part, bool) for part in found):
        raise Wrong(
            'Not all parts are ids, that is numbers. special("<|end|>") gives the id of a special token.',
            'Nicht alle Teile sind Ids, also Zahlen. special("<|end|>") gibt die Id eines Spezialtokens.',
        )
    lab = opened()
    right = lab.chat_format.write([("user", message)], lab.tokenizer)
    if found == right:
        return
    if found == right[:-2]:
        raise EMPTY
    if found == right[:-1]:
        raise Wrong(
            "<|assistant|> is missing at the end: it tells the model that it is its turn.",
            "Am Ende fehlt <|assistant|>: Es sagt dem Modell, dass es an der Reihe ist.",
        )
    if found == [*right[:-2], right[-1]]:
        raise Wrong(
            "<|end|> is missing: it tells where the message ends.",
            "Es fehlt <|end|>: Es zeigt an, wo die Nachricht aufhört.",
        )
    if found == [*right[:-2], right[-1], right[-2]]:
        raise Wrong(
            "First the message ends, then it is the assistant's turn: exchange the last two.",
            "Erst endet die Nachricht, dann ist das Modell an der Reihe: Vertausche die letzten beiden.",
        )
    if found == [*right[:-2], *lab.tokenizer.encode("<|end|><|assistant|>")]:
        raise Wrong(
            "You have encoded the names as text, so they are ordinary tokens. Use special(...) for the real ones.",
            "Du hast die Namen als Text übersetzt; das ergibt gewöhnliche Tokens. Die echten gibt special(...).",
        )
    raise Wrong(
        "That is not the order of the picture. The message, with its space in front, stands between <|user|> and "
        "<|end|>; then comes <|assistant|>.",
        "Das ist nicht die Reihenfolge des Bildes. Die Nachricht steht mit ihrem Leerzeichen zwischen <|user|> und "
        "<|end|>; dann kommt <|assistant|>.",
    )
