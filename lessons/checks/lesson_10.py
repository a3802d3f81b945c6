"""The exercises of lesson 10: evidence, ablation, a contrast, Shapley values, a story for a blind spot, intervals."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from lessons.kit.asking import opened
from lessons.kit.checking import EMPTY, Wrong, called, exercise
from litellama.chat import Message
from litellama.explain.scoring import Scorer, Target
from litellama.explain.tokenized_run import TokenizedRun, Unit, read_chat


def words_of(answer: Any) -> list[str] | None:
    """The words of a list of texts, or of one text; None for anything else."""
    if isinstance(answer, str):
        return re.findall(r"\w+", answer.lower())
    if not isinstance(answer, list | tuple | set | frozenset) or not all(isinstance(part, str) for part in answer):
        return None
    return [word for part in answer for word in re.findall(r"\w+", part.lower())]


@exercise("10.1")
def evidence(answer: Any) -> None:
    words = words_of(answer)
    if not words:
        raise Wrong(
            'Write two words of the story in quotation marks: ["...", "..."].',
            'Schreibe zwei Wörter der Geschichte in Anführungszeichen: ["...", "..."].',
        )
    known = {"tom", "has", "a", "red", "ball", "anna", "blue", "hat"}
    if strangers := [word for word in words if word not in known]:
        raise Wrong(f"“{strangers[0]}” is not a word of the story.", f"„{strangers[0]}“ ist kein Wort der Geschichte.")
    if set(words) == {"anna", "hat"}:
        return
    if len(set(words)) > 2:
        raise Wrong("That is more than two words. Which could go?", "Das sind mehr als zwei. Welche könnten weg?")
    if "hat" not in words:
        raise Wrong(
            "Without “hat” you would not know whose thing it is. What is the question about?",
            "Ohne „hat“ (Hut) wüsstest du nicht, wem das Gefragte gehört. Worum geht es in der Frage?",
        )
    raise Wrong(
        "Cover all but these words: you would not know whom to name. Who has the hat?",
        "Decke alles andere zu: Du wüsstest nicht, wen du nennen sollst. Wer hat den Hut?",
    )


@cache
def _examiner() -> Scorer:
    """A story of the check's own: why its answer begins with Mia rather than Ben."""
    model = opened()
    story = "Ben has a green lamp. Mia has a white cup."
    reading = read_chat(model.model, model.tokenizer, [Message("user", f"{story} Who has the cup?")], answer="Mia.")
    ben = model.tokenizer.encode(" Ben")[0]
    target = Target(reading.answer_start, reading.answer_start + 1, instead=ben)
    return Scorer(model.model, reading, target, story_words(reading, story))


def story_words(reading: TokenizedRun, story: str) -> tuple[Unit, ...]:
    """Each word of the story, as the places of its tokens, without marks."""
    begins = reading.text.index(story)
    units = reading.units("word", reading.positions_in(begins, begins + len(story)))
    return tuple(unit for unit in units if any(map(str.isalnum, reading.text_of(unit))))


