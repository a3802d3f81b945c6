"""The exercises of lesson 9: a place to look at, a role's score, roles read off, heads switched off or shared."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from lessons.kit.asking import opened
from lessons.kit.checking import Wrong, called, exercise
from litellama.chat import Message
from litellama.explain.attention import HeadRoles, head_roles
from litellama.explain.heads import with_heads
from litellama.explain.tokenized_run import read_chat
from litellama.model import LiteLlama

Head = tuple[int, int]


def without(*heads: Head) -> LiteLlama:
    """TinyTown with these heads, counted from 1, switched off."""
    scales = torch.ones(1, 6, 6)
    for layer, head in heads:
        scales[0, layer - 1, head - 1] = 0
    return with_heads(opened().model, scales)


def whole_number(value: Any) -> int | None:
    """1, 1.0, tensor(1) -> 1; None for what is no whole number."""
    try:
        number = float(value)
    except (TypeError, ValueError, RuntimeError):
        return None
    return int(number) if not isinstance(value, bool | str) and number.is_integer() else None


def as_head(value: Any) -> Head | None:
    """(layer, head) if it is two whole numbers."""
    numbers = [whole_number(part) for part in value] if isinstance(value, tuple | list | Tensor) else []
    return (numbers[0], numbers[1]) if len(numbers) == 2 and None not in numbers else None  # type: ignore[return-value]


def as_heads(value: Any) -> set[Head] | None:
    """A set of heads; one head alone, (2, 5), counts as a set of one."""
    if not isinstance(value, tuple | list | set | frozenset | Tensor):
        return None
    found = {as_head(part) for part in value}
    if found == {None} and as_head(value if not isinstance(value, set | frozenset) else None):
        return {as_head(value)}  # type: ignore[arg-type]
    return None if None in found else found  # type: ignore[return-value]


HEADS_EXPECTED = Wrong(
    "Give each head as two whole numbers in brackets, (layer, head), in a list: [(2, 1), (4, 3)].",
    "Gib jeden Kopf als zwei ganze Zahlen in Klammern an, (Schicht, Kopf), in einer Liste: [(2, 1), (4, 3)].",
)


@exercise("9.1")
def looks_at(answer: Any) -> None:
    match whole_number(answer):
        case 6:
            return
        case None:
            raise Wrong(
                "Give the number of the token, from the first line of the table.",
                "Gib die Nummer des Tokens an, aus der ersten Zeile der Tabelle.",
            )
        case 5:
            raise Wrong(
                "Number 5 is the earlier `green`. That word is known already; what followed it stands one place on.",
                "Nummer 5 ist das frühere `green`. Dieses Wort ist schon bekannt; was darauf folgte, steht einen Platz "
                "weiter.",
            )
        case 12:
            raise Wrong(
                "Number 12 is the token just before. `Tom` does not say what comes after `green`.",
                "Nummer 12 ist das Token direkt davor. `Tom` sagt nicht, was nach `green` kommt.",
            )
        case 13 | 14:
            raise Wrong(
                "The model stands at 13, and 14 is not written yet. It can look only at what stands before.",
                "Bei 13 steht das Modell selbst, und 14 ist noch nicht geschrieben. Es kann nur auf das schauen, was "
                "davor steht.",
            )
    raise Wrong(
        "That token does not tell what comes next. Find the earlier `green` and ask: what followed?",
        "Dieses Token verrät nicht, was als Nächstes kommt. Suche das frühere `green` und frage: Was folgte darauf?",
    )


@exercise("9.2")
def induction_score(answer: Any) -> None:
    n = 5
    weights = torch.rand(2 * n + 1, 2 * n + 1, generator=torch.Generator().manual_seed(1)).tril()
    weights = weights / weights.sum(-1, keepdim=True)
    result = called(answer, weights, n)
    try:
        score = float(result)
    except (TypeError, ValueError, RuntimeError):
        raise Wrong(
            "The score must be one number, and yours is several. In place of the three dots belongs one column.",
            "Der Wert muss eine einzige Zahl sein, deiner besteht aus mehreren. An die Stelle der drei Punkte gehört "
            "eine Spalte.",
        ) from None

    def mean(shift: int) -> float:
        return sum(float(weights[row][row + shift]) for row in range(n + 1, 2 * n + 1)) / n

    def is_mean(shift: int) -> bool:
        return abs(score - mean(shift)) < 1e-6

    if is_mean(-n):
        raise Wrong(
            "You look at the same word, `n` places before. What *followed* it stands one column on.",
            "Du schaust auf dasselbe Wort, `n` Plätze davor. Was darauf *folgte*, steht eine Spalte weiter.",
        )
    if is_mean(-n - 1):
        raise Wrong(
            "You look at what stood *before* the same word. What followed it stands on its other side.",
            "Du schaust auf das, was *vor* demselben Wort stand. Was darauf folgte, steht auf der anderen Seite.",
        )
    if is_mean(-1):
        raise Wrong(
            "That is the role *previous token*. The same word stands `n` places before; look behind it.",
            "Das ist die Rolle *voriges Token*. Dasselbe Wort steht `n` Plätze davor; schau dahinter.",
        )
    if is_mean(0):
        raise Wrong(
            "Each token looks at itself here. The same word stands `n` places before; look behind it.",
            "Hier schaut jedes Token auf sich selbst. Dasselbe Wort steht `n` Plätze davor; schau dahinter.",
        )
    if abs(score - n * mean(1 - n)) < 1e-6:
        raise Wrong(
            "That is the sum of the shares. Divide it by their number to get the mean.",
            "Das ist die Summe der Anteile. Teile sie durch ihre Anzahl, dann hast du das Mittel.",
        )
    if not is_mean(1 - n):
        raise Wrong(
            "On a made-up map your score is another than it should be. From `row`, go back `n` columns, then one on.",
            "Bei einer erfundenen Karte kommt etwas anderes heraus, als es sollte. Geh von `row` aus `n` Spalten "
            "zurück und dann eine weiter.",
        )


@exercise("9.3")
def roles_read_off(layer: Any, heads: Any, roles: HeadRoles) -> None:
    count_layers, count_heads = next(iter(roles.scores.values())).shape
    named = {
        (number + 1, head + 1): roles.role(number, head)[0]
        for number in range(count_layers)
        for head in range(count_heads)
    }
    layers = {place[0] for place, name in named.items() if name == "induction"}
    writers = {place for place, name in named.items() if name == "previous token"}
    given = whole_number(layer)
    if given is None:
        raise Wrong(
            "The first answer is the layer's number, a whole number.",
            "Die erste Antwort ist die Nummer der Schicht, eine ganze Zahl.",
        )
    if {given} != layers and {given + 1} == layers:
        raise Wrong(
            "You counted the layers from 0. In the picture they are counted from 1.",
            "Du hast die Schichten ab 0 gezählt. Im Bild zählen sie ab 1.",
        )
    if {given} != layers:
        raise Wrong(
            f"In layer {given} no head has the role induction. Look for the word in the picture; layer 1 is at the "
            "bottom.",
            f"In Schicht {given} hat kein Kopf die Rolle Induktion. Suche das Wort im Bild; Schicht 1 ist unten.",
        )
    chosen = as_heads(heads)
    if chosen is None:
        raise HEADS_EXPECTED
    if chosen == {(head, number) for number, head in writers}:
        raise Wrong(
            "Right numbers, other order: the layer first, then the head.",
            "Richtige Zahlen, falsche Reihenfolge: erst die Schicht, dann der Kopf.",
        )
    if chosen == {(number - 1, head - 1) for number, head in writers}:
        raise Wrong(
            "You counted the heads from 0. In the picture they are counted from 1.",
            "Du hast die Köpfe ab 0 gezählt. Im Bild zählen sie ab 1.",
        )
    if extra := sorted(chosen - writers):
        place = ".".join(map(str, extra[0]))
        raise Wrong(
            f"Head {place} does not have the role previous token. Look for those words in the picture.",
            f"Kopf {place} hat nicht die Rolle voriges Token. Suche diese Worte im Bild.",
        )
    if chosen != writers:
        raise Wrong(
            f"That is not all of them: there are {len(writers)}.", f"Das sind nicht alle: Es gibt {len(writers)}."
        )


@cache
def induction_without(*heads: Head) -> Tensor:
    """Each head's induction score (L, H) when some are switched off."""
    return head_roles(without(*heads), opened().tokenizer).scores["induction"]


