"""
number = 1
minutes = 30
tab = "chat"
code = ["litellama/model.py", "litellama/config.py"]

[en]
title = "Hello, small llama"
question = "What does a language model do when it answers?"
goals = [
    "talk with a model that runs on this computer",
    "see the words it might have written instead",
    "look at one of its attention heads",
    "weigh it: count its numbers and compare it with LLaMA 2",
]
needs = "nothing but this notebook; you need not know Python yet"

[de]
title = "Hallo, kleines Lama"
question = "Was tut ein Sprachmodell, wenn es antwortet?"
goals = [
    "mit einem Modell sprechen, das auf diesem Rechner läuft",
    "sehen, welche Wörter es auch hätte schreiben können",
    "einem seiner Attention-Köpfe zuschauen",
    "das Modell wiegen: seine Zahlen zählen und es mit LLaMA 2 vergleichen",
]
needs = "nur dieses Notebook; Python musst du noch nicht können"
"""

# %% [markdown] en
# ## Talk
#
# A *language model* is a program that has read many texts and has learnt to go on with them. The model of this lab is
# called TinyTown. It is small: it knows only a little invented town, with people who find, give and lose things.
#
# Run the next cell: click into it and press Shift+Enter.

# %% [markdown] de
# ## Sprechen
#
# Ein *Sprachmodell* ist ein Programm, das viele Texte gelesen und daraus gelernt hat, wie Texte weitergehen. Das Modell
# dieses Labors heißt TinyTown. Es ist klein und kennt nur eine erfundene kleine Stadt, in der Leute Dinge finden,
# verschenken und verlieren. Es versteht nur Englisch.
#
# Führe die nächste Zelle aus: Klicke hinein und drücke Umschalt+Enter.

# %%
story = "Tom hid a red ball under the bed. Anna has a blue hat."
print(lesson.ask(f"{story} Where is the ball?"))

# %% [markdown] en
# Change the story or the question and run the cell again. The same question always gets the same answer here, because
# the model takes the likeliest word each time.
#
# ### Exercise 1.1
#
# Write a story of one or two sentences for which the model answers that **the ball is green**. Leave the question as
# it is.

# %% [markdown] de
# Ändere die Geschichte oder die Frage und führe die Zelle noch einmal aus. Auf dieselbe Frage kommt hier immer dieselbe
# Antwort, denn das Modell nimmt jedes Mal das wahrscheinlichste Wort.
#
# ### Aufgabe 1.1
#
# Schreibe auf Englisch eine Geschichte von ein, zwei Sätzen, nach der das Modell antwortet, dass **der Ball grün ist**
# (*green*). Die Frage bleibt, wie sie ist.

# %% exercise 1.1
### BEGIN SOLUTION
#: my_story = ...
my_story = "Tom has a green ball. Anna has a blue hat."
### END SOLUTION

# %% check 1.1
lesson.check("1.1", my_story)
print(lesson.ask(f"{my_story} What colour is the ball?"))

# %% [markdown] en teacher
# Pupils who only write "green" get an answer, too, but the check asks for a ball in the story. A good moment to ask:
# does the model *know* what green is? It has never seen anything; it has read that "green" stands where colours stand.

# %% [markdown] de teacher
# Wer nur „green“ schreibt, bekommt auch eine Antwort; die Prüfung verlangt aber einen Ball in der Geschichte. Ein guter
# Moment für die Frage: *Weiß* das Modell, was Grün ist? Es hat nie etwas gesehen; es hat nur gelesen, dass „green“ dort
# steht, wo Farben stehen.

# %% [markdown] en
# ## What else might it have said?
#
# The model does not choose an answer. It chooses one *token* after the other: a word or a piece of a word. For the
# next token it gives every token it knows a *probability*: a share of 100 %. Here are the five likeliest tokens at
# each place of its answer.

# %% [markdown] de
# ## Was hätte es noch sagen können?
#
# Das Modell wählt keine fertige Antwort. Es wählt ein *Token* nach dem anderen: ein Wort oder ein Stück davon. Für das
# nächste Token gibt es jedem Token, das es kennt, eine *Wahrscheinlichkeit*: einen Anteil von 100 %. Hier stehen für
# jede Stelle seiner Antwort die fünf wahrscheinlichsten Tokens.

# %%
from litellama.chat import Message, reply
from litellama.sampling import Sampling

town = lesson.model("tinytown")
question = [Message("user", f"{story} Where is the ball?")]
pieces = list(
    reply(
        town.model,
        town.tokenizer,
        question,
        Sampling(temperature=0),
        40,
        seed=0,
        alternatives=5,
    )
)
steps = [piece.step for piece in pieces if piece.step]
rows = [
    [town.tokenizer.token_text(step.id)]
    + [f"{town.tokenizer.token_text(id)} {share:.1%}" for id, share in step.alternatives]
    for step in steps
]
lesson.table([T("it wrote", "geschrieben"), "1.", "2.", "3.", "4.", "5."], rows)

