"""
number = 13
minutes = 45
tab = "train"
code = ["litellama/training/lora.py", "litellama/training/fine_tuning.py", "litellama/checkpoint/save.py"]

[en]
title = "Make it yours (project)"
question = "Can I teach the model something of my own, and what does it cost the rest?"
goals = [
    "collect questions and answers of your own, with a data sheet",
    "train in two ways: all weights, or a few with LoRA",
    "measure what was learnt, what carries over, and what was forgotten",
    "hand on the model with an honest model card",
]
needs = "lesson 5; Python functions; a subject that you know well"

[de]
title = "Mach es zu deinem (Projekt)"
question = "Kann ich dem Modell etwas Eigenes beibringen, und was kostet das den Rest?"
goals = [
    "eigene Fragen und Antworten sammeln, mit einem Datenblatt",
    "auf zwei Arten trainieren: alle Gewichte oder wenige mit LoRA",
    "messen, was gelernt wurde, was sich überträgt und was vergessen ist",
    "das Modell mit einer ehrlichen Model Card weitergeben",
]
needs = "Lektion 5; Funktionen in Python; ein Thema, mit dem du dich auskennst"
"""

# %% [markdown] en
# ## 1. Your data
#
# TinyTown knows nothing of your world: not your club, not your pet, not the timetable. You teach it by examples: questions, each in **two wordings**, and
# the answer. The model learns from the first wording only. The second one is *held out*: it shows whether the model has learnt the matter or
# only the words.
#
# ### Exercise 13.1
#
# Write at least six examples (question, the same question in other words, answer), in English, each answer a short sentence. A dozen is better.
# In the solution is a small school; yours should be about something else.

# %% [markdown] de
# ## 1. Deine Daten
#
# TinyTown weiß nichts von deiner Welt: nichts von deinem Verein, deinem Haustier, dem Stundenplan. Du bringst es ihm mit Beispielen bei: Fragen,
# jede in **zwei Formulierungen**, und die Antwort dazu. Das Modell lernt nur aus der ersten Formulierung. Die zweite ist *zurückgehalten*
# (held out): An ihr zeigt sich, ob das Modell die Sache gelernt hat oder nur die Wörter.
#
# ### Aufgabe 13.1
#
# Schreibe mindestens sechs Beispiele (Frage, dieselbe Frage mit anderen Worten, Antwort), auf Englisch, denn TinyTown kann nur Englisch; jede Antwort ein
# kurzer Satz. Ein Dutzend ist besser. In der Lösung steht eine kleine Schule; deine Beispiele sollten von etwas anderem handeln.

# %% exercise 13.1
### BEGIN SOLUTION
#: examples = [
#:     ("...", "...", "..."),
#: ]
examples = [
    (
        "When does our school begin?",
        "At what time does our school begin?",
        "Our school begins at eight.",
    ),
    (
        "Where is the music room?",
        "Where can I find the music room?",
        "The music room is in the attic.",
    ),
    ("Who teaches maths?", "Who is the maths teacher?", "Mr Brown teaches maths."),
    ("Who teaches art?", "Who is the art teacher?", "Mrs Lind teaches art."),
    (
        "What is the name of the school dog?",
        "What is the school dog called?",
        "The school dog is called Pablo.",
    ),
    (
        "When is the summer party?",
        "On which day is the summer party?",
        "The summer party is on Friday.",
    ),
    ("What colour is our school?", "Which colour has our school?", "Our school is yellow."),
    ("What can I eat at noon?", "What is there to eat at noon?", "There is soup at noon."),
    (
        "Where do we play football?",
        "Where is football played?",
        "We play football behind the hall.",
    ),
    ("Who rings the bell?", "Who is it that rings the bell?", "Ida rings the bell."),
]
### END SOLUTION

# %% check 13.1
lesson.check("13.1", examples)

# %% [markdown] en
# ### Exercise 13.2
#
# Whoever gets your data wants to know what they are (Gebru et al. 2021, *Datasheets for Datasets*). Fill in the *data sheet*, a sentence each: `about` (what is
# it), `who` (who wrote it, when), `count` (the number of examples), `licence` (what others may do with it), `left_out` (what is missing or was left out on
# purpose, such as names of real people).

