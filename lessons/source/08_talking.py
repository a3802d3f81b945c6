"""
number = 8
minutes = 45
tab = "chat"
code = ["litellama/sampling.py", "litellama/generate.py", "litellama/serving/engine.py", "litellama/serving/batch.py", "litellama/quantize.py"]

[en]
title = "Talking"
question = "How does a trained model become a quick and affordable conversation?"
goals = [
    "write temperature and top-p yourself, equal to the library's",
    "write a generation with a KV cache and measure what it saves",
    "measure what a second, fourth and sixteenth conversation cost",
    "round the weights to fewer bits and find out from where on it hurts",
]
needs = "lesson 2; you can write a Python function and know what a matrix is"

[de]
title = "Sprechen lassen"
question = "Wie wird aus einem trainierten Modell ein zügiges und bezahlbares Gespräch?"
goals = [
    "Temperatur und top-p selbst schreiben, gleich denen der Bibliothek",
    "eine Texterzeugung mit KV-Cache schreiben und messen, was sie spart",
    "messen, was ein zweites, ein viertes und ein sechzehntes Gespräch kosten",
    "die Gewichte auf weniger Bits runden und herausfinden, ab wann es wehtut",
]
needs = "Lektion 2; du kannst eine Python-Funktion schreiben und weißt, was eine Matrix ist"
"""

# %% [markdown] en
# ## A die with 3,072 faces
#
# For the next token a model gives each token of its vocabulary a score, called *logit*. From the scores come
# probabilities, and then a die is cast. That is *sampling*. The most used setting is the *temperature* $T$:
#
# $$p_i = \frac{e^{z_i / T}}{\sum_j e^{z_j / T}}$$
#
# Here $z_i$ is the logit of token $i$ and $p_i$ its probability; the sum below goes over all tokens $j$. With $T = 1$
# this is the plain *softmax*. Three temperatures for the same scores, of the token after a "Tom" at the beginning of a
# story:

# %% [markdown] de
# ## Ein Würfel mit 3.072 Seiten
#
# Für das nächste Token gibt ein Modell jedem Token seines Vokabulars eine Punktzahl, ein *Logit*. Aus den Logits werden
# Wahrscheinlichkeiten, und dann wird gewürfelt. Das heißt *Sampling*. Die wichtigste Einstellung ist die *Temperatur*
# $T$:
#
# $$p_i = \frac{e^{z_i / T}}{\sum_j e^{z_j / T}}$$
#
# Dabei ist $z_i$ das Logit des Tokens $i$ und $p_i$ seine Wahrscheinlichkeit; die Summe unten läuft über alle Tokens
# $j$. Mit $T = 1$ ist das die gewöhnliche *Softmax*. Drei Temperaturen für dieselben Logits: Welches Token folgt am
# Anfang einer Geschichte auf „Tom“? (TinyTown spricht nur Englisch.)

# %%
import torch

from litellama.sampling import Sampling

town = lesson.model("tinytown")
prompt = town.chat_format.write([("user", "Tell me a story.")], town.tokenizer)
begun = [*prompt, *town.tokenizer.encode(" Tom")]
with torch.inference_mode():
    logits = (
        town.model(torch.tensor([begun], device=lesson.device)).logits[0, -1].double().cpu()
    )  # (V)

# %%
import plotly.graph_objects as go

from litellama.plots import LINES

likeliest = logits.topk(12).indices
names = [town.tokenizer.token_text(int(id)) for id in likeliest]
bars = go.Figure()
for temperature, colour in zip((0.5, 1, 2), LINES, strict=False):
    shares = Sampling(temperature=temperature, top_p=1).probabilities(logits)[likeliest]
    bars.add_bar(x=names, y=shares.tolist(), name=f"T = {temperature}", marker_color=colour)
bars.update_layout(template="plotly_white", height=360, margin={"t": 20})
bars.update_yaxes(title=T("probability", "Wahrscheinlichkeit"), tickformat=".0%")
lesson.show(bars)

# %% [markdown] en
# ### Exercise 8.1
#
# Write `softmax(logits, temperature)`. It gets a tensor of logits and gives back a tensor of probabilities. Take the
# largest logit away from all of them before you raise e to their power: that changes nothing in the result, and large
# numbers cannot overflow. Useful: `logits.max()`, `torch.exp`, `.sum()`.

# %% [markdown] de
# ### Aufgabe 8.1
#
# Schreibe `softmax(logits, temperature)`. Die Funktion bekommt einen Tensor von Logits und gibt einen Tensor von
# Wahrscheinlichkeiten zurück. Ziehe vor dem Potenzieren das größte Logit von allen ab: Am Ergebnis ändert das nichts,
# und große Zahlen können nicht überlaufen. Nützlich: `logits.max()`, `torch.exp`, `.sum()`.


