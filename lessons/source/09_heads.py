"""
number = 9
minutes = 45
tab = "attention"
code = ["litellama/explain/attention.py", "litellama/explain/heads.py"]

[en]
title = "What heads look at"
question = "What does each head do, and does the answer need it?"
goals = [
    "predict where an induction head looks, and measure it",
    "give each of the model's 36 heads a role, and see which two layers work together",
    "switch heads off and see what the model then answers",
    "tell apart where a head looks and what the answer rests on",
]
needs = "lesson 1; a little Python: you fill in patterns"

[de]
title = "Wohin Köpfe schauen"
question = "Was tut jeder Kopf, und braucht ihn die Antwort?"
goals = [
    "vorhersagen, wohin ein Induktionskopf schaut, und es messen",
    "jedem der 36 Köpfe des Modells eine Rolle geben und sehen, welche zwei Schichten zusammenarbeiten",
    "Köpfe abschalten und sehen, was das Modell dann antwortet",
    "unterscheiden, wohin ein Kopf schaut und worauf die Antwort beruht",
]
needs = "Lektion 1; ein wenig Python: Du füllst Muster aus"
"""

# %% [markdown] en
# ## A riddle
#
# A model reads *tokens*: words or pieces of words. To choose the next token it looks back at those before. This looking
# is called *attention*, and *heads* do it: TinyTown has 6 *layers* with 6 heads each. A head shares its look among the
# tokens before it, so that the shares add up to 100 %. Head 3.5 is head 5 of layer 3.
#
# Here is a row of words without a meaning. After eight words it begins anew:
#
# > hat lamp Tom green boat Anna seven key hat lamp Tom green **?**
#
# You know what comes next, although you have never read this row before. You looked back.
#
# ### Exercise 9.1
#
# The model reads the thirteen tokens below: an invisible one at the beginning, and the words. It stands at number 13,
# the second `green`. Which **number** must a head look at to know what comes next?

# %% [markdown] de
# ## Ein Rätsel
#
# Ein Modell liest *Tokens*: Wörter oder Stücke davon. Um das nächste Token zu wählen, schaut es auf die Tokens davor
# zurück. Dieses Schauen heißt *Attention* (Aufmerksamkeit), und es geschieht in *Köpfen*: TinyTown hat 6 *Schichten*
# mit je 6 Köpfen. Ein Kopf verteilt seinen Blick auf die Tokens davor, zusammen 100 %. Kopf 3.5 ist Kopf 5 der Schicht
# 3.
#
# Hier steht eine Reihe englischer Wörter ohne Sinn. Nach acht Wörtern beginnt sie von vorn:
#
# > hat lamp Tom green boat Anna seven key hat lamp Tom green **?**
#
# Du weißt, was als Nächstes kommt, obwohl du diese Reihe noch nie gelesen hast. Du hast zurückgeschaut.
#
# ### Aufgabe 9.1
#
# Das Modell liest die dreizehn Tokens unten: ein unsichtbares am Anfang, dann die Wörter. Es steht bei Nummer 13, dem
# zweiten `green`. Auf welche **Nummer** muss ein Kopf schauen, um zu wissen, was als Nächstes kommt?

# %%
from litellama.explain.tokenized_run import read_text

town = lesson.model("tinytown")
words = "hat lamp Tom green boat Anna seven key"
riddle = read_text(
    town.model, town.tokenizer, f" {words} hat lamp Tom green", max_new_tokens=1
)
tokens = riddle.tokens[:13]
lesson.table(range(1, 14), [tokens])

# %% exercise 9.1
### BEGIN SOLUTION
#: looks_at = ...
looks_at = 6
### END SOLUTION

# %% check 9.1
lesson.check("9.1", looks_at)
print(
    T("The model goes on with:", "Das Modell schreibt weiter:"),
    riddle.text_of(riddle.answer),
)

# %% [markdown] en
# This is the *map* of head 3.5. Each row is a token; dark squares are where it looks. Find row 13. As long as no word
# comes back, the head rests on the invisible first token. Then change the numbers and look at other heads: 2.5, for
# example, or 6.6.

# %% [markdown] de
# Das ist die *Karte* des Kopfes 3.5. Jede Zeile ist ein Token; dunkle Felder zeigen, wohin es schaut. Suche Zeile 13.
# Solange kein Wort wiederkehrt, ruht der Kopf auf dem unsichtbaren ersten Token. Ändere dann die Zahlen und sieh dir
# andere Köpfe an, zum Beispiel 2.5 oder 6.6.

# %%
import torch

from litellama.explain.attention import attention_maps, role_scores
from litellama.plots import attention_map

