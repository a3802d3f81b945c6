"""
number = 4
minutes = 45
tab = "step"
code = ["litellama/model.py", "litellama/training/loop.py"]

[en]
title = "LLaMA 2's four choices"
question = "Which of its parts make LLaMA 2 better, and how would you know?"
goals = [
    "write the four parts that LLaMA 2 chose: RMSNorm, rotary positions, SwiGLU, grouped-query attention",
    "prove each of them equal to the lab's",
    "swap each one out, train, and compare: an experiment with one change at a time",
    "say honestly where such an experiment shows nothing",
]
needs = "lesson 3; Python functions; sine and cosine"

[de]
title = "Die vier Entscheidungen von LLaMA 2"
question = "Welche Bauteile machen LLaMA 2 besser, und woran merkt man das?"
goals = [
    "die vier Bauteile schreiben, für die sich LLaMA 2 entschied: RMSNorm, Rotary, SwiGLU, Grouped-Query Attention",
    "von jedem beweisen, dass es dasselbe tut wie das des Labors",
    "jedes einzeln austauschen, trainieren und vergleichen: ein Versuch mit einer Änderung auf einmal",
    "ehrlich sagen, wo so ein Versuch nichts zeigt",
]
needs = "Lektion 3; Funktionen in Python; Sinus und Kosinus"
"""

# %% [markdown] en
# ## 1. Norm: keeping numbers in range
#
# Before each part of a layer the vector of a token is brought to a common length. Otherwise numbers would grow from layer to
# layer. Older models used *LayerNorm*: subtract the mean, divide by the standard deviation. LLaMA 2 leaves the mean alone.
# *RMSNorm* (Zhang & Sennrich 2019) divides by the *root mean square*, the root of the mean of the squares:
#
# $$\text{rms\_norm}(x)_i = \frac{x_i}{\sqrt{\frac{1}{n}(x_1^2 + \dots + x_n^2) + \varepsilon}} \cdot w_i$$
#
# $x$ is a vector of $n$ numbers and $w_i$ a learnt weight for each of them. $\varepsilon$ (epsilon) is tiny and keeps us from
# dividing by zero.
#
# ### Exercise 4.1
#
# Write `rms_norm(x, weight, eps)` for a table `x` with a row for each token. `x.pow(2).mean(-1, keepdim=True)` is the mean of
# the squares of each row.

# %% [markdown] de
# ## 1. Norm: Zahlen im Rahmen halten
#
# Vor jedem Teil einer Schicht wird der Vektor eines Tokens auf eine gemeinsame Länge gebracht. Sonst würden die Zahlen von
# Schicht zu Schicht wachsen. Ältere Modelle nahmen *LayerNorm*: den Mittelwert abziehen, durch die Standardabweichung teilen.
# LLaMA 2 lässt den Mittelwert in Ruhe. *RMSNorm* (Zhang & Sennrich 2019) teilt durch das *quadratische Mittel* (root mean
# square), die Wurzel aus dem Mittelwert der Quadrate:
#
# $$\text{rms\_norm}(x)_i = \frac{x_i}{\sqrt{\frac{1}{n}(x_1^2 + \dots + x_n^2) + \varepsilon}} \cdot w_i$$
#
# $x$ ist ein Vektor mit $n$ Zahlen und $w_i$ ein gelerntes Gewicht für jede von ihnen. $\varepsilon$ (Epsilon) ist winzig
# und verhindert, dass durch null geteilt wird.
#
# ### Aufgabe 4.1
#
# Schreibe `rms_norm(x, weight, eps)` für eine Tabelle `x` mit einer Zeile für jedes Token. `x.pow(2).mean(-1, keepdim=True)`
# ist der Mittelwert der Quadrate jeder Zeile.


# %% exercise 4.1
def rms_norm(x, weight, eps):
    ### BEGIN SOLUTION
    return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight
    ### END SOLUTION


# %% check 4.1
lesson.check("4.1", rms_norm)

