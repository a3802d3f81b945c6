"""
number = 6
minutes = 45
tab = "train"
code = ["litellama/scaling/law.py", "litellama/scaling/sweep.py", "litellama/scaling/extrapolation.py"]

[en]
title = "Scaling laws"
question = "Can you know how good a large model will be before anybody has paid for it?"
goals = [
    "train a ladder of models and see a law in their losses",
    "fit a straight line to a power law, and know when the line lies",
    "count what a training costs, and split a budget between size and text",
    "foretell models that are a thousand times larger, with a range, and say where this breaks",
]
needs = "lesson 5 (loss, step, learning rate); you know logarithms and can write a Python function"

[de]
title = "Skalierungsgesetze"
question = "Kann man wissen, wie gut ein großes Modell wird, bevor jemand es bezahlt hat?"
goals = [
    "eine Leiter von Modellen trainieren und in ihren Verlusten ein Gesetz erkennen",
    "eine Gerade an ein Potenzgesetz anpassen und merken, wann die Gerade lügt",
    "ausrechnen, was ein Training kostet, und ein Budget auf Größe und Text verteilen",
    "tausendmal größere Modelle mit einer Spanne vorhersagen und sagen, wo das aufhört zu stimmen",
]
needs = "Lektion 5 (Loss, Schritt, Lernrate); du kennst Logarithmen und kannst eine Python-Funktion schreiben"
"""

# %% [markdown] en
# ## A ladder
#
# LLaMA 2 7B was trained once. Nobody trains such a model ten times to find the best size. Instead, one trains a
# *ladder* of small models and looks for a rule that goes on. Kaplan and others (2020) and Hoffmann and others (2022)
# made this famous.
#
# Here is a ladder that we trained for you: four sizes, each on five amounts of text. The text is TinyTown's stories, as
# in lesson 5. $N$ is the number of *parameters* (weights), $D$ the number of tokens read in training, and $L$ the loss
# on stories held out, in nats per token.

# %% [markdown] de
# ## Eine Leiter
#
# LLaMA 2 7B wurde einmal trainiert. Niemand trainiert ein solches Modell zehnmal, um die beste Größe zu finden. Man
# trainiert stattdessen eine *Leiter* kleiner Modelle und sucht nach einer Regel, die weiterführt. Bekannt gemacht haben
# das Kaplan und andere (2020) und Hoffmann und andere (2022).
#
# Hier ist eine Leiter, die wir für dich trainiert haben: vier Größen, jede mit fünf verschiedenen Mengen Text. Der Text
# sind die Geschichten aus TinyTown wie in Lektion 5. $N$ ist die Anzahl der *Parameter* (Gewichte), $D$ die Anzahl der
# Tokens, die im Training gelesen wurden, und $L$ der Loss auf zurückgehaltenen Geschichten in nat pro Token.

# %%
from litellama.scaling.sweep import SweepResult

given = lesson.data("ladder")
ladder = [SweepResult(**run) for run in given["runs"]]
lesson.show(
    lesson.ladder(
        ladder, title=T("A ladder of 20 trainings", "Eine Leiter aus 20 Trainings")
    )
)
print(given["machine"])

# %% [markdown] en
# Both axes are *logarithmic*: each step along them multiplies. Larger models lie lower, and so do models that have read
# more. Many lines are nearly straight. Why does that matter?
#
# ## Straight lines
#
# A *power law* is a rule of the form
#
# $$y = a \cdot x^{-b}$$
#
# with two constants $a$ and $b$. Take the logarithm of both sides:
#
# $$\ln y = \ln a - b \cdot \ln x$$
#
# On logarithmic axes this is a straight line that falls with the slope $b$. A power law has no preferred scale: whoever
# finds $b$ on small models has found it for large ones, **as long as** the law goes on.
#
# ### Exercise 6.1
#
# Write `fit_power_law(xs, ys)`, which gives the pair `(a, b)` for a list of points. Fit a straight line to the
# logarithms: `numpy.polyfit(u, v, 1)` gives slope and intercept of the line through the points $(u, v)$.