# %% exercise 8.1
def softmax(logits, temperature):
    ### BEGIN SOLUTION
    powers = torch.exp((logits - logits.max()) / temperature)
    return powers / powers.sum()
    ### END SOLUTION


# %% check 8.1
lesson.check("8.1", softmax)
for temperature in (0.3, 1, 2):
    torch.testing.assert_close(
        softmax(logits, temperature), Sampling(temperature, top_p=1).probabilities(logits)
    )
print(T("equal to the library's", "gleich der Bibliothek"))

# %% [markdown] en
# At a high temperature, thousands of unsuitable tokens get a little each, and together much. *Top-p* cuts them off: it
# keeps the fewest likeliest tokens that together reach the share $p$. The one that crosses the line is kept, too. (Its
# simpler sister *top-k* keeps the $k$ likeliest.)
#
# ### Exercise 8.2
#
# Write `nucleus(probabilities, top_p)`. All other tokens get 0, each token stays in its place, and the rest is divided
# by its sum, so that it adds to 1 again. Hint: `ordered, places = probabilities.sort(descending=True)`, and
# `ordered.cumsum(-1) - ordered` is what the likelier ones have together.

# %% [markdown] de
# Bei hoher Temperatur bekommen Tausende unpassender Tokens je ein wenig, zusammen aber viel. *Top-p* schneidet sie ab:
# Es behält so wenige der wahrscheinlichsten Tokens wie möglich, bis sie zusammen den Anteil $p$ erreichen. Auch das
# Token, mit dem die Grenze überschritten wird, bleibt. (Die einfachere Schwester *top-k* behält die $k$
# wahrscheinlichsten.)
#
# ### Aufgabe 8.2
#
# Schreibe `nucleus(probabilities, top_p)`. Alle anderen Tokens bekommen 0, jedes Token bleibt an seinem Platz, und der
# Rest wird durch seine Summe geteilt, damit er wieder 1 ergibt. Tipp:
# `ordered, places = probabilities.sort(descending=True)`; und `ordered.cumsum(-1) - ordered` ist, was die
# wahrscheinlicheren zusammen haben.


# %% exercise 8.2
def nucleus(probabilities, top_p):
    ### BEGIN SOLUTION
    ordered, places = probabilities.sort(descending=True)
    reached_before = ordered.cumsum(-1) - ordered
    kept = torch.where(reached_before < top_p, ordered, 0.0)
    result = torch.zeros_like(probabilities)
    result[places] = kept / kept.sum()
    return result
    ### END SOLUTION


# %% check 8.2
lesson.check("8.2", nucleus)
for top_p in (0.5, 0.9, 0.99):
    mine = nucleus(softmax(logits, 1.5), top_p)
    torch.testing.assert_close(mine, Sampling(1.5, top_p=top_p).probabilities(logits))
    print(f"top_p = {top_p}:", int((mine > 0).sum()), "Tokens")

# %% [markdown] en
# What do the settings do to a text? *Storybooks* is another small model of the lab; it learnt from six children's
# books. "Repeated" is the share of its groups of three tokens that stood in the text before. *Greedy* (temperature 0)
# always takes the likeliest token. The *repetition penalty* makes used tokens less likely. Change the settings and try.

# %% [markdown] de
# Was machen die Einstellungen mit einem Text? *Storybooks* ist ein anderes kleines Modell des Labors; es hat aus sechs
# Kinderbüchern gelernt. „Wiederholt“ ist der Anteil seiner Dreiergruppen von Tokens, die im Text schon einmal vorkamen.
# *Greedy* (gierig, Temperatur 0) nimmt immer das wahrscheinlichste Token. Die *repetition penalty* macht benutzte
# Tokens unwahrscheinlicher. Ändere die Einstellungen und probiere.

# %%
from litellama.generate import generate

books = lesson.model("storybooks")
start = [books.config.bos_token_id, *books.tokenizer.encode("The old woman said")]


def tell(sampling):
    ids = [
        step.id
        for step in generate(
            books.model, start, sampling=sampling, max_new_tokens=70, seed=1
        )
    ]
    threes = list(zip(ids, ids[1:], ids[2:], strict=False))
    return f"{1 - len(set(threes)) / len(threes):.0%}", books.tokenizer.decode(ids)


