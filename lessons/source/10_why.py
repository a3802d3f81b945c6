"""
number = 10
minutes = 45
tab = "attribution"
code = ["litellama/explain/attribution.py", "litellama/explain/scoring.py", "litellama/evaluation/faithfulness.py"]

[en]
title = "Why did it say that?"
question = "Which words does an answer rest on, and how far can we trust those who claim to know?"
goals = [
    "blank words out by hand and measure what the answer loses",
    "compare seven ways to explain the same answer, and ask why *this* rather than *that*",
    "build a story for which an explanation fails",
    "measure on your own machine how often each explanation is right, with an interval",
]
needs = "lesson 1; a little Python: you fill in patterns. About a minute of waiting in fast mode, five in full mode"

[de]
title = "Warum hat es das gesagt?"
question = "Auf welchen Wörtern beruht eine Antwort, und wie weit ist denen zu trauen, die es zu wissen behaupten?"
goals = [
    "Wörter von Hand ausblenden und messen, was die Antwort verliert",
    "sieben Arten vergleichen, dieselbe Antwort zu erklären, und fragen: warum *dies* und nicht *das*?",
    "eine Geschichte bauen, bei der eine Erklärung versagt",
    "auf deinem eigenen Rechner messen, wie oft jede Erklärung recht hat, mit einem Intervall",
]
needs = "Lektion 1; ein wenig Python: Du füllst Muster aus. Eine Minute Wartezeit im schnellen Modus, fünf im vollen"
"""

# %% [markdown] en
# ## A question and its reasons
#
# TinyTown, the model of this lab, reads a short story and answers a question about it:

# %% [markdown] de
# ## Eine Frage und ihre Gründe
#
# TinyTown, das Modell dieses Labors, liest eine kurze Geschichte und beantwortet eine Frage dazu. Es versteht nur
# Englisch: Tom hat einen roten Ball, Anna hat einen blauen Hut. Wer hat den Hut?

# %%
story = "Tom has a red ball. Anna has a blue hat."
question = "Who has the hat?"
print(lesson.ask(f"{story} {question}"))

# %% [markdown] en
# ### Exercise 10.1
#
# First you. Which **two** words of the story would you need most to answer that question? Cover the story with your
# hand and uncover only these two. Write them into the list, in quotation marks.

# %% [markdown] de
# ### Aufgabe 10.1
#
# Erst du. Welche **zwei** Wörter der Geschichte brauchst du am nötigsten, um die Frage zu beantworten? Decke die
# Geschichte mit der Hand zu und nur diese beiden auf. Schreibe sie in die Liste, in Anführungszeichen.

# %% exercise 10.1
### BEGIN SOLUTION
#: my_words = [..., ...]
my_words = ["Anna", "hat"]
### END SOLUTION

# %% check 10.1
lesson.check("10.1", my_words)

# %% [markdown] en
# ## Blank a word out
#
# Does the model rest on the same words as you? We can try: blank one word out and see how likely the answer still is.
# Inside the model each *token* (a word or a piece of one) is a list of numbers, its *embedding*. A blanked word keeps
# its place but gets the mean of all embeddings: a word that is no word.
#
# As a measure we take the *score*: the natural logarithm of the probability of the answer's first word, *Anna*. A
# probability of 100 % has the score 0. Each time the probability falls to a tenth, the score falls by 2.3.

# %% [markdown] de
# ## Ein Wort ausblenden
#
# Stützt sich das Modell auf dieselben Wörter wie du? Das lässt sich ausprobieren: ein Wort ausblenden und nachsehen,
# wie wahrscheinlich die Antwort noch ist. Im Modell ist jedes *Token* (ein Wort oder ein Stück davon) eine Liste von
# Zahlen, sein *Embedding*. Ein ausgeblendetes Wort behält seinen Platz, bekommt aber das Mittel aller Embeddings: ein
# Wort, das keines ist.
#
# Als Maß dient die *Wertung* (im Code `score`): der natürliche Logarithmus der Wahrscheinlichkeit, mit der die Antwort
# mit *Anna* beginnt. Eine Wahrscheinlichkeit von 100 % hat die Wertung 0. Jedes Mal, wenn die Wahrscheinlichkeit auf
# ein Zehntel fällt, fällt die Wertung um 2,3.

# %%
from litellama.chat import Message
from litellama.explain.attribution import attribute, finished
from litellama.explain.tokenized_run import read_chat
from litellama.explain.scoring import Scorer, Target
from litellama.plots import shaded_text