# %% [markdown] de
# Beide Achsen sind *logarithmisch*: Jeder Schritt auf ihnen multipliziert. Größere Modelle liegen tiefer, und Modelle,
# die mehr gelesen haben, auch. Viele Linien sind fast gerade. Warum ist das wichtig?
#
# ## Geraden
#
# Ein *Potenzgesetz* ist eine Regel der Form
#
# $$y = a \cdot x^{-b}$$
#
# mit zwei Konstanten $a$ und $b$. Nimm auf beiden Seiten den Logarithmus:
#
# $$\ln y = \ln a - b \cdot \ln x$$
#
# Auf logarithmischen Achsen ist das eine Gerade, die mit der Steigung $b$ fällt. Ein Potenzgesetz bevorzugt keine
# Größenordnung: Wer $b$ an kleinen Modellen findet, hat es auch für große gefunden, **solange** das Gesetz weiter gilt.
#
# ### Aufgabe 6.1
#
# Schreibe `fit_power_law(xs, ys)`. Die Funktion gibt zu einer Liste von Punkten das Paar `(a, b)` zurück. Passe eine
# Gerade an die Logarithmen an: `numpy.polyfit(u, v, 1)` liefert Steigung und Achsenabschnitt der Geraden durch die
# Punkte $(u, v)$.

# %%
import numpy


# %% exercise 6.1
def fit_power_law(xs, ys):
    ### BEGIN SOLUTION
    slope, intercept = numpy.polyfit(numpy.log(xs), numpy.log(ys), 1)
    return numpy.exp(intercept), -slope
    ### END SOLUTION


# %% check 6.1
lesson.check("6.1", fit_power_law)

# %% [markdown] en
# Now let the line foretell. We give it the largest model's three shortest trainings and compare its line with the two
# longer ones, which it has not seen.

# %% [markdown] de
# Jetzt soll die Gerade etwas vorhersagen. Wir geben ihr die drei kürzesten Trainings des größten Modells und
# vergleichen sie mit den beiden längeren, die sie nicht gesehen hat.

# %%
import plotly.graph_objects as go

from litellama.plots import LINES

largest = max(run.parameters for run in ladder)
runs = sorted(
    (run for run in ladder if run.parameters == largest), key=lambda run: run.tokens
)
read, losses = [run.tokens for run in runs], [run.loss for run in runs]
a, b = fit_power_law(read[:3], losses[:3])
foretold = [a * tokens**-b for tokens in read]
line = go.Figure()
line.add_scatter(
    x=read,
    y=foretold,
    name=T("straight line", "Gerade"),
    mode="lines",
    line={"color": LINES[1], "dash": "dash"},
)
for name, part, symbol in (
    (T("given", "gegeben"), slice(0, 3), 0),
    (T("not seen", "nicht gesehen"), slice(3, 5), 2),
):
    line.add_scatter(
        x=read[part], y=losses[part], name=name, mode="markers",
        marker={"size": 11, "symbol": symbol, "color": LINES[symbol]},
    )  # fmt: skip
line.update_layout(template="plotly_white")
line.update_xaxes(type="log", title=T("tokens read", "gelesene Tokens"))
line.update_yaxes(type="log", title="Loss (nat)")
lesson.show(line)

# %% [markdown] en
# The line promises too much. It knows no floor: drawn far enough it reaches any loss you like. But the stories have
# been made by drawing lots. Which colour comes after *Anna has a* is pure chance, and no model can know it. Some loss
# remains for ever, as with the balls in lesson 5.
#
# ## The law
#
# Hoffmann and others therefore wrote the loss as three parts:
#
# $$L(N, D) = E + \frac{A}{N^\alpha} + \frac{B}{D^\beta}$$
#
# - $E$ is the floor: what nobody can know about this text,
# - $A / N^\alpha$ is what is missing because the model is too small,
# - $B / D^\beta$ is what is missing because it has read too little.
#
# The five constants $E, A, \alpha, B, \beta$ come out of the measurements. For their own text Hoffmann and others
# published $\alpha = 0.34$ and $\beta = 0.28$.
#
# ### Exercise 6.2
#
# Take $\alpha = 0.34$. How many **times** as many parameters does a model need, so that the part $A / N^\alpha$ is
# halved? Write the factor into `times`.

# %% [markdown] de
# Die Gerade verspricht zu viel. Sie kennt keinen Boden: Weit genug gezeichnet erreicht sie jeden beliebigen Loss. Aber
# die Geschichten sind ausgelost. Welche Farbe nach *Anna has a* kommt, ist reiner Zufall, und kein Modell kann es
# wissen. Ein Rest bleibt immer, wie bei den Bällen in Lektion 5.
#
# ## Das Gesetz
#
# Hoffmann und andere schrieben den Loss deshalb aus drei Teilen:
#
# $$L(N, D) = E + \frac{A}{N^\alpha} + \frac{B}{D^\beta}$$
#
# - $E$ ist der Boden: was über diesen Text niemand wissen kann,
# - $A / N^\alpha$ ist das, was fehlt, weil das Modell zu klein ist,
# - $B / D^\beta$ ist das, was fehlt, weil es zu wenig gelesen hat.
#
# Die fünf Konstanten $E, A, \alpha, B, \beta$ ergeben sich aus den Messungen. Für ihren eigenen Text haben Hoffmann und
# andere $\alpha = 0{,}34$ und $\beta = 0{,}28$ veröffentlicht.
#
# ### Aufgabe 6.2
#
# Nimm $\alpha = 0{,}34$. Wie viele **Male** so viele Parameter braucht ein Modell, damit der Teil $A / N^\alpha$ sich
# halbiert? Schreibe den Faktor in `times`.