@exercise("10.2")
def ablation(answer: Any) -> None:
    scorer = _examiner()
    count = len(scorer.units)
    number = 5  # Mia
    result = called(answer, scorer, number)
    try:
        lost = float(result)
    except (TypeError, ValueError, RuntimeError):
        raise Wrong(
            "The function must give back one number: the score of the whole minus the score without the word.",
            "Die Funktion muss eine einzige Zahl zurückgeben: die ganze Wertung minus die ohne das Wort.",
        ) from None
    kept = torch.ones(3, count, dtype=torch.bool)
    kept[1, number] = False
    kept[2] = False
    whole, without, blank = scorer.scores(kept).tolist()

    def near(value: float) -> bool:
        return abs(lost - value) < 1e-2

    if near(without - whole):
        raise Wrong(
            "The sign is the other way round: what the answer *loses* is `whole - without`.",
            "Das Vorzeichen ist falsch herum: Was die Antwort *verliert*, ist `whole - without`.",
        )
    if near(without):
        raise Wrong(
            "That is the score without the word. How much is lost? Subtract it from the score of the whole text.",
            "Das ist die Wertung ohne das Wort. Wie viel geht verloren? Zieh sie von der Wertung des ganzen Textes ab.",
        )
    if near(whole - blank):
        raise Wrong(
            "You blanked out all words. In row 1 only the word with this number is to go: `kept[1, number]`.",
            "Du hast alle Wörter ausgeblendet. In Zeile 1 soll nur das Wort mit dieser Nummer weg: `kept[1, number]`.",
        )
    if near(0):
        raise Wrong(
            "Both versions are the same. Blank the word out in row 1 only, and with its own number.",
            "Beide Fassungen sind gleich. Blende das Wort nur in Zeile 1 aus, und zwar mit seiner Nummer.",
        )
    if near(math.exp(whole) - math.exp(without)):
        raise Wrong(
            "Leave out `math.exp`: subtract the scores as they are.",
            "Lass `math.exp` weg: Zieh die Wertungen selbst voneinander ab.",
        )
    if not near(whole - without) or abs(float(called(answer, scorer, count - 1)) - _loss(scorer, count - 1)) > 1e-2:
        raise Wrong(
            "On another story your function gives another loss. Blank out `kept[1, number]`; return `whole - without`.",
            "Bei einer anderen Geschichte kommt ein anderer Verlust heraus. Blende `kept[1, number]` aus und gib "
            "`whole - without` zurück.",
        )


def _loss(scorer: Scorer, number: int) -> float:
    kept = torch.ones(2, len(scorer.units), dtype=torch.bool)
    kept[1, number] = False
    whole, without = scorer.scores(kept).tolist()
    return float(whole - without)


@exercise("10.3")
def against(answer: Any) -> None:
    words = words_of(answer)
    if not words or len(words) > 1:
        raise Wrong("Write one word of the story in quotation marks.", "Schreibe ein Wort in Anführungszeichen.")
    match words[0]:
        case "tom":
            return
        case "anna" | "hat":
            raise Wrong(
                f"“{words[0]}” speaks *for* Anna: without it her lead would fall. Who might be named instead?",
                f"„{words[0]}“ spricht *für* Anna: Ohne das Wort fiele ihr Vorsprung. Wer könnte sonst genannt werden?",
            )
        case "red" | "ball" | "has" | "a" | "blue":
            raise Wrong(
                f"“{words[0]}” does not name anybody. Which word brings the other possible answer into play?",
                f"„{words[0]}“ benennt niemanden. Welches Wort bringt die andere mögliche Antwort ins Spiel?",
            )
    raise Wrong(f"“{words[0]}” is not a word of the story.", f"„{words[0]}“ ist kein Wort der Geschichte.")


@exercise("10.4")
def shapley(answer: Any) -> None:
    nothing, only_a, only_b, both = -4.0, -3.0, 1.0, 6.0
    result = called(answer, nothing, only_a, only_b, both)
    if isinstance(result, tuple | list) and ... in result:
        raise EMPTY
    try:
        a, b = (float(part) for part in result)
    except (TypeError, ValueError):
        raise Wrong(
            "The function must give back two numbers: `return a, b`.",
            "Die Funktion muss zwei Zahlen zurückgeben: `return a, b`.",
        ) from None

    def near(x: float, y: float) -> bool:
        return abs(a - x) < 1e-6 and abs(b - y) < 1e-6

    first_a, first_b = only_a - nothing, only_b - nothing
    last_a, last_b = both - only_b, both - only_a
    if near(first_a, first_b):
        raise Wrong(
            "You let each word come first only. Take the mean with what it adds when it comes second.",
            "Bei dir kommt jedes Wort nur als erstes. Mittle mit dem, was es bringt, wenn es als zweites kommt.",
        )
    if near(last_a, last_b):
        raise Wrong(
            "You let each word come second only (that is ablation). Take the mean with what it adds when it is first.",
            "Bei dir kommt jedes Wort nur als zweites (das ist Weglassen). Mittle mit dem, was es als erstes bringt.",
        )
    if near(first_a + last_a, first_b + last_b):
        raise Wrong("That is the sum of both orders. Halve it.", "Das ist die Summe beider Reihenfolgen. Halbiere sie.")
    if near((first_b + last_b) / 2, (first_a + last_a) / 2):
        raise Wrong("A and B are exchanged.", "A und B sind vertauscht.")
    if near((first_a + both - only_a) / 2, (first_b + both - only_b) / 2):
        raise Wrong(
            "If A comes second, B is there already: A adds `both - only_b`, not `both - only_a`.",
            "Kommt A als zweites, ist B schon da: A bringt `both - only_b`, nicht `both - only_a`.",
        )
    if not near((first_a + last_a) / 2, (first_b + last_b) / 2):
        sum_is_right = abs(a + b - (both - nothing)) < 1e-6
        raise Wrong(
            "Not yet: for A take the mean of `only_a - nothing` and `both - only_b`; mind the brackets."
            + (" The sum is right already." if sum_is_right else ""),
            "Noch nicht: Nimm für A das Mittel aus `only_a - nothing` und `both - only_b`; achte auf die Klammern."
            + (" Die Summe stimmt schon." if sum_is_right else ""),
        )