settings = {
    "greedy": Sampling(temperature=0),
    "greedy, repetition_penalty=1.3": Sampling(temperature=0, repetition_penalty=1.3),
    "temperature=0.7, top_p=0.95": Sampling(),
    "temperature=2": Sampling(temperature=2, top_p=1),
}
told = {name: tell(sampling) for name, sampling in settings.items()}
lesson.table(
    [T("setting", "Einstellung"), T("repeated", "wiederholt"), "Text"],
    [[n, *t] for n, t in told.items()],
)

# %% [markdown] en teacher
# Greedy text runs in circles, hot text falls apart; people want something between, and what is best depends on the
# task: an answer from a story (TinyTown) is best at 0, a fairy tale is not. In 8.2, the usual mistake is to drop the
# token that crosses the line; with p = 0.5 and a first token of 60 % nothing would be left.

# %% [markdown] de teacher
# Greedy dreht sich im Kreis, heißer Text zerfällt; gewünscht ist etwas dazwischen, und was am besten ist, hängt von der
# Aufgabe ab: Eine Antwort aus einer Geschichte (TinyTown) gelingt bei 0 am besten, ein Märchen nicht. In 8.2 wird am
# häufigsten das Token weggelassen, das die Grenze überschreitet; bei p = 0,5 und einem ersten Token von 60 % bliebe
# dann nichts übrig.

# %% [markdown] en
# ## Remembering instead of reading again
#
# A model writes one token, puts it behind the text, and asks itself again. The simplest program reads the whole text
# for each new token:

# %% [markdown] de
# ## Merken statt noch einmal lesen
#
# Ein Modell schreibt ein Token, hängt es an den Text und fragt sich von Neuem. Das einfachste Programm liest für jedes
# neue Token den ganzen Text:


# %%
@torch.inference_mode()
def without_cache(model, ids, new):
    ids = list(ids)
    for _ in range(new):
        logits = model(torch.tensor([ids], device=model.device)).logits[0, -1]
        ids.append(int(logits.argmax()))
    return ids


print(town.tokenizer.decode(without_cache(town.model, prompt, 30)[len(prompt) :]))

# %% [markdown] en
# But what was computed for the older tokens never changes, since no token looks at later ones. All that later tokens
# want from them are their keys and values (lesson 3). A *KV cache* keeps these. Then the program reads the *prompt*
# (what stands there at the beginning) once, and after that each new token alone.
#
# ### Exercise 8.3
#
# A prompt has 9 tokens, and 100 new ones are written. How many tokens does the model read in all, without and with the
# cache? Count each token each time it is read. The last new token is not read any more. Give two whole numbers.

# %% [markdown] de
# Was für die älteren Tokens berechnet wurde, ändert sich aber nie, denn kein Token schaut auf spätere. Die späteren
# brauchen von ihnen nur die Keys und Values (Lektion 3). Ein *KV-Cache* hebt diese auf. Dann liest das Programm den
# *Prompt* (das, was am Anfang dasteht) einmal und danach jedes neue Token allein.
#
# ### Aufgabe 8.3
#
# Ein Prompt hat 9 Tokens, und 100 neue werden geschrieben. Wie viele Tokens liest das Modell insgesamt, ohne und mit
# Cache? Zähle jedes Token jedes Mal, wenn es gelesen wird. Das letzte neue Token wird nicht mehr gelesen. Gib zwei
# ganze Zahlen an.

# %% exercise 8.3
prompt_length, new = 9, 100
### BEGIN SOLUTION
#: work = (..., ...)
work = (sum(prompt_length + written for written in range(new)), prompt_length + new - 1)
### END SOLUTION

# %% check 8.3
lesson.check("8.3", work, prompt_length, new)

# %% [markdown] en
# The library's cache writes new keys and values behind the old ones:

# %% [markdown] de
# Der Cache der Bibliothek schreibt neue Keys und Values hinter die alten:

# %%
from litellama.model import KVCache

lesson.code(KVCache.extend)

# %% [markdown] en
# ### Exercise 8.4
#
# Write `with_cache`. It is `without_cache` with two changes: the model gets `cache=cache`, and it reads `read` instead
# of `ids`. At first `read` is the whole prompt, later only the newest token. Write the body of the loop.

# %% [markdown] de
# ### Aufgabe 8.4
#
# Schreibe `with_cache`. Es ist `without_cache` mit zwei Änderungen: Das Modell bekommt `cache=cache`, und es liest
# `read` statt `ids`. Am Anfang ist `read` der ganze Prompt, später nur das neueste Token. Schreibe, was in die Schleife
# gehört.