layer, head = 3, 5
maps = attention_maps(town.model, riddle.ids[:13])
picture = attention_map(
    tokens, maps.weights[layer - 1, head - 1], title=T("Head", "Kopf") + f" {layer}.{head}"
)
if (layer, head) == (3, 5):
    lesson.picture(picture, T(
        "Head 3.5 on a row of words that begins anew: from the ninth word on it looks at what came next last time.",
        "Kopf 3.5 bei einer Wortreihe, die von vorn beginnt: Ab dem neunten Wort schaut er auf das, was beim ersten "
        "Mal als Nächstes kam.",
    ))  # fmt: skip
else:
    lesson.show(picture)

# %% [markdown] en
# ## Five roles
#
# A head that finds what followed last time is called an *induction head* (Olsson et al. 2022). It is one of five simple
# *roles* that the lab looks for:
#
# | role | each token looks at ... |
# |---|---|
# | previous token | the token just before |
# | first token | the very first token |
# | same token | earlier tokens equal to it |
# | induction | tokens that **followed** earlier tokens equal to it |
# | current word | itself, and the other pieces of its own word |
#
# The *score* of a role is the share of attention that goes where the role says, averaged over all rows for which it
# says something. This is the score of the role *previous token*:

# %% [markdown] de
# ## Fünf Rollen
#
# Ein Kopf, der findet, was beim letzten Mal folgte, heißt *Induktionskopf* (Olsson et al. 2022). Das ist eine von fünf
# einfachen *Rollen*, nach denen das Labor sucht:
#
# | Rolle | jedes Token schaut auf ... |
# |---|---|
# | voriges Token | das Token direkt davor |
# | erstes Token | das allererste Token |
# | gleiches Token | frühere Tokens, die ihm gleich sind |
# | Induktion | Tokens, die auf frühere, ihm gleiche Tokens **folgten** |
# | eigenes Wort | sich selbst und die anderen Stücke seines Wortes |
#
# Der *Wert* einer Rolle ist der Anteil der Aufmerksamkeit, der dorthin geht, wohin die Rolle es sagt, im Mittel über
# alle Zeilen, für die sie etwas sagt. Das ist der Wert der Rolle *voriges Token*:


# %%
def previous_token_score(weights):
    shares = []
    for row in range(1, len(weights)):
        shares.append(weights[row][row - 1])
    return sum(shares) / len(shares)


previous = float(previous_token_score(maps.weights[1, 4]))
lesson.result(
    T("Head 2.5, previous token", "Kopf 2.5, voriges Token"),
    100 * previous,
    "%",
    kind="computed",
)

# %% [markdown] en
# `weights[row][column]` is the share of its look that token `row` gives to token `column`. Python counts from 0: the
# invisible token is number 0. A head's map is `maps.weights[layer - 1, head - 1]`.
#
# ### Exercise 9.2
#
# Write the score of **induction**. The text is the invisible token, then `n` different words, then the same `n` words
# again. So the second copy fills the rows `n + 1` to `2 * n`, and the same word stands `n` places before. Which column
# does an induction head look at from `row`?

# %% [markdown] de
# `weights[row][column]` ist der Anteil seines Blicks, den Token `row` (Zeile) dem Token `column` (Spalte) gibt. Python
# zählt ab 0: Das unsichtbare Token ist Nummer 0. Die Karte eines Kopfes ist `maps.weights[layer - 1, head - 1]`.
#
# ### Aufgabe 9.2
#
# Schreibe den Wert der **Induktion**. Der Text besteht aus dem unsichtbaren Token, dann `n` verschiedenen Wörtern, dann
# denselben `n` Wörtern noch einmal. Die zweite Kopie füllt also die Zeilen `n + 1` bis `2 * n`, und dasselbe Wort steht
# `n` Plätze davor. Auf welche Spalte schaut ein Induktionskopf von `row` aus?


# %% exercise 9.2
def induction_score(weights, n):
    shares = []
    for row in range(n + 1, 2 * n + 1):
        ### BEGIN SOLUTION
        #: shares.append(weights[row][...])
        shares.append(weights[row][row - n + 1])
        ### END SOLUTION
    return sum(shares) / len(shares)


# %% [markdown] en
# The check tries your function on made-up maps. Then it compares it with the lab's own, for all 36 heads.

# %% [markdown] de
# Die Prüfung probiert deine Funktion an erfundenen Karten aus. Dann vergleicht sie sie für alle 36 Köpfe mit der des
# Labors.

# %% check 9.2
lesson.check("9.2", induction_score)

twice = read_text(town.model, town.tokenizer, f" {words} {words}", max_new_tokens=1).ids[
    :17
]
maps = attention_maps(town.model, twice)
yours = torch.tensor(
    [[float(induction_score(weights, 8)) for weights in layer] for layer in maps.weights]
)
difference = float((yours - role_scores(maps, twice, [])["induction"]).abs().max())
lesson.result(
    T("Largest difference between your scores and the lab's", "Größter Unterschied zwischen deinen Werten und denen "
      "des Labors"), difference, kind="computed",
)  # fmt: skip

