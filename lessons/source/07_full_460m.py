"""
number = 7
minutes = 45
tab = "train"
code = ["litellama/scaling/planning.py", "litellama/scaling/training_memory.py", "litellama/training/parallel.py"]

[en]
title = "The full 460M"
question = "What would it take to train the whole LiteLlama from nothing?"
goals = [
    "count 461,685,760 weights by hand",
    "say how much memory a training needs, and what for",
    "plan a training: GPUs, days, money, energy, CO2e",
    "take one real step in the full width on this computer",
    "start one training in two processes and see that it stays the same",
]
needs = "lesson 3 (attention) and lesson 5 (training); you can write a function in Python"

[de]
title = "Das ganze 460M-Modell"
question = "Was wäre nötig, um das ganze LiteLlama von Grund auf zu trainieren?"
goals = [
    "461.685.760 Gewichte von Hand zählen",
    "sagen, wie viel Speicher ein Training braucht und wofür",
    "ein Training planen: GPUs, Tage, Geld, Energie, CO2e",
    "auf diesem Rechner einen echten Schritt in voller Breite ausführen",
    "ein Training in zwei Prozessen starten und sehen, dass es dasselbe bleibt",
]
needs = "Lektion 3 (Attention) und Lektion 5 (Training); du kannst in Python eine Funktion schreiben"
"""

# %% [markdown] en
# ## From 3 million weights to 460 million
#
# TinyTown was trained in 2.8 hours on two processor cores. LiteLlama 460M has the same build and 156 times as many
# weights. Nobody trains it in a classroom. But everything about such a training can be worked out beforehand, and
# one of its steps can be taken here.
#
# First the two shapes side by side.

# %% [markdown] de
# ## Von 3 Millionen Gewichten zu 460 Millionen
#
# TinyTown wurde in 2,8 Stunden auf zwei Prozessorkernen trainiert. LiteLlama 460M ist genauso gebaut und hat 156-mal so
# viele Gewichte. Im Unterricht trainiert das niemand. Aber alles an einem solchen Training lässt sich vorher
# ausrechnen, und einen seiner Schritte kannst du hier ausführen.
#
# Zuerst die beiden Formen nebeneinander.

# %%
from litellama.config import PRESETS

full = PRESETS["litellama-460m"]
names = [
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "tie_word_embeddings",
]  # fmt: skip
lesson.table(
    [T("entry", "Eintrag"), "tinytown", "litellama-460m"],
    [[name, getattr(PRESETS["tinytown"], name), getattr(full, name)] for name in names],
)

# %% [markdown] en
# And this is where the weights sit. In a small model the vocabulary takes a large share; in a large one nearly
# everything is in the layers.

# %% [markdown] de
# Und hier sitzen die Gewichte. In einem kleinen Modell nimmt das Vokabular einen großen Teil ein; in einem großen
# steckt fast alles in den Schichten.

# %%
import plotly.graph_objects as go

from litellama.plots import LINES

models = ["tinytown", "litellama-460m", "tinyllama-1.1b", "llama2-7b", "llama2-70b"]
where = go.Figure()
for part, colour in zip(full.parameters_by_part, LINES, strict=True):
    shares = [
        PRESETS[name].parameters_by_part[part] / PRESETS[name].num_parameters
        for name in models
    ]
    where.add_bar(x=shares, y=models, orientation="h", name=part, marker_color=colour)
where.update_layout(barmode="stack", template="plotly_white", height=320, margin={"t": 20})
where.update_xaxes(
    title=T("share of all weights (computed)", "Anteil an allen Gewichten (berechnet)"),
    tickformat=".0%",
)
where.update_yaxes(autorange="reversed")
lesson.show(where)

# %% [markdown] en
# ### Exercise 7.1
#
# Write `parameters(config)`: how many weights a model of this shape has. These are all the matrices there are:
#
# - the *embedding*: one row of `hidden_size` numbers for each of the `vocab_size` tokens
# - in each of the `num_hidden_layers` layers
#     - queries and output: two matrices of `hidden_size` times `num_attention_heads * head_dim`
#     - keys and values: two of `hidden_size` times `num_key_value_heads * head_dim` (*grouped-query attention*, GQA:
#       several query heads share one head of keys and values)
#     - the *feed-forward* part: three of `hidden_size` times `intermediate_size`
#     - two *norms* of `hidden_size` numbers each
# - one more norm at the end
# - the *head*, which gives every token its score: as large as the embedding. If `tie_word_embeddings` is True, the two
#   are one matrix, and the head adds nothing.

# %% [markdown] de
# ### Aufgabe 7.1
#
# Schreibe `parameters(config)`: wie viele Gewichte ein Modell dieser Form hat. Das sind alle Matrizen, die es gibt:
#
# - das *Embedding*: für jedes der `vocab_size` Tokens eine Zeile mit `hidden_size` Zahlen
# - in jeder der `num_hidden_layers` Schichten
#     - Querys und Ausgabe: zwei Matrizen, `hidden_size` mal `num_attention_heads * head_dim`
#     - Keys und Values: zwei Matrizen, `hidden_size` mal `num_key_value_heads * head_dim` (*Grouped-Query Attention*,
#       GQA: Mehrere Query-Köpfe teilen sich einen Kopf mit Keys und Values)
#     - der *Feed-forward*-Teil: drei Matrizen, `hidden_size` mal `intermediate_size`
#     - zwei *Norms* mit je `hidden_size` Zahlen
# - am Ende noch eine Norm
# - der *Ausgabekopf* (head), der jedem Token seinen Wert gibt: so groß wie das Embedding. Ist `tie_word_embeddings`
#   True, sind beide ein und dieselbe Matrix, und der Ausgabekopf zählt nicht.