# %% exercise 8.4
@torch.inference_mode()
def with_cache(model, ids, new):
    ids, read = list(ids), list(ids)
    cache = KVCache(model.config, 1, len(ids) + new, model.dtype, model.device)
    for _ in range(new):
        ### BEGIN SOLUTION
        logits = model(torch.tensor([read], device=model.device), cache=cache).logits[0, -1]
        read = [int(logits.argmax())]
        ids += read
        ### END SOLUTION
    return ids


# %% check 8.4
lesson.check("8.4", with_cache)
theirs = [
    step.id
    for step in generate(
        town.model, prompt, sampling=settings["greedy"], max_new_tokens=60, seed=0
    )
]
same = (
    with_cache(town.model, prompt, 60)
    == without_cache(town.model, prompt, 60)
    == [*prompt, *theirs]
)
print(
    T(
        "with, without, library: the same tokens:",
        "mit, ohne, Bibliothek: dieselben Tokens:",
    ),
    same,
)

# %% [markdown] en
# Now measure: the mean time of a token, for texts of growing length. (The first round only warms up and does not
# count.) Times depend on the machine and on what else it does; the shape of the two curves does not.

# %% [markdown] de
# Jetzt wird gemessen: die mittlere Zeit eines Tokens bei wachsender Länge des Textes. (Der erste Durchgang wärmt nur
# auf und zählt nicht.) Zeiten hängen vom Rechner ab und davon, was er sonst noch tut; der Verlauf der beiden Kurven
# nicht.

# %%
import time


def milliseconds_per_token(write, new):
    start = time.perf_counter()
    write(town.model, prompt, new)
    return (time.perf_counter() - start) / new * 1000


lengths = lesson.pick(fast=(20, 60, 120), full=(20, 50, 100, 200, 300))
took = {without_cache: [], with_cache: []}
for new in (lengths[0], *lengths):
    print(new, end=" ", flush=True)
    for write, times in took.items():
        times.append(milliseconds_per_token(write, new))

# %%
curves = go.Figure()
for write, times in took.items():
    curves.add_scatter(x=lengths, y=times[1:], name=write.__name__)
curves.update_layout(template="plotly_white", height=340, margin={"t": 20}, colorway=LINES)
curves.update_xaxes(title=T("tokens written", "geschriebene Tokens"), rangemode="tozero")
curves.update_yaxes(
    title=T("milliseconds per token", "Millisekunden je Token"), rangemode="tozero"
)
lesson.show(curves)
saved = took[without_cache][-1] / took[with_cache][-1]
what = T(
    "tokens: time without the cache, divided by that with it",
    "Tokens: Zeit ohne Cache, geteilt durch die mit Cache",
)
lesson.result(f"{lengths[-1]} {what}", saved)

# %% [markdown] en
# The price is memory. In 16 bits, each token of the text takes this much, as long as the conversation lasts:

# %% [markdown] de
# Der Preis ist Speicher. So viel braucht jedes Token des Textes in 16 Bit, solange das Gespräch dauert:

# %%
from litellama.config import PRESETS
from litellama.footprint.arithmetic import kv_bytes_per_token

models = ["tinytown", "litellama-460m", "llama2-7b"]
lesson.table(
    [
        T("model", "Modell"),
        T("bytes per token", "Bytes je Token"),
        T("MB, full context", "MB, voller Kontext"),
    ],
    [
        [
            name,
            kv_bytes_per_token(shape),
            round(kv_bytes_per_token(shape) * shape.max_position_embeddings / 1e6),
        ]
        for name, shape in ((name, PRESETS[name]) for name in models)
    ],
)

# %% [markdown] en
# ## Many at once
#
# A service talks with many people. For each new token the model's weights are read from memory, all of them, and many
# small operations are started. If sixteen conversations take their next step *together*, this is done once for all
# sixteen. That is called *batching*. The lab's `Engine` does it: one worker makes one step for everybody who is there.

# %% [markdown] de
# ## Viele auf einmal
#
# Ein Dienst spricht mit vielen Menschen. Für jedes neue Token werden die Gewichte des Modells aus dem Speicher gelesen,
# und zwar alle, und viele kleine Rechnungen angestoßen. Gehen sechzehn Gespräche ihren nächsten Schritt *gemeinsam*,
# geschieht das für alle sechzehn nur einmal. Das heißt *Batching*. Die `Engine` des Labors tut es: Ein Arbeiter macht
# einen Schritt für alle, die gerade da sind.

# %%
from litellama.serving.batch import RunningBatch
from litellama.serving.engine import Engine

lesson.code(RunningBatch.step)

# %% [markdown] en
# Measure: 1, 4 and 16 people ask for a story at the same moment. How many tokens per second do they get, all together?