@dataclass(frozen=True)
class Tried:
    """A story about a hat: the model's answer, what each word alone is worth to “blue”, and all of them together."""

    answer: str
    words: tuple[str, ...]
    scores: tuple[float, ...]
    together: float


@cache
def colour_of_the_hat(story: str) -> Tried:
    """Ask about the hat's colour. Without “blue” in the answer there is nothing to score."""
    model = opened()
    story = " ".join(story.split())
    reading = read_chat(model.model, model.tokenizer, [Message("user", f"{story} What colour is the hat?")])
    answer = reading.text_of(reading.answer).strip() if reading.answer else ""
    blue = [place for place in reading.answer if reading.tokens[place].strip() == "blue"]
    units = story_words(reading, story) if story in reading.text else ()
    if not blue or not units:
        return Tried(answer, (), (), 0.0)
    scorer = Scorer(model.model, reading, Target(blue[0], blue[0] + 1), units)
    kept = torch.cat([torch.ones(1, len(units), dtype=torch.bool), ~torch.eye(len(units), dtype=torch.bool)])
    whole, *without = scorer.scores(torch.cat([kept, torch.zeros(1, len(units), dtype=torch.bool)])).tolist()
    words = tuple(reading.text_of(unit).strip() for unit in units)
    return Tried(answer, words, tuple(whole - score for score in without[:-1]), whole - without[-1])


@exercise("10.5")
def blind_spot(answer: Any) -> None:
    if not isinstance(answer, str) or not re.search(r"\w", answer):
        raise Wrong("Write a story in quotation marks.", "Schreibe eine Geschichte in Anführungszeichen.")
    try:
        tried = colour_of_the_hat(answer)
    except ValueError:
        raise Wrong(
            "That story is longer than the model can read. Two sentences will do.",
            "Diese Geschichte ist länger, als das Modell lesen kann. Zwei Sätze genügen.",
        ) from None
    if not tried.words:
        raise Wrong(
            f"The model answers: “{tried.answer}” Your story must say that the hat is blue.",
            f"Das Modell antwortet: „{tried.answer}“ In deiner Geschichte muss der Hut blau (blue) sein.",
        )
    most = max(tried.scores)
    if most > 0.5:
        word = tried.words[tried.scores.index(most)]
        raise Wrong(
            f"“{word}” still scores {most:.1f}: without it the answer gets less likely. What if the story said the "
            "same again somewhere else?",
            f"„{word}“ bekommt noch {most:.1f}: Ohne das Wort wird die Antwort unwahrscheinlicher. Was, wenn dasselbe "
            "noch an einer anderen Stelle stünde?",
        )
    if tried.together < 0.5:
        raise Wrong(
            "The answer stays even without the whole story, so it does not rest on it. Take another story.",
            "Die Antwort bleibt auch ohne die ganze Geschichte, beruht also nicht auf ihr. Nimm eine andere.",
        )