# %% exercise 7.1
def parameters(config):
    ### BEGIN SOLUTION
    #: ...
    wide = config.hidden_size * config.num_attention_heads * config.head_dim
    narrow = config.hidden_size * config.num_key_value_heads * config.head_dim
    feed_forward = 3 * config.hidden_size * config.intermediate_size
    layer = 2 * wide + 2 * narrow + feed_forward + 2 * config.hidden_size
    embedding = config.vocab_size * config.hidden_size
    head = 0 if config.tie_word_embeddings else embedding
    return embedding + config.num_hidden_layers * layer + config.hidden_size + head
    ### END SOLUTION


# %% check 7.1
lesson.check("7.1", parameters)
lesson.result(
    T("LiteLlama 460M, weights", "LiteLlama 460M, Gewichte"), parameters(full), kind="computed",
    how=T("by your function; the library counts the same", "mit deiner Funktion; die Bibliothek zählt ebenso viele"),
)  # fmt: skip

# %% [markdown] en teacher
# The usual slips are named by the check: keys and values counted as wide as the queries (which is LLaMA 2 7B, but not
# LiteLlama), the last norm forgotten, a tied head counted. Whoever is stuck should print
# `full.parameters_by_part` and compare part by part.

# %% [markdown] de teacher
# Die üblichen Fehler benennt die Prüfung: Keys und Values so breit gezählt wie die Querys (stimmt bei LLaMA 2 7B, nicht
# bei LiteLlama), die letzte Norm vergessen, einen geteilten Ausgabekopf mitgezählt. Wer festhängt, lässt sich
# `full.parameters_by_part` ausgeben und vergleicht Teil für Teil.

# %% [markdown] en
# ## What must be kept in memory
#
# To *use* a model you need its weights. To *train* it you need four numbers for each weight:
#
# 1. the weight itself
# 2. its *gradient*: in which direction, and how strongly, the loss changes when this weight changes
# 3. and 4. two *moments*, which the method *AdamW* keeps: a running mean of the gradient, and one of its square
#
# Each is a number of 32 bits (float32), which is 4 bytes.
#
# ### Exercise 7.2
#
# How many gigabytes are these four numbers for all 461,685,760 weights? A gigabyte (GB) is $10^9$ bytes.

# %% [markdown] de
# ## Was im Speicher liegen muss
#
# Um ein Modell zu *benutzen*, braucht man seine Gewichte. Um es zu *trainieren*, braucht man vier Zahlen je Gewicht:
#
# 1. das Gewicht selbst
# 2. seinen *Gradienten*: in welche Richtung und wie stark sich der Loss ändert, wenn sich dieses Gewicht ändert
# 3. und 4. zwei *Momente*, die das Verfahren *AdamW* führt: ein laufendes Mittel des Gradienten und eines seines
#    Quadrats
#
# Jede ist eine Zahl mit 32 Bit (float32), also 4 Byte.
#
# ### Aufgabe 7.2
#
# Wie viele Gigabyte sind diese vier Zahlen für alle 461.685.760 Gewichte? Ein Gigabyte (GB) sind $10^9$ Byte.

# %% exercise 7.2
### BEGIN SOLUTION
#: training_gigabytes = ...
training_gigabytes = 4 * 4 * full.num_parameters / 1e9
### END SOLUTION

# %% check 7.2
lesson.check("7.2", training_gigabytes)
lesson.result(
    T("Weights, gradients and moments of LiteLlama 460M", "Gewichte, Gradienten und Momente von LiteLlama 460M"),
    training_gigabytes, "GB", kind="computed", how="float32, AdamW",
)  # fmt: skip

# %% [markdown] en
# That is not all. On its way back through the layers the training needs what was computed on the way there: the
# *activations*. They grow with the text that is read at once. *Rows* are texts of 1,024 tokens here. The library runs
# the model's own code without any memory behind it and adds up what would be kept.
#
# The picture is for *bfloat16*: the weights are kept with 32 bits and multiplied with 16. Change `bfloat16` to `False`
# and run the cell again.

# %% [markdown] de
# Das ist noch nicht alles. Auf dem Rückweg durch die Schichten braucht das Training, was auf dem Hinweg berechnet
# wurde: die *Aktivierungen*. Sie wachsen mit dem Text, der auf einmal gelesen wird. *Zeilen* sind hier Texte von 1024
# Tokens. Die Bibliothek führt den Code des Modells ohne echten Speicher aus und zählt zusammen, was er behalten würde.
#
# Das Bild gilt für *bfloat16*: Die Gewichte liegen mit 32 Bit im Speicher und werden mit 16 Bit multipliziert. Ändere
# `bfloat16` in `False` und führe die Zelle noch einmal aus.

# %%
from dataclasses import asdict

from litellama.scaling.training_memory import memory_per_device

bfloat16 = True
rows = [1, 2, 4, 8, 16, 32]
needed = [memory_per_device(full, count, 1024, bfloat16=bfloat16) for count in rows]
memory = go.Figure()
for part, colour in zip(asdict(needed[0]), [*LINES, "rgb(200,200,200)"], strict=True):
    memory.add_bar(
        x=[str(count) for count in rows],
        y=[getattr(one, part) / 1e9 for one in needed],
        name=part,
        marker_color=colour,
    )
for gigabytes in (24, 80):
    label = T(f"a GPU with {gigabytes} GB", f"GPU mit {gigabytes} GB")
    memory.add_hline(
        y=gigabytes, line_dash="dash", annotation_text=label, annotation_position="top left"
    )