town = lesson.model("tinytown")
reading = read_chat(town.model, town.tokenizer, [Message("user", f"{story} {question}")])
begins = reading.text.index(story)
words = reading.units("word", reading.positions_in(begins, begins + len(story)))
words = [word for word in words if reading.text_of(word) != "."]
texts = [reading.text_of(word).strip() for word in words]
target = Target(reading.answer_start, reading.answer_start + 1)
scorer = Scorer(town.model, reading, target, words)
lesson.table([T("number", "Nummer"), *range(len(words))], [[T("word", "Wort"), *texts]])

# %% [markdown] en
# `scorer.scores(kept)` gives the scores of several versions of the text at once. `kept` is a table of `True` and `False`
# with a row for each version and a column for each word: `False` blanks the word out. Here is one version without word
# 3, *red*. Try other numbers.

# %% [markdown] de
# `scorer.scores(kept)` gibt die Wertungen mehrerer Fassungen des Textes auf einmal. `kept` („behalten“) ist eine Tabelle
# aus `True` und `False` mit einer Zeile je Fassung und einer Spalte je Wort: `False` blendet das Wort aus. Hier ist
# eine Fassung ohne Wort 3, *red*. Probiere andere Nummern.

# %%
import math

import torch

number = 3
kept = torch.ones(1, len(words), dtype=torch.bool)
kept[0, number] = False
(score,) = scorer.scores(kept).tolist()
print(
    f"{texts[number]}: {T('score', 'Wertung')} {score:.2f},",
    f"{T('probability', 'Wahrscheinlichkeit')} {math.exp(score):.4%}",
)

# %% [markdown] en
# ### Exercise 10.2
#
# *Ablation* is the score of the whole text minus the score without the word: what the answer loses. Complete the
# function. Row 0 is the whole text; in row 1 the word with this number is to be blanked out.

# %% [markdown] de
# ### Aufgabe 10.2
#
# *Ablation* (Weglassen) ist die Wertung des ganzen Textes minus die Wertung ohne das Wort: was die Antwort verliert.
# Vervollständige die Funktion. Zeile 0 ist der ganze Text; in Zeile 1 soll das Wort mit dieser Nummer ausgeblendet
# sein.


# %% exercise 10.2
def ablation(scorer, number):
    kept = torch.ones(2, len(scorer.units), dtype=torch.bool)
    ### BEGIN SOLUTION
    #: kept[1, ...] = False
    #: whole, without = scorer.scores(kept).tolist()
    #: return ...
    kept[1, number] = False
    whole, without = scorer.scores(kept).tolist()
    return whole - without
    ### END SOLUTION


# %% [markdown] en
# The check tries your function on another story. Then it is compared with the lab's own, and the words are shaded: the
# greener, the more the answer loses without them.

# %% [markdown] de
# Die Prüfung probiert deine Funktion an einer anderen Geschichte aus. Dann wird sie mit der des Labors verglichen, und
# die Wörter werden gefärbt: je grüner, desto mehr verliert die Antwort ohne sie.

# %% check 10.2
lesson.check("10.2", ablation)

yours = torch.tensor([ablation(scorer, number) for number in range(len(words))])
labs = finished(attribute(town.model, reading, target, "ablation", words)).scores
difference = float((yours - labs).abs().max())
lesson.result(
    T("Largest difference from the lab's ablation", "Größter Unterschied zur Ablation des Labors"), difference,
    kind="computed",
)  # fmt: skip
shaded_text([reading.text_of(word) for word in words], yours)

# %% [markdown] en
# The model needs the same two words as you. That is no matter of course: a small model could just as well have learned
# to name the last person of the story.
#
# ## Why this rather than that?
#
# “Why did you come by bicycle?” can mean: rather than by bus? Or: rather than yesterday? An explanation is an answer to
# *why this rather than that*. So we ask: why **Anna** rather than **Tom**? The score is now the *lead*: the logarithm
# of Anna's probability minus that of Tom's. Above 0 Anna is ahead, below 0 Tom.
#
# ### Exercise 10.3
#
# Predict: which word of the story speaks most *against* Anna, so that without it her lead would **grow**?

# %% [markdown] de
# Das Modell braucht dieselben zwei Wörter wie du. Selbstverständlich ist das nicht: Ein kleines Modell könnte genauso
# gut gelernt haben, die letzte Person der Geschichte zu nennen.
#
# ## Warum dies und nicht das?
#
# „Warum bist du mit dem Rad gekommen?“ kann heißen: und nicht mit dem Bus? Oder: und nicht gestern? Eine Erklärung
# antwortet auf die Frage *warum dies und nicht das*. Also fragen wir: Warum **Anna** und nicht **Tom**? Die Wertung ist
# nun der *Vorsprung*: der Logarithmus von Annas Wahrscheinlichkeit minus den von Toms. Über 0 liegt Anna vorn, unter 0
# Tom.
#
# ### Aufgabe 10.3
#
# Sage voraus: Welches Wort der Geschichte spricht am meisten *gegen* Anna, sodass ihr Vorsprung ohne dieses Wort
# **wachsen** würde?