# %% exercise 6.2
### BEGIN SOLUTION
#: times = ...
times = 2 ** (1 / 0.34)
### END SOLUTION

# %% check 6.2
lesson.check("6.2", times)

# %% [markdown] en
# ## Your own ladder
#
# Now your computer trains a ladder. All sizes read the same text with the same tokenizer; otherwise their losses could
# not be compared. Each amount of text is a training of its own, since the learning rate has to come down at its own
# end.
#
# You can stop it (■) and go on later; trainings that are done stay done.

# %% [markdown] de
# ## Deine eigene Leiter
#
# Jetzt trainiert dein Rechner eine Leiter. Alle Größen lesen denselben Text mit demselben Tokenizer, sonst ließen sich
# ihre Verluste nicht vergleichen. Jede Textmenge ist ein eigenes Training, weil die Lernrate an dessen Ende sinken
# muss.
#
# Du kannst anhalten (■) und später weitermachen; was fertig ist, bleibt fertig.

# %%
from dataclasses import replace

from litellama.config import PRESETS, preset
from litellama.scaling.sweep import SweepRecipe
from litellama.data.tinytown_text import story_text

folder = lesson.folder / "06_scaling"
folder.mkdir(parents=True, exist_ok=True)
stories = folder / "stories.txt"
stories.write_text(story_text(lesson.pick(fast=4000, full=9000)), encoding="utf-8")


def size(width):
    return replace(
        preset("litellama-300k"), vocab_size=512, hidden_size=width, intermediate_size=4 * width,
        num_hidden_layers=2, num_attention_heads=width // 12, num_key_value_heads=1, head_dim=12,
    )  # fmt: skip


widths = lesson.pick(fast=(12, 24, 48), full=(12, 18, 24, 36, 48))
sizes = {T(f"width {width}", f"Breite {width}"): size(width) for width in widths}
lesson.table(
    [T("size", "Größe"), "N"],
    [[name, lesson.digits(shape.num_parameters)] for name, shape in sizes.items()],
)

# %%
own = lesson.sweep(
    SweepRecipe(
        out=folder / "ladder", corpus=str(stories), sizes=sizes, rows=8, length=64, device=lesson.device,
        budgets=(16_000, 32_000, 64_000, *lesson.pick(fast=(), full=(128_000,))), learning_rate=1e-2,
    )
)  # fmt: skip

# %% [markdown] en
# ## What does a training cost?
#
# Each token passes through all $N$ parameters. Each one is multiplied and added: 2 operations. The way back, which
# finds the slopes (lesson 5), costs twice as much again: 4 operations. Together:
#
# $$C \approx 6 \cdot N \cdot D$$
#
# where $C$ is the number of operations of the whole training, often called *compute*.
#
# ### Exercise 6.3
#
# Write `training_operations(parameters, tokens)`.

# %% [markdown] de
# ## Was kostet ein Training?
#
# Jedes Token geht durch alle $N$ Parameter. Mit jedem wird einmal multipliziert und einmal addiert: 2 Operationen. Der
# Rückweg, der die Steigungen findet (Lektion 5), kostet noch einmal doppelt so viel: 4 Operationen. Zusammen:
#
# $$C \approx 6 \cdot N \cdot D$$
#
# Dabei ist $C$ die Anzahl der Operationen des ganzen Trainings, oft *Compute* genannt.
#
# ### Aufgabe 6.3
#
# Schreibe `training_operations(parameters, tokens)`.


# %% exercise 6.3
def training_operations(parameters, tokens):
    ### BEGIN SOLUTION
    return 6 * parameters * tokens
    ### END SOLUTION


# %% check 6.3
lesson.check("6.3", training_operations)

# %% [markdown] en
# How long would this computer need for the large ones, at the speed of your own ladder? How much they read is
# published; the card of LiteLlama contradicts itself there, and we take what its own numbers multiply to.

# %% [markdown] de
# Wie lange bräuchte dieser Rechner für die großen, im Tempo deiner eigenen Leiter? Wie viel sie gelesen haben, ist
# veröffentlicht. Die Karte von LiteLlama widerspricht sich dabei; wir nehmen, was ihre eigenen Zahlen als Produkt
# ergeben.