# %% [markdown] en teacher
# Most pupils first take the same word (`row - n`): it *feels* like the place to look at. Ask: what would the head learn
# there? Only that the word is `green`, which it knows already. The news stands one place further on.

# %% [markdown] de teacher
# Die meisten nehmen zuerst dasselbe Wort (`row - n`): Es *fühlt* sich an wie die richtige Stelle. Fragen Sie: Was
# erfährt der Kopf dort? Nur, dass da `green` steht, und das weiß er schon. Das Neue steht einen Platz weiter.

# %% [markdown] en
# ## All 36 heads
#
# Now the real test. The lab draws 40 tokens at random, writes them twice, and does this eight times. Such a text has no
# meaning: only its form can guide a head. A head has a role if it puts at least 40 % of its look there.

# %% [markdown] de
# ## Alle 36 Köpfe
#
# Nun der richtige Test. Das Labor zieht 40 zufällige Tokens, schreibt sie zweimal hin und macht das achtmal. Ein
# solcher Text hat keinen Sinn: Nur seine Form kann einen Kopf leiten. Ein Kopf hat eine Rolle, wenn mindestens 40 %
# seines Blicks dorthin gehen.

# %%
from litellama.explain.attention import head_roles
from litellama.plots import SHARES, head_grid

names = {
    "previous token": T("previous<br>token", "voriges<br>Token"),
    "first token": T("first<br>token", "erstes<br>Token"),
    "same token": T("same<br>token", "gleiches<br>Token"),
    "induction": T("induction", "Induktion"), "current word": T("current<br>word", "eigenes<br>Wort"), None: "–",
}  # fmt: skip
roles = head_roles(town.model, town.tokenizer)
found = [[roles.role(layer, head) for head in range(6)] for layer in range(6)]
grid = head_grid(
    [[share for _, share in row] for row in found], title=T("The roles", "Die Rollen")
)
grid.update_traces(
    text=[[names[role] for role, _ in row] for row in found], texttemplate="%{text}<br>%{z:.0%}", colorscale=SHARES,
    zmin=0, zmax=1, colorbar_tickformat=".0%", textfont_size=11,
)  # fmt: skip
grid.update_xaxes(title=T("head", "Kopf")).update_yaxes(
    title=T("layer", "Schicht")
).update_layout(height=520)
lesson.picture(grid, T(
    "The role of each of TinyTown's heads, and how much of its look goes there; the last layer on top.",
    "Die Rolle jedes Kopfes von TinyTown und wie viel seines Blicks dorthin geht; die letzte Schicht steht oben.",
))  # fmt: skip

# %% [markdown] en
# A dash: none of the five roles fits. That does not mean that the head does nothing.
#
# ### Exercise 9.3
#
# Read off the picture: in which layer do the induction heads sit? And which heads have the role *previous token*? Give
# each as `(layer, head)`.

# %% [markdown] de
# Ein Strich heißt: Keine der fünf Rollen passt. Das heißt nicht, dass der Kopf nichts tut.
#
# ### Aufgabe 9.3
#
# Lies aus dem Bild ab: In welcher Schicht sitzen die Induktionsköpfe? Und welche Köpfe haben die Rolle *voriges Token*?
# Gib jeden als `(Schicht, Kopf)` an.

# %% exercise 9.3
### BEGIN SOLUTION
#: induction_layer = ...
#: previous_token_heads = [(..., ...), (..., ...)]
induction_layer = 3
previous_token_heads = [(2, 5), (2, 6)]
### END SOLUTION

# %% check 9.3
lesson.check("9.3", induction_layer, previous_token_heads, roles)

# %% [markdown] en
# ## Two layers work together
#
# The roles sit next to each other for a reason. A head of layer 3 that stands at the second `green` looks for a token
# with the note “before me stood *green*”. Somebody must have written that note: a previous-token head of layer 2, when
# it stood at `boat`.
#
# That is a claim. Test it: switch the writers off and see whether the readers still find anything. This is how a head
# is switched off: what it says is multiplied by 0. With 0.5 it is turned down, with 2 turned up.

# %% [markdown] de
# ## Zwei Schichten arbeiten zusammen
#
# Dass diese Rollen in benachbarten Schichten sitzen, hat einen Grund. Ein Kopf der Schicht 3, der beim zweiten `green`
# steht, sucht ein Token mit der Notiz „Vor mir stand *green*“. Diese Notiz muss jemand geschrieben haben: ein Kopf der
# Schicht 2 mit der Rolle *voriges Token*, als er bei `boat` stand.
#
# Das ist eine Behauptung. Prüfe sie: Schalte die Schreiber ab und sieh nach, ob die Leser noch etwas finden. So wird
# ein Kopf abgeschaltet: Was er sagt, wird mit 0 malgenommen. Mit 0.5 wird er leiser, mit 2 lauter.

# %%
from litellama.explain.heads import with_heads

lesson.code(with_heads)