memory.update_layout(barmode="stack", template="plotly_white", height=420, margin={"t": 20})
memory.update_xaxes(
    title=T("rows of 1,024 tokens at once", "Zeilen von 1024 Tokens auf einmal")
)
memory.update_yaxes(
    title=T("GB (computed; activations counted)", "GB (berechnet; Aktivierungen gezählt)")
)
lesson.show(memory)

# %% [markdown] en
# Weights, gradients and moments (`optimizer`) stay the same; activations and *logits*, the scores of all 50,304 tokens
# at each place, grow with each row. From four rows on they are most of it.

# %% [markdown] de
# Gewichte, Gradienten und Momente (`optimizer`) bleiben gleich; die Aktivierungen und die *Logits*, die Werte aller
# 50.304 Tokens an jeder Stelle, wachsen mit jeder Zeile. Ab vier Zeilen machen sie das meiste aus.

# %% test
fixed = [one.weights + one.gradients + one.optimizer + one.copies for one in needed]
growing = [one.activations + one.logits for one in needed]
assert len(set(fixed)) == 1
assert growing[2] > fixed[2] > growing[1]
assert needed[2].total < 24e9 < needed[3].total < 80e9 < needed[5].total
assert abs(full.num_parameters / PRESETS["tinytown"].num_parameters - 156) < 1

# %% [markdown] en
# ## How much is read
#
# The model is called LiteLlama-460M-**1T**: trained on 1T tokens, $10^{12}$. Its *model card*, the page that describes
# it, says how that comes about (published):

# %% [markdown] de
# ## Wie viel gelesen wird
#
# Das Modell heißt LiteLlama-460M-**1T**: trainiert mit 1T Tokens, also $10^{12}$. Seine *Modellkarte*, die Seite, die
# es beschreibt, sagt, wie das zustande kommt (veröffentlicht):

# %%
from litellama.footprint.facts import fact
from litellama.scaling.planning import ARITHMETIC

card = fact(ARITHMETIC)
lesson.table(
    [T("where", "Stelle"), T("what it says", "was dort steht")],
    [[card.source.title, card.source.locator]],
)

# %% [markdown] en
# ### Exercise 7.3
#
# Check it. Give `card_tokens`, the product of the three numbers (steps, length of a row, rows at once), and
# `too_high`: how many times as many tokens the name promises ($10^{12}$).

# %% [markdown] de
# ### Aufgabe 7.3
#
# Rechne nach. Gib `card_tokens` an, das Produkt der drei Zahlen (Schritte, Länge einer Zeile, Zeilen auf einmal), und
# `too_high`: wie viele Male so viele Tokens der Name verspricht ($10^{12}$).

# %% exercise 7.3
### BEGIN SOLUTION
#: card_tokens = ...
#: too_high = ...
card_tokens = 499679 * 1024 * 192
too_high = 1e12 / card_tokens
### END SOLUTION

# %% check 7.3
lesson.check("7.3", card_tokens, too_high)
lesson.result(
    T("Tokens by the card's own numbers", "Tokens nach den Zahlen der Karte"), card_tokens, kind="computed",
    how=T("the name says 1,000,000,000,000", "der Name sagt 1.000.000.000.000"),
)  # fmt: skip

# %% [markdown] en teacher
# The authors' product is right and its rounding is not: 98 billion is 0.098T. Worth a pause: the error stands in the
# name, and thousands have copied it. 98 billion is still 213 tokens for each weight; *Chinchilla*, a study of 2022,
# found about 20 to be the best use of a fixed amount of computing.

# %% [markdown] de teacher
# Das Produkt der Autoren stimmt, seine Rundung nicht: 98 Milliarden sind 0,098T. Hier lohnt sich eine Pause: Der Fehler
# steht im Namen, und alle haben ihn abgeschrieben. 98 Milliarden sind immer noch 213 Tokens je Gewicht; *Chinchilla*,
# eine Studie von 2022, fand etwa 20 am günstigsten, wenn die Rechenzeit feststeht.

# %% [markdown] en
# ## How long it takes
#
# Reading a token takes about two operations for each weight: one multiplication and one addition. Going back for the
# gradients takes four more. So the rule of thumb for a training is
#
# $$C = 6 \cdot N \cdot D$$
#
# $C$ is the number of operations (FLOPs), $N$ the number of weights, $D$ the number of tokens. A GPU's maker says how
# many operations it can do in a second. A training reaches only a share of that, the *model FLOPs utilisation* (MFU).
# Nobody has measured it for LiteLlama; two other trainings tell us what is usual:

# %% [markdown] de
# ## Wie lange es dauert
#
# Ein Token zu lesen kostet etwa zwei Rechenschritte je Gewicht: eine Multiplikation und eine Addition. Der Rückweg für
# die Gradienten kostet noch einmal vier. Die Faustregel für ein Training ist deshalb
#
# $$C = 6 \cdot N \cdot D$$
#
# $C$ ist die Zahl der Rechenschritte (FLOPs), $N$ die Zahl der Gewichte, $D$ die Zahl der Tokens. Wie viele
# Rechenschritte eine GPU in einer Sekunde schafft, gibt ihr Hersteller an. Ein Training erreicht davon nur einen
# Anteil, die *Auslastung* (Model FLOPs Utilisation, MFU). Für LiteLlama hat sie niemand gemessen; zwei andere Trainings
# zeigen, was üblich ist:

# %%
from litellama.scaling.planning import utilisations