# %% exercise 10.3
### BEGIN SOLUTION
#: against = ...
against = "Tom"
### END SOLUTION

# %% check 10.3
lesson.check("10.3", against)

# %%
from litellama.plots import word_scores

tom = town.tokenizer.encode(" Tom")[0]
rather = Target(target.start, target.end, instead=tom)
contrast = finished(attribute(town.model, reading, rather, "ablation", words))
bars = word_scores(
    texts, contrast.scores, title=T("Why Anna rather than Tom?", "Warum Anna und nicht Tom?"),
    unit=T("lead lost without this word", "Vorsprung, der ohne das Wort fehlt"),
)  # fmt: skip
lesson.show(bars.update_traces(y=[f"{number} {text}" for number, text in enumerate(texts)]))

# %% [markdown] en
# ## Seven explanations of one answer
#
# Blanking out is only one way. The lab has six others:
#
# | method | how it explains |
# |---|---|
# | ablation | blank out this word alone: what is lost? |
# | Shapley sampling | words join one after the other in random order: what does this one add on average? |
# | gradient x input | how steeply does the score change if the word changes a tiny bit? |
# | integrated gradients | the same, averaged on the way from the blank text to the real one |
# | attention | how much do all heads look at the word, on average? |
# | attention rollout | the same look, followed through all layers |
# | random | dice: what any method must beat |

# %% [markdown] de
# ## Sieben Erklärungen einer Antwort
#
# Ausblenden ist nur ein Weg. Das Labor kennt sechs andere:
#
# | Verfahren | wie es erklärt |
# |---|---|
# | Weglassen (Ablation) | dieses Wort allein ausblenden: Was fehlt dann? |
# | Shapley-Stichprobe | Wörter kommen in zufälliger Reihenfolge dazu: Was bringt dieses im Mittel? |
# | Gradient mal Eingabe | Wie steil ändert sich die Wertung, wenn sich das Wort ein winziges Stück ändert? |
# | Integrierte Gradienten | dasselbe, gemittelt auf dem Weg vom leeren Text zum echten |
# | Aufmerksamkeit | Wie viel schauen alle Köpfe im Mittel auf das Wort? |
# | Rollout | derselbe Blick, durch alle Schichten verfolgt |
# | Zufall | Würfel: was jedes Verfahren übertreffen muss |

# %%
import plotly.graph_objects as go

from litellama.explain.attribution import METHODS
from litellama.plots import SIGNED

names = {
    "integrated gradients": T("integrated gradients", "Integrierte Gradienten"),
    "gradient x input": T("gradient x input", "Gradient mal Eingabe"), "ablation": T("ablation", "Weglassen"),
    "shapley sampling": T("Shapley sampling", "Shapley-Stichprobe"), "attention": T("attention", "Aufmerksamkeit"),
    "attention rollout": T("attention rollout", "Rollout"), "random": T("random", "Zufall"),
}  # fmt: skip
found = {
    name: finished(attribute(town.model, reading, rather, name, words)) for name in METHODS
}
table = torch.stack([one.scores / one.scores.abs().max() for one in found.values()])
picture = go.Figure(go.Heatmap(
    z=table.tolist(), x=[f"{number} {text}" for number, text in enumerate(texts)], y=[names[name] for name in found],
    colorscale=SIGNED, reversescale=True, zmin=-1, zmax=1, texttemplate="%{z:.1f}", showscale=False,
))  # fmt: skip
picture.update_layout(template="plotly_white", height=340, margin={"t": 20}).update_yaxes(
    autorange="reversed"
)
lesson.picture(picture, T(
    "Seven explanations of “Anna rather than Tom”. In each row the largest score is 1; below zero (orange) a word "
    "speaks for Tom.",
    "Sieben Erklärungen für „Anna und nicht Tom“. In jeder Zeile ist der größte Wert 1; unter null (orange) spricht "
    "ein Wort für Tom.",
))  # fmt: skip

# %% [markdown] en
# They do not agree. Attention can't say *against* at all: a look is never negative. Which of them is right? Nobody
# knows that from looking at them.
#
# Two of the methods make a promise that can be checked: what the words get adds up to the score of the whole text minus
# that of the text with all words blanked out. This is called *completeness*. Integrated gradients compute an average at
# finitely many points and so keep it nearly; the lab takes more points until less than 1 % is missing.