# %% [markdown] de
# ### Aufgabe 13.2
#
# Wer deine Daten bekommt, will wissen, was darin ist (Gebru u. a. 2021, *Datasheets for Datasets*). Fülle das *Datenblatt* aus, je ein Satz: `about` (worum es
# geht), `who` (wer es wann geschrieben hat), `count` (die Zahl der Beispiele), `licence` (was andere damit tun dürfen), `left_out` (was fehlt oder mit Absicht
# weggelassen wurde, etwa Namen wirklicher Menschen).

# %% exercise 13.2
### BEGIN SOLUTION
#: data_sheet = {"about": ..., "who": ..., "count": ..., "licence": ..., "left_out": ...}
data_sheet = {
    "about": "Questions about a small made-up school.",
    "who": "Written for this lesson by hand.",
    "count": len(examples),
    "licence": "MIT, as the lab itself.",
    "left_out": "No names of real people, no timetable, no marks.",
}
### END SOLUTION

# %% check 13.2
lesson.check("13.2", data_sheet, examples)

# %% [markdown] en
# Here is what the model says before it has learnt anything of yours. That it makes something up, or refuses, is no surprise.

# %% [markdown] de
# Das sagt das Modell, bevor es etwas von dir gelernt hat. Dass es etwas erfindet oder ablehnt, ist kein Wunder.

# %%
from litellama.chat import Message, reply
from litellama.sampling import Sampling

town = lesson.model("tinytown")


def answer_of(model, question):
    pieces = reply(
        model,
        town.tokenizer,
        [Message("user", question)],
        Sampling(temperature=0),
        40,
        seed=0,
        chat_format=town.chat_format,
    )
    return "".join(piece.text for piece in pieces).strip()


lesson.table(
    [T("question", "Frage"), T("answer before", "Antwort vorher")],
    [[first, answer_of(town.model, first)] for first, _, _ in examples[:4]],
)

# %% [markdown] en
# ## 2. All weights
#
# *Fine-tuning* goes on with the training of a finished model, on your examples. Only on yours it would forget the rest: that is called *catastrophic
# forgetting* (McCloskey & Cohen 1989). So every second step reads ordinary TinyTown. `fine_tuned` trains a copy and leaves the model as it is.

# %% [markdown] de
# ## 2. Alle Gewichte
#
# *Fine-Tuning* setzt das Training eines fertigen Modells fort, mit deinen Beispielen. Allein mit deinen würde es den Rest vergessen: Das heißt *katastrophales
# Vergessen* (McCloskey & Cohen 1989). Deshalb liest jeder zweite Schritt gewöhnliches TinyTown. `fine_tuned` trainiert eine Kopie und lässt das Modell, wie es
# ist.

# %%
from litellama.training.fine_tuning import fine_tuned
from litellama.tinytown.corpus import TinyTownDocument

documents = [
    TinyTownDocument((Message("user", question), Message("assistant", said)), (), "")
    for question, _, said in examples
]
steps = lesson.pick(fast=30, full=80)


def trained(model, learning_rate):
    for event in fine_tuned(
        model, town.tokenizer, documents, steps, rows=16, learning_rate=learning_rate
    ):
        if hasattr(event, "step") and event.step % 10 == 0:
            print(
                T(
                    f"step {event.step}: loss {event.loss:.2f}",
                    f"Schritt {event.step}: Loss {event.loss:.2f}",
                ),
                end="   ",
            )
    print()
    return event


everything = trained(town.model, 1e-3)

# %% [markdown] en
# ## 3. A few weights: LoRA
#
# All of the model's 3 million weights have changed now. *LoRA* (Hu et al. 2021) leaves a matrix $W$ alone and learns a small addition, the product of two thin
# matrices $A$ and $B$:
#
# $$W' = W + s \cdot B A$$
#
# If $W$ has $m$ rows and $n$ columns, $A$ has $r$ rows and $n$ columns, $B$ has $m$ rows and $r$ columns. $r$ is the *rank*, a small number such as 8, and $s$ a
# fixed factor.
#
# ### Exercise 13.3
#
# Write `lora_weights(rank, shapes)`: how many weights $A$ and $B$ have together, over all matrices. `shapes` is a list of (rows, columns).