# %% [markdown] en
# ## 2. Positions: turning by the place
#
# Attention as in lesson 3 does not know which token is near and which is far: scores only compare vectors. LLaMA 2 *rotates*
# queries and keys before they meet. Numbers are taken in pairs; a pair is an arrow in the plane, and at place $p$ it is turned
# by the angle $p \cdot \theta$ (theta, another speed for each pair; Su et al. 2021, *RoPE*):
#
# $$(a, b) \to (a \cos\alpha - b \sin\alpha,\; a \sin\alpha + b \cos\alpha) \quad\text{with}\quad \alpha = p\,\theta$$
#
# ### Exercise 4.2
#
# Write `turned(pair, angle)` for one pair, with `math.cos` and `math.sin`. Return two numbers.

# %% [markdown] de
# ## 2. Positionen: Drehen nach dem Platz
#
# Die Attention aus Lektion 3 weiß nicht, welches Token nah ist und welches fern: Die Punkte vergleichen nur Vektoren. LLaMA 2
# *dreht* Queries und Keys, bevor sie aufeinandertreffen. Je zwei Zahlen bilden ein Paar; ein Paar ist ein Pfeil in der Ebene,
# und am Platz $p$ wird er um den Winkel $p \cdot \theta$ gedreht (Theta, für jedes Paar ein anderes Tempo; Su u. a. 2021,
# *RoPE*):
#
# $$(a, b) \to (a \cos\alpha - b \sin\alpha,\; a \sin\alpha + b \cos\alpha) \quad\text{mit}\quad \alpha = p\,\theta$$
#
# ### Aufgabe 4.2
#
# Schreibe `turned(pair, angle)` für ein Paar, mit `math.cos` und `math.sin`. Gib zwei Zahlen zurück.

# %%
import math


# %% exercise 4.2
def turned(pair, angle):
    a, b = pair
    ### BEGIN SOLUTION
    return a * math.cos(angle) - b * math.sin(angle), a * math.sin(angle) + b * math.cos(
        angle
    )
    ### END SOLUTION


# %% check 4.2
lesson.check("4.2", turned)

# %% [markdown] en
# Now the point of it. `score_at(p, s)` is the dot product of one query at place $p$ and one key at place $s$:

# %% [markdown] de
# Darauf kommt es an: `score_at(p, s)` ist das Skalarprodukt einer Query am Platz $p$ und eines Keys am Platz $s$:

# %%
query, key, theta = (1.0, 0.5), (0.8, -0.3), 0.4


def score_at(p, s):
    (a, b), (c, d) = turned(query, p * theta), turned(key, s * theta)
    return a * c + b * d


places = [(7, 5), (7, 6), (12, 11), (5, 7), (100, 99)]
lesson.table(
    [T("places", "Plätze"), T("score", "Punkte")],
    [[pair, f"{score_at(*pair):.4f}"] for pair in places],
)

# %% [markdown] en
# ### Exercise 4.3
#
# Find another pair of places, both different from 7 and 5, with the same score as (7, 5). What decides the score?

# %% [markdown] de
# ### Aufgabe 4.3
#
# Finde ein anderes Paar von Plätzen, beide anders als 7 und 5, mit derselben Punktzahl wie (7, 5). Worauf kommt es an?

# %% exercise 4.3
### BEGIN SOLUTION
#: other_places = (..., ...)
other_places = (12, 10)
### END SOLUTION

# %% check 4.3
lesson.check("4.3", other_places)

# %% [markdown] en
# ## 3. SwiGLU: a feed-forward part with a gate
#
# After attention each token is worked on by itself. The older way, an *MLP*: multiply by a matrix, bend the numbers (by the
# function *GELU*), multiply by a second matrix. LLaMA 2 uses three matrices. One branch opens or closes a gate for the other,
# number by number (Shazeer 2020):
#
# $$\text{swiglu}(x) = \big(\text{silu}(x\,W_{gate}) \odot (x\,W_{up})\big)\,W_{down} \qquad \text{silu}(z) = \frac{z}{1 + e^{-z}}$$
#
# $W_{gate}$, $W_{up}$, $W_{down}$ are the matrices, and $\odot$ multiplies number by number.
#
# ### Exercise 4.4
#
# Write `swiglu(x, gate, up, down)`. `gate`, `up` and `down` are functions: `gate(x)` multiplies by $W_{gate}$. `F.silu` is there.