@exercise("9.4")
def score_without(answer: Any) -> None:
    try:
        score = float(answer)
    except (TypeError, ValueError, RuntimeError):
        raise Wrong(
            "One number was expected, the score of head 3.5: leave the square brackets [2, 4] as they are.",
            "Gesucht ist eine Zahl, der Wert von Kopf 3.5: Lass die eckigen Klammern [2, 4], wie sie sind.",
        ) from None

    def near(found: Tensor) -> bool:
        return abs(score - float(found)) < 2e-3

    both = induction_without((2, 5), (2, 6))
    if near(both[2, 4]):
        return
    if near(induction_without()[2, 4]):
        raise Wrong(
            "That is its score with all heads on. Switch off the heads (2, 5) and (2, 6) first.",
            "Das ist sein Wert, wenn alle Köpfe an sind. Schalte erst die Köpfe (2, 5) und (2, 6) ab.",
        )
    if near(induction_without((2, 5))[2, 4]) or near(induction_without((2, 6))[2, 4]):
        raise Wrong(
            "Only one of the two heads is switched off. One alone still leaves half of the score; switch off both.",
            "Da ist nur einer der beiden Köpfe abgeschaltet. Einer allein lässt noch den halben Wert übrig; schalte "
            "beide ab.",
        )
    raise Wrong(
        "Another number was expected. Switch off exactly the two heads with the role previous token (9.3), and read "
        "the score at [2, 4].",
        "Da müsste eine andere Zahl stehen. Schalte genau die zwei Köpfe mit der Rolle voriges Token ab (9.3) und lies "
        "den Wert bei [2, 4] ab.",
    )