# %% [markdown] en
# Where one token has nearly 100 %, the model is sure. Sure is not the same as right: lesson 12 comes back to this.
#
# ### Exercise 1.2
#
# How sure was the model of the *least* sure token of its answer? Give the smallest of the probabilities with which the
# tokens were chosen. In Python, `step.probability` is that of one step, and `min(...)` gives the smallest of several.

# %% [markdown] de
# Wo ein Token fast 100 % hat, ist das Modell sicher. Sicher heißt nicht richtig: Darauf kommt Lektion 12 zurück.
#
# ### Aufgabe 1.2
#
# Wie sicher war das Modell bei dem Token, bei dem es am *wenigsten* sicher war? Gesucht ist die kleinste der
# Wahrscheinlichkeiten, mit denen die Tokens gewählt wurden. In Python ist `step.probability` die eines Schrittes, und
# `min(...)` gibt die kleinste von mehreren.

# %% exercise 1.2
### BEGIN SOLUTION
#: least_sure = ...
least_sure = min(step.probability for step in steps)
### END SOLUTION

# %% check 1.2
lesson.check("1.2", least_sure, steps)

# %% [markdown] en
# ## What does it look at?
#
# To choose the next token the model looks back at the tokens before. This looking is called *attention*, and it is done
# by *heads*: TinyTown has 6 layers of 6 heads each. In the picture each row is a token; dark squares are tokens that it
# looks at. Above the diagonal there is nothing: nobody can look at words that have not been written yet.

# %% [markdown] de
# ## Wohin schaut es?
#
# Um das nächste Token zu wählen, schaut das Modell auf die Tokens davor zurück. Dieses Schauen heißt *Attention*
# (Aufmerksamkeit), und es geschieht in *Köpfen*: TinyTown hat 6 Schichten mit je 6 Köpfen. Im Bild ist jede Zeile ein
# Token; dunkle Felder sind die Tokens, auf die es schaut. Rechts über der Diagonale ist nichts: Niemand kann auf Wörter
# schauen, die noch nicht geschrieben sind.

# %%
from litellama.explain.attention import attention_maps
from litellama.explain.tokenized_run import read_chat
from litellama.plots import all_heads, attention_map

reading = read_chat(town.model, town.tokenizer, question)
maps = attention_maps(town.model, reading.ids)
lesson.show(
    all_heads(maps.weights, title=T("All 36 heads at once", "Alle 36 Köpfe auf einmal"))
)

# %% [markdown] en
# One head of layer 2, closely: hold the mouse over a square to read its share.

# %% [markdown] de
# Ein Kopf der Schicht 2 aus der Nähe: Halte die Maus über ein Feld, dann steht dort sein Anteil.

# %%
layer, head = 2, 1
picture = attention_map(
    reading.tokens, maps.weights[layer - 1, head - 1], title=f"{layer}.{head}"
)
lesson.show(picture)

# %% [markdown] en
# ### Exercise 1.3
#
# Some heads do one simple thing: each token looks at the token **just before** it. `shares` holds, for each layer and
# head, how much of its attention goes there. Which head does it most? Give its layer and its number, both counted from
# 1, as in the pictures.

# %% [markdown] de
# ### Aufgabe 1.3
#
# Manche Köpfe tun etwas ganz Einfaches: Jedes Token schaut auf das Token **direkt davor**. `shares` enthält für jede
# Schicht und jeden Kopf, welcher Anteil der Aufmerksamkeit dorthin geht. Welcher Kopf tut das am meisten? Gib seine
# Schicht und seine Nummer an, beide ab 1 gezählt wie in den Bildern.

# %%
shares = maps.weights.diagonal(offset=-1, dim1=-2, dim2=-1).mean(-1)  # (L, H)
lesson.table(
    [
        T("layer", "Schicht"),
        *(T(f"head {number}", f"Kopf {number}") for number in range(1, 7)),
    ],
    [
        [number, *(f"{share:.0%}" for share in row)]
        for number, row in enumerate(shares.tolist(), 1)
    ],
)