# %% [markdown] de
# ## 3. SwiGLU: ein Feed-forward-Teil mit Tor
#
# Nach der Attention wird jedes Token für sich weiterbearbeitet. Die ältere Art, ein *MLP*: mit einer Matrix multiplizieren, die
# Zahlen biegen (mit der Funktion *GELU*), mit einer zweiten Matrix multiplizieren. LLaMA 2 nimmt drei Matrizen. Ein Zweig
# öffnet oder schließt dem anderen ein Tor, Zahl für Zahl (Shazeer 2020):
#
# $$\text{swiglu}(x) = \big(\text{silu}(x\,W_{gate}) \odot (x\,W_{up})\big)\,W_{down} \qquad \text{silu}(z) = \frac{z}{1 + e^{-z}}$$
#
# $W_{gate}$, $W_{up}$, $W_{down}$ sind die Matrizen, und $\odot$ multipliziert Zahl für Zahl.
#
# ### Aufgabe 4.4
#
# Schreibe `swiglu(x, gate, up, down)`. `gate`, `up` und `down` sind Funktionen: `gate(x)` multipliziert mit $W_{gate}$. `F.silu`
# gibt es schon.

# %%
import torch
from torch.nn import functional as F


# %% exercise 4.4
def swiglu(x, gate, up, down):
    ### BEGIN SOLUTION
    return down(F.silu(gate(x)) * up(x))
    ### END SOLUTION


# %% check 4.4
lesson.check("4.4", swiglu)

# %% [markdown] en
# A fair comparison gives both the same number of weights. With vectors of $n$ numbers and a middle of $m$, SwiGLU has
# $3 \cdot n \cdot m$ weights, and an MLP of two matrices with a middle of $m'$ has $2 \cdot n \cdot m'$.
#
# ### Exercise 4.5
#
# Our small model has $n = 48$ and SwiGLU's $m = 96$. How large must $m'$ be for the same number of weights?

# %% [markdown] de
# Ein fairer Vergleich gibt beiden gleich viele Gewichte. Bei Vektoren mit $n$ Zahlen und einer Mitte von $m$ hat SwiGLU
# $3 \cdot n \cdot m$ Gewichte, ein MLP aus zwei Matrizen mit einer Mitte von $m'$ hat $2 \cdot n \cdot m'$.
#
# ### Aufgabe 4.5
#
# Unser kleines Modell hat $n = 48$ und bei SwiGLU $m = 96$. Wie groß muss $m'$ für gleich viele Gewichte sein?

# %% exercise 4.5
### BEGIN SOLUTION
#: middle = ...
middle = 3 * 96 // 2
### END SOLUTION

# %% check 4.5
lesson.check("4.5", middle)

# %% [markdown] en
# ## 4. Grouped-query attention: less to remember
#
# You have written it in lesson 3. What it saves is memory. While a model writes, it keeps the keys and values of all tokens, in
# every layer: the *KV cache*. With 2 bytes for each number:
#
# $$\text{bytes per token} = 2 \cdot \text{layers} \cdot \text{key heads} \cdot \text{head size} \cdot 2$$
#
# The first 2 stands for keys and values, the last for the bytes.
#
# ### Exercise 4.6
#
# Write `kv_bytes(config)` with `config.num_hidden_layers`, `config.num_key_value_heads` and `config.head_dim`.

# %% [markdown] de
# ## 4. Grouped-Query Attention: weniger zu behalten
#
# Geschrieben hast du sie in Lektion 3. Was sie spart, ist Speicher. Solange ein Modell schreibt, behält es die Keys und Values
# aller Tokens, in jeder Schicht: den *KV-Cache*. Mit 2 Byte für jede Zahl:
#
# $$\text{Byte je Token} = 2 \cdot \text{Schichten} \cdot \text{Key-Köpfe} \cdot \text{Größe eines Kopfes} \cdot 2$$
#
# Die erste 2 steht für Keys und Values, die letzte für die Byte.
#
# ### Aufgabe 4.6
#
# Schreibe `kv_bytes(config)` mit `config.num_hidden_layers`, `config.num_key_value_heads` und `config.head_dim`.


# %% exercise 4.6
def kv_bytes(config):
    ### BEGIN SOLUTION
    return 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * 2
    ### END SOLUTION


# %% check 4.6
lesson.check("4.6", kv_bytes)