# %% [markdown] de
# Sie sind sich nicht einig. Aufmerksamkeit kann gar nicht *dagegen* sagen: Ein Blick ist nie negativ. Wer hat recht?
# Vom Anschauen allein weiß das niemand.
#
# Zwei der Verfahren geben ein Versprechen, das sich prüfen lässt: Was die Wörter bekommen, ergibt zusammen die Wertung
# des ganzen Textes minus die des Textes, in dem alle Wörter ausgeblendet sind. Das heißt *Vollständigkeit*. Integrierte
# Gradienten mitteln über endlich viele Punkte und halten das nur beinahe ein; das Labor nimmt so viele Punkte, bis
# weniger als 1 % fehlt.

# %%
rows = []
for name in ("integrated gradients", "shapley sampling", "ablation"):
    one = found[name]
    rows.append(
        [names[name], f"{one.scores.sum():.2f}", f"{one.score - one.blank_score:.2f}"]
    )
lesson.table(
    [
        T("method", "Verfahren"),
        T("sum", "Summe"),
        T("whole minus blank", "ganz minus leer"),
    ],
    rows,
)

# %% [markdown] en
# Ablation hands out about twice what there is: *Anna* alone gets more than the whole, and *hat* most of it once more,
# since the answer needs both. It is like two people who lift a table together: without either, it stays on the ground.
# Who lifted it?
#
# ## A fair share
#
# Lloyd Shapley answered this in 1953, for people who earn something together; he got the Nobel prize in economics in
# 2012. Let the two join in every possible order and take the mean of what each adds when joining. With two words, A and
# B, there are two orders:
#
# - A first: A adds *only A* minus *nothing*.
# - B first: A adds *both* minus *only B*.

# %% [markdown] de
# Weglassen verteilt etwa das Doppelte dessen, was da ist: *Anna* allein bekommt mehr als das Ganze und *hat* noch
# einmal das meiste davon, denn die Antwort braucht beide. Es ist wie bei zweien, die zusammen einen Tisch heben: Fehlt
# einer, bleibt er stehen. Wer hat ihn gehoben?
#
# ## Ein gerechter Anteil
#
# Darauf hat Lloyd Shapley 1953 geantwortet, für Leute, die zusammen etwas verdienen; 2012 bekam er den
# Wirtschaftsnobelpreis. Man lässt die beiden in jeder möglichen Reihenfolge dazukommen und nimmt das Mittel dessen, was
# jeder dabei bringt. Bei zwei Wörtern, A und B, gibt es zwei Reihenfolgen:
#
# - A zuerst: A bringt *nur A* minus *keins*.
# - B zuerst: A bringt *beide* minus *nur B*.

# %%
pair = [words[texts.index("Anna")], words[texts.index("hat")]]
versions = torch.tensor([[False, False], [True, False], [False, True], [True, True]])
scores = Scorer(town.model, reading, rather, pair).scores(versions).tolist()
kinds = [
    T("nothing", "keins"),
    T("only Anna", "nur Anna"),
    T("only hat", "nur hat"),
    T("both", "beide"),
]
lesson.table(kinds, [[f"{score:+.2f}" for score in scores]])

# %% [markdown] en
# ### Exercise 10.4
#
# Write the Shapley values of A and B from the four scores; the other words of the text stay as they are. As a formula,
# with $s$ for a score:
#
# $$\text{A} = \tfrac{1}{2}\left[(s_{\text{only A}} - s_{\text{none}}) + (s_{\text{both}} - s_{\text{only B}})\right]$$
#
# B in the same way, with the two exchanged.

# %% [markdown] de
# ### Aufgabe 10.4
#
# Schreibe die Shapley-Werte von A und B aus den vier Wertungen; die anderen Wörter des Textes bleiben, wie sie sind.
# Als Formel, mit $s$ für eine Wertung:
#
# $$\text{A} = \tfrac{1}{2}\left[(s_{\text{nur A}} - s_{\text{keins}}) + (s_{\text{beide}} - s_{\text{nur B}})\right]$$
#
# B ebenso, mit vertauschten Rollen.


# %% exercise 10.4
def shapley(nothing, only_a, only_b, both):
    ### BEGIN SOLUTION
    #: a = ...
    #: b = ...
    a = ((only_a - nothing) + (both - only_b)) / 2
    b = ((only_b - nothing) + (both - only_a)) / 2
    ### END SOLUTION
    return a, b


# %% check 10.4
lesson.check("10.4", shapley)
by_hand = shapley(*scores)
sampled = finished(attribute(town.model, reading, rather, "shapley sampling", pair)).scores
lesson.table(
    ["Shapley", "Anna", "hat", T("sum", "Summe")],
    [[T("yours", "deine"), *(f"{value:.3f}" for value in (*by_hand, sum(by_hand)))],
     [T("the lab's", "die des Labors"), *(f"{value:.3f}" for value in (*sampled.tolist(), float(sampled.sum())))]],
)  # fmt: skip