def turned(heads, strength=0.0):
    scales = torch.ones(1, 6, 6)  # (1, L, H)
    for layer, head in heads:
        scales[0, layer - 1, head - 1] = strength
    return with_heads(town.model, scales)


# %% [markdown] en
# The line that counts is `heads = heads * scales[...]`. `turned([(6, 6), (1, 2)])` is the model without the heads 6.6
# and 1.2; nothing else is changed.
#
# ### Exercise 9.4
#
# Switch both previous-token heads off. How large is the induction score of **head 3.5** then? Before, it was 0.60:
# `head_roles(town.model, town.tokenizer).scores["induction"][2, 4]`. (Python counts layers and heads from 0.)

# %% [markdown] de
# Die Zeile, auf die es ankommt, ist `heads = heads * scales[...]`. `turned([(6, 6), (1, 2)])` ist das Modell ohne die
# Köpfe 6.6 und 1.2; sonst ist nichts verändert.
#
# ### Aufgabe 9.4
#
# Schalte beide Köpfe mit der Rolle *voriges Token* ab. Wie groß ist dann der Induktionswert von **Kopf 3.5**? Vorher
# war er 0,60: `head_roles(town.model, town.tokenizer).scores["induction"][2, 4]`. (Python zählt Schichten und Köpfe ab
# 0.)

# %% exercise 9.4
### BEGIN SOLUTION
#: changed = ...
#: score_without = ...
changed = turned([(2, 5), (2, 6)])
score_without = head_roles(changed, town.tokenizer).scores["induction"][2, 4]
### END SOLUTION

# %% check 9.4
lesson.check("9.4", score_without)
lesson.result(
    T("Head 3.5, induction", "Kopf 3.5, Induktion"),
    100 * float(roles.scores["induction"][2, 4]),
    "%",
)
lesson.result(
    T("Head 3.5, induction, without 2.5 and 2.6", "Kopf 3.5, Induktion, ohne 2.5 und 2.6"), 100 * float(score_without),
    "%",
)  # fmt: skip

# %% [markdown] en
# So the induction heads do not work alone. And with the finding, the guessing ends too. Here the model reads the eight
# words three times; the table shows what it expects in the third round. As a control, two other heads are switched off.

# %% [markdown] de
# Die Induktionsköpfe arbeiten also nicht allein. Und mit dem Finden endet auch das Raten. Hier liest das Modell die
# acht Wörter dreimal; die Tabelle zeigt, was es in der dritten Runde erwartet. Zur Kontrolle werden einmal zwei andere
# Köpfe abgeschaltet.

# %%
thrice = read_text(
    town.model, town.tokenizer, f" {words} {words} {words}", max_new_tokens=1
).ids[:24]


def guesses(model):
    with torch.inference_mode():
        best = model(torch.tensor([thrice], device=lesson.device)).logits[0, 16:].argmax(-1)
    return [town.tokenizer.token_text(int(id)) for id in best]


rows = [(T("without 2.5 and 2.6", "ohne 2.5 und 2.6"), [(2, 5), (2, 6)])]
rows += [(T("without 4.1 and 4.2", "ohne 4.1 und 4.2"), [(4, 1), (4, 2)])]
lesson.table(
    [T("right", "richtig"), *words.split()],
    [
        [T("all heads", "alle Köpfe"), *guesses(town.model)],
        *([name, *guesses(turned(off))] for name, off in rows),
    ],
)

# %% test
assert riddle.text_of(riddle.answer) == " boat"
assert previous > 0.95
assert difference < 1e-5
assert abs(float(roles.scores["induction"][2, 4]) - 0.6) < 0.01
assert float(roles.scores["induction"][[0, 1, 3, 4, 5]].max()) < 0.05
assert float(score_without) < 0.02
right = words.split()
hits = [sum(guess.strip() == word for guess, word in zip(guesses(model), right, strict=True))
        for model in (town.model, turned([(2, 5), (2, 6)]), turned([(4, 1), (4, 2)]))]  # fmt: skip
assert hits[0] >= 7
assert hits[1] == 0
assert hits[2] >= 7

# %% [markdown] en
# ## Which heads does an answer need?
#
# Now a question that has a meaning:

# %% [markdown] de
# ## Welche Köpfe braucht eine Antwort?
#
# Nun eine Frage, die einen Sinn hat. (TinyTown versteht nur Englisch: Tom hat einen roten Ball, Anna einen blauen Hut.
# Welche Farbe hat der Hut?)

# %%
from litellama.chat import Message
from litellama.explain.tokenized_run import read_chat

question = "Tom has a red ball. Anna has a blue hat. What colour is the hat?"


def answer(model):
    reading = read_chat(model, town.tokenizer, [Message("user", question)])
    return reading.text_of(reading.answer).strip()


print(answer(town.model))
print(answer(turned([(6, 6)])))
print(answer(turned([(2, 5)], strength=0.5)))