# %%
from litellama.footprint.facts import fact
from litellama.scaling.planning import ARITHMETIC, LLAMA2

speed = sum(training_operations(run.parameters, run.tokens) for run in own) / sum(
    run.hours * 3600 for run in own
)
lesson.result(
    T("Speed of this computer in training", "Tempo dieses Rechners beim Training"), speed / 1e9,
    T("billion operations per second", "Milliarden Operationen pro Sekunde"), how="6 N D",
)  # fmt: skip
targets = {
    "LiteLlama-460M": (PRESETS["litellama-460m"].num_parameters, fact(ARITHMETIC)),
    "LLaMA 2 7B": (
        PRESETS["llama2-7b"].num_parameters,
        fact(f"{LLAMA2}llama-2-7b.training-tokens"),
    ),
}
rows = []
for name, (parameters, tokens) in targets.items():
    operations = training_operations(parameters, tokens.number)
    years = operations / speed / 3600 / 24 / 365
    rows.append(
        [
            name,
            f"{parameters:.2e}",
            f"{tokens.number:.2e}",
            f"{operations:.1e}",
            lesson.digits(round(years)),
        ]
    )
lesson.table(
    [
        "",
        "N",
        "D",
        T("operations (6 N D)", "Operationen (6 N D)"),
        T("years, here", "Jahre, hier"),
    ],
    rows,
)

# %% [markdown] en
# (`4.62e+08` is $4.62 \cdot 10^8$.)
#
# ## Does the law hold?
#
# `fit` finds the five constants, as Hoffmann and others did: it makes the distances between law and measurements small,
# measured in logarithms, and lets single outliers count less.
#
# A law that fits what it was made from proves nothing. It has to foretell something that it has not seen.
#
# ### Exercise 6.4
#
# Use `ladder`, the one that we trained. Fit the law to all runs **but those of the largest size** (`largest`), and let
# it foretell the loss of that size after the most tokens (`most`). Write the loss that the law expects into
# `prediction`. Each run becomes a `Point(parameters, tokens, loss)`; `fit(points)` gives a law, and
# `law.loss(parameters, tokens)` what it expects.

# %% [markdown] de
# (`4.62e+08` heißt $4{,}62 \cdot 10^8$.)
#
# ## Gilt das Gesetz?
#
# `fit` findet die fünf Konstanten so, wie Hoffmann und andere es taten: Die Abstände zwischen Gesetz und Messungen
# werden möglichst klein, gemessen in Logarithmen, und einzelne Ausreißer zählen weniger.
#
# Dass ein Gesetz zu den Daten passt, aus denen es gemacht ist, beweist nichts. Es muss etwas vorhersagen, das es nicht
# gesehen hat.
#
# ### Aufgabe 6.4
#
# Nimm `ladder`, unsere Leiter. Passe das Gesetz an alle Trainings an **außer denen der größten Größe** (`largest`) und
# lass es den Loss dieser Größe nach den meisten Tokens (`most`) vorhersagen. Schreibe den Loss, den das Gesetz
# erwartet, in `prediction`. Jedes Training wird zu einem `Point(parameters, tokens, loss)`; `fit(points)` liefert ein
# Gesetz, und `law.loss(parameters, tokens)` sagt, was es erwartet.

# %%
from litellama.scaling.law import Point, fit, left_out, spread

points = [Point(run.parameters, run.tokens, run.loss) for run in ladder]
most = max(point.tokens for point in points)

# %% exercise 6.4
### BEGIN SOLUTION
#: prediction = ...
smaller = [point for point in points if point.parameters < largest]
prediction = fit(smaller).loss(largest, most)
### END SOLUTION

# %% check 6.4
lesson.check("6.4", prediction, points)
came = next(
    point.loss for point in points if (point.parameters, point.tokens) == (largest, most)
)
lesson.result(T("Foretold", "Vorhergesagt"), prediction, "nat", kind="computed")
lesson.result(T("What came", "Wirklich"), came, "nat", how=given["machine"])

# %% [markdown] en
# The law expected clearly less than what came. Look at the floor that it found in the smaller models:

# %% [markdown] de
# Das Gesetz hat deutlich weniger erwartet, als kam. Sieh dir den Boden an, den es in den kleineren Modellen gefunden
# hat:

# %%
small_law = fit([point for point in points if point.parameters < largest])
law = fit(points)
fitted = {
    T("without the largest size", "ohne die größte Größe"): small_law,
    T("all 20", "alle 20"): law,
}
lesson.table(
    ["", "E", "α", "β"],
    [
        [name, *(lesson.digits(round(x, 2)) for x in (one.E, one.alpha, one.beta))]
        for name, one in fitted.items()
    ],
)

# %% [markdown] en
# Without the largest size the fit finds hardly any floor, so it expects that the loss goes on falling as before. But
# the lines of the larger models bend: they come near what can be known about these stories. Even the law of all 20
# trainings bends too little; it misses them by 6 % on average.
#
# A forecast is only as good as the range that it was tested on. This one is wrong by a sixth, for a model that is only
# three times as large as the largest that it had seen.
#
# ## How to split a budget
#
# Somebody gives you $C$ operations. A large model that reads little, or a small one that reads much? Both are bad. Put
# $C = 6 N D$ into the law and look for the smallest loss. Hoffmann and others found that the best $N$ and the best $D$
# grow about alike, and in their range that means about **20 tokens for each parameter**: $D = 20 \cdot N$.
#
# ### Exercise 6.5
#
# Write `best_split(operations)`, which gives the pair `(parameters, tokens)` with $6 N D = C$ and $D = 20 N$.

# %% [markdown] de
# Ohne die größte Größe findet die Anpassung fast keinen Boden und erwartet deshalb, dass der Loss weiter fällt wie
# bisher. Die Linien der größeren Modelle biegen aber ab: Sie kommen in die Nähe dessen, was man über diese Geschichten
# wissen kann. Selbst das Gesetz aus allen 20 Trainings biegt sich zu wenig; es verfehlt sie im Mittel um 6 %.
#
# Eine Vorhersage ist nur so gut wie der Bereich, in dem sie geprüft wurde. Diese liegt um ein Sechstel daneben, bei
# einem Modell, das nur dreimal so groß ist wie das größte, das sie gesehen hat.
#
# ## Wie verteilt man ein Budget?
#
# Jemand schenkt dir $C$ Operationen. Ein großes Modell, das wenig liest, oder ein kleines, das viel liest? Beides ist
# schlecht. Setze $C = 6 N D$ in das Gesetz ein und suche den kleinsten Loss. Hoffmann und andere fanden, dass das beste
# $N$ und das beste $D$ etwa gleich schnell wachsen, und in ihrem Bereich heißt das: etwa **20 Tokens für jeden
# Parameter**, also $D = 20 \cdot N$.
#
# ### Aufgabe 6.5
#
# Schreibe `best_split(operations)`. Die Funktion gibt das Paar `(parameters, tokens)` zurück, für das $6 N D = C$ und
# $D = 20 N$ gilt.


# %% exercise 6.5
def best_split(operations):
    ### BEGIN SOLUTION
    parameters = (operations / (6 * 20)) ** 0.5
    return parameters, 20 * parameters
    ### END SOLUTION


# %% check 6.5
lesson.check("6.5", best_split)

# %% [markdown] en
# With the law that Hoffmann and others published: all models that could be trained with the operations of LLaMA 2 7B.

# %% [markdown] de
# Mit dem Gesetz, das Hoffmann und andere veröffentlicht haben: alle Modelle, die sich mit den Operationen von LLaMA 2
# 7B trainieren ließen.

# %%
from litellama.scaling.law import CHINCHILLA

parameters, tokens = targets["LLaMA 2 7B"]
budget = training_operations(parameters, tokens.number)
range_of_sizes = numpy.geomspace(1e9, 2e11, 100)
valley = go.Figure()
valley.add_scatter(
    x=range_of_sizes, y=[CHINCHILLA.loss(n, budget / 6 / n) for n in range_of_sizes], mode="lines",
    name=T("all splits of one budget", "alle Aufteilungen eines Budgets"), line={"color": LINES[0]},
)  # fmt: skip
marks = {
    "LLaMA 2 7B": parameters,
    T("20 tokens per parameter", "20 Tokens pro Parameter"): best_split(budget)[0],
}
for name, n in marks.items():
    valley.add_scatter(
        x=[n],
        y=[CHINCHILLA.loss(n, budget / 6 / n)],
        mode="markers",
        name=name,
        marker={"size": 11},
    )
valley.update_layout(template="plotly_white")
valley.update_xaxes(type="log", title="N")
valley.update_yaxes(title=T("expected loss (nat)", "erwarteter Loss (nat)"))
lesson.show(valley)

