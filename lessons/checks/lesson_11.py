"""The exercises of lesson 11: units, energy of a token, a dear question, layers, a class, a training, contradictions,
and when use overtakes training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lessons.kit.asking import ask, opened
from lessons.kit.checking import Wrong, called, exercise
from lessons.kit.numbers import near, number
from litellama.footprint.emissions import KWH, grids, training_energy
from litellama.footprint.facts import fact

WATTS, MINUTES = 15, 90
FEW_LAYERS, MORE_LAYERS, ALL_LAYERS = 2, 6, 32
SHORT, LONG = 8.0, 20.0  # milliseconds
SHORT_QUESTION = "Tom has a red ball. What colour is the ball?"
TIMES = 3
REPLY = "5-4-inference-energy-measured.llama-2-7b-chat.energy-per-response-a100-batch-1"
ASKED_A_DAY = 10_000_000


@exercise("11.1")
def laptop(joules: Any, watt_hours: Any) -> None:
    right = WATTS * MINUTES * 60
    given = number(joules)
    if near(given, WATTS * MINUTES):
        raise Wrong(
            "You multiplied watts by minutes. A watt is a joule for each *second*: 90 minutes are 5,400 seconds.",
            "Du hast Watt mal Minuten gerechnet. Ein Watt ist ein Joule je *Sekunde*: 90 Minuten sind 5400 Sekunden.",
        )
    if near(given, WATTS * MINUTES / 60):
        raise Wrong(
            "You multiplied watts by hours: those are watt-hours. For joules take the seconds.",
            "Du hast Watt mal Stunden gerechnet: Das sind Wattstunden. Für Joule nimm die Sekunden.",
        )
    if not near(given, right):
        raise Wrong("Joules are watts times seconds: 15 * 90 * 60.", "Joule sind Watt mal Sekunden: 15 * 90 * 60.")
    given = number(watt_hours)
    if near(given, WATTS * MINUTES):
        raise Wrong(
            "Watt-hours are watts times *hours*, and 90 minutes are 1.5 hours.",
            "Wattstunden sind Watt mal *Stunden*, und 90 Minuten sind 1,5 Stunden.",
        )
    if near(given, right / 1000):
        raise Wrong(
            "You divided by 1000. A watt-hour is 3600 joules.",
            "Du hast durch 1000 geteilt. Eine Wattstunde sind 3600 Joule.",
        )
    if near(given, right / KWH):
        raise Wrong("Those are kilowatt-hours: 1000 times as much.", "Das sind Kilowattstunden: 1000-mal so viel.")
    if not near(given, right / 3600):
        raise Wrong(
            "Divide the joules by 3600, or multiply 15 watts by 1.5 hours.",
            "Teile die Joule durch 3600, oder rechne 15 Watt mal 1,5 Stunden.",
        )


@exercise("11.2")
def joules_per_token(answer: Any, joules: float, tokens: int) -> None:
    given = number(answer)
    if near(given, joules / tokens):
        return
    if near(given, tokens / joules):
        raise Wrong(
            "Those are tokens for each joule. Divide the other way round.",
            "Das sind Tokens je Joule. Teile andersherum.",
        )
    if near(given, joules):
        raise Wrong(
            "That is the whole answer. Divide by its tokens.", "Das ist die ganze Antwort. Teile durch ihre Tokens."
        )
    if near(given, joules / tokens / 3600):
        raise Wrong("Those are watt-hours. Leave it in joules.", "Das sind Wattstunden. Lass es in Joule.")
    if near(given, joules * tokens):
        raise Wrong("“For each” means divide, not multiply.", "„Je“ heißt teilen, nicht malnehmen.")
    raise Wrong(
        "Divide the joules of the answer by the number of its tokens: `joules / tokens`.",
        "Teile die Joule der Antwort durch die Zahl ihrer Tokens: `joules / tokens`.",
    )


def tokens_of(text: str) -> int:
    """How many tokens TinyTown wrote for this text."""
    return len(opened().tokenizer.encode(text))


@exercise("11.3")
def dear_question(answer: Any) -> None:
    if not isinstance(answer, str) or not answer.strip():
        raise Wrong("Write a question in quotation marks.", "Schreibe eine Frage in Anführungszeichen.")
    said = ask(answer)
    few, many = tokens_of(ask(SHORT_QUESTION)), tokens_of(said)
    if many < TIMES * few:
        raise Wrong(
            f"The model answers: “{said}” Those are {many} tokens, and at least {TIMES * few} were asked for. Ask for "
            "something that is long to tell.",
            f"Das Modell antwortet: „{said}“ Das sind {many} Tokens, verlangt sind mindestens {TIMES * few}. Bitte um "
            "etwas, das lang zu erzählen ist.",
        )


@exercise("11.4")
def whole_model(answer: Any) -> None:
    given = number(answer)
    layer = (LONG - SHORT) / (MORE_LAYERS - FEW_LAYERS)
    if near(given, SHORT + (ALL_LAYERS - FEW_LAYERS) * layer, 0.005):
        return
    slips = {
        LONG / MORE_LAYERS * ALL_LAYERS: (
            "That multiplies everything by the layers, also what happens only once. First find what *one more* layer "
            "costs: (20 - 8) / (6 - 2).",
            "So wird alles mit den Schichten malgenommen, auch das, was nur einmal geschieht. Suche zuerst, was *eine* "
            "Schicht *mehr* kostet: (20 - 8) / (6 - 2).",
        ),
        SHORT / FEW_LAYERS * ALL_LAYERS: (
            "That multiplies everything by the layers, also what happens only once. Use both times.",
            "So wird alles mit den Schichten malgenommen, auch das, was nur einmal geschieht. Nutze beide Zeiten.",
        ),
        ALL_LAYERS * layer: (
            "Those are the 32 layers alone. What happens once is missing: begin with the 8 ms, which hold it.",
            "Das sind nur die 32 Schichten. Es fehlt, was einmal geschieht: Beginne mit den 8 ms, darin steckt es.",
        ),
        SHORT + ALL_LAYERS * layer: (
            "Nearly: the 8 ms hold two layers already, so 30 are missing.",
            "Fast: In den 8 ms stecken schon zwei Schichten, also fehlen 30.",
        ),
        LONG + ALL_LAYERS * layer: (
            "The 20 ms hold six layers already, so 26 are missing.",
            "In den 20 ms stecken schon sechs Schichten, also fehlen 26.",
        ),
        layer: ("That is one layer. The model has 32.", "Das ist eine Schicht. Das Modell hat 32."),
    }
    for value, (en, de) in slips.items():
        if near(given, value, 0.005):
            raise Wrong(en, de)
    raise Wrong(
        "One more layer costs (20 - 8) / (6 - 2) ms. To the 8 ms of two layers add 30 more layers.",
        "Eine Schicht mehr kostet (20 - 8) / (6 - 2) ms. Zähle zu den 8 ms der zwei Schichten noch 30 Schichten dazu.",
    )


@exercise("11.5")
def class_kwh(answer: Any) -> None:
    for joules, pupils, replies, days in ((3600.0, 25, 10, 200), (1000.0, 30, 4, 100)):
        given = number(called(answer, joules, pupils, replies, days))
        right = joules * pupils * replies * days / KWH
        if near(given, right, 1e-3):
            continue
        slips = {
            right * KWH: ("Those are joules. Divide by 3.6e6.", "Das sind Joule. Teile durch 3.6e6."),
            right * 1000: (
                "Those are watt-hours. A kilowatt-hour has 3.6e6 joules, not 3600.",
                "Das sind Wattstunden. Eine Kilowattstunde hat 3.6e6 Joule, nicht 3600.",
            ),
            right / days: ("That is one day. Multiply by the days.", "Das ist ein Tag. Nimm es mal die Tage."),
            right / pupils: ("That is one pupil. A class has more.", "Das ist eine Person. Eine Klasse hat mehr."),
            right / replies: (
                "That is one reply a day for each. Multiply by the replies.",
                "Das ist eine Antwort am Tag für jede Person. Nimm es mal die Antworten.",
            ),
            right * KWH * KWH: ("Divide by 3.6e6, don't multiply.", "Teile durch 3.6e6, statt malzunehmen."),
        }
        for value, (en, de) in slips.items():
            if near(given, value, 1e-3):
                raise Wrong(en, de)
        raise Wrong(
            f"For {joules:g} J, {pupils} pupils, {replies} replies a day and {days} days your function gives "
            f"{given:.4g}; {joules:g} * {pupils} * {replies} * {days} / 3.6e6 is {right:.4g}.",
            f"Für {joules:g} J, {pupils} Personen, {replies} Antworten am Tag und {days} Tage gibt deine Funktion "
            f"{given:.4g}; {joules:g} * {pupils} * {replies} * {days} / 3.6e6 ist {right:.4g}.",
        )


@exercise("11.6")
def training(kwh: Any, tonnes: Any) -> None:
    taken = training_energy("llama2-7b")
    assert taken is not None
    right = taken.joules / KWH
    given = number(kwh)
    slips = {
        right / 1.1: (
            "The building is missing: multiply by the PUE, 1.1.",
            "Das Gebäude fehlt: Nimm es mal den PUE, 1,1.",
        ),
        right / 1.1**2: (
            "Multiply by the PUE, don't divide: the building takes energy as well.",
            "Nimm es mal den PUE, statt zu teilen: Das Gebäude verbraucht zusätzlich.",
        ),
        right * 1000: ("Those are watt-hours. Divide by 1000.", "Das sind Wattstunden. Teile durch 1000."),
        right * KWH: ("Those are joules. Divide by 3.6e6.", "Das sind Joule. Teile durch 3.6e6."),
        right / 1000: (
            "Those are megawatt-hours: 1000 times as many kWh.",
            "Das sind Megawattstunden: in kWh 1000-mal so viel.",
        ),
    }
    for value, (en, de) in slips.items():
        if near(given, value, 0.005):
            raise Wrong(en, de)
    if not near(given, right, 0.005):
        raise Wrong(
            "Hours times watts times PUE are watt-hours: 184320 * 400 * 1.1. Divide by 1000 for kWh.",
            "Stunden mal Watt mal PUE sind Wattstunden: 184320 * 400 * 1.1. Teile durch 1000, dann sind es kWh.",
        )
    grams = grids()["Germany"].number
    given = number(tonnes)
    if near(given, right * grams / 1e6, 0.005):
        return
    if near(given, right * grams, 0.005):
        raise Wrong("Those are grams. A tonne is 1e6 grams.", "Das sind Gramm. Eine Tonne sind 1e6 Gramm.")
    if near(given, right * grams / 1000, 0.005):
        raise Wrong("Those are kilograms. A tonne is 1000 of them.", "Das sind Kilogramm. Eine Tonne sind 1000 davon.")
    raise Wrong(
        "Multiply the kWh by Germany's 380.9 grams and divide by 1e6 for tonnes.",
        "Nimm die kWh mal die 380,9 Gramm von Deutschland und teile durch 1e6, dann sind es Tonnen.",
    )


REASONS = {"A": "boundary", "B": "grid", "C": "batch", "D": "unit"}
_HINTS = {
    "A": (
        "A: both figures are for the same place and the same computers. One of them also counts what the computers "
        "take when they idle and what making them took.",
        "A: Beide Zahlen gelten für denselben Ort und dieselben Rechner. Eine zählt auch, was die Rechner im Leerlauf "
        "brauchen und was ihre Herstellung gekostet hat.",
    ),
    "B": (
        "B: the model was trained in France. Look whose electricity each of the two papers reckons with.",
        "B: Das Modell wurde in Frankreich trainiert. Sieh nach, mit wessen Strom jede der beiden Arbeiten rechnet.",
    ),
    "C": (
        "C: look how many conversations run at once. What is read from memory then serves them all.",
        "C: Sieh nach, wie viele Gespräche gleichzeitig laufen. Was aus dem Speicher gelesen wird, dient dann allen.",
    ),
    "D": (
        "D: the two differ by exactly 1000, and the digits are the same.",
        "D: Die beiden unterscheiden sich genau um 1000, und die Ziffern sind gleich.",
    ),
}


@exercise("11.7")
def contradictions(answer: Any) -> None:
    if not isinstance(answer, Mapping) or set(answer) != set(REASONS):
        raise Wrong(
            "Give a reason for each of the letters A, B, C and D, and for no others.",
            "Gib zu jedem der Buchstaben A, B, C und D einen Grund an, und zu keinem anderen.",
        )
    for letter, reason in REASONS.items():
        given = answer[letter]
        if given is ...:
            raise Wrong(f"There is no reason for {letter} yet.", f"Für {letter} steht noch kein Grund da.")
        if not isinstance(given, str) or given.strip().lower() not in REASONS.values():
            words = ", ".join(f'"{word}"' for word in sorted(REASONS.values()))
            raise Wrong(
                f"{given!r} is none of the reasons. Choose one of {words}.",
                f"{given!r} ist keiner der Gründe. Wähle einen von {words}.",
            )
        if given.strip().lower() != reason:
            raise Wrong(*_HINTS[letter])


@exercise("11.8")
def break_even(replies: Any, days: Any) -> None:
    taken = training_energy("llama2-7b")
    assert taken is not None
    right = taken.joules / fact(REPLY).number
    given = number(replies)
    slips = {
        1 / right: ("Divide the other way round: training by reply.", "Teile andersherum: Training durch Antwort."),
        taken.joules / KWH / fact(REPLY).number: (
            "You divided kilowatt-hours by joules. Bring both to joules first: 1 kWh is 3.6e6 J.",
            "Du hast Kilowattstunden durch Joule geteilt. Bringe beides erst auf Joule: 1 kWh sind 3.6e6 J.",
        ),
        right / 1000: (
            "You took 3600 joules for a kilowatt-hour. Those are a watt-hour; a kWh is 3.6e6 J.",
            "Du hast 3600 Joule für eine Kilowattstunde genommen. Das ist eine Wattstunde; eine kWh sind 3.6e6 J.",
        ),
    }
    for value, (en, de) in slips.items():
        if near(given, value):
            raise Wrong(en, de)
    if not near(given, right):
        raise Wrong(
            "Divide the training, 81,101 kWh * 3.6e6 J, by the 1828.8 J of a reply.",
            "Teile das Training, 81101 kWh * 3.6e6 J, durch die 1828,8 J einer Antwort.",
        )
    given = number(days)
    if near(given, right / 1e6) or near(given, right / 10):
        raise Wrong(
            "A million people with ten replies each are ten million replies a day.",
            "Eine Million Menschen mit je zehn Antworten sind zehn Millionen Antworten am Tag.",
        )
    if not near(given, right / ASKED_A_DAY, 0.05):
        raise Wrong(
            "Divide the replies by those of one day: 1,000,000 people times 10.",
            "Teile die Antworten durch die eines Tages: 1.000.000 Menschen mal 10.",
        )