# %% [markdown] de
# Miss nach: 1, 4 und 16 Leute bitten im selben Moment um eine Geschichte. Wie viele Tokens je Sekunde bekommen sie,
# alle zusammen?

# %%
from concurrent.futures import ThreadPoolExecutor


length = lesson.pick(fast=40, full=100)


def tokens_per_second(people):
    engine = Engine(town.model)

    def listen(seed):
        return sum(
            1
            for _ in engine.generate(
                prompt, sampling=Sampling(), max_new_tokens=length, seed=seed
            )
        )

    start = time.perf_counter()
    with ThreadPoolExecutor(people) as everybody:
        written = sum(everybody.map(listen, range(people)))
    return written / (time.perf_counter() - start)


tokens_per_second(1)
rounds = [{people: tokens_per_second(people) for people in (1, 4, 16)} for _ in range(3)]
together = {people: max(speeds[people] for speeds in rounds) for people in (1, 4, 16)}
for people, speed in together.items():
    lesson.result(
        T(f"{people} at once, together", f"{people} auf einmal, zusammen"),
        speed,
        T("tokens/s", "Tokens/s"),
    )

# %%
streams = go.Figure(
    go.Bar(
        x=[str(people) for people in together],
        y=list(together.values()),
        marker_color=LINES[0],
    )
)
each = [speed / people for people, speed in together.items()]
line = {
    "x": [str(people) for people in together],
    "y": each,
    "marker": {"color": LINES[1], "size": 12},
}
streams.add_scatter(**line, name=T("each", "jeder"), mode="markers+lines")
streams.data[0].name = T("all together", "alle zusammen")
streams.update_layout(template="plotly_white", height=340, margin={"t": 20})
streams.update_xaxes(
    title=T("conversations at once", "Gespräche auf einmal"), type="category"
)
streams.update_yaxes(title=T("tokens per second", "Tokens je Sekunde"))
lesson.picture(
    streams,
    T(
        f"Batching: TinyTown's speed with several conversations at once, measured on {lesson.machine}.",
        f"Batching: das Tempo von TinyTown bei mehreren Gesprächen auf einmal, gemessen auf {lesson.machine}.",
    ),
)

# %% [markdown] en
# ### Exercise 8.5
#
# Work out from `together`, which holds the measured speeds (`together[16]` is that of sixteen):
#
# - `gain`: how many times as many tokens per second do all 16 get together as one who is alone?
# - `left`: which share of the speed of one who is alone is left for each of the 16? (A number, usually below 1.)

# %% [markdown] de
# ### Aufgabe 8.5
#
# Berechne aus `together`, das die gemessenen Geschwindigkeiten enthält (`together[16]` ist die von sechzehn):
#
# - `gain`: Wievielmal so viele Tokens je Sekunde bekommen alle 16 zusammen wie jemand, der allein ist?
# - `left`: Welcher Anteil vom Tempo dessen, der allein ist, bleibt jedem der 16? (Eine Zahl, meist unter 1.)

# %% exercise 8.5
### BEGIN SOLUTION
#: gain = ...
#: left = ...
gain = together[16] / together[1]
left = gain / 16
### END SOLUTION

# %% check 8.5
lesson.check("8.5", (gain, left), together)

# %% [markdown] en teacher
# The gain depends much on the machine: on two cores of a server it was between 4 and 6 (measured). If other programs
# run, the figures jump; let pupils run the cell twice and ask which figure they would publish. Energy follows the same
# curve: sixteen together cost far less than sixteen one after the other (lesson 11).

# %% [markdown] de teacher
# Der Gewinn hängt stark vom Rechner ab: Auf zwei Kernen eines Servers lag er zwischen 4 und 6 (gemessen). Laufen andere
# Programme, springen die Zahlen; lassen Sie die Zelle zweimal ausführen und fragen Sie, welche Zahl man veröffentlichen
# sollte. Die Energie folgt derselben Kurve: Sechzehn zusammen kosten weit weniger als sechzehn nacheinander (Lektion
# 11).

# %% [markdown] en
# ## Smaller numbers
#
# A weight is trained as a number of 32 bits. Do we need them all? *Quantisation* rounds the weights to few values. The
# simplest way takes one row $w$ of a matrix and $b$ bits:
#
# $$s = \frac{\max_i |w_i|}{2^{b-1} - 1} \qquad q_i = \operatorname{round}(w_i / s) \qquad w_i \approx q_i \, s$$
#
# The scale $s$ is one number for the whole row. The $q_i$ are whole numbers, for 8 bits from −127 to 127; only they and
# $s$ are stored. To compute, the model multiplies them again.
#
# ### Exercise 8.6
#
# Write `round_row(row, bits)`. It gives back three things: the whole numbers $q$, the scale $s$, and the largest error,
# which is the largest distance between a weight and what comes back. Useful: `row.abs()`, `.max()`, `torch.round`.