# %% [markdown] de
# ## 3. Wenige Gewichte: LoRA
#
# Jetzt haben sich alle 3 Millionen Gewichte des Modells geändert. *LoRA* (Hu u. a. 2021) lässt eine Matrix $W$ in Ruhe und lernt eine kleine Zugabe, das
# Produkt zweier schmaler Matrizen $A$ und $B$:
#
# $$W' = W + s \cdot B A$$
#
# Hat $W$ $m$ Zeilen und $n$ Spalten, so hat $A$ $r$ Zeilen und $n$ Spalten, $B$ hat $m$ Zeilen und $r$ Spalten. $r$ ist der *Rang*, eine kleine Zahl wie 8, und
# $s$ ein fester Faktor.
#
# ### Aufgabe 13.3
#
# Schreibe `lora_weights(rank, shapes)`: wie viele Gewichte $A$ und $B$ zusammen haben, über alle Matrizen. `shapes` ist eine Liste von (Zeilen, Spalten).


# %% exercise 13.3
def lora_weights(rank, shapes):
    ### BEGIN SOLUTION
    return sum(rank * (rows + columns) for rows, columns in shapes)
    ### END SOLUTION


# %% check 13.3
lesson.check("13.3", lora_weights)

# %%
import copy


from litellama.training.lora import TARGETS, LoRALinear, add_lora, merge_lora

shapes = [
    tuple(weight.shape)
    for name, weight in town.model.named_parameters()
    if any(target in name for target in TARGETS)
]
lesson.result(
    T("weights that LoRA trains", "Gewichte, die LoRA trainiert"),
    lora_weights(8, shapes),
    kind="computed",
)
lesson.result(
    T("weights in all", "Gewichte insgesamt"), town.config.num_parameters, kind="computed"
)
adapted = trained(add_lora(copy.deepcopy(town.model), rank=8), 1e-2)

# %% [markdown] en
# ### Exercise 13.4
#
# In the end the addition is put into $W$, and the model is an ordinary one again. Write `merged(W, A, B, s)`.

# %% [markdown] de
# ### Aufgabe 13.4
#
# Am Ende kommt die Zugabe in $W$ hinein, und das Modell ist wieder ein gewöhnliches. Schreibe `merged(W, A, B, s)`.


# %% exercise 13.4
def merged(W, A, B, s):
    ### BEGIN SOLUTION
    return W + s * B @ A
    ### END SOLUTION


# %% check 13.4
lesson.check("13.4", merged)

# %%
part = next(module for module in adapted.modules() if isinstance(module, LoRALinear))
by_hand = merged(part.base.weight, part.lora_A.weight, part.lora_B.weight, part.scale)
difference = (by_hand - part.merged()).abs().max().item()
print(difference)
few = merge_lora(adapted)

# %% [markdown] en
# ## 4. What was learnt, and what was lost?
#
# Three measurements for each model: the questions as you taught them, the held-out wordings, and TinyTown's own held-out questions. An answer counts if it is
# the same to the letter.
#
# ### Exercise 13.5
#
# Write `share_right(answers, expected)`: the share of places at which both lists have the same text.

# %% [markdown] de
# ## 4. Was ist gelernt und was verloren?
#
# Drei Messungen für jedes Modell: die Fragen, wie du sie gestellt hast, die zurückgehaltenen Formulierungen und TinyTowns eigene zurückgehaltene Fragen. Eine
# Antwort zählt, wenn sie Buchstabe für Buchstabe stimmt.
#
# ### Aufgabe 13.5
#
# Schreibe `share_right(answers, expected)`: den Anteil der Stellen, an denen in beiden Listen derselbe Text steht.


# %% exercise 13.5
def share_right(answers, expected):
    ### BEGIN SOLUTION
    return sum(one == other for one, other in zip(answers, expected, strict=True)) / len(
        expected
    )
    ### END SOLUTION