# %% [markdown] en
# Try other heads and other strengths.
#
# ### Exercise 9.5
#
# Head 6.6 can go and nobody misses it. Which **single** heads are missed? Try all 36, one at a time, and collect each
# head without which the answer is another. It takes a few seconds.

# %% [markdown] de
# Probiere andere Köpfe und andere Stärken aus.
#
# ### Aufgabe 9.5
#
# Kopf 6.6 kann gehen, und niemand vermisst ihn. Welche **einzelnen** Köpfe werden vermisst? Probiere alle 36, immer nur
# einen, und sammle jeden Kopf, ohne den die Antwort anders lautet. Das dauert ein paar Sekunden.

# %% exercise 9.5
usual = answer(town.model)
needed = []
for layer in range(1, 7):
    for head in range(1, 7):
        ### BEGIN SOLUTION
        #: if ...:
        #:     needed.append((layer, head))
        if answer(turned([(layer, head)])) != usual:
            needed.append((layer, head))
        ### END SOLUTION

# %% check 9.5
lesson.check("9.5", needed, question)
lesson.table(
    [T("without", "ohne"), T("it answers", "lautet die Antwort")],
    [[f"{layer}.{head}", answer(turned([(layer, head)]))] for layer, head in needed],
)

# %% [markdown] en
# Three of 36. Does the answer rest on these three heads alone? No. Switch *several* off and others turn out to be
# needed too. The lab takes away one head after the other, always the one that is missed least, as long as the answer
# stays the same. What is left is a set from which no further head can be taken.

# %% [markdown] de
# Drei von 36. Beruht die Antwort also auf diesen drei Köpfen allein? Nein. Schaltet man *mehrere* ab, werden auch
# andere gebraucht. Das Labor nimmt einen Kopf nach dem anderen weg, immer den, der am wenigsten fehlt, solange die
# Antwort dieselbe bleibt. Übrig bleibt eine Menge, aus der sich kein weiterer Kopf wegnehmen lässt.

# %%
from litellama.explain.heads import smallest_set
from litellama.explain.scoring import Target

reading = read_chat(town.model, town.tokenizer, [Message("user", question)])
whole = Target(reading.answer_start, len(reading.ids))
*_, left = smallest_set(town.model, reading, whole)
lesson.result(
    T("Heads that still give the answer", "Köpfe, die für die Antwort reichen"), f"{int(left.sum())} / 36",
    how=T("one after the other switched off, the least missed first", "einer nach dem anderen abgeschaltet, der am "
          "wenigsten fehlt zuerst"),
)  # fmt: skip
print(", ".join(f"{layer + 1}.{head + 1}" for layer, head in left.nonzero().tolist()))

# %% [markdown] en
# ## Looking is not needing
#
# Stop the model just before it writes ` blue`. Where does each head look? `looks` holds, for each layer and head, the
# share that goes to the word *blue* of the story. One would think: whoever looks there brings the answer.
#
# ### Exercise 9.6
#
# Which head looks at *blue* most? And does the answer need this head, as you found in 9.5: `True` or `False`?

# %% [markdown] de
# ## Hinschauen heißt nicht gebraucht werden
#
# Halte das Modell an, kurz bevor es ` blue` schreibt. Wohin schaut jeder Kopf? `looks` enthält für jede Schicht und
# jeden Kopf den Anteil, der auf das Wort *blue* der Geschichte geht. Man sollte meinen: Wer dorthin schaut, bringt die
# Antwort.
#
# ### Aufgabe 9.6
#
# Welcher Kopf schaut am meisten auf *blue*? Und braucht die Antwort diesen Kopf, nach dem, was du in 9.5 gefunden hast:
# `True` (ja) oder `False` (nein)?

# %%
in_story, in_answer = (
    place for place, token in enumerate(reading.tokens) if token == " blue"
)
looks = attention_maps(town.model, reading.ids[:in_answer]).weights[:, :, -1, in_story]
lesson.table(
    [
        T("layer", "Schicht"),
        *(T(f"head {number}", f"Kopf {number}") for number in range(1, 7)),
    ],
    [
        [number, *(f"{share:.0%}" for share in row)]
        for number, row in enumerate(looks.tolist(), 1)
    ],
)

# %% exercise 9.6
### BEGIN SOLUTION
#: looks_most = (..., ...)
#: is_needed = ...
looks_most = (4, 2)
is_needed = False
### END SOLUTION

# %% check 9.6
lesson.check("9.6", looks_most, is_needed, looks)

# %% [markdown] en
# The same for all heads. Before they become probabilities, the model gives each token a number, its *logit*. The *lead*
# is how far *blue* is ahead of *red*: the difference of the two logits. In the picture each dot is a head: to the
# right, how much it looks at *blue*; down, how much of the lead is lost without it. Below the dashed line *red* wins.