# %% [markdown] de
# ## Kleinere Zahlen
#
# Ein Gewicht wird als Zahl von 32 Bit trainiert. Brauchen wir die alle? *Quantisierung* rundet die Gewichte auf wenige
# Werte. Der einfachste Weg nimmt eine Zeile $w$ einer Matrix und $b$ Bits:
#
# $$s = \frac{\max_i |w_i|}{2^{b-1} - 1} \qquad q_i = \operatorname{round}(w_i / s) \qquad w_i \approx q_i \, s$$
#
# Der Maßstab $s$ ist eine einzige Zahl für die ganze Zeile. Die $q_i$ sind ganze Zahlen, bei 8 Bit von −127 bis 127;
# nur sie und $s$ werden gespeichert. Zum Rechnen multipliziert das Modell sie wieder.
#
# ### Aufgabe 8.6
#
# Schreibe `round_row(row, bits)`. Die Funktion gibt dreierlei zurück: die ganzen Zahlen $q$, den Maßstab $s$ und den
# größten Fehler, also den größten Abstand zwischen einem Gewicht und dem, was zurückkommt. Nützlich: `row.abs()`,
# `.max()`, `torch.round`.


# %% exercise 8.6
def round_row(row, bits):
    ### BEGIN SOLUTION
    scale = row.abs().max() / (2 ** (bits - 1) - 1)
    whole = torch.round(row / scale)
    error = (row - whole * scale).abs().max()
    return whole, scale, error
    ### END SOLUTION


# %% check 8.6
lesson.check("8.6", round_row)

# %% [markdown] en
# The library's `Linear8` rounds the scale to 16 bits before it is used, since the processor's instruction wants it so.
# Apart from that it does the same as you:

# %% [markdown] de
# `Linear8` aus der Bibliothek rundet auch den Maßstab, auf 16 Bit, weil der Befehl des Prozessors es so will. Sonst tut
# es dasselbe wie du:

# %%
from litellama.quantize import Linear8

matrix = town.model.model.layers[0].mlp.up_proj.weight.detach().cpu()
kept = Linear8(matrix)
mine = [round_row(row, 8) for row in matrix]
whole, scales = torch.stack([q for q, _, _ in mine]), torch.stack([s for _, s, _ in mine])
print(
    T("scales, rounded, the same:", "Maßstäbe, gerundet, gleich:"),
    torch.equal(scales.bfloat16(), kept.scale),
)
apart = (whole - kept.stored).abs()
print(
    T("whole numbers the same:", "ganze Zahlen gleich:"),
    f"{(apart == 0).double().mean():.0%};",
    end=" ",
)
print(T("largest difference:", "größter Unterschied:"), int(apart.max()))

# %% [markdown] en
# How good is the model afterwards? Judge it by *perplexity*: among how many equally likely tokens it seems to hesitate
# on average, in texts that it never saw in training. 1 is perfect; whoever only guesses reaches 3,072, the size of the
# vocabulary. This cell rounds all matrices of TinyTown's layers with your function. (The embedding stays in 16 bits, as
# it does in the library.)

# %% [markdown] de
# Wie gut ist das Modell danach noch? Das misst die *Perplexität*: zwischen wie vielen gleich wahrscheinlichen Tokens es
# im Mittel zu schwanken scheint, und zwar in Texten, die es im Training nie gesehen hat. 1 ist vollkommen; wer nur rät,
# kommt auf 3.072, die Größe des Vokabulars. Diese Zelle rundet alle Matrizen der Schichten von TinyTown mit deiner
# Funktion. (Das Embedding bleibt wie in der Bibliothek in 16 Bit.)

# %%
import copy

from litellama.evaluation.exact_match import held_out_batches
from litellama.evaluation.perplexity import validation_loss

unseen = held_out_batches(
    town.tokenizer, town.config, documents=lesson.pick(fast=30, full=60)
)


def rounded(bits):
    model = copy.deepcopy(town.model)
    # en: bytes; the embedding has 16 bits
    # de: Bytes; das Embedding hat 16 Bit
    size = 2 * model.lm_head.weight.numel()
    with torch.no_grad():
        for layer in model.model.layers.modules():
            if isinstance(layer, torch.nn.Linear):
                size += layer.weight.numel() * bits / 8 + 2 * len(layer.weight)
                for row in layer.weight:
                    whole, scale, _ = round_row(row, bits)
                    row.copy_(whole * scale)
    return model, size / 1e6