@cache
def answer_without(question: str, *heads: Head) -> str:
    model = without(*heads)
    reading = read_chat(model, opened().tokenizer, [Message("user", question)])
    return reading.text_of(reading.answer) if reading.answer else ""


@exercise("9.5")
def needed_heads(answer: Any, question: str) -> None:
    every = {(layer, head) for layer in range(1, 7) for head in range(1, 7)}
    chosen = set() if isinstance(answer, list | tuple | set) and not answer else as_heads(answer)
    if chosen is None:
        raise HEADS_EXPECTED
    if not chosen:
        raise Wrong(
            "The list is empty. A head belongs into it if the answer without it is another: compare with `!=`.",
            "Die Liste ist leer. Ein Kopf gehört hinein, wenn die Antwort ohne ihn anders lautet: Vergleiche mit `!=`.",
        )
    if chosen == every:
        raise Wrong(
            "All 36 heads are in the list. In place of the three dots belongs a comparison with `usual`.",
            "Alle 36 Köpfe stehen in der Liste. An die Stelle der drei Punkte gehört ein Vergleich mit `usual`.",
        )
    if not chosen <= every:
        raise Wrong(
            "There is no such head: layers and heads go from 1 to 6.",
            "So einen Kopf gibt es nicht: Schichten und Köpfe gehen von 1 bis 6.",
        )
    usual = answer_without(question)
    right = {head for head in every if answer_without(question, head) != usual}
    if chosen == every - right:
        raise Wrong(
            "These are the heads that are *not* missed. Compare with `!=` (differs), not with `==` (is the same).",
            "Das sind die Köpfe, die *nicht* fehlen. Vergleiche mit `!=` (anders), nicht mit `==` (gleich).",
        )
    if extra := sorted(chosen - right):
        place = ".".join(map(str, extra[0]))
        raise Wrong(
            f"Without head {place} the answer stays the same. Switch off one head at a time and compare the answers.",
            f"Ohne Kopf {place} bleibt die Antwort dieselbe. Schalte immer nur einen Kopf ab und vergleiche die "
            "Antworten.",
        )
    if chosen != right:
        raise Wrong(
            f"That is not all of them: there are {len(right)}. Try every layer and every head, from 1 to 6.",
            f"Das sind nicht alle: Es gibt {len(right)}. Probiere jede Schicht und jeden Kopf, von 1 bis 6.",
        )