# %% [markdown] de
# Dasselbe für alle Köpfe. Bevor daraus Wahrscheinlichkeiten werden, gibt das Modell jedem Token eine Zahl, sein
# *Logit*. Der *Vorsprung* ist, wie weit *blue* vor *red* liegt: der Unterschied der beiden Logits. Jeder Punkt im Bild
# ist ein Kopf: nach rechts, wie viel er auf *blue* schaut; nach unten, wie viel Vorsprung ohne ihn verloren geht. Unter
# der gestrichelten Linie gewinnt *red*.

# %%
import plotly.graph_objects as go

from litellama.explain.heads import switch_off_each
from litellama.plots import LINES

red = town.tokenizer.encode(" red")[0]
blue_over_red = Target(in_answer, in_answer + 1, instead=red)
lost = switch_off_each(town.model, reading, blue_over_red)
every = [f"{layer}.{head}" for layer in range(1, 7) for head in range(1, 7)]
shown = [name if look > 0.3 or effect < -3 else ""
         for name, look, effect in zip(every, looks.flatten(), lost.effects.flatten(), strict=True)]  # fmt: skip
dots = go.Figure(go.Scatter(
    x=looks.flatten().tolist(), y=lost.effects.flatten().tolist(), mode="markers+text", text=shown, hovertext=every,
    textposition="bottom center", marker={"color": LINES[0], "size": 9},
))  # fmt: skip
dots.add_hline(y=-lost.score, line={"color": LINES[1], "dash": "dash"})
dots.update_layout(template="plotly_white", height=440, margin={"t": 20})
dots.update_xaxes(
    title=T("looks at “blue”", "schaut auf „blue“"), tickformat=".0%", range=[-0.05, 1.05]
)
dots.update_yaxes(
    title=T("lead of blue over red changes by", "Vorsprung von blue vor red ändert sich um")
)
lesson.picture(dots, T(
    "Each dot is a head. Those that look at the answer's word most are hardly missed; 1.6, which is missed most, does "
    "not look there.",
    "Jeder Punkt ist ein Kopf. Die am meisten auf das Wort der Antwort schauen, fehlen kaum; 1.6, der am meisten "
    "fehlt, schaut nicht hin.",
))  # fmt: skip

# %% [markdown] en
# So do 4.2 and 4.3 look at *blue* for nothing? One more test, *patching*: leave all heads on, but let some of them say
# what they say in **another** text. There the colours are swapped: Tom has a blue ball, Anna has a red hat. If a head
# carries the colour, *blue* must lose some of its lead. Below zero *red* is ahead.

# %% [markdown] de
# Schauen 4.2 und 4.3 also umsonst auf *blue*? Noch ein Test, das *Patching* (Einpflanzen): Alle Köpfe bleiben an, aber
# einige sagen, was sie bei einem **anderen** Text sagen. Dort sind die Farben vertauscht: Tom hat einen blauen Ball,
# Anna einen roten Hut. Trägt ein Kopf die Farbe, muss *blue* Vorsprung verlieren. Unter null liegt *red* vorn.

# %%
from litellama.explain.heads import head_outputs, scores_with_heads

swapped = "Tom has a blue ball. Anna has a red hat. What colour is the hat?"
other = read_chat(town.model, town.tokenizer, [Message("user", swapped)])
said = head_outputs(town.model, other.ids[:in_answer])


def lead(heads, strength=1.0, patch=None):
    chosen = torch.zeros(1, 6, 6, dtype=torch.bool)
    for layer, head in heads:
        chosen[0, layer - 1, head - 1] = True
    scales = torch.where(chosen, strength, 1.0)
    return float(
        scores_with_heads(town.model, reading, blue_over_red, scales, patch, chosen)[0]
    )


sets = {
    "–": [],
    "4.2": [(4, 2)],
    "4.2, 4.3": [(4, 2), (4, 3)],
    "4.2, 4.3, 5.1, 5.3": [(4, 2), (4, 3), (5, 1), (5, 3)],
}
lesson.table(
    [
        T("heads", "Köpfe"),
        T("lead, switched off", "Vorsprung, abgeschaltet"),
        T("lead, patched", "nach dem Patching"),
    ],
    [
        [name, f"{lead(heads, strength=0.0):+.1f}", f"{lead(heads, patch=said):+.1f}"]
        for name, heads in sets.items()
    ],
)

# %% [markdown] en
# So these heads *do* carry the colour. Patched, they make *red* win. Switched off, they only fall silent, and others
# that know the colour too step in. Add your own sets to `sets` and run the cell again.
#
# Is attention an explanation, then? Researchers have argued about it. *Attention is not Explanation* (Jain & Wallace
# 2019): one can often change the looks and get the same answer. *Attention is not not Explanation* (Wiegreffe & Pinter
# 2019): it depends on what you call an explanation, and on a fair test. You have now seen both. A map is a good place
# to get an idea; whether the idea is true shows only when you change something.