# %% [markdown] en
# The valley is flat: between 7 and 26 billion parameters the expected loss hardly changes. (The lowest point of the
# published law lies between them, not at 20 tokens per parameter: the paper estimated the best split in three ways, and
# they do not quite agree.) Whoever wants many cheap answers later takes the smaller model and lets it read longer, as
# Meta did.
#
# ## Seven billion
#
# Now the leap: the law of **your own** ladder, carried on to LiteLlama and LLaMA 2 7B. To get a range, the law is
# fitted again and again, each time without one of the runs (`left_out`). If the fits differ much, the range is wide
# (`spread`, about two standard errors either way).

# %% [markdown] de
# Das Tal ist flach: Zwischen 7 und 26 Milliarden Parametern ändert sich der erwartete Loss kaum. (Der tiefste Punkt des
# veröffentlichten Gesetzes liegt dazwischen und nicht bei 20 Tokens pro Parameter: Die Arbeit schätzt die beste
# Aufteilung auf drei Wegen, und die sind sich nicht ganz einig.) Wer später viele billige Antworten will, nimmt das
# kleinere Modell und lässt es länger lesen, so wie Meta.
#
# ## Sieben Milliarden
#
# Jetzt der Sprung: das Gesetz **deiner eigenen** Leiter, weitergeführt bis zu LiteLlama und LLaMA 2 7B. Für die Spanne
# wird das Gesetz immer wieder angepasst, jedes Mal ohne eines der Trainings (`left_out`). Unterscheiden sich die
# Anpassungen stark, dann ist die Spanne breit (`spread`, etwa zwei Standardfehler in jede Richtung).

# %%
laws = left_out([Point(run.parameters, run.tokens, run.loss) for run in own])
far = []
for name, (parameters, tokens) in targets.items():
    low, high = spread(laws, parameters, tokens.number)
    far.append({
        "name": name, "parameters": parameters, "tokens": tokens.number, "low": low, "high": high,
        "loss": laws[0].loss(parameters, tokens.number),
    })  # fmt: skip
lesson.table(
    [T("carried on to", "weitergeführt bis"), "Loss", T("from", "von"), T("to", "bis"), T("times your largest", "Vielfaches deiner größten")],
    [[one["name"], *(lesson.digits(round(one[key], 2)) for key in ("loss", "low", "high")),
      lesson.digits(round(one["parameters"] / max(run.parameters for run in own)))] for one in far],
)  # fmt: skip

# %%
picture = lesson.ladder(
    own,
    laws[0],
    extrapolated=far,
    title=T("My own scaling law", "Mein eigenes Skalierungsgesetz"),
)
picture.update_yaxes(range=[-1, 1])
lesson.picture(
    picture,
    T(
        f"{len(own)} trainings on my own computer, the law fitted to them, and how far it would have to reach.",
        f"{len(own)} Trainings auf meinem eigenen Rechner, das angepasste Gesetz und wie weit es reichen müsste.",
    ),
)
for name, value in (("E", laws[0].E), ("alpha", laws[0].alpha), ("beta", laws[0].beta)):
    lesson.result(
        name,
        value,
        kind="computed",
        how=T("fitted to my own ladder", "an meine eigene Leiter angepasst"),
    )
lesson.result(
    T("Distance of my trainings from the law, on average", "Mittlerer Abstand meiner Trainings vom Gesetz"),
    100 * laws[0].residual, "%",
)  # fmt: skip

# %% [markdown] en
# Your figures differ from those of your neighbours: another machine rounds in another order, and so short a ladder
# feels it. A wide range is no fault of yours. It is the honest answer: these runs alone do not tell it.
#
# ### Exercise 6.6
#
# What does the range in the table say? Write the letter into `meaning`.
#
# - **a** A LLaMA of this size, trained on this text, would surely have a loss in this range.
# - **b** How far the result depends on single runs, **if** the law goes on like this. Whether it does, it cannot say.
# - **c** The loss that Meta measured for LLaMA 2 lies in this range.
# - **d** In this range lies the loss of 95 of 100 sentences.

# %% [markdown] de
# Deine Zahlen sind anders als die deiner Nachbarn: Ein anderer Rechner rundet in anderer Reihenfolge, und eine so kurze
# Leiter spürt das. Eine breite Spanne ist kein Fehler von dir. Sie ist die ehrliche Antwort: Aus diesen Trainings
# allein lässt es sich nicht sagen.
#
# ### Aufgabe 6.6
#
# Was sagt die Spanne in der Tabelle? Schreibe den Buchstaben in `meaning`.
#
# - **a** Ein LLaMA dieser Größe hätte, auf diesem Text trainiert, sicher einen Loss in dieser Spanne.
# - **b** Wie sehr das Ergebnis an einzelnen Trainings hängt, **falls** das Gesetz so weitergeht. Ob es das tut, sagt
#   sie nicht.
# - **c** Der Loss, den Meta bei LLaMA 2 gemessen hat, liegt in dieser Spanne.
# - **d** In dieser Spanne liegt der Loss von 95 von 100 Sätzen.