# %% [markdown] en teacher
# With ten words there are 3,628,800 orders, so the lab draws 16 at random; with two words this is exact. Strong pupils
# may ask what “nothing” is: the text with both blanked out by the mean embedding. Another kind of blank (leaving the
# word out, another word) gives other values. No explanation is free of such a choice.

# %% [markdown] de teacher
# Bei zehn Wörtern gibt es 3.628.800 Reihenfolgen, darum zieht das Labor 16 zufällige; bei zwei Wörtern ist das Ergebnis
# genau. Starke Klassen fragen, was „keins“ ist: der Text, in dem beide durch das mittlere Embedding ersetzt sind. Eine
# andere Art des Ausblendens (das Wort streichen, ein anderes einsetzen) gibt andere Werte. Ohne so eine Wahl kommt
# keine Erklärung aus.

# %% [markdown] en
# ## Test an explanation
#
# There is a test for every explanation, without knowing the truth: blank the words out one after the other, beginning
# with the one that the method calls most important. The sooner the answer goes, the better the method. Random order
# shows what is too slow. Here is the mean over some stories that the model never saw in its training.

# %% [markdown] de
# ## Eine Erklärung prüfen
#
# Einen Test gibt es für jede Erklärung, auch ohne die Wahrheit zu kennen: Blende die Wörter nacheinander aus, zuerst
# das, welches das Verfahren für das wichtigste hält. Je eher die Antwort verschwindet, desto besser das Verfahren. Die
# zufällige Reihenfolge zeigt, was zu langsam ist. Hier ist das Mittel über einige Geschichten, die das Modell im
# Training nie gesehen hat.

# %%
from litellama.explain.scoring import deletion_curve
from litellama.evaluation.faithfulness import cases
from litellama.plots import curves


def left_over(case, method, seed):
    work = attribute(town.model, case.reading, case.target, method, case.words, seed)
    order = finished(work).scores.argsort(descending=True)
    return deletion_curve(Scorer(town.model, case.reading, case.target, case.words), order)


stories = list(cases(town.model, town.tokenizer, lesson.pick(fast=10, full=40)))
chosen = ("ablation", "attention", "gradient x input", "random")
left = {
    names[name]: torch.stack(
        [left_over(case, name, seed) for seed, case in enumerate(stories)]
    ).mean(0)
    for name in chosen
}
lesson.show(curves(
    left, x=T("words blanked out", "ausgeblendete Wörter"),
    y=T("left of the answer's probability", "Rest der Wahrscheinlichkeit"),
).update_layout(height=420))  # fmt: skip

# %% [markdown] en
# ## Where it fails
#
# Ablation blanks out one word at a time. Think of a story where this must fail: the answer rests on the story, but no
# single word of it matters.
#
# ### Exercise 10.5
#
# Write such a story for the question *What colour is the hat?* The model must answer *blue*, and no word of your story
# may score more than 0.5. Try stories until you find one; the check names the word that still matters.

# %% [markdown] de
# ## Wo sie versagt
#
# Weglassen blendet immer nur ein Wort aus. Denke dir eine Geschichte aus, bei der das versagen muss: Die Antwort beruht
# auf der Geschichte, aber kein einzelnes Wort zählt.
#
# ### Aufgabe 10.5
#
# Schreibe auf Englisch so eine Geschichte zu der Frage *What colour is the hat?* (Welche Farbe hat der Hut?). Das
# Modell muss *blue* antworten, und kein Wort deiner Geschichte darf mehr als 0,5 bekommen. Probiere, bis du eine
# findest; die Prüfung nennt das Wort, das noch zählt.

# %% exercise 10.5
### BEGIN SOLUTION
#: my_story = ...
my_story = "The hat is blue. The hat is blue."
### END SOLUTION

# %% check 10.5
lesson.check("10.5", my_story)

from lessons.checks.lesson_10 import colour_of_the_hat

tried = colour_of_the_hat(my_story)
lesson.table(
    [T("word", "Wort"), *tried.words],
    [[T("score", "Wertung"), *(f"{value:.2f}" for value in tried.scores)]],
)
print(T("all words at once:", "alle Wörter zugleich:"), f"{tried.together:.2f}")

# %% [markdown] en
# “No word of the story mattered” would be a false explanation: blank out all of them and the answer is gone. Each
# method has such a blind spot.
#
# An explanation can also help to find a fault. Here the model is wrong:

# %% [markdown] de
# „Kein Wort der Geschichte war wichtig“ wäre eine falsche Erklärung: Blendet man alle aus, ist die Antwort weg. So
# einen blinden Fleck hat jedes Verfahren.
#
# Eine Erklärung kann auch helfen, einen Fehler zu finden. Hier irrt sich das Modell (Tom hat einen Schlüssel gefunden,
# Anna ein Buch. Wer hat den Schlüssel gefunden?):