lesson.table(
    [
        T("training", "Training"),
        T("share of the highest rate", "Anteil an der höchsten Rate"),
        T("source", "Quelle"),
    ],
    [
        [
            one.name,
            f"{one.share:.1%}",
            T("derived from ", "abgeleitet aus ") + one.facts[-1].source.title,
        ]
        for one in utilisations()
    ],
)

# %% [markdown] en
# ### Exercise 7.4
#
# Write `gpu_hours(weights, tokens, rate, share)`: the hours that one GPU needs. `rate` is its highest rate in
# operations per second, `share` the share of it that the training reaches, such as 0.4.

# %% [markdown] de
# ### Aufgabe 7.4
#
# Schreibe `gpu_hours(weights, tokens, rate, share)`: wie viele Stunden eine GPU braucht. `rate` ist ihre höchste Rate
# in Rechenschritten pro Sekunde, `share` der Anteil davon, den das Training erreicht, etwa 0.4.


# %% exercise 7.4
def gpu_hours(weights, tokens, rate, share):
    ### BEGIN SOLUTION
    #: ...
    seconds = 6 * weights * tokens / (rate * share)
    return seconds / 3600
    ### END SOLUTION


# %% check 7.4
lesson.check("7.4", gpu_hours)
lesson.result(
    T("LiteLlama on one A100 at 40 %", "LiteLlama auf einer A100 mit 40 %"),
    gpu_hours(full.num_parameters, 499679 * 1024 * 192, 312e12, 0.4), T("hours", "Stunden"), kind="estimated",
    how=T("6ND; 312 TFLOP/s is published, the share assumed", "6ND; 312 TFLOP/s veröffentlicht, Anteil angenommen"),
)  # fmt: skip

# %% [markdown] en
# The rule of thumb counts the embedding, where nothing is multiplied, and leaves out the attention between tokens. The
# library counts exactly what is multiplied:

# %% [markdown] de
# Die Faustregel zählt das Embedding mit, obwohl dort nichts multipliziert wird, und lässt die Attention zwischen den
# Tokens weg. Die Bibliothek zählt genau, was multipliziert wird:

# %%
from litellama.footprint.arithmetic import six_n_d, training_flops

lesson.code(training_flops)
tokens = int(card.number)
exact, rule = training_flops(full, tokens, 1024), six_n_d(full, tokens)
lesson.result(
    T("6ND against the exact count", "6ND gegen die genaue Zahl"),
    rule / exact,
    kind="computed",
)

# %% test
assert 1.05 < rule / exact < 1.07
assert 0.41 < utilisations()[0].share < 0.42 < 0.52 < utilisations()[1].share < 0.53

# %% [markdown] en
# ## Your plan
#
# Hours become money, energy and CO2e (*carbon dioxide equivalent*: all greenhouse gases, counted as the CO2 that warms
# as much):
#
# - money = GPU-hours · price of one GPU for one hour
# - energy = GPU-hours · watts of the GPU · 1.1 (what the building takes as well, as LLaMA's authors reckon)
# - CO2e = energy · grams for each kilowatt-hour of the country's grid
#
# Prices change from week to week. What two sellers asked for one hour on 9 November 2026 (published, as
# [copied from their price lists](https://github.com/datareceipts/data-receipts/tree/main/109-gpu-pricing)):
# A100, 80 GB: 1.39 dollars at RunPod Community, 3.43 at AWS. H100: 2.69 and 6.88. Look up today's if you can.
#
# ### Exercise 7.5
#
# Make a plan that trains LiteLlama 460M on the card's 98 billion tokens in **at most 7 days** with **at most 20 kg of
# CO2e**. `share` is the MFU that you expect, `source` says where your price is from. The tables list GPUs and
# countries.

# %% [markdown] de
# ## Dein Plan
#
# Aus Stunden werden Geld, Energie und CO2e (*CO2-Äquivalent*: alle Treibhausgase, umgerechnet in das CO2, das ebenso
# stark erwärmt):
#
# - Geld = GPU-Stunden · Preis für eine GPU und eine Stunde
# - Energie = GPU-Stunden · Watt der GPU · 1,1 (was das Gebäude zusätzlich braucht, so rechnen die Autoren von LLaMA)
# - CO2e = Energie · Gramm je Kilowattstunde im Stromnetz des Landes
#
# Preise ändern sich von Woche zu Woche. So viel verlangten zwei Anbieter am 9. November 2026 für eine Stunde
# (veröffentlicht, [aus ihren Preislisten](https://github.com/datareceipts/data-receipts/tree/main/109-gpu-pricing)):
# A100 mit 80 GB: 1,39 Dollar bei RunPod Community, 3,43 bei AWS. H100: 2,69 und 6,88. Schlage die heutigen
# nach, wenn du kannst.
#
# ### Aufgabe 7.5
#
# Mache einen Plan, der LiteLlama 460M mit den 98 Milliarden Tokens der Karte in **höchstens 7 Tagen** und mit
# **höchstens 20 kg CO2e** trainiert. `share` ist die Auslastung, die du erwartest, `source` sagt, woher dein Preis
# stammt. Die Tabellen nennen GPUs und Länder.

# %%
from litellama.footprint.devices import all_devices
from litellama.footprint.emissions import grids

lesson.table(
    ["gpu", T("TFLOP/s (published)", "TFLOP/s (veröffentlicht)"), "watt", "GB"],
    [
        [one.name, f"{one.flops / 1e12:.0f}", one.watts, one.memory / 1e9]
        for one in all_devices()
        if one.flops
    ],
)
lesson.table(
    ["country", T("g CO2e per kWh (published)", "g CO2e je kWh (veröffentlicht)")],
    [
        [name, one.value]
        for name, one in sorted(grids().items(), key=lambda pair: pair[1].number)
    ],
)