# %% exercise 6.6
### BEGIN SOLUTION
#: meaning = ...
meaning = "b"
### END SOLUTION

# %% check 6.6
lesson.check("6.6", meaning)

# %% [markdown] en
# ## Whose loss is lower?
#
# Why can nobody compare your loss with Meta's? The loss is counted for each token, and LLaMA 2's tokens are other ones:
# its vocabulary has 32,000, yours 512. A long token is harder to guess than a short one, but there are fewer of them.
# The fair unit is the loss for each *byte* of text, in *bits* (1 bit is $\ln 2$ nats):
#
# $$\text{bits per byte} = \frac{L}{\ln 2 \cdot k}$$
#
# where $L$ is the loss in nats per token and $k$ the number of bytes that a token stands for on average.
#
# ### Exercise 6.7
#
# Write `bits_per_byte(loss, bytes_per_token)`. Then compare two models on the same text: A has 2.9 nats per token with
# 4.2 bytes per token, B has 2.3 nats per token with 3.0 bytes per token. Which is better?

# %% [markdown] de
# ## Wessen Loss ist kleiner?
#
# Warum kann niemand deinen Loss mit dem von Meta vergleichen? Der Loss zählt pro Token, und LLaMA 2 hat andere Tokens:
# Sein Vokabular hat 32.000, deines 512. Ein langes Token ist schwerer zu raten als ein kurzes, aber es gibt weniger
# davon. Die faire Einheit ist der Loss pro *Byte* Text in *Bit* (1 Bit sind $\ln 2$ nat):
#
# $$\text{Bit pro Byte} = \frac{L}{\ln 2 \cdot k}$$
#
# Dabei ist $L$ der Loss in nat pro Token und $k$ die Anzahl der Bytes, für die ein Token im Mittel steht.
#
# ### Aufgabe 6.7
#
# Schreibe `bits_per_byte(loss, bytes_per_token)`. Vergleiche dann zwei Modelle auf demselben Text: A hat 2,9 nat pro
# Token bei 4,2 Byte pro Token, B hat 2,3 nat pro Token bei 3,0 Byte pro Token. Welches ist besser?

# %%
import math


# %% exercise 6.7
def bits_per_byte(loss, bytes_per_token):
    ### BEGIN SOLUTION
    return loss / (math.log(2) * bytes_per_token)
    ### END SOLUTION


# %% check 6.7
lesson.check("6.7", bits_per_byte)
both = {"A": bits_per_byte(2.9, 4.2), "B": bits_per_byte(2.3, 3.0)}
lesson.table(
    ["", T("bits per byte", "Bit pro Byte")],
    [[name, lesson.digits(bits)] for name, bits in both.items()],
)

# %% [markdown] en
# A is better, although its loss per token is larger.
#
# ## Where it breaks
#
# - **The floor** shows only in runs that come near it. Before that, any $E$ fits.
# - **Another text, another tokenizer, another law.** The constants of Hoffmann and others are not yours, and yours say
#   nothing about the web.
# - **The text runs out.** The law is one of fresh text; what is read for the fifth time teaches less.
# - **One learning rate for all.** Each size has a best one of its own. With others, your exponents would come out
#   otherwise. Try it: change `learning_rate` and run the ladder again.
# - **The loss is not what we want to know.** Whether a model is truthful, fair or good at sums does not stand in it.

# %% [markdown] de
# A ist besser, obwohl sein Loss pro Token größer ist.
#
# ## Wo es aufhört zu stimmen
#
# - **Der Boden** zeigt sich nur in Trainings, die ihm nahe kommen. Vorher passt jedes $E$.
# - **Anderer Text, anderer Tokenizer, anderes Gesetz.** Die Konstanten von Hoffmann und anderen sind nicht deine, und
#   deine sagen nichts über das Netz.
# - **Der Text geht aus.** Das Gesetz gilt für frischen Text; was man zum fünften Mal liest, lehrt weniger.
# - **Eine Lernrate für alle.** Jede Größe hat ihre eigene beste. Mit anderen kämen andere Exponenten heraus. Probiere
#   es: Ändere `learning_rate` und führe die Leiter noch einmal aus.
# - **Der Loss ist nicht das, was wir wissen wollen.** Ob ein Modell wahrhaftig, fair oder gut im Rechnen ist, steht
#   nicht darin.