# %%
from dataclasses import replace

from litellama.config import PRESETS

rows = []
for name in ("litellama-460m", "llama2-7b", "llama2-70b"):
    config = PRESETS[name]
    unshared = replace(config, num_key_value_heads=config.num_attention_heads)
    text = 4096
    rows.append(
        [
            name,
            config.num_attention_heads,
            config.num_key_value_heads,
            f"{text * kv_bytes(config) / 1e9:.3g} GB",
        ]
    )
    rows[-1].append(f"{text * kv_bytes(unshared) / 1e9:.3g} GB")
lesson.table(
    [
        T("model", "Modell"), T("query heads", "Query-Köpfe"), T("key heads", "Key-Köpfe"),
        T("cache of 4,096 tokens", "Cache für 4.096 Tokens"), T("without sharing", "ohne Teilen"),
    ],
    rows,
)  # fmt: skip

# %% [markdown] en
# ## The experiment
#
# Now all four at once would prove nothing: we change **one part at a time** and leave everything else as it is. The task is
# simple and needs attention: read a list of ten random tokens and say it again.
#
#     7 3 9 1 ... | 7 3 9 1 ...
#
# The list is drawn anew each time, so it can't be learnt by heart. The model has two layers and about 43,000 weights. Each
# variant is trained several times, from other random weights (another *seed*), since a single run may be luck.

# %% [markdown] de
# ## Der Versuch
#
# Alle vier auf einmal zu tauschen würde nichts beweisen: Wir ändern **einen Teil auf einmal** und lassen alles andere, wie es
# ist. Die Aufgabe ist einfach und braucht Attention: eine Liste von zehn zufälligen Tokens lesen und noch einmal sagen.
#
#     7 3 9 1 ... | 7 3 9 1 ...
#
# Die Liste wird jedes Mal neu gezogen, lässt sich also nicht auswendig lernen. Das Modell hat zwei Schichten und etwa 43.000
# Gewichte. Jede Variante wird mehrmals trainiert, von anderen Zufallszahlen aus (mit anderem *Seed*), denn ein einziger Lauf
# kann Glück sein.

# %%
from litellama.data.batches import TokenBatch
from litellama.training.initial_weights import new_model

TOKENS, LENGTH = 32, 10
small = replace(
    PRESETS["tinytown"], vocab_size=TOKENS, hidden_size=48, intermediate_size=96, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=2, head_dim=12, max_position_embeddings=64,
)  # fmt: skip


class Lists:
    def __init__(self, seed):
        self.seed = seed

    def __getitem__(self, step):
        chance = torch.Generator().manual_seed(1000 * self.seed + step)
        items = torch.rand(64, TOKENS - 1, generator=chance).argsort(-1)[:, :LENGTH] + 1
        ids = torch.cat((items, torch.zeros(64, 1, dtype=torch.long), items), 1)  # (B, T)
        weights = torch.zeros(64, 2 * LENGTH)
        # en: Only the second half can be known.
        # de: Nur die zweite Hälfte kann man wissen.
        weights[:, LENGTH:] = 1.0
        return TokenBatch(ids[:, :-1].contiguous(), ids[:, 1:].contiguous(), weights)


print(Lists(0)[0].input_ids[0].tolist())

# %% [markdown] en
# These are the swaps. Each takes a fresh model and changes one thing in it.

# %% [markdown] de
# Das sind die Tausche. Jeder nimmt ein frisches Modell und ändert eine Sache daran.

# %%
from torch import nn


class OldFeedForward(nn.Module):
    def __init__(self, size, middle):
        super().__init__()
        self.up, self.down = (
            nn.Linear(size, middle, bias=False),
            nn.Linear(middle, size, bias=False),
        )
        for matrix in (self.up, self.down):
            # en: As large at the beginning as the lab's own.
            # de: Am Anfang so groß wie die des Labors.
            nn.init.normal_(matrix.weight, 0, matrix.in_features**-0.5)

    def forward(self, x):
        return self.down(F.gelu(self.up(x)))


def layer_norm(model):
    for layer in model.model.layers:
        layer.input_layernorm, layer.post_attention_layernorm = (
            nn.LayerNorm(48),
            nn.LayerNorm(48),
        )
    model.model.norm = nn.LayerNorm(48)