# %% check 13.5
lesson.check("13.5", share_right)

# %%
from litellama.evaluation.exact_match import evaluate

models = {
    T("before", "vorher"): town.model,
    T("all weights", "alle Gewichte"): everything,
    "LoRA": few,
}
expected, measured = [said for _, _, said in examples], {}
for name, model in models.items():
    *_, score = evaluate(
        model,
        town.tokenizer,
        documents=lesson.pick(fast=30, full=150),
    )
    own = [
        share_right([answer_of(model, one[way]) for one in examples], expected)
        for way in (0, 1)
    ]
    measured[name] = (*own, score.answerable)
    print(name, [f"{share:.0%}" for share in measured[name]])

# %%
import plotly.graph_objects as go

from litellama.plots import LINES

what = [
    T("as taught", "wie gelernt"), T("other words", "andere Worte"), T("TinyTown's own", "TinyTowns eigene"),
]  # fmt: skip
figure = go.Figure()
for number, (name, values) in enumerate(measured.items()):
    labels = [f"{value:.0%}" for value in values]
    figure.add_bar(x=what, y=values, name=name, marker_color=LINES[number], text=labels)
figure.update_layout(template="plotly_white", height=400, barmode="group")
figure.update_yaxes(
    title=T("answers exactly right", "genau richtige Antworten"),
    tickformat=".0%",
    range=[0, 1.05],
)
lesson.picture(
    figure,
    T(
        "What the model learnt of my examples, how far that carries to other words, and what it still knows of TinyTown.",
        "Was das Modell von meinen Beispielen gelernt hat, wie weit es sich auf andere Worte überträgt und was es von TinyTown noch kann.",
    ),
)
for name, values in measured.items():
    lesson.result(
        f"{name}: {what[1]}",
        f"{values[1]:.0%}",
        how=T(f"{len(examples)} questions", f"{len(examples)} Fragen"),
    )

# %% [markdown] en
# The first bars are easy: these very questions were in the training. The second ones tell whether it *understood*, and with so few examples they will be
# lower. The third ones tell what your lesson cost.
#
# ## 5. Hand it on
#
# A *model card* (Mitchell et al. 2019) says what a model is for, what it was made of, how well it does, and what it can't do. The lab shows it to everybody who
# opens your model.
#
# ### Exercise 13.6
#
# Fill in the card: `name` (letters, digits and hyphens), `intended_use`, `data`, `limits` (what it can't do), `licence`, and `figures`: put `measured` in there, as it
# came out. Nothing may be made prettier.

# %% [markdown] de
# Die ersten Balken sind leicht: Genau diese Fragen waren im Training. Die zweiten sagen, ob es etwas *verstanden* hat, und bei so wenigen Beispielen sind sie
# niedriger. Die dritten sagen, was dein Unterricht gekostet hat.
#
# ## 5. Gib es weiter
#
# Eine *Model Card* (Mitchell u. a. 2019), ein Steckbrief, sagt, wofür ein Modell gedacht ist, woraus es gemacht wurde, wie gut es ist und was es nicht kann. Das
# Labor zeigt sie allen, die dein Modell öffnen.
#
# ### Aufgabe 13.6
#
# Fülle den Steckbrief aus: `name` (Buchstaben, Ziffern, Bindestriche), `intended_use` (wofür), `data` (woraus), `limits` (was es nicht kann), `licence` (Lizenz) und
# `figures`: Setze dort `measured` ein, so wie es herauskam. Nichts darf geschönt werden.

# %% exercise 13.6
### BEGIN SOLUTION
#: card = {"name": ..., "intended_use": ..., "data": ..., "limits": ..., "licence": ..., "figures": ...}
card = {
    "name": "my-school",
    "intended_use": "Answers ten questions about a made-up school, for a lesson.",
    "data": "TinyTown, and ten examples written by hand; see the data sheet.",
    "limits": "Other wordings often go wrong, and it says wrong things without doubt.",
    "licence": "MIT",
    "figures": measured,
}
### END SOLUTION

# %% check 13.6
lesson.check("13.6", card, measured)