# %%
perplexity = {32: validation_loss(town.model, unseen, lesson.device).perplexity}
print(f"32 Bit: {perplexity[32]:.3f}")
megabytes = {}
for bits in (8, 6, 5, 4, 3, 2):
    model, megabytes[bits] = rounded(bits)
    perplexity[bits] = validation_loss(model, unseen, lesson.device).perplexity
    print(f"{bits} Bit: {perplexity[bits]:.3f}, {megabytes[bits]:.2f} MB", flush=True)

# %% [markdown] en
# ### Exercise 8.7
#
# A school wants the smallest model whose perplexity is **at most 5 % higher** than with 32 bits. How many bits do you
# advise, of those that were measured? `perplexity[8]` is the value for 8 bits.

# %% [markdown] de
# ### Aufgabe 8.7
#
# Eine Schule möchte das kleinste Modell, dessen Perplexität **höchstens 5 % höher** ist als mit 32 Bit. Zu wie vielen
# der gemessenen Bits rätst du? `perplexity[8]` ist der Wert bei 8 Bit.

# %% exercise 8.7
### BEGIN SOLUTION
#: advised_bits = ...
advised_bits = min(
    bits for bits, value in perplexity.items() if value <= 1.05 * perplexity[32]
)
### END SOLUTION

# %% check 8.7
lesson.check("8.7", advised_bits, perplexity)

# %% [markdown] en
# The library does better with 4 bits: it gives each group of 64 weights a scale of its own and a lowest value. Then one
# large weight does not spoil a whole row. Both ways in one picture (the library's, always on the processor):

# %% [markdown] de
# Die Bibliothek kann es mit 4 Bit besser: Sie gibt jeder Gruppe von 64 Gewichten einen eigenen Maßstab und einen
# kleinsten Wert. Dann verdirbt ein einzelnes großes Gewicht nicht die ganze Zeile. Beides in einem Bild (die Bibliothek
# stets auf dem Prozessor):

# %%
from litellama.checkpoint.load import open_checkpoint
from litellama.quantize import PRECISIONS, quantize_weights, stored_bytes

library = {}
for precision in PRECISIONS:
    model = quantize_weights(open_checkpoint(town.folder).model, precision)
    print(precision, end=" ", flush=True)
    library[precision] = (
        stored_bytes(model) / 1e6,
        validation_loss(model, unseen).perplexity,
    )
head = [T("weights in", "Gewichte in"), "MB", T("perplexity", "Perplexität")]
lesson.table(
    head, [[name, f"{size:.2f}", f"{value:.4f}"] for name, (size, value) in library.items()]
)


# %%
def percent_worse(value):
    return (value / perplexity[32] - 1) * 100


shown = [8, 6, 5, 4, 3]
quality = go.Figure()
quality.add_scatter(
    x=[megabytes[bits] for bits in shown], y=[max(percent_worse(perplexity[bits]), 0.1) for bits in shown],
    mode="lines+markers+text", text=shown, textposition="top right",
    name=T("bits, one scale per row (yours)", "Bits, ein Maßstab je Zeile (deine)"),
)  # fmt: skip
quality.add_scatter(
    x=[size for size, _ in library.values()], y=[max(percent_worse(value), 0.1) for _, value in library.values()],
    mode="markers+text", text=list(library), name=T("library", "Bibliothek"), marker={"size": 11, "symbol": "diamond"},
    textposition=["top center", "top center", "bottom center", "bottom right", "middle right"],
)  # fmt: skip
quality.update_layout(
    template="plotly_white",
    height=420,
    margin={"t": 20},
    colorway=LINES,
    legend={"x": 0.5, "y": 1},
)
quality.update_xaxes(title=T("MB of weights", "MB Gewichte"), range=[0, 13])
worse = T(
    "perplexity higher by (%; 0.1 and less: 0.1)",
    "Perplexität höher um (%; 0,1 und weniger: 0,1)",
)
quality.update_yaxes(title=worse, type="log", dtick=1, range=[-1.4, 2])
lesson.picture(
    quality,
    T(
        f"Size against quality: TinyTown with rounded weights, measured on {lesson.machine}.",
        f"Größe gegen Güte: TinyTown mit gerundeten Gewichten, gemessen auf {lesson.machine}.",
    ),
)

# %%
from litellama.checkpoint.memory import weight_bytes

