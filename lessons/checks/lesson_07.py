"""The exercises of lesson 7: counting weights, memory, the card's tokens, GPU-hours, a plan, the first loss, GPUs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from lessons.kit.checking import Wrong, called, exercise
from lessons.kit.numbers import near, number
from litellama.config import PRESETS, ModelConfig
from litellama.scaling.planning import ARITHMETIC, TrainingPlan, plan_training, schedules, training_device, utilisations

FULL = PRESETS["litellama-460m"]
CARD = 499_679 * 1024 * 192
BYTES = 16  # weight, gradient and two moments, 4 bytes each
DAYS, KILOGRAMS = 7, 20.0
BEST_SHARE = 0.6

# One shape of each sort: grouped queries, a tied head, a head for each, heads that are wider than the hidden size.
SHAPES = {
    "litellama-460m": FULL,
    "llama2-7b": PRESETS["llama2-7b"],
    "tinytown": PRESETS["tinytown"],
    "wide": replace(FULL, head_dim=96, num_hidden_layers=3),
}


def _untied(c: ModelConfig) -> int:
    return c.num_parameters + (c.vocab_size * c.hidden_size if c.tie_word_embeddings else 0)


def _attention(c: ModelConfig, queries: int, keys: int) -> int:
    """The whole count with an attention of other widths: the difference is what was done wrong."""
    own = c.parameters_by_part["attention"]
    return c.num_parameters - own + c.num_hidden_layers * 2 * c.hidden_size * (queries + keys)


_MISTAKES: list[tuple[Callable[[ModelConfig], int], str, str]] = [
    (lambda c: _attention(c, c.num_attention_heads * c.head_dim, c.num_attention_heads * c.head_dim),
     "Keys and values have fewer heads: `num_key_value_heads`, not `num_attention_heads`. That is what GQA saves.",
     "Keys und Values haben weniger Köpfe: `num_key_value_heads`, nicht `num_attention_heads`. Genau das spart GQA."),
    (lambda c: _attention(c, c.num_attention_heads * c.head_dim, 0) + c.num_hidden_layers * c.hidden_size
     * c.num_key_value_heads * c.head_dim,
     "There are two matrices of the smaller width: one for the keys and one for the values.",
     "Von den schmalen Matrizen gibt es zwei: eine für die Keys und eine für die Values."),
    (lambda c: _attention(c, c.num_attention_heads * c.head_dim // 2, c.num_key_value_heads * c.head_dim),
     "There are two matrices of the full width: one for the queries and one at the end, for the output.",
     "Von den breiten Matrizen gibt es zwei: eine für die Querys und eine am Ende, für die Ausgabe."),
    (lambda c: _attention(c, c.hidden_size, c.num_key_value_heads * c.head_dim),
     "The heads together need not be as wide as `hidden_size`: take `num_attention_heads * head_dim`.",
     "Die Köpfe zusammen müssen nicht so breit sein wie `hidden_size`: Nimm `num_attention_heads * head_dim`."),
    (lambda c: c.num_parameters - c.parameters_by_part["feed_forward"] // 3,
     "SwiGLU's feed-forward has three matrices, not two: gate, up and down.",
     "Das Feed-forward mit SwiGLU hat drei Matrizen, nicht zwei: gate, up und down."),
    (lambda c: c.num_parameters - c.parameters_by_part["norms"],
     "The norms are missing: two for each layer and one at the end, `hidden_size` numbers each.",
     "Die Norms fehlen: zwei in jeder Schicht und eine am Ende, jede mit `hidden_size` Zahlen."),
    (lambda c: c.num_parameters - c.hidden_size,
     "The last norm is missing: after all layers there is one more.",
     "Die letzte Norm fehlt: Nach allen Schichten kommt noch eine."),
    (lambda c: c.num_parameters - c.num_hidden_layers * c.hidden_size,
     "Each layer has two norms: one before the attention, one before the feed-forward.",
     "Jede Schicht hat zwei Norms: eine vor der Attention, eine vor dem Feed-forward."),
    (lambda c: c.num_parameters - c.parameters_by_part["head"],
     "One matrix of `vocab_size * hidden_size` is missing: embedding and head are two where the head isn't tied.",
     "Es fehlt eine Matrix mit `vocab_size * hidden_size` Zahlen: Embedding und Ausgabekopf sind zwei, wenn er nicht "
     "geteilt (tied) ist."),
    (_untied,
     "A tied head has no weights of its own: add it only if `config.tie_word_embeddings` is False.",
     "Ein geteilter Ausgabekopf (tied) hat keine eigenen Gewichte: Zähle ihn nur, wenn `config.tie_word_embeddings` "
     "False ist."),
    (lambda c: replace(c, num_hidden_layers=1).num_parameters,
     "That is one layer. Multiply a layer's weights by `num_hidden_layers`.",
     "Das ist eine einzige Schicht. Nimm die Gewichte einer Schicht mal `num_hidden_layers`."),
]  # fmt: skip


@exercise("7.1")
def parameters(answer: Any) -> None:
    for name, config in SHAPES.items():
        given = number(called(answer, config))
        if given == config.num_parameters:
            continue
        for mistake, en, de in _MISTAKES:
            wrong = mistake(config)
            if wrong != config.num_parameters and given == wrong:
                raise Wrong(en, de)
        off = given - config.num_parameters
        raise Wrong(
            f"For the shape {name} your function gives {given:,.0f}, which is {abs(off):,.0f} too "
            f"{'many' if off > 0 else 'few'}. Compare part by part with the list above the exercise.",
            f"Für die Form {name} gibt deine Funktion {given:.0f}, das sind {abs(off):.0f} zu "
            f"{'viel' if off > 0 else 'wenig'}. Vergleiche Teil für Teil mit der Liste über der Aufgabe.",
        )


@exercise("7.2")
def training_gigabytes(answer: Any) -> None:
    given, weights = number(answer), FULL.num_parameters
    if near(given, BYTES * weights / 1e9):
        return
    slips = {
        BYTES * weights: ("That is in bytes. Divide by 1e9.", "Das sind Byte. Teile durch 1e9."),
        BYTES * weights / 2**30: (
            "That is in GiB, of 2 to the power of 30 bytes. The lab counts GB of 1e9 bytes.",
            "Das sind GiB zu 2 hoch 30 Byte. Das Labor rechnet in GB zu 1e9 Byte.",
        ),
        4 * weights / 1e9: (
            "That is the weights alone. Gradients and two moments need as much again, each of them.",
            "Das sind nur die Gewichte. Der Gradient und zwei Momente brauchen jeweils noch einmal so viel.",
        ),
        8 * weights / 1e9: (
            "That is weights and gradients. AdamW's two moments are missing.",
            "Das sind Gewichte und Gradienten. Es fehlen die zwei Momente von AdamW.",
        ),
        12 * weights / 1e9: (
            "That is three numbers for each weight. AdamW keeps two moments, so there are four.",
            "Das sind drei Zahlen je Gewicht. AdamW führt zwei Momente, also sind es vier.",
        ),
        BYTES * 8 * weights / 1e9: ("That is in gigabits: a byte has 8.", "Das sind Gigabit: Ein Byte hat 8."),
        4 * weights: ("Each of the four numbers takes 4 bytes.", "Jede der vier Zahlen braucht 4 Byte."),
    }
    for value, (en, de) in slips.items():
        if near(given, value):
            raise Wrong(en, de)
    raise Wrong(
        "Four numbers of 4 bytes for each of the 461,685,760 weights: multiply, then divide by 1e9.",
        "Vier Zahlen zu 4 Byte für jedes der 461.685.760 Gewichte: multipliziere und teile durch 1e9.",
    )


@exercise("7.3")
def card(tokens: Any, times: Any) -> None:
    given = number(tokens)
    if not near(given, CARD, 1e-6):
        if near(given, 499_679 * 1024, 1e-6):
            raise Wrong(
                "That is one row for each step. A step reads 192 rows at once.",
                "Das ist eine Zeile je Schritt. Ein Schritt liest 192 Zeilen auf einmal.",
            )
        raise Wrong(
            "Multiply all three numbers of the card: steps, length and batch size.",
            "Multipliziere alle drei Zahlen der Karte: Schritte, Länge und Batch-Größe.",
        )
    factor = number(times)
    if near(factor, CARD / 1e12, 0.05) or near(factor, 0.1, 0.05):
        raise Wrong(
            "Divide the other way round: what the name says by what the product says.",
            "Teile andersherum: was der Name sagt durch das, was das Produkt sagt.",
        )
    if not near(factor, 1e12 / CARD, 0.03):
        raise Wrong(
            "The name says 1T, which is 1e12 tokens. Divide that by your product.",
            "Der Name sagt 1T, das sind 1e12 Tokens. Teile das durch dein Produkt.",
        )


@exercise("7.4")
def gpu_hours(answer: Any) -> None:
    for weights, tokens, rate, share in ((FULL.num_parameters, CARD, 312e12, 0.4), (10**9, 10**10, 1e14, 0.5)):
        given = number(called(answer, weights, tokens, rate, share))
        right = 6 * weights * tokens / (rate * share) / 3600
        if near(given, right, 1e-3):
            continue
        slips = {
            right * 3600: ("That is in seconds; an hour has 3600.", "Das sind Sekunden; eine Stunde hat 3600."),
            right * 60: ("That is in minutes. Divide by 3600 in all.", "Das sind Minuten. Teile insgesamt durch 3600."),
            right / 24: ("That is in days. Hours were asked for.", "Das sind Tage. Gefragt sind Stunden."),
            right * share: (
                "At the full rate. A GPU reaches only a share of it: multiply the rate by the share.",
                "Das gilt für die volle Rate. Eine GPU erreicht nur einen Anteil davon: Nimm die Rate mal den Anteil.",
            ),
            right * share**2: (
                "You multiplied by the share. A smaller share takes longer: divide by it.",
                "Du hast mit dem Anteil multipliziert. Ein kleinerer Anteil dauert länger: Teile durch ihn.",
            ),
            right / 3: (
                "2 operations are for reading only. Training goes back as well, which costs twice as much: 6 in all.",
                "2 Rechenschritte reichen nur zum Lesen. Das Training geht auch zurück, das kostet doppelt so viel: "
                "zusammen 6.",
            ),
            right / 6: (
                "The 6 is missing: six operations for each weight and token.",
                "Die 6 fehlt: sechs Rechenschritte für jedes Gewicht und Token.",
            ),
        }
        for value, (en, de) in slips.items():
            if near(given, value, 1e-3):
                raise Wrong(en, de)
        raise Wrong(
            f"For {weights:,} weights, {tokens:,} tokens, a rate of {rate:g} and a share of {share} your function "
            f"gives {given:.4g} hours; 6 * weights * tokens / (rate * share) / 3600 gives {right:.4g}.",
            f"Für {weights} Gewichte, {tokens} Tokens, eine Rate von {rate:g} und einen Anteil von {share} gibt deine "
            f"Funktion {given:.4g} Stunden; 6 * Gewichte * Tokens / (Rate * Anteil) / 3600 ergibt {right:.4g}.",
        )


@exercise("7.5")
def plan(answer: Any) -> None:
    if not isinstance(answer, Mapping) or set(PLAN) - set(answer):
        names = ", ".join(f'"{name}"' for name in PLAN)
        raise Wrong(
            f"The plan needs these entries: {names}. Change only what stands behind the colons.",
            f"Der Plan braucht diese Einträge: {names}. Ändere nur, was hinter den Doppelpunkten steht.",
        )
    missing = [name for name in PLAN if answer[name] is ...]
    if missing:
        raise Wrong(
            f'There is no value for "{missing[0]}" yet.', f'Für "{missing[0]}" steht noch kein Wert da.'
        )  # fmt: skip
    count, share, price = (number(answer[name]) for name in ("gpus", "share", "price"))
    if count < 1 or count != int(count):
        raise Wrong("Use a whole number of GPUs, at least 1.", "Nimm eine ganze Anzahl von GPUs, mindestens 1.")
    if not 0.05 <= share <= BEST_SHARE:
        raise Wrong(
            f"A share of {share:g} is not to be expected: the published ones above lie at 0.41 and 0.52. "
            "Choose one between 0.05 and 0.6.",
            f"Ein Anteil von {share:g} ist nicht zu erwarten: Die veröffentlichten oben liegen bei 0,41 und 0,52. "
            "Wähle einen zwischen 0.05 und 0.6.",
        )
    if not 0 < price < 100:
        raise Wrong(
            "The price is that of one GPU for one hour, as a number: between 0 and 100.",
            "Der Preis gilt für eine GPU und eine Stunde, als Zahl: zwischen 0 und 100.",
        )
    if not isinstance(answer["source"], str) or len(answer["source"].strip()) < 5:
        raise Wrong(
            "Say whose price that is and of which day: a text in quotation marks as the source.",
            "Gib an, wessen Preis das ist und von welchem Tag: einen Text in Anführungszeichen als Quelle.",
        )
    try:
        made = reckon(answer)
    except ValueError as wrong:
        raise Wrong(
            f"The plan cannot be reckoned: {wrong}.", f"Der Plan lässt sich nicht rechnen. Das Labor sagt: {wrong}."
        ) from None
    estimate = made.costs[0]
    days, kilograms = estimate.gpu_hours / count / 24, estimate.grams / 1000
    if days > DAYS:
        raise Wrong(
            f"That takes {days:.1f} days; {DAYS} were allowed. Take more GPUs, or faster ones.",
            f"Das dauert {days:.1f} Tage; erlaubt sind {DAYS}. Nimm mehr GPUs oder schnellere.",
        )
    if kilograms > KILOGRAMS:
        raise Wrong(
            f"That emits {kilograms:.0f} kg of CO2e; {KILOGRAMS:.0f} were allowed. More GPUs don't change that; "
            "another country's grid does.",
            f"Das verursacht {kilograms:.0f} kg CO2e; erlaubt sind {KILOGRAMS:.0f}. Mehr GPUs ändern daran nichts; "
            "ein anderes Stromnetz schon.",
        )


PLAN = ("gpu", "gpus", "share", "price", "source", "country")


def reckon(plan: Mapping[str, Any]) -> TrainingPlan:
    """What a learner's plan comes to, for the tokens that the card's product gives. Raises `ValueError`."""
    (schedule,) = (one for one in schedules("litellama-460m") if ARITHMETIC in [fact.id for fact in one.facts])
    gpu, shares = training_device(str(plan["gpu"])), utilisations(float(plan["share"]))
    return plan_training(FULL, schedule, gpu, shares, str(plan["country"]), float(plan["price"]))


@exercise("7.6")
def first_loss(answer: Any) -> None:
    given, vocabulary = number(answer), FULL.vocab_size
    if near(given, math.log(vocabulary), 0.005):
        return
    if near(given, math.log2(vocabulary), 0.005):
        raise Wrong(
            "That is in bits, from the logarithm to base 2. The lab's loss takes the natural one: `math.log`.",
            "Das sind Bit, vom Logarithmus zur Basis 2. Der Loss des Labors nimmt den natürlichen: `math.log`.",
        )
    if near(given, math.log10(vocabulary), 0.005):
        raise Wrong(
            "That is the logarithm to base 10. The natural one was asked for: `math.log`.",
            "Das ist der Zehnerlogarithmus. Gefragt ist der natürliche: `math.log`.",
        )
    if near(given, -math.log(vocabulary), 0.005):
        raise Wrong(
            "Mind the sign: the loss is *minus* the logarithm of a probability below 1, so it is above 0.",
            "Achte auf das Vorzeichen: Der Loss ist *minus* der Logarithmus einer Wahrscheinlichkeit unter 1, also "
            "größer als 0.",
        )
    if near(given, 1 / vocabulary, 0.01):
        raise Wrong(
            "That is the probability. The loss is minus its natural logarithm.",
            "Das ist die Wahrscheinlichkeit. Der Loss ist minus ihr natürlicher Logarithmus.",
        )
    raise Wrong(
        "If all 50,304 tokens are equally likely, each has the probability 1 / 50304. The loss is `-math.log` of that.",
        "Sind alle 50.304 Tokens gleich wahrscheinlich, hat jedes die Wahrscheinlichkeit 1 / 50304. Der Loss ist "
        "`-math.log` davon.",
    )


@exercise("7.7")
def gpus_needed(answer: Any) -> None:
    given, weights = number(answer), PRESETS["llama2-70b"].num_parameters
    least = BYTES * weights / 80e9
    if given == math.ceil(least):
        return
    if near(given, least, 0.005):
        raise Wrong("Nobody sells parts of a GPU: round up.", "Teile einer GPU gibt es nicht: Runde auf.")
    if given == math.floor(least):
        raise Wrong(
            "With so many, a little does not fit. Round up, not down.",
            "Bei so vielen passt ein wenig nicht hinein. Runde auf, nicht ab.",
        )
    if given in (math.ceil(2 * weights / 80e9), math.ceil(4 * weights / 80e9)):
        raise Wrong(
            "That would do for the weights alone. In training there are 16 bytes for each weight.",
            "Das reicht für die Gewichte allein. Beim Training sind es 16 Byte je Gewicht.",
        )
    raise Wrong(
        "LLaMA 2 70B has 68,976,648,192 weights with 16 bytes each. How many times 80e9 bytes is that, rounded up?",
        "LLaMA 2 70B hat 68.976.648.192 Gewichte zu je 16 Byte. Wie oft 80e9 Byte sind das, aufgerundet?",
    )