@exercise("9.6")
def looks_most(answer: Any, is_needed: Any, looks: Tensor) -> None:
    place = int(looks.argmax())
    right = (place // looks.shape[1] + 1, place % looks.shape[1] + 1)
    chosen = as_head(answer)
    if chosen is None:
        raise Wrong(
            "The first answer is one head, two whole numbers: (layer, head).",
            "Die erste Antwort ist ein Kopf, zwei ganze Zahlen: (Schicht, Kopf).",
        )
    if chosen == (right[0] - 1, right[1] - 1):
        raise Wrong("You counted from 0. Count from 1.", "Du hast ab 0 gezählt. Zähle ab 1.")
    if chosen == right[::-1]:
        raise Wrong(
            "Right numbers, other order: the layer first.", "Richtige Zahlen, falsche Reihenfolge: erst die Schicht."
        )
    if chosen != right:
        raise Wrong(
            "Another head looks there more. Look for the largest number in the whole table.",
            "Ein anderer Kopf schaut mehr dorthin. Suche die größte Zahl der ganzen Tabelle.",
        )
    if isinstance(is_needed, str):
        raise Wrong(
            "The second answer is `True` or `False`, without quotation marks.",
            "Die zweite Antwort ist `True` oder `False`, ohne Anführungszeichen.",
        )
    if bool(is_needed):
        raise Wrong(
            "That is what the map suggests. But is this head in your list `needed` of 9.5?",
            "Das legt die Karte nahe. Aber steht dieser Kopf in deiner Liste `needed` aus 9.5?",
        )


@exercise("9.7")
def partners(answer: Any) -> None:
    parts = list(answer) if isinstance(answer, list | tuple | set | frozenset | Tensor) else [answer]
    numbers = {head[1] if (head := as_head(part)) and head[0] == 3 else whole_number(part) for part in parts}
    if None in numbers:
        raise Wrong("Give a list of whole numbers, such as [1, 2].", "Gib eine Liste ganzer Zahlen an, etwa [1, 2].")
    if numbers == {4, 6}:
        return
    if numbers == {4, 5, 6}:
        raise Wrong(
            "The group is right. Leave out head 5 itself: the *others* were asked for.",
            "Die Gruppe stimmt. Lass Kopf 5 selbst weg: Gefragt sind die *anderen*.",
        )
    if numbers <= {1, 2, 3}:
        raise Wrong(
            "The heads 1, 2 and 3 are the other group. Head 5 belongs to the last three.",
            "Die Köpfe 1, 2 und 3 sind die andere Gruppe. Kopf 5 gehört zu den letzten drei.",
        )
    if numbers <= {1, 3, 5} or numbers == {2, 6} or numbers == {2}:
        raise Wrong(
            "The groups are neighbours, three in a row: 1, 2, 3 and 4, 5, 6.",
            "Die Gruppen sind Nachbarn, immer drei hintereinander: 1, 2, 3 und 4, 5, 6.",
        )
    if numbers < {4, 5, 6}:
        raise Wrong(
            "There is one more: three heads share, so head 5 has two partners.",
            "Es fehlt noch einer: Drei Köpfe teilen sich ein Paar, Kopf 5 hat also zwei Partner.",
        )
    raise Wrong(
        "Six heads in two groups of neighbours: which group holds head 5?",
        "Sechs Köpfe in zwei Gruppen von Nachbarn: In welcher Gruppe ist Kopf 5?",
    )