# %%
asked = [Message("user", "Tom found a key. Anna found a book. Who found the key?")]
mistake = read_chat(town.model, town.tokenizer, asked)
parts = [word for word in mistake.units("word") if mistake.text_of(word).strip().isalpha()]
first = Target(mistake.answer_start, mistake.answer_start + 1)
print(mistake.text_of(mistake.answer))
why = finished(attribute(town.model, mistake, first, "ablation", parts)).scores
shaded_text([mistake.text_of(part) for part in parts], why)

# %% [markdown] en
# The word *key* of the question has no colour: the model did not use it at all. Perhaps it answered another question:
# who found something last? Swap the first two sentences and see whom it names.
#
# ## How often are they right?
#
# In the real world nobody knows which words an answer truly rests on. TinyTown is made so that we do: a program told
# each story, and it knows the *evidence*, the words that decide the answer. So every method can be examined: how often
# is its top word evidence? This takes a while; the more questions, the surer the result.

# %% [markdown] de
# Das Wort *key* der Frage hat keine Farbe: Das Modell hat es gar nicht benutzt. Vielleicht hat es eine andere Frage
# beantwortet: Wer hat zuletzt etwas gefunden? Vertausche die ersten beiden Sätze und sieh nach, wen es nun nennt.
#
# ## Wie oft haben sie recht?
#
# In der wirklichen Welt weiß niemand, auf welchen Wörtern eine Antwort wirklich beruht. TinyTown ist so gemacht, dass
# wir es wissen: Ein Programm hat jede Geschichte erzählt und kennt die *Belege*, also die Wörter, die über die Antwort
# entscheiden. So lässt sich jedes Verfahren prüfen: Wie oft ist sein oberstes Wort ein Beleg? Das dauert eine Weile; je
# mehr Fragen, desto sicherer das Ergebnis.

# %%
from litellama.evaluation.faithfulness import Faithfulness, measure_faithfulness

questions = lesson.pick(fast=20, full=60)
quick = ("ablation", "attention", "attention rollout", "gradient x input", "random")
methods = lesson.pick(fast=quick, full=METHODS)
for news in measure_faithfulness(
    town.model, town.tokenizer, questions, seed=0, methods=methods
):
    if isinstance(news, Faithfulness):
        measured = news
    else:
        print(f"\r{news.done} / {news.total}", end="")
hits = {
    name: round(method.pointing * questions) for name, method in measured.methods.items()
}
lesson.table(
    [
        T("method", "Verfahren"),
        T("right", "richtig"),
        T("of", "von"),
        T("seconds each", "Sekunden je Antwort"),
    ],
    [
        [names[name], hits[name], questions, f"{method.seconds:.2f}"]
        for name, method in measured.methods.items()
    ],
)

# %% [markdown] en
# ### Exercise 10.6
#
# So few questions: how much of that is luck? An *interval* says it. If a method is right in $k$ of $n$ questions, its
# share is $p = k / n$. The true share, with endlessly many questions, lies in the *Wilson interval* in about 95 of 100
# such measurements:
#
# $$\frac{p + \frac{z^2}{2n}}{1 + \frac{z^2}{n}} \;\pm\; \frac{z}{1 + \frac{z^2}{n}}\sqrt{\frac{p(1-p)}{n} +
# \frac{z^2}{4n^2}}$$
#
# Here $z = 1.96$ stands for the 95 %. Complete `half`, the part behind the $\pm$. In Python the root is
# `math.sqrt(...)`, and $n^2$ is `questions**2`.

# %% [markdown] de
# ### Aufgabe 10.6
#
# So wenige Fragen: Wie viel davon ist Glück? Das sagt ein *Intervall*. Hat ein Verfahren bei $k$ von $n$ Fragen recht,
# ist sein Anteil $p = k / n$. Der wahre Anteil, bei unendlich vielen Fragen, liegt bei etwa 95 von 100 solchen
# Messungen im *Wilson-Intervall*:
#
# $$\frac{p + \frac{z^2}{2n}}{1 + \frac{z^2}{n}} \;\pm\; \frac{z}{1 + \frac{z^2}{n}}\sqrt{\frac{p(1-p)}{n} +
# \frac{z^2}{4n^2}}$$
#
# Dabei steht $z = 1{,}96$ für die 95 %. Ergänze `half`, den Teil hinter dem $\pm$. Die Wurzel heißt in Python
# `math.sqrt(...)`, und $n^2$ ist `questions**2`.