# %% [markdown] de
# Diese Köpfe tragen die Farbe also *doch*. Beim Patching lassen sie *red* gewinnen. Abgeschaltet verstummen sie bloß,
# und andere, die die Farbe auch kennen, springen ein. Ergänze eigene Mengen in `sets` und führe die Zelle noch einmal
# aus.
#
# Ist Attention nun eine Erklärung? Darüber hat die Forschung gestritten. *Attention is not Explanation* (Jain & Wallace
# 2019): Oft lassen sich die Blicke ändern, und die Antwort bleibt dieselbe. *Attention is not not Explanation*
# (Wiegreffe & Pinter 2019): Es kommt darauf an, was man eine Erklärung nennt und ob der Test fair ist. Du hast jetzt
# beides gesehen. Eine Karte bringt dich auf eine Idee; ob die Idee stimmt, zeigt sich erst, wenn du etwas änderst.

# %% [markdown] en teacher
# A good question for the class: why is “switched off” a harsher test of *needing*, and “patched” a fairer test of
# *carrying*? A player who is ill can be replaced; a player who shoots at the wrong goal can't. The measure counts, too:
# in probability, switching 4.3 off changes nothing that can be seen (blue keeps over 99.9 %), in the lead it costs 3 of
# 11.

# %% [markdown] de teacher
# Eine gute Frage für die Klasse: Warum prüft „abgeschaltet“ eher, ob ein Kopf *gebraucht* wird, und „Patching“ eher, ob
# er etwas *trägt*? Wer krank ist, lässt sich ersetzen; wer aufs eigene Tor schießt, nicht. Auch das Maß zählt: In der
# Wahrscheinlichkeit ist ohne 4.3 kein Unterschied zu sehen (blue behält über 99,9 %), beim Vorsprung kostet es 3 von
# 11.

# %% [markdown] en
# ## Heads that share
#
# A head works with three kinds of vectors: a *query* (what am I looking for?), a *key* for each token (what is to be
# found there?) and a *value* for each token (what do I say if I look there?). Keys and values must be kept in memory
# for the whole text. To save memory, several heads share them: *grouped-query attention*, GQA. In TinyTown each layer
# has 6 queries and 2 pairs of keys and values: the first three heads share one pair, the last three the other.
#
# Look back at the table of 9.6: 4.1, 4.2 and 4.3 share their keys and values, and yet 4.1 does not look at *blue*. Its
# query is another.

# %% [markdown] de
# ## Köpfe, die teilen
#
# Ein Kopf arbeitet mit drei Arten von Vektoren: einer *Query* (was suche ich?), zu jedem Token einem *Key* (was ist
# dort zu finden?) und zu jedem Token einem *Value* (was sage ich, wenn ich dorthin schaue?). Keys und Values müssen für
# den ganzen Text im Speicher bleiben. Um Speicher zu sparen, teilen sich mehrere Köpfe welche: *grouped-query
# attention*, kurz GQA. In TinyTown hat jede Schicht 6 Querys und 2 Paare aus Keys und Values: Die ersten drei Köpfe
# teilen sich das eine Paar, die letzten drei das andere.
#
# Sieh noch einmal in die Tabelle von 9.6: 4.1, 4.2 und 4.3 teilen sich Keys und Values, und doch schaut 4.1 nicht auf
# *blue*. Seine Query ist eine andere.

# %%
from litellama.config import PRESETS

lesson.table(
    [T("model", "Modell"), T("queries in each layer", "Querys je Schicht"), T("keys and values", "Keys und Values")],
    [[name, PRESETS[name].num_attention_heads, PRESETS[name].num_key_value_heads]
     for name in ("tinytown", "tinyllama-1.1b", "llama2-7b", "llama2-70b")],
)  # fmt: skip

# %% [markdown] en
# ### Exercise 9.7
#
# With which **other** heads of its layer does head 3.5, the strongest induction head, share its keys and values? Give
# their numbers in a list.

# %% [markdown] de
# ### Aufgabe 9.7
#
# Mit welchen **anderen** Köpfen seiner Schicht teilt sich Kopf 3.5, der stärkste Induktionskopf, Keys und Values? Gib
# ihre Nummern in einer Liste an.

# %% exercise 9.7
### BEGIN SOLUTION
#: partners = [..., ...]
partners = [4, 6]
### END SOLUTION

# %% check 9.7
lesson.check("9.7", partners)

# %% [markdown] en
# ## When does the model know?
#
# The layers work one after the other. What would the model say if it stopped earlier? The *logit lens* shows it
# (nostalgebraist 2020): for each token of the answer (left to right) the likeliest token after each layer (bottom to
# top). The word *blue* comes to the top only after layer 5.

# %% [markdown] de
# ## Wann weiß es das Modell?
#
# Die Schichten arbeiten nacheinander. Was würde das Modell sagen, wenn es früher aufhörte? Das zeigt die *Logit-Linse*
# (nostalgebraist 2020): für jedes Token der Antwort (von links nach rechts) das wahrscheinlichste Token nach jeder
# Schicht (von unten nach oben). Das Wort *blue* steht erst nach Schicht 5 vorn.