# %% exercise 1.3
### BEGIN SOLUTION
#: previous_token_head = (..., ...)
place = int(shares.argmax())
previous_token_head = (place // 6 + 1, place % 6 + 1)
### END SOLUTION

# %% check 1.3
lesson.check("1.3", previous_token_head, shares)

# %% [markdown] en
# ## What does it weigh?
#
# All that the model has learnt are numbers, its *weights* (also called *parameters*). This is how many there are:

# %% [markdown] de
# ## Was wiegt es?
#
# Alles, was das Modell gelernt hat, sind Zahlen: seine *Gewichte* (auch *Parameter* genannt). So viele sind es:

# %%
lesson.result(
    T("TinyTown's weights", "Gewichte von TinyTown"), town.config.num_parameters, kind="computed",
    how=T("counted in its shape", "aus seiner Form gezählt"),
)  # fmt: skip
from litellama.config import PRESETS

names = [
    "tinytown",
    "litellama-460m",
    "tinyllama-1.1b",
    "llama2-7b",
    "llama2-13b",
    "llama2-70b",
]
lesson.table(
    [T("model", "Modell"), T("weights", "Gewichte")],
    [[name, f"{PRESETS[name].num_parameters:,}"] for name in names],
)

# %% [markdown] en
# LLaMA 2 is Meta's model of 2023; LiteLlama is a small open one of the same build. All of them are the same program
# with other sizes: the whole of it is one file, [litellama/model.py](../../litellama/model.py).
#
# ### Exercise 1.4
#
# How many times as many weights as LiteLlama (460m) has the largest LLaMA 2 (70b)?

# %% [markdown] de
# LLaMA 2 ist Metas Modell von 2023; LiteLlama ist ein kleines, offenes von derselben Bauart. Alle sind dasselbe
# Programm mit anderen Größen: Es steht ganz in einer Datei, [litellama/model.py](../../litellama/model.py).
#
# ### Aufgabe 1.4
#
# Wie viele Male so viele Gewichte wie LiteLlama (460m) hat das größte LLaMA 2 (70b)?

# %% exercise 1.4
### BEGIN SOLUTION
#: times = ...
times = PRESETS["llama2-70b"].num_parameters / PRESETS["litellama-460m"].num_parameters
### END SOLUTION

# %% check 1.4
lesson.check("1.4", times)

# %% [markdown] en
# In memory, a weight takes two bytes if it is kept in 16 bits, which is usual. A laptop has some 8 to 16 GB.

# %% [markdown] de
# Im Speicher braucht ein Gewicht zwei Byte, wenn es wie üblich in 16 Bit liegt. Ein Laptop hat etwa 8 bis 16 GB.

# %%
import plotly.graph_objects as go

from litellama.plots import LINES

gigabytes = [2 * PRESETS[name].num_parameters / 1e9 for name in names]
sizes = go.Figure(
    go.Bar(
        x=gigabytes,
        y=names,
        orientation="h",
        marker_color=LINES[0],
        text=[f"{size:.3g} GB" for size in gigabytes],
    )
)
sizes.update_layout(template="plotly_white", height=360, margin={"t": 20})
sizes.update_xaxes(
    title=T("GB of weights in 16 bits (computed)", "GB Gewichte in 16 Bit (berechnet)")
)
sizes.update_yaxes(autorange="reversed")
lesson.picture(
    sizes,
    T(
        "The memory that six models of one build need for their weights, to one scale.",
        "Wie viel Speicher die Gewichte von sechs Modellen einer Bauart brauchen, in einem Maßstab.",
    ),
)

# %% [markdown] en
# ## What can't it do?
#
# TinyTown knows nothing of the world outside. A well-built model says so. A larger one would answer, perhaps wrongly.
#
# ### Exercise 1.5
#
# Find a question to which the model says that it does not know. Any subject will do that is not part of the town.

# %% [markdown] de
# ## Was kann es nicht?
#
# TinyTown weiß nichts von der Welt draußen. Ein gut gebautes Modell sagt das auch. Ein größeres würde antworten,
# vielleicht falsch.
#
# ### Aufgabe 1.5
#
# Finde eine (englische) Frage, bei der das Modell sagt, dass es die Antwort nicht weiß. Jedes Thema außerhalb der Stadt
# ist recht.

# %% exercise 1.5
### BEGIN SOLUTION
#: outside = ...
outside = "What is the capital of Zambia?"
### END SOLUTION

# %% check 1.5
lesson.check("1.5", outside)
print(lesson.ask(outside))

# %% test
assert "bed" in lesson.ask(f"{story} Where is the ball?")
assert 140 < times < 160
assert maps.weights.shape[:2] == (6, 6)
assert float(shares.max()) > 0.5

# %% [markdown] en
# ## To discuss
#
# 1. The model answers at once and in good sentences. Does it understand the story? How could you find out?
# 2. Who decides what a model says when it does not know?
# 3. A model with 150 times as many weights needs 150 times as much memory. What should it do better to be worth it?

# %% [markdown] de
# ## Zum Besprechen
#
# 1. Das Modell antwortet sofort und in guten Sätzen. Versteht es die Geschichte? Wie ließe sich das herausfinden?
# 2. Wer entscheidet, was ein Modell sagt, wenn es etwas nicht weiß?
# 3. Ein Modell mit 150-mal so vielen Gewichten braucht 150-mal so viel Speicher. Was müsste es besser können, damit
#    sich das lohnt?