size, value = library["int4"]
lesson.result(
    T("4 bits: size of 32 bits", "4 Bit: Größe gegenüber 32 Bit"),
    size / library["float32"][0] * 100,
    "%",
)
lesson.result(
    T("4 bits: perplexity higher by", "4 Bit: Perplexität höher um"),
    percent_worse(value),
    "%",
)
for precision in ("float16", "int4"):
    gigabytes = weight_bytes(PRESETS["llama2-70b"], precision) / 1e9
    how = T("from its shape", "aus seiner Form")
    lesson.result(f"LLaMA 2 70B, {precision}", gigabytes, "GB", kind="computed", how=how)

# %% [markdown] en
# This is how large models fit onto small computers. But not with 2 bits: such a TinyTown is worse than somebody who
# only guesses, because it is wrong and sure of it. Differences below 0.1 % are chance: other sentences, and another
# precision comes first. Times and the last digits depend on the machine; that 3 bits are too few here does not.

# %% [markdown] de
# So passen große Modelle auf kleine Rechner. Mit 2 Bit aber nicht mehr: Dann ist TinyTown schlechter als jemand, der
# nur rät, denn es irrt sich und ist sich dabei sicher. Unterschiede unter 0,1 % sind Zufall: Mit anderen Sätzen liegt
# eine andere Genauigkeit vorn. Zeiten und die letzten Stellen hängen vom Rechner ab; dass 3 Bit hier zu wenige sind,
# nicht.

# %% test
assert same
assert work == (5850, 108)
assert town.tokenizer.vocab_size == 3072
assert (
    float(told["greedy"][0].rstrip("%")) > 10 > float(told["temperature=2"][0].rstrip("%"))
)
assert float(told["greedy, repetition_penalty=1.3"][0].rstrip("%")) < float(
    told["greedy"][0].rstrip("%")
)
assert torch.equal(scales.bfloat16(), kept.scale)
assert int(apart.max()) <= 1
assert all(error <= 0.501 * scale for _, scale, error in mine)
assert perplexity[8] < 1.01 * perplexity[32]
assert perplexity[3] > 1.1 * perplexity[32]
assert perplexity[2] > 3072
assert advised_bits in (4, 5)
assert library["int4"][1] < perplexity[4]
assert library["int4"][1] < 1.01 * library["float32"][1]
assert library["int4"][0] < 0.25 * library["float32"][0]
engine = Engine(town.model)
steps = engine.generate(prompt, sampling=Sampling(temperature=0), max_new_tokens=20, seed=0)
assert [*prompt, *(step.id for step in steps)] == with_cache(town.model, prompt, 20)

# %% [markdown] en
# ## To discuss
#
# 1. The answer was cast with a die. If it harms somebody, who is responsible: who trained the model, who chose the
#    temperature, who asked? Should a doctor's assistant use temperature 0?
# 2. Batching makes a service cheap, but only if many people use the same computer at the same time. What speaks for a
#    model on your own computer all the same?
# 3. A rounded model has nearly the same perplexity. Could it still have become worse for some people or some questions?
#    How would you find out?

# %% [markdown] de
# ## Zum Besprechen
#
# 1. Die Antwort wurde gewürfelt. Wenn sie jemandem schadet, wer ist verantwortlich: wer das Modell trainiert hat, wer
#    die Temperatur gewählt hat, wer gefragt hat? Sollte ein Assistent in einer Arztpraxis Temperatur 0 benutzen?
# 2. Batching macht einen Dienst billig, aber nur, wenn viele Menschen gleichzeitig denselben Rechner benutzen. Was
#    spricht trotzdem für ein Modell auf dem eigenen Rechner?
# 3. Ein gerundetes Modell hat fast dieselbe Perplexität. Könnte es trotzdem für manche Menschen oder manche Fragen
#    schlechter geworden sein? Wie würdest du das herausfinden?

# %% [markdown] en teacher
# To 1: temperature 0 makes an answer repeatable, not right. To 2: privacy, no network, no change overnight, no bill; a
# rounded model makes it possible. To 3: perplexity is a mean over many words; rare names and rare languages weigh
# little in it. One measures each group apart, as lesson 12 does.

# %% [markdown] de teacher
# Zu 1: Temperatur 0 macht eine Antwort wiederholbar, nicht richtig. Zu 2: Privatsphäre, kein Netz, keine Änderung über
# Nacht, keine Rechnung; ein gerundetes Modell macht es möglich. Zu 3: Perplexität ist ein Mittel über viele Wörter;
# seltene Namen und seltene Sprachen zählen darin wenig. Man misst jede Gruppe für sich, wie in Lektion 12.