# %% exercise 7.5
### BEGIN SOLUTION
#: my_plan = {
#:     "gpu": "NVIDIA A100, 80 GB",
#:     "gpus": ...,
#:     "share": ...,
#:     "price": ...,
#:     "source": ...,
#:     "country": "Poland",
#: }
my_plan = {
    "gpu": "NVIDIA A100, 80 GB",
    "gpus": 8,
    "share": 0.41,
    "price": 1.39,
    "source": "RunPod Community, 2026-11-09",
    "country": "Sweden",
}
### END SOLUTION

# %% check 7.5
from litellama.scaling.planning import plan_training, schedules, training_device

lesson.check("7.5", my_plan)
schedule = schedules("litellama-460m")[0]
plan = plan_training(
    full,
    schedule,
    training_device(my_plan["gpu"]),
    utilisations(my_plan["share"]),
    my_plan["country"],
    my_plan["price"],
)
estimate = plan.costs[0]
how = T("by the plan above", "nach dem Plan oben")
lesson.result(
    T("days", "Tage"), estimate.gpu_hours / my_plan["gpus"] / 24, kind="estimated", how=how
)
lesson.result(
    T("cost", "Kosten"),
    estimate.cost,
    T("dollars", "Dollar"),
    kind="estimated",
    how=my_plan["source"],
)
lesson.result(T("energy", "Energie"), estimate.kwh, "kWh", kind="estimated", how=how)
lesson.result("CO2e", estimate.grams / 1000, "kg", kind="estimated", how=my_plan["country"])

# %% [markdown] en
# Put in `"Poland"` for the country, or twice as many GPUs, and look which numbers change and which do not. Twice as
# many GPUs finish in half the time and cost the same, if they reach the same share. In practice the share falls a
# little with each GPU, because they wait for one another.

# %% [markdown] de
# Setze als Land `"Poland"` ein oder nimm doppelt so viele GPUs: Welche Zahlen ändern sich, welche nicht? Doppelt so
# viele GPUs sind in der halben Zeit fertig und kosten gleich viel, wenn sie die gleiche Auslastung erreichen. In
# Wirklichkeit sinkt sie mit jeder GPU ein wenig, weil die GPUs aufeinander warten.

# %% [markdown] en teacher
# Common first tries: many GPUs in Poland or Germany, which is quick but not clean. More GPUs never lower energy or
# CO2e; the grid and a GPU that does more per joule (H100) do. Laptops' chips in the table draw few watts and would
# still need years: let somebody work it out. All figures of this section are estimates: no GPU was measured here.

# %% [markdown] de teacher
# Häufige erste Versuche: viele GPUs in Polen oder Deutschland, schnell, aber nicht sauber. Mehr GPUs senken weder
# Energie noch CO2e; das tun das Stromnetz und eine GPU, die je Joule mehr rechnet (H100). Die Laptop-Chips der Tabelle
# brauchen wenige Watt und trotzdem Jahre: Lassen Sie das jemanden ausrechnen. Alle Zahlen dieses Abschnitts sind
# Schätzungen: Hier wurde keine GPU gemessen.

# %% [markdown] en
# ## One real step
#
# A *step* reads some rows, measures the loss, goes back for the gradients and changes every weight a little. The loss
# is the mean of $-\ln p$, where $p$ is the probability that the model gave to the token that really came.
#
# ### Exercise 7.6
#
# Predict: before the first step the model knows nothing. Suppose it gives each of the 50,304 tokens the same
# probability. What is its loss? (`import math`; `math.log` is the natural logarithm $\ln$.)

# %% [markdown] de
# ## Ein echter Schritt
#
# Ein *Schritt* liest einige Zeilen, misst den Loss, geht für die Gradienten zurück und ändert jedes Gewicht ein wenig.
# Der Loss ist das Mittel von $-\ln p$; $p$ ist die Wahrscheinlichkeit, die das Modell dem Token gegeben hat, das
# wirklich kam.
#
# ### Aufgabe 7.6
#
# Sage voraus: Vor dem ersten Schritt weiß das Modell nichts. Nimm an, es gibt jedem der 50.304 Tokens die gleiche
# Wahrscheinlichkeit. Wie groß ist sein Loss? (`import math`; `math.log` ist der natürliche Logarithmus $\ln$.)

# %% exercise 7.6
### BEGIN SOLUTION
#: predicted_loss = ...
import math

predicted_loss = -math.log(1 / 50304)
### END SOLUTION

# %% check 7.6
lesson.check("7.6", predicted_loss)

# %% [markdown] en
# Now the step itself, in the full width: vocabulary, heads and feed-forward as in LiteLlama 460M. It takes the four
# numbers for each weight, so the lesson looks first how much memory is free. If there is too little, or in fast mode,
# it makes fewer layers. Each layer costs the same, so the time of all 24 can be worked out from two smaller models.

# %% [markdown] de
# Jetzt der Schritt selbst, in voller Breite: Vokabular, Köpfe und Feed-forward wie in LiteLlama 460M. Er braucht die
# vier Zahlen je Gewicht; deshalb sieht die Lektion zuerst nach, wie viel Speicher frei ist. Reicht er nicht, oder im
# schnellen Modus, baut sie weniger Schichten. Jede Schicht kostet gleich viel; so lässt sich die Zeit für alle 24 aus
# zwei kleineren Modellen berechnen.

# %%
from litellama.checkpoint.memory import free_memory