# %% exercise 10.6
def wilson(hits, questions):
    z = 1.96
    share = hits / questions
    below = 1 + z**2 / questions
    middle = (share + z**2 / (2 * questions)) / below
    ### BEGIN SOLUTION
    #: half = z / below * ...
    half = (
        z / below * math.sqrt(share * (1 - share) / questions + z**2 / (4 * questions**2))
    )
    ### END SOLUTION
    return middle - half, middle + half


# %% [markdown] en
# With your intervals comes the picture of this lesson, measured on your machine. The words that are right and the
# seconds can differ a little from machine to machine: processors round differently, and two words may be nearly equal.

# %% [markdown] de
# Mit deinen Intervallen entsteht das Bild dieser Lektion, gemessen auf deinem Rechner. Treffer und Sekunden können von
# Rechner zu Rechner etwas abweichen: Prozessoren runden verschieden, und manchmal liegen zwei Wörter fast gleichauf.

# %% check 10.6
lesson.check("10.6", wilson)

from litellama.plots import trust_table

facts = measured.to_json()["methods"]
for name, fact in facts.items():
    fact["low"], fact["high"] = wilson(hits[name], questions)
mine = trust_table(facts, names=names).update_xaxes(
    title=T("top word is evidence", "oberstes Wort ist ein Beleg")
)
lesson.picture(mine.update_layout(height=360), T(
    f"How often each method's top word is evidence, with 95 % intervals; {questions} questions, measured here.",
    f"Wie oft das oberste Wort jedes Verfahrens ein Beleg ist, mit 95-%-Intervall; {questions} Fragen, hier gemessen.",
))  # fmt: skip
best = facts["ablation"]
lesson.result(
    T("Ablation's top word is evidence", "Beim Weglassen ist das oberste Wort ein Beleg"),
    f"{best['pointing']:.0%} ({best['low']:.0%} – {best['high']:.0%})",
    how=T(f"{questions} questions", f"{questions} Fragen"),
)  # fmt: skip
published = town.card["trust"]["methods"]
rows = []
for name, one in published.items():
    low, high = wilson(round(500 * one["pointing"]), 500)
    rows.append([names[name], f"{one['pointing']:.1%}", f"{low:.1%} – {high:.1%}"])
lesson.table(
    [
        T("500 questions", "500 Fragen"),
        T("top word right", "oberstes Wort richtig"),
        T("interval", "Intervall"),
    ],
    rows,
)

# %% [markdown] en
# ## What may we say?
#
# The table above is of 500 questions that the lab once asked; they stand in the model's card. If two intervals do not
# overlap, the difference is more than luck.
#
# ### Exercise 10.7
#
# Which of these statements do the intervals of the 500 questions support? Give their letters, such as `"AD"`.
#
# - **A** Ablation is right more often than dice.
# - **B** Ablation is right more often than Shapley sampling.
# - **C** Attention is right more often than gradient x input.
# - **D** Integrated gradients are right more often than attention rollout.

# %% [markdown] de
# ## Was dürfen wir sagen?
#
# Die Tabelle oben stammt von 500 Fragen, die das Labor einmal gestellt hat; sie stehen in der Karte des Modells. Wenn
# sich zwei Intervalle nicht überschneiden, ist der Unterschied mehr als Glück.
#
# ### Aufgabe 10.7
#
# Welche dieser Aussagen stützen die Intervalle der 500 Fragen? Gib ihre Buchstaben an, etwa `"AD"`.
#
# - **A** Weglassen trifft öfter als Würfeln.
# - **B** Weglassen trifft öfter als die Shapley-Stichprobe.
# - **C** Aufmerksamkeit trifft öfter als Gradient mal Eingabe.
# - **D** Integrierte Gradienten treffen öfter als Rollout.

# %% exercise 10.7
### BEGIN SOLUTION
#: supported = ...
supported = "AC"
### END SOLUTION

# %% check 10.7
lesson.check("10.7", supported)

# %% [markdown] en teacher
# Overlapping intervals do not prove that two methods are equal; we just can't tell from these. All methods were asked
# the same questions, so a test on pairs (how often was only the one right, how often only the other) would see finer
# differences. In the 20 questions of fast mode even attention and dice can overlap.

# %% [markdown] de teacher
# Überschneiden sich zwei Intervalle, beweist das nicht, dass zwei Verfahren gleich gut sind; wir können es damit nur
# nicht entscheiden. Alle Verfahren bekamen dieselben Fragen, daher sähe ein Test an Paaren (wie oft hatte nur das eine
# recht, wie oft nur das andere) feinere Unterschiede. Bei den 20 Fragen des schnellen Modus können sich sogar
# Aufmerksamkeit und Würfel überschneiden.