def interval(hits: float, questions: float) -> tuple[float, float]:
    """Wilson's, with z = 1.96."""
    z, share = 1.96, hits / questions
    below = 1 + z * z / questions
    middle = (share + z * z / (2 * questions)) / below
    half = z / below * math.sqrt(share * (1 - share) / questions + z * z / (4 * questions**2))
    return middle - half, middle + half


@exercise("10.6")
def wilson(answer: Any) -> None:
    for hits, questions in ((7, 10), (344, 500), (0, 20)):
        result = called(answer, hits, questions)
        try:
            low, high = (float(part) for part in result)
        except (TypeError, ValueError):
            raise Wrong(
                "The function must give back two numbers: `return middle - half, middle + half`.",
                "Die Funktion muss zwei Zahlen zurückgeben: `return middle - half, middle + half`.",
            ) from None
        right_low, right_high = interval(hits, questions)
        half, right_half = (high - low) / 2, (right_high - right_low) / 2
        if abs(low - right_low) < 1e-3 and abs(high - right_high) < 1e-3:
            continue
        share, z = hits / questions, 1.96
        inside = share * (1 - share) / questions + z**2 / (4 * questions**2)
        below = 1 + z**2 / questions
        slips = {
            z / below * inside: (
                "The root is missing: `math.sqrt(...)` around both terms.",
                "Die Wurzel fehlt: `math.sqrt(...)` um beide Summanden.",
            ),
            z / below * math.sqrt(share * (1 - share) / questions): (
                "The second term under the root is missing: `z**2 / (4 * questions**2)`.",
                "Unter der Wurzel fehlt der zweite Summand: `z**2 / (4 * questions**2)`.",
            ),
            z / below * math.sqrt(share * (1 - share) / questions + z**2 / 4 * questions**2): (
                "Brackets: `z**2 / (4 * questions**2)`; without them Python multiplies by `questions**2`.",
                "Klammern: `z**2 / (4 * questions**2)`; ohne sie nimmt Python mit `questions**2` mal.",
            ),
            z / below * math.sqrt(share * (1 - share) + z**2 / (4 * questions**2)): (
                "Under the root p(1 - p) is to be divided by n, the number of questions.",
                "Unter der Wurzel wird p(1 - p) noch durch n geteilt, die Anzahl der Fragen.",
            ),
        }
        for slip, said in slips.items():
            if abs(half - slip) < 1e-6:
                raise Wrong(*said)
        if abs(half - right_half) < 1e-3:
            raise Wrong(
                "Half the width is right, the middle is not: leave its line as it was.",
                "Die halbe Breite stimmt, die Mitte nicht: Lass ihre Zeile, wie sie war.",
            )
        raise Wrong(
            f"For {hits} of {questions} the interval should be {right_low:.3f} to {right_high:.3f}; yours is {low:.3f} "
            f"to {high:.3f}. Compare `half` with the formula, term by term.",
            f"Für {hits} von {questions} müsste das Intervall von {right_low:.3f} bis {right_high:.3f} gehen; deines "
            f"geht von {low:.3f} bis {high:.3f}. Vergleiche `half` mit der Formel, Glied für Glied.",
        )


@exercise("10.7")
def supported(answer: Any) -> None:
    words = words_of(answer)
    letters = {letter.upper() for word in words or [] for letter in word}
    if not letters or not letters <= set("ABCD"):
        raise Wrong(
            'Give the letters of the statements in quotation marks, such as "AD".',
            'Gib die Buchstaben der Aussagen in Anführungszeichen an, etwa "AD".',
        )
    for letter, en, de in (
        ("B", "ablation and Shapley sampling", "Weglassen und Shapley-Stichprobe"),
        ("D", "integrated gradients and attention rollout", "Integrierte Gradienten und Rollout"),
    ):
        if letter in letters:
            raise Wrong(
                f"{letter}: the intervals of {en} overlap, so the difference may be luck.",
                f"{letter}: Die Intervalle überschneiden sich ({de}), der Unterschied kann Glück sein.",
            )
    if missing := sorted({"A", "C"} - letters):
        raise Wrong(
            f"{missing[0]} is supported, too: look whether those two intervals overlap.",
            f"{missing[0]} wird auch gestützt: Sieh nach, ob sich diese beiden Intervalle überschneiden.",
        )