tokens_at_once = lesson.pick(fast=128, full=512)
for_all = memory_per_device(full, 1, tokens_at_once, bfloat16=False).total
free = free_memory(lesson.device)
lesson.result(
    T("a step of all 24 layers needs", "ein Schritt mit allen 24 Schichten braucht"), for_all / 1e9, "GB",
    kind="estimated", how=T("activations counted", "Aktivierungen gezählt"),
)  # fmt: skip
if free is not None:
    lesson.result(T("free on this machine", "frei auf diesem Rechner"), free / 1e9, "GB")
enough = free is not None and free > 1.3 * for_all
layers_to_try = lesson.pick(fast=[1, 3], full=[1, 3, 24] if enough else [1, 3])

# %%
import time
from dataclasses import replace

import torch

from litellama.training.objective import Objective
from litellama.training.optimizers import make_optimizers
from litellama.training.recipe import Recipe
from litellama.training.initial_weights import new_model


def real_steps(layers, steps):
    model = new_model(replace(full, num_hidden_layers=layers), seed=0).to(lesson.device)
    objective = Objective(model, bfloat16=False, everywhere=lesson.device == "cuda")
    optimizer = make_optimizers(model, Recipe(steps=steps))[0]
    for group in optimizer.param_groups:
        group["lr"] = 1e-4
    ids = torch.randint(0, full.vocab_size, (1, tokens_at_once + 1), device=lesson.device)
    seconds, losses = [], []
    for _ in range(steps):
        began = time.perf_counter()
        total, _ = objective(
            ids[:, :-1], ids[:, 1:], torch.ones_like(ids[:, 1:], dtype=torch.float32)
        )
        loss = total / tokens_at_once
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:]), losses


# %% [markdown] en
# Four lines are the step: the loss, `backward` for the gradients, `step` for the weights, `zero_grad` to forget the
# gradients. The first step also makes room for the moments, so it does not count. What is read are random tokens: for
# the time it makes no difference.

# %% [markdown] de
# Vier Zeilen sind der Schritt: der Loss, `backward` für die Gradienten, `step` für die Gewichte, `zero_grad`, um die
# Gradienten zu vergessen. Der erste Schritt legt auch die Momente an, darum zählt er nicht. Gelesen werden zufällige
# Tokens: Für die Zeit macht das keinen Unterschied.

# %%
measured = {}
for layers in layers_to_try:
    measured[layers], losses = real_steps(layers, lesson.pick(fast=2, full=3))
    print(layers, T("layers:", "Schichten:"), f"{measured[layers]:.2f} s")
per_layer = (measured[3] - measured[1]) / 2
if 24 in measured:
    whole, kind, how = measured[24], "measured", T("all 24 layers", "alle 24 Schichten")
else:
    whole, kind = measured[1] + 23 * per_layer, "estimated"
    how = T(
        "1 and 3 layers measured, scaled to 24",
        "1 und 3 Schichten gemessen, auf 24 hochgerechnet",
    )
lesson.result(
    T("loss before the first step", "Loss vor dem ersten Schritt"),
    losses[0],
    kind="measured",
)
lesson.result(
    T("one step of LiteLlama 460M", "ein Schritt von LiteLlama 460M"),
    whole,
    "s",
    kind=kind,
    how=how,
)
years = tokens / tokens_at_once * whole / 3600 / 24 / 365
lesson.result(
    T("the whole training on this machine", "das ganze Training auf diesem Rechner"), years, T("years", "Jahre"),
    kind="estimated", how=T("98 billion tokens at this pace", "98 Milliarden Tokens in diesem Tempo"),
)  # fmt: skip

# %% [markdown] en
# The loss begins a little above your prediction: random weights do not give every token the same probability, they
# have random opinions, and those are wrong. The seconds differ between machines, and on one machine with what else it
# is doing; the loss hardly does.
#
# The same row was read again and again. Ask for `losses`: at the second step the model nearly knows it by heart. That
# is a warning: a falling loss alone does not show that a model has learnt a language.

# %% [markdown] de
# Der Loss beginnt etwas über deiner Vorhersage: Zufällige Gewichte geben nicht jedem Token die gleiche
# Wahrscheinlichkeit, sie haben zufällige Meinungen, und die sind falsch. Die Sekunden unterscheiden sich von Rechner zu
# Rechner, und auf einem Rechner je nachdem, was er sonst noch tut; der Loss fast gar nicht.
#
# Dieselbe Zeile wurde immer wieder gelesen. Lass dir `losses` zeigen: Beim zweiten Schritt kann das Modell sie fast
# auswendig. Das ist eine Warnung: Ein fallender Loss allein zeigt nicht, dass ein Modell eine Sprache gelernt hat.

# %% [markdown] en teacher
# In full mode there is a third step, and its loss may leap up again: the steps are too large for 24 layers. Real
# trainings therefore begin with small ones (*warm-up*). The full 24 layers took 22 s for each step of 512 tokens on one
# core of a server, and 9 GB of memory.

# %% [markdown] de teacher
# Im vollen Modus gibt es einen dritten Schritt, und sein Loss kann wieder hochspringen: Für 24 Schichten sind die
# Schritte zu groß. Echte Trainings beginnen darum mit kleinen (*Warm-up*). Alle 24 Schichten brauchten auf einem Kern
# eines Servers 22 s je Schritt mit 512 Tokens, und 9 GB Speicher.

# %% test
assert predicted_loss < losses[0] < predicted_loss + 1
assert losses[1] < 0.3 * losses[0]
assert 7.3 < training_gigabytes < 7.5 < for_all / 1e9