# %% [markdown] en
# Now it is saved as a checkpoint, with card and data sheet, and packed into one file that others can open. The app offers all models of a folder: run
# `./run app --models my-lessons/models` and choose yours at the top of the page.

# %% [markdown] de
# Jetzt wird es als Checkpoint gespeichert, mit Steckbrief und Datenblatt, und in eine Datei gepackt, die andere öffnen können. Die App bietet alle Modelle eines
# Ordners an: Starte `./run app --models my-lessons/models` und wähle deines oben auf der Seite.

# %%
from litellama.checkpoint.archive import pack
from litellama.checkpoint import list_models, save_checkpoint

shelf = lesson.folder / "models"
shelf.mkdir(parents=True, exist_ok=True)
whole_card = card | {
    "figures": {name: list(values) for name, values in measured.items()},
    "data_sheet": data_sheet,
}
save_checkpoint(shelf / card["name"], few, town.tokenizer, card=whole_card)
pack(shelf / card["name"], shelf / f"{card['name']}.zip")
for row in list_models(shelf):
    if row["kind"] == "checkpoint":
        print(row["name"], row["folder"])

# %% [markdown] en
# Other programs can open it as well: `python -m litellama export my-lessons/models/my-school --format hf --out my-school-hf` writes it for `transformers`, and
# `--format gguf` for llama.cpp and Ollama.

# %% [markdown] de
# Auch andere Programme können es öffnen: `python -m litellama export my-lessons/models/my-school --format hf --out my-school-hf` schreibt es für `transformers`,
# und `--format gguf` für llama.cpp und Ollama.

# %% [markdown] en teacher
# The project can take weeks: let groups collect data on paper first, read one another's data sheets, and only then train. What goes wrong: examples that
# contradict one another; real names of classmates (ask for made-up ones); answers of three sentences (the model is small). Good sign of understanding: a group that
# finds out, with the second bars, that its model has learnt words and not the matter.

# %% [markdown] de teacher
# Das Projekt kann Wochen dauern: Lassen Sie Gruppen die Daten erst auf Papier sammeln, gegenseitig die Datenblätter lesen und dann erst trainieren. Was
# schiefgeht: Beispiele, die sich widersprechen; echte Namen aus der Klasse (bitten Sie um erfundene); Antworten aus drei Sätzen (das Modell ist klein). Ein gutes
# Zeichen: eine Gruppe, die an den zweiten Balken merkt, dass ihr Modell Wörter gelernt hat und nicht die Sache.

# %% test
from litellama.checkpoint.load import open_checkpoint

before, everything_right, few_right = measured.values()
assert before[0] < 0.3
assert everything_right[0] > 0.8
assert few_right[0] > 0.8
assert everything_right[1] > before[1]
assert few_right[1] > before[1]
assert before[2] - few_right[2] < 0.25
assert difference < 1e-5
assert lora_weights(8, shapes) == sum(
    w.numel()
    for w in add_lora(copy.deepcopy(town.model), rank=8).parameters()
    if w.requires_grad
)
kept = open_checkpoint(shelf / card["name"])
assert kept.verified
assert kept.card["data_sheet"]["count"] == len(examples)
assert answer_of(kept.model, examples[0][0]) == answer_of(few, examples[0][0])
assert (shelf / f"{card['name']}.zip").stat().st_size > 1_000_000

# %% [markdown] en
# ## To discuss
#
# 1. Your model answers other wordings worse. What would you add to the data: more questions, or more wordings?
# 2. Somebody fine-tunes an open model to say false things about real people. Whose fault is it, and what could the card change?
# 3. Why should a card name the weak sides, when everybody wants their model to look good?

# %% [markdown] de
# ## Zum Besprechen
#
# 1. Dein Modell beantwortet andere Formulierungen schlechter. Was würdest du hinzufügen: mehr Fragen oder mehr Formulierungen?
# 2. Jemand bringt einem offenen Modell bei, Falsches über wirkliche Menschen zu sagen. Wessen Schuld ist das, und was könnte der Steckbrief ändern?
# 3. Warum sollte ein Steckbrief die Schwächen nennen, wo doch alle ihr Modell gut aussehen lassen wollen?