# %% test
assert len(ladder) == 20
assert lesson.device == "cpu" or speed > 0
for some in (ladder, own):
    by_size = {(run.parameters, run.budget): run.loss for run in some}
    small, large = min(run.parameters for run in some), max(run.parameters for run in some)
    short, long = min(run.budget for run in some), max(run.budget for run in some)
    assert by_size[small, long] < by_size[small, short] - 0.3
    assert by_size[large, long] < by_size[small, long] - 0.3
assert foretold[-1] < losses[-1] - 0.1
assert 0.80 < prediction / came < 0.87
assert (
    3
    < largest / max(point.parameters for point in points if point.parameters < largest)
    < 3.2
)
assert small_law.E < 0.2 < law.E < 0.8
assert 0.05 < law.residual < 0.065
flat = [CHINCHILLA.loss(n, budget / 6 / n) for n in marks.values()]
assert abs(flat[0] - flat[1]) < 0.02
assert 7e9 < CHINCHILLA.best_size(budget)[0] < 26e9
assert 25e9 < best_split(budget)[0] < 27e9
assert 7.6 < times < 7.7
assert bits_per_byte(2.9, 4.2) < bits_per_byte(2.3, 3.0)
assert all(one["low"] <= one["loss"] <= one["high"] for one in far)

# %% [markdown] en
# ## To discuss
#
# 1. Only few companies can pay for the largest rung. What follows if they alone can check whether the law still holds?
# 2. Twenty tokens per parameter: a model with a trillion parameters would want 20 trillion. RedPajama, a large
#    open collection of text, has 1.2 trillion. Where may the rest come from, and where may it not?
# 3. Where else do people carry a line on beyond what they have measured? When did that go well, and when wrong?

# %% [markdown] de
# ## Zum Besprechen
#
# 1. Nur wenige Firmen können die oberste Sprosse bezahlen. Was folgt daraus, wenn sie allein prüfen können, ob das
#    Gesetz noch gilt?
# 2. Zwanzig Tokens pro Parameter: Ein Modell mit einer Billion Parametern bräuchte 20 Billionen. RedPajama, eine
#    große offene Textsammlung, hat 1,2 Billionen. Woher darf der Rest kommen und woher nicht?
# 3. Wo sonst verlängern Menschen eine Linie über das hinaus, was sie gemessen haben? Wann ging das gut, wann schief?

# %% [markdown] en teacher
# **Possible answers.** 1: Forecasts become a matter of trust; public computing centres and published ladders (such as
# Pythia's) are an answer. 2: Conversations, mail, speech turned into text, texts made by models: each has owners, and
# people in it who were not asked. 3: Moore's law went well for decades; growth of epidemics, prices or populations
# often bends. Nobody sees the bend in the data before it.
#
# **What goes wrong.** Logarithm to base 10 on the way in and `numpy.exp` on the way back (6.1). Fitting the law to what
# it is to foretell (6.4): worth a minute, since it is the commonest mistake in real work. Some ladders give a range
# from 0 to thousands, on a machine where one run was unlucky: let the class compare, and take it as the answer to 6.6.
#
# **Time.** The own ladder takes about a minute and a half on two busy cores; 6.1 and 6.2 can be discussed meanwhile.

# %% [markdown] de teacher
# **Mögliche Antworten.** 1: Vorhersagen werden zur Vertrauenssache; öffentliche Rechenzentren und veröffentlichte
# Leitern (etwa Pythia) sind eine Antwort. 2: Gespräche, E-Mails, verschriftlichte Sprache, von Modellen gemachte Texte:
# Alles gehört jemandem, und es kommen Menschen darin vor, die niemand gefragt hat. 3: Das Mooresche Gesetz ging
# jahrzehntelang gut; Epidemien, Preise oder Bevölkerungen biegen oft ab. Den Knick sieht man den Daten davor nicht an.
#
# **Was schiefgeht.** Zehnerlogarithmus auf dem Hinweg und `numpy.exp` auf dem Rückweg (6.1). Das Gesetz an das
# anpassen, was es vorhersagen soll (6.4): eine Minute wert, denn es ist der häufigste Fehler in der wirklichen Arbeit.
# Manche Leitern ergeben eine Spanne von 0 bis in die Tausende, wenn auf einem Rechner ein Training Pech hatte: Lassen
# Sie die Klasse vergleichen und nehmen Sie es als Antwort auf 6.6.
#
# **Zeit.** Die eigene Leiter braucht auf zwei ausgelasteten Kernen etwa anderthalb Minuten; besprechen Sie
# währenddessen 6.1 und 6.2.