# %% [markdown] en
# ## More than one GPU
#
# Two ways to share the work are usual.
#
# - *Data parallel* (DDP): each GPU holds the whole model and reads its own share of the rows. Then all of them take the
#   mean of their gradients, so that every copy makes the same step. This saves time and no memory.
# - *Fully sharded* (FSDP): each GPU also keeps only a part of every weight, gradient and moment, and fetches a layer
#   when it is needed. This saves memory, and costs messages between the GPUs.
#
# This line of the library hands out the rows:

# %% [markdown] de
# ## Mehr als eine GPU
#
# Zwei Arten, die Arbeit zu teilen, sind üblich.
#
# - *Datenparallel* (DDP): Jede GPU hält das ganze Modell und liest ihren eigenen Teil der Zeilen. Danach bilden alle
#   das Mittel ihrer Gradienten, sodass jede Kopie denselben Schritt macht. Das spart Zeit, aber keinen Speicher.
# - *Ganz aufgeteilt* (FSDP): Jede GPU behält außerdem nur einen Teil jedes Gewichts, Gradienten und Moments und holt
#   sich eine Schicht, wenn sie gebraucht wird. Das spart Speicher und kostet Nachrichten zwischen den GPUs.
#
# Diese Zeile der Bibliothek teilt die Zeilen aus:

# %%
from litellama.data.batches import TokenBatch

lesson.code(TokenBatch.share)

# %% [markdown] en
# The picture: memory per GPU for one row of 1,024 tokens each, against the number of GPUs. With DDP the line would stay
# flat at its first point.

# %% [markdown] de
# Das Bild: Speicher je GPU bei je einer Zeile von 1024 Tokens, gegen die Zahl der GPUs. Mit DDP bliebe die Linie flach
# auf der Höhe ihres ersten Punktes.

# %%
gpus = [1, 2, 4, 8, 16, 32, 64]
sharing = go.Figure()
held = {}
for name, colour in zip(["litellama-460m", "llama2-7b", "llama2-70b"], LINES, strict=False):
    held[name] = [
        memory_per_device(PRESETS[name], 1, 1024, devices=count).total / 1e9
        for count in gpus
    ]
    sharing.add_scatter(
        x=gpus, y=held[name], name=f"{name}, FSDP", mode="lines+markers", line_color=colour
    )
    flat = [held[name][0]] * len(gpus)
    sharing.add_scatter(
        x=gpus,
        y=flat,
        name=f"{name}, DDP",
        mode="lines",
        line={"color": colour, "dash": "dot"},
    )
limit = {"color": "black", "dash": "dash"}
sharing.add_scatter(
    x=gpus,
    y=[80] * len(gpus),
    name=T("a GPU with 80 GB", "GPU mit 80 GB"),
    mode="lines",
    line=limit,
)
sharing.update_layout(template="plotly_white", height=440, margin={"t": 20})
sharing.update_xaxes(type="log", title=T("number of GPUs", "Zahl der GPUs"), tickvals=gpus)
sharing.update_yaxes(
    type="log", title=T("GB for each GPU (estimated)", "GB je GPU (geschätzt)")
)
lesson.picture(
    sharing,
    T(
        "Memory for each GPU in training, one row of 1,024 tokens, bfloat16: shared out (FSDP) and whole (DDP).",
        "Speicher je GPU beim Training, eine Zeile von 1024 Tokens, bfloat16: aufgeteilt (FSDP) und ganz (DDP).",
    ),
)

# %% [markdown] en
# ### Exercise 7.7
#
# LLaMA 2 70B has 68,976,648,192 weights. How many GPUs of 80 GB are needed at least so that together they hold the four
# numbers for each weight (16 bytes)? Leave activations aside.

# %% [markdown] de
# ### Aufgabe 7.7
#
# LLaMA 2 70B hat 68.976.648.192 Gewichte. Wie viele GPUs mit 80 GB braucht man mindestens, damit sie zusammen die vier
# Zahlen je Gewicht (16 Byte) halten? Lass die Aktivierungen weg.

# %% exercise 7.7
### BEGIN SOLUTION
#: gpus_needed = ...
import math

gpus_needed = math.ceil(16 * 68976648192 / 80e9)
### END SOLUTION

# %% check 7.7
lesson.check("7.7", gpus_needed)

# %% [markdown] en
# With activations, and with the layers that are whole for a while, the picture asks for more: at 32 GPUs one row still
# does not fit. Meta used many more for another reason: time.
#
# ## Two processes, for real
#
# There is no need for GPUs to try it. `torchrun` (or `python -m torch.distributed.run`) starts several *processes*,
# programs that run side by side; here they share the processor and talk through a library called *gloo*. A tiny model
# learns a few stories, once in one process, once in two. Each step reads 8 rows: one process all of them, two
# processes 4 each.

# %% [markdown] de
# Mit Aktivierungen und mit den Schichten, die zeitweise ganz da sind, verlangt das Bild mehr: Bei 32 GPUs passt eine
# Zeile noch nicht. Meta hat aus einem anderen Grund viel mehr benutzt: wegen der Zeit.
#
# ## Zwei Prozesse, wirklich ausgeführt
#
# Zum Ausprobieren braucht es keine GPUs. `torchrun` (oder `python -m torch.distributed.run`) startet mehrere
# *Prozesse*, also Programme, die nebeneinander laufen; hier teilen sie sich den Prozessor und sprechen über eine
# Bibliothek namens *gloo* miteinander. Ein winziges Modell lernt einige Geschichten, einmal in einem Prozess, einmal
# in zweien. Jeder Schritt liest 8 Zeilen: ein Prozess alle, zwei Prozesse je 4.