# %% [markdown] en
# ## Outside the lab
#
# The best methods name a right word first in about two of three cases, for a small model and easy stories. In a
# hospital or a bank nobody can check the explanation against the truth.
#
# In the European Union a person about whom a machine decides alone may ask for “meaningful information about the logic
# involved” (GDPR, Article 15), and for high-risk systems there is a right to an explanation (AI Act, Article 86).
# Neither law says how often an explanation must be right. Cynthia Rudin (2019) therefore advises for grave decisions:
# do not explain a black box; use a model simple enough to be read.

# %% [markdown] de
# ## Außerhalb des Labors
#
# Die besten Verfahren nennen in etwa zwei von drei Fällen zuerst ein richtiges Wort, bei einem kleinen Modell und
# einfachen Geschichten. Im Krankenhaus oder in der Bank kann niemand die Erklärung mit der Wahrheit vergleichen.
#
# In der Europäischen Union darf ein Mensch, über den eine Maschine allein entscheidet, „aussagekräftige Informationen
# über die involvierte Logik“ verlangen (DSGVO, Artikel 15), und bei Hochrisiko-Systemen gibt es ein Recht auf
# Erläuterung (KI-Verordnung, Artikel 86). Keines der Gesetze sagt, wie oft eine Erklärung stimmen muss. Cynthia Rudin
# (2019) rät darum bei schweren Entscheidungen: Erkläre keine Blackbox, sondern nimm ein Modell, das einfach genug zum
# Lesen ist.

# %% test
assert lesson.ask(f"{story} {question}") == "Anna has the hat."
assert difference < 1e-4
assert {texts[int(place)] for place in labs.topk(2).indices} == {"Anna", "hat"}
assert float(labs.sort().values[-3]) < 0.1
assert texts[int(contrast.scores.argmin())] == "Tom"
assert float(contrast.scores.min()) < -3
for name in ("integrated gradients", "shapley sampling"):
    assert found[name].gap < 0.01
assert float(found["ablation"].scores.sum()) > 1.2 * (
    found["ablation"].score - found["ablation"].blank_score
)
assert float(found["attention"].scores.min()) >= 0
assert torch.allclose(torch.tensor(by_hand), sampled, atol=1e-3)
assert float(left[names["ablation"]].mean()) < float(left[names["random"]].mean())
assert float(left[names["attention"]].mean()) < float(left[names["random"]].mean())
assert max(tried.scores) < 0.5 < tried.together
assert "Anna" in mistake.text_of(mistake.answer)
assert abs(float(why[-1])) < 0.1
assert mistake.text_of(parts[-1]).strip() == "key"
assert (
    lesson.ask("Anna found a book. Tom found a key. Who found the key?")
    == "Tom found the key."
)
assert hits["ablation"] > hits["random"]
assert len(town.card["trust"]["methods"]) == 7

# %% [markdown] en
# ## To discuss
#
# 1. A doctor gets a diagnosis from a program, with the decisive words of the file shaded. One shading in three points
#    at a wrong word. Does it help more than it harms?
# 2. An explanation sounds reasonable and agrees with what you thought anyway. Why is that dangerous?
# 3. A law demands that a company explain its machine's decisions. What would you write into it so that explanations are
#    not just pretty?

# %% [markdown] de
# ## Zum Besprechen
#
# 1. Eine Ärztin bekommt von einem Programm eine Diagnose; die entscheidenden Wörter der Akte sind gefärbt. Jede dritte
#    Färbung zeigt auf ein falsches Wort. Nützt sie mehr, als sie schadet?
# 2. Eine Erklärung klingt vernünftig und passt zu dem, was du ohnehin gedacht hast. Warum ist das gefährlich?
# 3. Ein Gesetz verlangt, dass eine Firma die Entscheidungen ihrer Maschine erklärt. Was würdest du hineinschreiben,
#    damit Erklärungen nicht bloß hübsch sind?

# %% [markdown] en teacher
# Possible answers. 1: It depends on whether she treats it as a hint where to look or as a reason; and on whether she
# was told how often it is wrong. 2: We check what surprises us and let pass what pleases us (confirmation bias). 3:
# That it says how often the method is right where one knows the truth; that it answers “rather than what?”; that it
# names what would have had to be different; that somebody independent may try it.

# %% [markdown] de teacher
# Mögliche Antworten. 1: Es kommt darauf an, ob sie die Färbung als Hinweis nimmt, wo sie nachsehen soll, oder als
# Grund; und ob man ihr gesagt hat, wie oft sie falsch ist. 2: Wir prüfen, was uns überrascht, und lassen durchgehen,
# was uns gefällt (Bestätigungsfehler). 3: dass dabeisteht, wie oft das Verfahren dort recht hat, wo man die Wahrheit
# kennt; dass sie auf „und warum nicht jenes?“ antwortet; dass sie nennt, was hätte anders sein müssen; dass Unabhängige
# sie prüfen dürfen.