def no_positions(model):
    # en: All angles zero: nothing is turned.
    # de: Alle Winkel null: Nichts wird gedreht.
    model.model.rotary.zero_()


def old_feed_forward(model):
    for layer in model.model.layers:
        layer.mlp = OldFeedForward(48, middle)


SWAPS = {
    T("as LLaMA 2", "wie LLaMA 2"): (small, lambda model: None),
    "LayerNorm": (small, layer_norm),
    T("no positions", "ohne Positionen"): (small, no_positions),
    "GELU": (small, old_feed_forward),
    T("a key head for each", "eigene Key-Köpfe"): (
        replace(small, num_key_value_heads=4),
        lambda model: None,
    ),
}

# %% [markdown] en
# ### Exercise 4.7
#
# Before you run it: which swap will hurt most? Write down your guess as the number of the variant in `SWAPS`: 1 LayerNorm,
# 2 no positions, 3 GELU, 4 a key head for each. The check comes after the experiment.

# %% [markdown] de
# ### Aufgabe 4.7
#
# Bevor du ihn startest: Welcher Tausch wird am meisten schaden? Schreibe deine Vermutung als Nummer der Variante in `SWAPS` auf:
# 1 LayerNorm, 2 ohne Positionen, 3 GELU, 4 eigene Key-Köpfe. Die Prüfung kommt nach dem Versuch.

# %% exercise 4.7
### BEGIN SOLUTION
#: hurts_most = ...
hurts_most = 2
### END SOLUTION

# %%
import tempfile
from pathlib import Path

from litellama.training.loop import train
from litellama.training.recipe import Recipe

steps, seeds = lesson.pick(fast=50, full=150), lesson.pick(fast=2, full=3)
recipe = Recipe(
    steps=steps,
    learning_rate=5e-3,
    warmup_steps=20,
    save_every=10**9,
    bfloat16=False,
    schedule="wsd",
    decay=0.2,
)
accuracy = {name: [] for name in SWAPS}
for name, (config, swap) in SWAPS.items():
    for seed in range(seeds):
        model = new_model(config, seed=seed)
        torch.manual_seed(seed)
        swap(model)
        with tempfile.TemporaryDirectory() as folder:
            accuracy[name].append(
                [
                    event.accuracy
                    for event in train(recipe, model, Lists(seed), Path(folder))
                ]
            )
    last = [sum(run[-10:]) / 10 for run in accuracy[name]]
    print(f"{name:20}", "  ".join(f"{share:.0%}" for share in last))

# %% check 4.7
lesson.check("4.7", hurts_most, accuracy)

# %%
import plotly.graph_objects as go

from litellama.plots import LINES