# %%
from litellama.training.launch import launch, launch_command
from litellama.tinytown.corpus import make_document

folder = lesson.folder
folder.mkdir(parents=True, exist_ok=True)
stories = [
    message.content for seed in range(200) for message in make_document(seed).messages
]
(folder / "lesson-07-stories.txt").write_text("\n".join(stories), encoding="utf-8")
steps = lesson.pick(fast=20, full=60)
options = (
    f"--preset litellama-300k --steps {steps} --rows-per-batch 8 --length 64 --looks 1 --float32 --device cpu "
    "--learning-rate 3e-3"
)
command = launch_command("two", folder / "lesson-07-stories.txt", options, processes=2)
print("python", " ".join(command[1:9]), "...", options)

# %%
import tempfile
from pathlib import Path

curves = {}
for processes in (1, 2):
    with tempfile.TemporaryDirectory() as place:
        events = launch(
            Path(place) / "model",
            folder / "lesson-07-stories.txt",
            options,
            processes=processes,
        )
    curves[processes] = [one["loss"] for one in events if one["news"] == "Stepped"]
    print(
        processes,
        T("process(es): last loss", "Prozess(e): letzter Loss"),
        f"{curves[processes][-1]:.4f}",
    )
same = go.Figure()
same.add_scatter(
    y=curves[1], name=T("one process", "ein Prozess"), line={"color": LINES[0], "width": 6}
)
same.add_scatter(
    y=curves[2],
    name=T("two processes", "zwei Prozesse"),
    line={"color": LINES[1], "dash": "dash"},
)
same.update_layout(template="plotly_white", height=340, margin={"t": 20})
same.update_xaxes(title=T("step", "Schritt"))
same.update_yaxes(title=T("loss", "Loss"))
lesson.picture(
    same,
    T(
        "The same training in one process and in two.",
        "Dasselbe Training in einem Prozess und in zweien.",
    ),
)
apart = max(abs(one / two - 1) for one, two in zip(curves[1], curves[2], strict=True))
lesson.result(
    T("largest difference of the losses", "größter Unterschied der Losse"),
    f"{apart:.1e}",
    kind="measured",
)

# %% [markdown] en
# The two lines lie on one another. What is left is rounding: two halves added up round a little differently from a
# whole. On eight real GPUs the command would be the same, with `--nproc-per-node 8` (the lab has never run it on GPUs).

# %% [markdown] de
# Die beiden Linien liegen aufeinander. Was bleibt, ist Rundung: Zwei addierte Hälften runden ein wenig anders als ein
# Ganzes. Auf acht echten GPUs wäre der Befehl derselbe, mit `--nproc-per-node 8` (auf GPUs hat das Labor ihn noch nie
# ausgeführt).

# %% test
assert len(curves[1]) == len(curves[2]) == steps
assert apart < 1e-3
assert curves[1][-1] < curves[1][0] - 0.5
assert held["llama2-70b"][gpus.index(32)] > 80 > held["llama2-70b"][gpus.index(64)]
assert gpus_needed == 14

# %% [markdown] en
# ## To discuss
#
# 1. A training of LiteLlama costs as much as a good laptop, one of LLaMA 2 70B some thousand times as much. Who can
#    decide what large models learn, and who cannot?
# 2. The name says 1T, the card's own product says 0.098T. How could such an error be noticed, and who should correct
#    it?
# 3. Your plan moved the training to a country with clean electricity. What happens to that electricity otherwise? Is
#    the training then really cleaner?

# %% [markdown] de
# ## Zum Besprechen
#
# 1. Ein Training von LiteLlama kostet so viel wie ein guter Laptop, eines von LLaMA 2 70B einige tausend Mal so viel.
#    Wer kann entscheiden, was große Modelle lernen, und wer nicht?
# 2. Der Name sagt 1T, das Produkt auf der Karte sagt 0,098T. Wie könnte ein solcher Fehler auffallen, und wer sollte
#    ihn berichtigen?
# 3. Dein Plan hat das Training in ein Land mit sauberem Strom verlegt. Was geschieht sonst mit diesem Strom? Ist das
#    Training dann wirklich sauberer?

# %% [markdown] en teacher
# Possible answers. 1: Companies and states with GPUs decide; others can adapt open models (lesson 13), ask for
# openness, share computers. 2: By multiplying, as in 7.3; nobody did for long, since names are believed. Authors can
# correct a card, and anyone can open a discussion on the model's page. 3: In a well-connected grid it would have been
# used elsewhere, and something dirtier runs instead (*marginal* emissions); where it is surplus, the training is
# really cleaner. The ratio in question 1 is 6ND of both: 8.28e23 against 2.72e20, some 3,000 times.

# %% [markdown] de teacher
# Mögliche Antworten. 1: Firmen und Staaten mit GPUs entscheiden; andere können offene Modelle anpassen (Lektion 13),
# Offenheit verlangen, Rechner teilen. 2: Durch Nachrechnen wie in 7.3; lange tat es niemand, denn Namen glaubt man. Die
# Autoren können die Karte berichtigen, und alle können auf der Seite des Modells darauf hinweisen. 3: In einem gut
# verbundenen Netz hätte ihn jemand anderes genutzt, und etwas Schmutzigeres springt ein (*marginale* Emissionen); wo er
# übrig ist, ist das Training wirklich sauberer. Das Verhältnis in Frage 1 ist das der beiden 6ND: 8,28e23 gegen
# 2,72e20, etwa 3000-mal so viel.