# %%
from litellama.explain.lens import logit_lens
from litellama.plots import layer_guesses

lens = logit_lens(
    town.model, reading.ids[:-1], [place - 1 for place in reading.answer], top=1
)
texts = [[town.tokenizer.token_text(int(id)) for id in row] for row in lens.ids[:, :, 0]]
guessed = layer_guesses(
    [reading.tokens[place] for place in reading.answer], texts, lens.probabilities[:, :, 0]
)
guessed.update_traces(
    y=["Embedding", *(T("layer", "Schicht") + f" {layer}" for layer in range(1, 7))]
)
lesson.show(guessed.update_layout(height=400))

# %% test
assert set(needed) == {(1, 1), (1, 6), (2, 5)}
assert "red" in answer(turned([(1, 6)]))
assert answer(turned([(2, 5)], strength=0.5)) == usual == "The hat is blue."
assert all(left[layer - 1, head - 1] for layer, head in needed)
assert sum(role is not None for row in found for role, _ in row) == 16
assert (
    float(
        switch_off_each(town.model, reading, Target(in_answer, in_answer + 1)).effects[3, 2]
    )
    > -0.001
)
assert 3 < int(left.sum()) < 20
assert float(looks[3, 1]) > 0.9
assert float(looks[3, 2]) > 0.9
assert float(looks[3, 0]) < 0.05
assert float(looks[0, 5]) < 0.05
assert (lost.effects < -lost.score).nonzero().tolist() == [[0, 5]]
assert -4 < float(lost.effects[3, 2]) < -2
assert lead([(4, 2), (4, 3), (5, 1), (5, 3)], patch=said) < -3
assert lead([(4, 2), (4, 3)], patch=said) < 0 < lead([(4, 2), (4, 3)], strength=0.0)
assert other.text_of(other.answer).strip() == "The hat is red."
assert town.config.num_key_value_heads == 2
assert [row[3] for row in texts[:5]].count(" blue") == 0
assert texts[5][3] == " blue"

# %% [markdown] en
# The lens' picture is read with the eyes of the last layer: a useful view, no proof. In the app, the tabs *Attention*,
# *Intervene* and *Layers* show all this for any text that you write.

# %% [markdown] de
# Das Bild der Linse ist mit den Augen der letzten Schicht gelesen: eine nützliche Ansicht, kein Beweis. In der App
# zeigen die Reiter *Aufmerksamkeit*, *Eingreifen* und *Schichten* all das für jeden Text, den du schreibst.

# %% [markdown] en
# ## To discuss
#
# 1. A company shows a colourful attention map to prove why its program refused somebody a flat. What would you ask for?
# 2. The model gave the same answer without most of its heads. Why might training produce so many spare ones? Would you
#    take them away to save energy?
# 3. We could name a role for 16 of the 36 heads. Must we understand every part of a machine before we may use it?
#    Compare with a medicine, an aeroplane, a person.

# %% [markdown] de
# ## Zum Besprechen
#
# 1. Eine Firma zeigt eine bunte Attention-Karte, um zu belegen, warum ihr Programm jemandem eine Wohnung verweigert
#    hat. Wonach würdest du fragen?
# 2. Das Modell gab ohne die meisten seiner Köpfe dieselbe Antwort. Warum entstehen im Training so viele Ersatzleute?
#    Würdest du sie wegnehmen, um Energie zu sparen?
# 3. Für 16 der 36 Köpfe hatten wir eine Rolle. Müssen wir jeden Teil einer Maschine verstehen, bevor wir sie
#    benutzen dürfen? Vergleiche mit einem Medikament, einem Flugzeug, einem Menschen.

# %% [markdown] en teacher
# Possible answers. 1: Change something: what would the program say if this word were another? How often is the map
# right where one knows the truth (lesson 10)? 2: Dropping out is practised by no one in this training, yet many ways
# lead to the answer, and spare ways make it robust against odd words; what is spare for one question is needed for
# another, so taking heads away must be tested on many. 3: We test medicines without knowing every step, but we test
# them; who is harmed by a mistake decides how much we must know.

# %% [markdown] de teacher
# Mögliche Antworten. 1: Etwas ändern: Was sagte das Programm, wenn dieses Wort ein anderes wäre? Wie oft hat die Karte
# recht, wo man die Wahrheit kennt (Lektion 10)? 2: Niemand hat im Training Ausfälle geübt, aber viele Wege führen zur
# Antwort, und Umwege helfen bei ungewohnten Wörtern; was bei einer Frage übrig ist, wird bei einer anderen gebraucht,
# deshalb müsste man das Wegnehmen an vielen Fragen prüfen. 3: Auch Medikamente prüfen wir, ohne jeden Schritt zu
# kennen, aber wir prüfen sie; wem ein Fehler schadet, bestimmt, wie viel wir wissen müssen.