figure = go.Figure()
for number, (name, runs) in enumerate(accuracy.items()):
    curve = [sum(values) / len(values) for values in zip(*runs, strict=True)]
    low, high = (
        [choose(values) for values in zip(*runs, strict=True)] for choose in (min, max)
    )
    colour, at = LINES[number % len(LINES)], list(range(1, steps + 1))
    figure.add_scatter(
        x=at + at[::-1], y=high + low[::-1], fill="toself", fillcolor=colour, opacity=0.15, line={"width": 0},
        hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    dash = ("solid", "dash", "dot", "dashdot", "longdash")[number]
    figure.add_scatter(
        x=at, y=curve, name=name, line={"color": colour, "width": 2.5, "dash": dash}
    )
figure.update_layout(template="plotly_white", height=420)
figure.update_xaxes(title=T("step of the training", "Schritt des Trainings"))
figure.update_yaxes(
    title=T("tokens said right", "richtig wiederholte Tokens"),
    tickformat=".0%",
    range=[0, 1.02],
)
lesson.picture(
    figure,
    T(
        f"How quickly five variants learn to repeat a list: mean of {seeds} runs each; the shade reaches from the worst to "
        "the best.",
        f"Wie schnell fünf Varianten lernen, eine Liste zu wiederholen: Mittel aus je {seeds} Läufen; die Fläche reicht vom "
        "schlechtesten zum besten.",
    ),
)
for name, runs in accuracy.items():
    lesson.result(
        name,
        sum(sum(run[-10:]) / 10 for run in runs) / seeds,
        how=T("share right in the end", "am Ende richtig"),
    )

# %% [markdown] en
# ## What does it show?
#
# - **Positions** matter most here: without them the model can hardly tell one place of the list from another. That it is above
#   chance at all comes from the causal mask: each token sees another number of tokens.
# - **SwiGLU** learns this task sooner than the MLP with the same number of weights.
# - **LayerNorm** does as well as RMSNorm. RMSNorm was chosen because it is simpler and computes less, not because it learns better.
# - **A key head for each** query head is no better here. GQA was chosen because it saves memory and costs little.
#
# The last two are results as well: *no difference that can be seen with this task, this size and so few runs.* At 70 billion
# weights it might be another matter; Meta measured that GQA loses almost nothing there (Touvron et al. 2023).

# %% [markdown] de
# ## Was zeigt das?
#
# - **Positionen** sind hier am wichtigsten: Ohne sie kann das Modell die Plätze der Liste kaum unterscheiden. Dass es überhaupt
#   besser ist als der Zufall, liegt an der kausalen Maske: Jedes Token sieht eine andere Zahl von Tokens.
# - **SwiGLU** lernt diese Aufgabe eher als das MLP mit gleich vielen Gewichten.
# - **LayerNorm** ist so gut wie RMSNorm. RMSNorm wurde gewählt, weil es einfacher ist und weniger rechnet, nicht weil es besser
#   lernt.
# - **Eigene Key-Köpfe** für alle Query-Köpfe sind hier nicht besser. GQA wurde gewählt, weil es Speicher spart und wenig kostet.
#
# Auch die letzten beiden sind Ergebnisse: *kein Unterschied, der sich mit dieser Aufgabe, dieser Größe und so wenigen Läufen
# zeigt.* Bei 70 Milliarden Gewichten könnte es anders sein; Meta hat gemessen, dass GQA dort fast nichts verliert (Touvron u. a.
# 2023).

# %% [markdown] en teacher
# The last digits differ between machines, since processors add in different orders; which swap hurts most does not. Let fast groups
# change one more thing: one layer instead of two (then nothing learns the list: repeating needs two layers, lesson 9 says why).

# %% [markdown] de teacher
# Die letzten Stellen unterscheiden sich von Rechner zu Rechner, weil Prozessoren in verschiedener Reihenfolge addieren; welcher
# Tausch am meisten schadet, bleibt gleich. Schnelle Gruppen können noch etwas ändern: eine Schicht statt zwei (dann lernt nichts
# die Liste: Wiederholen braucht zwei Schichten, warum, sagt Lektion 9).

# %% test
ends = [sum(sum(run[-10:]) / 10 for run in runs) / seeds for runs in accuracy.values()]
as_llama, layernorm, without, gelu, own_keys = ends
assert as_llama > 0.9
assert abs(as_llama - layernorm) < 0.1
assert abs(as_llama - own_keys) < 0.1
assert 1 / 31 < without < 0.4
assert gelu < as_llama
assert abs(score_at(7, 6) - score_at(100, 99)) < 1e-9
assert abs(score_at(7, 5) - score_at(5, 7)) > 0.1
assert kv_bytes(PRESETS["llama2-70b"]) * 8 == kv_bytes(
    replace(PRESETS["llama2-70b"], num_key_value_heads=64)
)
assert (
    abs(sum(part.numel() for part in new_model(small, seed=0).parameters()) - 43_000) < 500
)

# %% [markdown] en
# ## To discuss
#
# 1. Why change one part at a time? What would you conclude if two were changed and the model got better?
# 2. Large laboratories publish what worked, and seldom what didn't. What does that do to our picture of these parts?
# 3. GQA makes the same model cheaper to run for many users at once. Who gains by that?

# %% [markdown] de
# ## Zum Besprechen
#
# 1. Warum ändert man nur einen Teil auf einmal? Was würdest du schließen, wenn zwei geändert wären und das Modell besser würde?
# 2. Große Labore veröffentlichen, was funktioniert hat, und selten, was nicht. Was macht das mit unserem Bild von diesen Teilen?
# 3. Mit GQA läuft dasselbe Modell billiger für viele zugleich. Wer hat etwas davon?
