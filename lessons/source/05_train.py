"""
number = 5
minutes = 45
tab = "train"
code = ["litellama/training/loop.py", "litellama/training/objective.py", "litellama/training/run.py"]

[en]
title = "Train your own"
question = "How does a model get from random numbers to sentences?"
goals = [
    "measure how wrong a model is, with one number: the loss",
    "follow one weight downhill by hand",
    "train a small llama on this computer and see it learn",
    "find a good learning rate, and the moment when learning turns into learning by heart",
    "keep a model of your own and open it in the app",
]
needs = "you can write a Python function and know what a logarithm and a slope are"

[de]
title = "Trainiere dein eigenes"
question = "Wie kommt ein Modell von Zufallszahlen zu Sätzen?"
goals = [
    "mit einer Zahl messen, wie falsch ein Modell liegt: mit dem Loss",
    "einem einzelnen Gewicht von Hand bergab folgen",
    "ein kleines Lama auf diesem Rechner trainieren und ihm beim Lernen zusehen",
    "eine gute Lernrate finden und den Moment, in dem aus Lernen Auswendiglernen wird",
    "ein eigenes Modell behalten und in der App öffnen",
]
needs = "Du kannst eine Python-Funktion schreiben und weißt, was ein Logarithmus und was eine Steigung ist"
"""

# %% [markdown] en
# ## Something to read
#
# A model begins as random numbers. It becomes a model of language by *training*: it reads text, guesses each next
# token (a word or a piece of one), and after every few lines all its numbers are changed a little, so that the tokens
# that really came would have been likelier. That is all. You will now do it.
#
# First it needs something to read. The lab writes stories about TinyTown, an invented town, as many as you like:

# %% [markdown] de
# ## Etwas zu lesen
#
# Ein Modell beginnt als Haufen Zufallszahlen. Zum Sprachmodell wird es durch *Training*: Es liest Text, rät jedes
# nächste Token (ein Wort oder ein Stück davon), und alle paar Zeilen werden alle seine Zahlen ein wenig verändert, so
# dass die Tokens, die wirklich kamen, wahrscheinlicher gewesen wären. Das ist alles. Du machst es jetzt selbst.
#
# Zuerst braucht es etwas zu lesen. Das Labor schreibt Geschichten über eine erfundene kleine Stadt, TinyTown, so viele
# du willst. Sie sind auf Englisch:

# %%
from litellama.data.tinytown_text import story_text

folder = lesson.folder / "05_train"
folder.mkdir(parents=True, exist_ok=True)
stories = folder / "stories.txt"
stories.write_text(story_text(4000), encoding="utf-8")
print(story_text(5))

# %% [markdown] en
# The lines `<|endoftext|>` only part one story from the next.
#
# A training is ordered with a `Recipe`. `preset` is the shape of the model, here the smallest of the lab. In each *step*
# the model reads `rows` pieces of text, each `length` tokens long, and then all its weights are changed once.
# `learning_rate` says how much; you will soon see what that means. `samples` is how often on its way the model has to go
# on from the `prompt`, so that we see what it has learnt.

# %% [markdown] de
# Die Zeilen `<|endoftext|>` trennen nur eine Geschichte von der nächsten.
#
# Ein Training bestellt man mit einem `Recipe`. `preset` ist die Form des Modells, hier die kleinste des Labors. In jedem
# *Schritt* (*step*) liest das Modell `rows` Stücke Text von je `length` Tokens, und danach werden alle Gewichte einmal
# verändert. Wie stark, sagt `learning_rate`, die Lernrate; was das heißt, siehst du bald. `samples` legt fest, wie oft
# das Modell unterwegs den Anfang `prompt` fortsetzen soll, damit wir sehen, was es gelernt hat.

# %%
from litellama.training.recipe import Recipe

recipe = Recipe(
    out=folder / "first", corpus=str(stories), preset="litellama-300k", device=lesson.device,
    steps=lesson.pick(fast=100, full=500), rows=4, length=128, learning_rate=1e-2,
    evaluate_every=50, samples=6, prompt="Anna has a",
)  # fmt: skip
model, dataset = lesson.untrained(recipe)
lesson.result(
    T("Weights to be trained", "Gewichte, die trainiert werden"), model.config.num_parameters, kind="computed",
    how=T("counted in the model's shape", "aus der Form des Modells gezählt"),
)  # fmt: skip

# %% [markdown] en
# This is what the model writes before the first step:

# %% [markdown] de
# Das schreibt das Modell vor dem ersten Schritt:

# %%
from litellama.generate import generate
from litellama.sampling import Sampling

ids = dataset.encode_prompt(recipe.prompt, recipe.length)
written = generate(model, ids, sampling=Sampling(temperature=1), max_new_tokens=15, seed=0)
print(recipe.prompt + dataset.tokenizer.decode([step.id for step in written]))

# %% [markdown] en
# ## How wrong is it?
#
# At each place the model gives every token of its vocabulary a probability. Only one of them matters: $p$, that of the
# token which really came next. The *loss* at this place is
#
# $$-\ln p$$
#
# where $\ln$ is the natural logarithm. If $p = 1$, the loss is 0. The smaller $p$ is, the larger the loss. The loss of
# a text is the mean over all its places. Its unit is the *nat*, because the logarithm is the natural one.
#
# ### Exercise 5.1
#
# Predict the loss of a model that knows nothing and therefore gives **every** token of the vocabulary the same
# probability. The vocabulary has `dataset.tokenizer.vocab_size` tokens. Write your prediction into `first_loss`
# (`math.log` is the natural logarithm).

# %% [markdown] de
# ## Wie falsch liegt es?
#
# An jeder Stelle gibt das Modell jedem Token seines Vokabulars eine Wahrscheinlichkeit. Nur eine davon zählt: $p$, die
# Wahrscheinlichkeit des Tokens, das wirklich als Nächstes kam. Der *Loss* (Verlust) an dieser Stelle ist
#
# $$-\ln p$$
#
# Dabei ist $\ln$ der natürliche Logarithmus. Für $p = 1$ ist der Loss 0. Je kleiner $p$, desto größer der Loss. Der
# Loss eines Textes ist der Mittelwert über alle Stellen. Seine Einheit heißt *nat*, weil der Logarithmus der natürliche
# ist.
#
# ### Aufgabe 5.1
#
# Sage den Loss eines Modells voraus, das nichts weiß und deshalb **jedem** Token des Vokabulars dieselbe
# Wahrscheinlichkeit gibt. Das Vokabular hat `dataset.tokenizer.vocab_size` Tokens. Schreibe deine Vorhersage in
# `first_loss` (`math.log` ist der natürliche Logarithmus).

# %% exercise 5.1
import math

### BEGIN SOLUTION
#: first_loss = ...
first_loss = math.log(dataset.tokenizer.vocab_size)
### END SOLUTION

# %% check 5.1
lesson.check("5.1", first_loss, dataset.tokenizer.vocab_size)

# %% [markdown] en
# ### Exercise 5.2
#
# Write the loss yourself. `logits` $(N, V)$ are the model's raw scores at $N$ places for the $V$ tokens of the
# vocabulary, and `targets` $(N)$ are the numbers of the tokens that really came. A score $z_i$ becomes a probability by
# the *softmax*:
#
# $$p_i = \frac{e^{z_i}}{\sum_j e^{z_j}}$$
#
# where $j$ runs over the whole vocabulary. Give the mean of $-\ln p$ of the targets: one number. This loss is called
# *cross-entropy*. `torch.log_softmax(logits, dim=-1)` gives all $\ln p_i$ at once, also for scores so large that
# $e^{z}$ would overflow.

# %% [markdown] de
# ### Aufgabe 5.2
#
# Schreibe den Loss selbst. `logits` $(N, V)$ sind die rohen Punktzahlen des Modells an $N$ Stellen für die $V$ Tokens
# des Vokabulars, `targets` $(N)$ die Nummern der Tokens, die wirklich kamen. Aus einer Punktzahl $z_i$ wird durch den
# *Softmax* eine Wahrscheinlichkeit:
#
# $$p_i = \frac{e^{z_i}}{\sum_j e^{z_j}}$$
#
# Dabei läuft $j$ über das ganze Vokabular. Gib den Mittelwert von $-\ln p$ der Targets zurück, also eine Zahl. Dieser
# Loss heißt *Kreuzentropie* (cross-entropy). `torch.log_softmax(logits, dim=-1)` liefert alle $\ln p_i$ auf einmal,
# auch für so große Punktzahlen, dass $e^{z}$ überlaufen würde.

# %%
import torch


# %% exercise 5.2
def cross_entropy(logits, targets):
    ### BEGIN SOLUTION
    log_shares = torch.log_softmax(logits, dim=-1)  # (N, V)
    chosen = log_shares[torch.arange(len(targets)), targets]  # (N)
    return -chosen.mean()
    ### END SOLUTION


# %% check 5.2
lesson.check("5.2", cross_entropy)

# %% [markdown] en
# Your function and the lab's own, on the first batch that the model will read:

# %% [markdown] de
# Deine Funktion und die des Labors, beide für die ersten Texte, die das Modell lesen wird:

# %%
from litellama.training.objective import Objective

batch = dataset.batches(recipe.seed, recipe.rows, recipe.length)[0].to(lesson.device)
objective = Objective(model, bfloat16=False, everywhere=True)
with torch.no_grad():
    logits = model(batch.input_ids).logits.flatten(0, 1)  # (N, V)
    yours = float(cross_entropy(logits, batch.targets.flatten()))
    total, _ = objective(batch.input_ids, batch.targets, batch.weights)
    theirs = float(total / batch.weights.sum())
lesson.result(
    T("First loss, by your function", "Erster Loss, mit deiner Funktion"), yours, "nat"
)
lesson.result(T("First loss, by the lab", "Erster Loss, vom Labor"), theirs, "nat")

# %% [markdown] en
# They are the same. And your prediction? The real loss is about half a nat **larger** than that of a model that knows
# nothing. Random weights do not know nothing: they have opinions, and all of them are baseless. To be sure without a
# reason costs more than to be unsure.
#
# The lab's own code is a little longer, since it can also leave places out (`weights`):

# %% [markdown] de
# Beide sind gleich. Und deine Vorhersage? Der wirkliche Loss ist etwa ein halbes nat **größer** als der eines Modells,
# das nichts weiß. Zufällige Gewichte wissen nicht nichts: Sie haben Meinungen, und alle sind unbegründet. Ohne Grund
# sicher zu sein ist teurer, als unsicher zu sein.
#
# Der Code des Labors ist etwas länger, weil er auch Stellen auslassen kann (`weights`):

# %%
lesson.code(Objective.forward)

# %% [markdown] en teacher
# What goes wrong:
#
# - Who takes the mean of the probabilities first and the logarithm afterwards gets a smaller number; the check says so.
#   It is worth a minute: 0.9 and 0.1 have the mean 0.5, whose $-\ln$ is 0.69, while the mean of the two losses is 1.20.
# - Why half a nat: the untrained scores have a standard deviation $\sigma$ near 1, and $\ln\sum e^{z}$ then lies about
#   $\sigma^2/2$ above $\ln V$.

# %% [markdown] de teacher
# Was schiefgeht:
#
# - Wer zuerst die Wahrscheinlichkeiten mittelt und dann den Logarithmus nimmt, bekommt eine kleinere Zahl; die Prüfung
#   sagt es. Das ist eine Minute wert: 0,9 und 0,1 haben den Mittelwert 0,5 mit $-\ln 0{,}5 = 0{,}69$, der Mittelwert
#   der beiden Verluste ist aber 1,20.
# - Woher das halbe nat kommt: Die untrainierten Punktzahlen haben eine Standardabweichung $\sigma$ nahe 1, und
#   $\ln\sum e^{z}$ liegt dann etwa $\sigma^2/2$ über $\ln V$.

# %% [markdown] en
# ## Downhill with one weight
#
# How are better weights found? Take a model with a single weight $w$. In a bag, 80 % of the balls are red. The model
# says *red* with the probability $p = 1 / (1 + e^{-w})$. Its loss is the mean over red and blue balls:
#
# $$L(w) = -0.8 \ln p - 0.2 \ln (1 - p)$$
#
# The slope of this curve, called the *gradient*, is surprisingly simple: $p - 0.8$, **what the model says minus what is
# true**. Where the slope is positive, a smaller $w$ is better. So each step of *gradient descent* is
#
# $$w \leftarrow w - \eta \, (p - 0.8)$$
#
# The Greek letter $\eta$ (eta) is the *learning rate*.
#
# ### Exercise 5.3
#
# Write `descend(w, rate, steps)`. It gives a list: the `w` to begin with, and the `w` after each step.

# %% [markdown] de
# ## Bergab mit einem Gewicht
#
# Wie findet man bessere Gewichte? Nimm ein Modell mit einem einzigen Gewicht $w$. In einem Beutel sind 80 % der Bälle
# rot. Das Modell sagt mit der Wahrscheinlichkeit $p = 1 / (1 + e^{-w})$ „rot“. Sein Loss ist der Mittelwert über rote
# und blaue Bälle:
#
# $$L(w) = -0{,}8 \ln p - 0{,}2 \ln (1 - p)$$
#
# Die Steigung dieser Kurve heißt *Gradient* und ist überraschend einfach: $p - 0{,}8$, also **was das Modell sagt minus
# was stimmt**. Wo die Steigung positiv ist, ist ein kleineres $w$ besser. Ein Schritt des *Gradientenabstiegs* ist
# daher
#
# $$w \leftarrow w - \eta \, (p - 0{,}8)$$
#
# Der griechische Buchstabe $\eta$ (eta) ist die *Lernrate*.
#
# ### Aufgabe 5.3
#
# Schreibe `descend(w, rate, steps)`. Die Funktion gibt eine Liste zurück: das `w` vom Anfang und das `w` nach jedem
# Schritt.


# %% exercise 5.3
def descend(w, rate, steps):
    ### BEGIN SOLUTION
    path = [w]
    for _ in range(steps):
        p = 1 / (1 + math.exp(-w))
        w = w - rate * (p - 0.8)
        path.append(w)
    return path
    ### END SOLUTION


# %% check 5.3
lesson.check("5.3", descend)

# %% [markdown] en
# Three learning rates, all beginning at $w = 0$. Try others.

# %% [markdown] de
# Drei Lernraten, alle beginnen bei $w = 0$. Probiere andere aus.

# %%
from litellama.plots import loss_curves


def bag_loss(w):
    p = 1 / (1 + math.exp(-w))
    return -0.8 * math.log(p) - 0.2 * math.log(1 - p)


paths = {str(rate): [bag_loss(w) for w in descend(0.0, rate, 20)] for rate in (0.3, 5, 40)}
lines = {rate: list(enumerate(losses)) for rate, losses in paths.items()}
lesson.show(
    loss_curves(
        lines, x=T("step", "Schritt"), y="Loss (nat)",
        title=T("One weight, three learning rates", "Ein Gewicht, drei Lernraten"),
    )
)  # fmt: skip

# %% [markdown] en
# With 0.3 the loss falls slowly. With 5 it is down at once. With 40 each step jumps over the valley and lands on the
# other side: it never settles.
#
# Even the best $w$ has a loss, about 0.5 nat. Nobody can know which ball comes next. Text has such a floor, too.
#
# A llama has not one weight but hundreds of thousands, and each has its own slope. A rule called *backpropagation*
# finds all slopes at once, at about twice the work of reading the text. The lab's training (the method is called
# *AdamW*) also measures how much each slope has varied, and takes smaller steps where it varies a lot.

# %% [markdown] de
# Mit 0,3 fällt der Loss langsam. Mit 5 ist er sofort unten. Mit 40 springt jeder Schritt über das Tal und landet auf
# der anderen Seite: Es kommt nie zur Ruhe.
#
# Selbst das beste $w$ hat noch einen Loss, etwa 0,5 nat. Niemand kann wissen, welcher Ball als Nächstes kommt. Auch
# Text hat einen solchen Boden.
#
# Ein Lama hat nicht ein Gewicht, sondern Hunderttausende, und jedes hat seine eigene Steigung. Eine Rechenregel, die
# *Backpropagation*, findet alle Steigungen auf einmal; das kostet etwa doppelt so viel wie das Lesen selbst. Das
# Training des Labors (das Verfahren heißt *AdamW*) merkt sich außerdem, wie stark jede Steigung geschwankt hat, und
# macht kleinere Schritte, wo sie stark schwankt.

# %% [markdown] en
# ## Train
#
# Run the cell and watch. One line is the loss of what the model reads. The other is the loss of stories that are *held
# out*: every twentieth story is never shown to it in training, only used to test it. The stop button (■) ends the
# training and saves it; run the same cell again and it goes on.

# %% [markdown] de
# ## Trainieren
#
# Führe die Zelle aus und sieh zu. Die eine Linie ist der Loss dessen, was das Modell liest. Die andere ist der Loss von
# Geschichten, die *zurückgehalten* werden (held out): Jede zwanzigste Geschichte bekommt es im Training nie zu sehen;
# an ihnen wird es nur geprüft. Der Stoppknopf (■) hält das Training an und speichert es. Führe dieselbe Zelle noch
# einmal aus, dann geht es weiter.

# %%
first = lesson.watch(recipe)

# %% [markdown] en
# The text under the numbers is what the model writes after so many steps. What does it learn first: which words there
# are, how sentences are built, or what makes sense?
#
# **Try:** change `preset` above to `"litellama-1m"`, or `rows`, and run the two cells again.
#
# ## The learning rate
#
# Now three short trainings that differ in nothing but the learning rate.

# %% [markdown] de
# Der Text unter den Zahlen ist das, was das Modell nach so vielen Schritten schreibt. Was lernt es zuerst: welche
# Wörter es gibt, wie Sätze gebaut sind oder was einen Sinn ergibt?
#
# **Probiere:** Ändere oben `preset` zu `"litellama-1m"` oder ändere `rows`, und führe die beiden Zellen noch einmal
# aus.
#
# ## Die Lernrate
#
# Jetzt drei kurze Trainings, die sich in nichts als der Lernrate unterscheiden.

# %%
from dataclasses import replace

rates = (3e-5, 1e-2, 0.5)
short = replace(
    recipe,
    dataset_folder=recipe.folder,
    steps=lesson.pick(fast=40, full=150),
    samples=1,
    evaluate_every=1000,
)
trials = lesson.watch_all(
    {
        f"{rate:g}": replace(short, out=folder / f"rate-{rate:g}", learning_rate=rate)
        for rate in rates
    }
)

# %% [markdown] en
# ### Exercise 5.4
#
# Read off: at which of the three rates is the loss lowest at the end? Write the rate into `best_rate`. Say in your own
# words which of the other two is too small and which is too large, and how you can see it.

# %% [markdown] de
# ### Aufgabe 5.4
#
# Lies ab: Bei welcher der drei Lernraten ist der Loss am Ende am kleinsten? Schreibe sie in `best_rate`. Sage mit
# eigenen Worten, welche der anderen beiden zu klein und welche zu groß ist und woran man das sieht.

# %% exercise 5.4
### BEGIN SOLUTION
#: best_rate = ...
best_rate = 1e-2
### END SOLUTION

# %% check 5.4
lesson.check("5.4", best_rate, {rate: trials[f"{rate:g}"].losses for rate in rates})

# %% [markdown] en teacher
# How to read the three lines:
#
# - Too small: the curve is smooth and falls, but at the end it is still far up. Too large: it drops a little (the model
#   learns how frequent each token is) and then stays where it is. If the loss breaks down altogether ("no number any
#   more"), the rate is too large as well.
# - The right rate depends on size, batch and length. 0.01 is right for this model of 300,000 weights and so short a
#   training; LLaMA 2 used 0.0003 (7B and 13B) and 0.00015 (34B and 70B).

# %% [markdown] de teacher
# So lesen sich die drei Linien:
#
# - Zu klein: Die Kurve ist glatt und fällt, ist aber am Ende noch weit oben. Zu groß: Sie fällt ein Stück (das Modell
#   lernt, wie häufig jedes Token ist) und bleibt dann stehen. Bricht der Loss ganz zusammen („keine Zahl mehr“), ist
#   die Rate ebenfalls zu groß.
# - Welche Rate die richtige ist, hängt von Größe, Stapel und Länge ab. 0,01 passt zu diesem Modell mit 300.000
#   Gewichten und zu einem so kurzen Training; LLaMA 2 nahm 0,0003 (7B und 13B) und 0,00015 (34B und 70B).

# %% [markdown] en
# ## Learning by heart
#
# What if there is only little to read? This model gets 100 stories, again and again.

# %% [markdown] de
# ## Auswendig lernen
#
# Was passiert, wenn es nur wenig zu lesen gibt? Dieses Modell bekommt 100 Geschichten, immer wieder dieselben.

# %%
little = folder / "little.txt"
little.write_text(story_text(100, seed=1), encoding="utf-8")
by_heart = lesson.watch(
    replace(
        recipe, out=folder / "little", corpus=str(little), tokenizer=recipe.folder / "tokenizer.json",
        learning_rate=5e-3, steps=lesson.pick(fast=100, full=200), evaluate_every=10, samples=3,
    )
)  # fmt: skip

# %% [markdown] en
# The loss of what it reads goes on falling. The held-out loss falls, turns round and rises. This is *overfitting*: from
# there on the model no longer learns how such stories are, but which words stood in these ones.
#
# ### Exercise 5.5
#
# Write `where_to_stop(held)`. `held` is a list of pairs: a step, and the held-out loss behind it. Give the **step** at
# which training should have been stopped.

# %% [markdown] de
# Der Loss des Gelesenen fällt immer weiter. Der zurückgehaltene Loss fällt, kehrt um und steigt. Das ist
# *Überanpassung* (*Overfitting*): Von da an lernt das Modell nicht mehr, wie solche Geschichten sind, sondern welche
# Wörter in genau diesen standen.
#
# ### Aufgabe 5.5
#
# Schreibe `where_to_stop(held)`. `held` ist eine Liste von Paaren: ein Schritt und der zurückgehaltene Loss nach diesem
# Schritt. Gib den **Schritt** zurück, bei dem man das Training hätte beenden sollen.


# %% exercise 5.5
def where_to_stop(held):
    ### BEGIN SOLUTION
    lowest = min(held, key=lambda pair: pair[1])
    return lowest[0]
    ### END SOLUTION


# %% check 5.5
lesson.check("5.5", where_to_stop)
lesson.result(
    T("Best step to stop at", "Bester Schritt zum Aufhören"), where_to_stop(by_heart.held)
)

# %% [markdown] en
# ## How much should it read?
#
# Hoffmann and others (2022) trained more than 400 models and found a rule of thumb: for a given amount of computing,
# the loss is lowest if a model reads about **20 tokens for each weight**. Lesson 6 shows where this comes from.

# %% [markdown] de
# ## Wie viel sollte es lesen?
#
# Hoffmann und andere (2022) haben mehr als 400 Modelle trainiert und eine Faustregel gefunden: Bei gegebener Rechenzeit
# wird der Loss am kleinsten, wenn ein Modell etwa **20 Tokens für jedes Gewicht** liest. Woher das kommt, zeigt
# Lektion 6.

# %%
from litellama.config import PRESETS
from litellama.footprint.facts import fact
from litellama.scaling.planning import ARITHMETIC, LLAMA2

lite, llama2 = fact(ARITHMETIC), fact(f"{LLAMA2}llama-2-7b.training-tokens")
rows = [
    (
        T("yours, so far", "deines, bisher"),
        first.tokens,
        first.parameters,
        T("measured", "gemessen"),
    ),
    (
        "LiteLlama-460M",
        int(lite.number),
        PRESETS["litellama-460m"].num_parameters,
        lite.source.title,
    ),
    (
        "LLaMA 2 7B",
        int(llama2.number),
        PRESETS["llama2-7b"].num_parameters,
        llama2.source.title,
    ),
]
lesson.table(
    [T("model", "Modell"), "Tokens", T("weights", "Gewichte"), T("tokens per weight", "Tokens pro Gewicht"),
     T("source", "Quelle")],
    [[name, *map(lesson.digits, (read, weights, read / weights)), source] for name, read, weights, source in rows],
)  # fmt: skip
lesson.result(
    T("Training speed of the first model", "Trainingstempo des ersten Modells"), round(first.tokens_per_second),
    T("tokens per second", "Tokens pro Sekunde"), how=T("differs between machines", "auf jedem Rechner anders"),
)  # fmt: skip

# %% [markdown] en
# ### Exercise 5.6
#
# How many **minutes** would this computer need until your first model has read 20 tokens for each of its weights?
# `first.parameters` is the number of its weights, `first.tokens_per_second` the speed of its training.

# %% [markdown] de
# ### Aufgabe 5.6
#
# Wie viele **Minuten** bräuchte dieser Rechner, bis dein erstes Modell 20 Tokens für jedes seiner Gewichte gelesen hat?
# `first.parameters` ist die Anzahl seiner Gewichte, `first.tokens_per_second` das Tempo seines Trainings.

# %% exercise 5.6
### BEGIN SOLUTION
#: minutes = ...
minutes = 20 * first.parameters / first.tokens_per_second / 60
### END SOLUTION

# %% check 5.6
lesson.check("5.6", minutes, first.parameters, first.tokens_per_second)

# %% [markdown] en
# ## Your own
#
# Now a model of your own shape. Three numbers decide most of it:
#
# - `hidden_size`: how many numbers stand for each token inside the model (the smallest preset has 64),
# - `num_hidden_layers`: how many *layers* work on them, one after another (it has 3),
# - `intermediate_size`: how wide each layer's feed-forward part is (it has 256).
#
# ### Exercise 5.7
#
# Choose them such that the model has between 100,000 and 1,500,000 weights, and is not the preset again. The vocabulary
# stays at 1,024 tokens. The check tells you how many weights your shape has.

# %% [markdown] de
# ## Dein eigenes
#
# Jetzt ein Modell in deiner eigenen Form. Drei Zahlen legen das meiste fest:
#
# - `hidden_size`: wie viele Zahlen im Inneren des Modells für jedes Token stehen (beim kleinsten Preset 64),
# - `num_hidden_layers`: wie viele *Schichten* nacheinander daran arbeiten (dort 3),
# - `intermediate_size`: wie breit der Feed-Forward-Teil jeder Schicht ist (dort 256).
#
# ### Aufgabe 5.7
#
# Wähle sie so, dass das Modell zwischen 100.000 und 1.500.000 Gewichte hat und nicht wieder das Preset ist. Das
# Vokabular bleibt bei 1.024 Tokens. Die Prüfung sagt dir, wie viele Gewichte deine Form hat.

# %% exercise 5.7
### BEGIN SOLUTION
#: hidden_size, num_hidden_layers, intermediate_size = my_shape = (..., ..., ...)
hidden_size, num_hidden_layers, intermediate_size = my_shape = (80, 3, 256)
### END SOLUTION

# %% check 5.7
lesson.check("5.7", my_shape)

# %% [markdown] en
# Give it a name. If you like, give it a text of your own to read: a file `.txt` with at least some 50 pages, in any
# language, put beside this notebook. (Then change `prompt`, too.) Whose text is it, and may you use it for this?

# %% [markdown] de
# Gib ihm einen Namen. Wenn du magst, gib ihm auch einen eigenen Text zu lesen: eine Datei `.txt` mit mindestens etwa 50
# Seiten in irgendeiner Sprache, neben diesem Notebook abgelegt. (Dann ändere auch `prompt`.) Wem gehört der Text, und
# darfst du ihn dafür verwenden?

# %%
from litellama.config import preset

my_name = T("My first llama", "Mein erstes Lama")
my_text = stories
my_config = replace(
    preset("litellama-300k"), hidden_size=hidden_size, num_hidden_layers=num_hidden_layers,
    intermediate_size=intermediate_size,
)  # fmt: skip
mine = lesson.watch(
    replace(
        recipe, out=folder / "mine", config=my_config, corpus=str(my_text), prompt="Anna has a",
        steps=lesson.pick(fast=80, full=1500), evaluate_every=lesson.pick(fast=20, full=150),
    )
)  # fmt: skip

# %%
lesson.picture(
    loss_curves(
        {T("what it reads", "was es liest"): mine.losses, T("held out", "zurückgehalten"): mine.held},
        x=T("step", "Schritt"), y=T("loss (nats per token)", "Loss (nat pro Token)"), title=my_name,
    ),
    T(
        f"How a model with {lesson.digits(mine.parameters)} weights learnt on my own computer.",
        f"Wie ein Modell mit {lesson.digits(mine.parameters)} Gewichten auf meinem eigenen Rechner gelernt hat.",
    ),
)  # fmt: skip
lesson.result(
    T("Held-out loss of my model", "Zurückgehaltener Loss meines Modells"),
    mine.held[-1][1],
    "nat",
)

# %% [markdown] en
# ## Keep it
#
# The model becomes a folder: its weights, its shape, its tokenizer, and a *card* that says what it was trained on, how
# long and on which machine.

# %% [markdown] de
# ## Behalte es
#
# Das Modell wird zu einem Ordner: Gewichte, Form, Tokenizer und eine *Karte*, auf der steht, womit, wie lange und auf
# welchem Rechner es trainiert wurde.

# %%
kept = lesson.keep(mine, my_name)
lesson.table(
    [T("file", "Datei"), T("bytes", "Byte")],
    [[path.name, lesson.digits(path.stat().st_size)] for path in sorted(kept.iterdir())],
)

# %% [markdown] en
# Start the app with `./run app` (or `python -m app`). Your model stands in the list at the top of the page. It goes on
# with texts; it has not learnt to answer. Write *Anna has a* and see. In the tabs *Attention* and *Inside one step* you
# can look inside it as into any other. In the tab *Train* you can do all of this lesson by mouse.
#
# (In fast mode, which is for trying the lesson out, the model stays in the lesson's own folder.)

# %% [markdown] de
# Starte die App mit `./run app` (oder `python -m app`). Dein Modell steht in der Liste oben auf der Seite. Es setzt
# Texte fort; antworten hat es nicht gelernt. Schreibe *Anna has a* und sieh, was kommt. In den anderen Reitern kannst
# du in das Modell hineinschauen wie in jedes andere. Im Reiter *Training* geht alles aus dieser Lektion auch mit der
# Maus.
#
# (Im schnellen Modus, der nur zum Ausprobieren da ist, bleibt das Modell im Ordner der Lektion.)

# %% test
from litellama.checkpoint import list_models, open_checkpoint

assert dataset.tokenizer.vocab_size == model.config.vocab_size == 1024
assert model.config.num_parameters == 315_840
assert abs(yours - theirs) < 1e-4
assert 0.3 < theirs - first_loss < 0.8
assert abs(first.losses[0] - theirs) < 0.05
assert first.losses[-1] < 3.5
assert min(paths["5"][3:]) < 0.5005 < paths["0.3"][-1] < paths["0.3"][0]
assert max(paths["40"][-4:]) > 1
ends = {rate: sum(trials[f"{rate:g}"].losses[-5:]) / 5 for rate in rates}
assert ends[1e-2] < min(ends[3e-5], ends[0.5]) - 0.3
assert by_heart.losses[-1] < 1.5
best = dict(by_heart.held)[where_to_stop(by_heart.held)]
assert best < by_heart.held[0][1]
assert best + 0.3 < by_heart.held[-1][1]
opened = open_checkpoint(kept)
assert opened.config.num_parameters == mine.parameters
assert opened.card["name"] == my_name
assert kept.name in [row["name"] for row in list_models(kept.parent)]
assert not lesson.fast or lesson.folder in kept.parents

# %% [markdown] en
# ## To discuss
#
# 1. The loss on what the model has read goes on falling while it gets worse on everything else. Where in school does
#    this happen, and what plays the part of the held-out stories there?
# 2. Your model read invented stories. Large models read what people have written on the web. Who should be asked first,
#    and who should be paid?
# 3. LLaMA 2 7B read almost 300 tokens for each weight, fifteen times as many as the rule of thumb says. Why might its
#    makers have paid for that?

# %% [markdown] de
# ## Zum Besprechen
#
# 1. Der Loss auf dem Gelesenen fällt weiter, während das Modell bei allem anderen schlechter wird. Wo gibt es das in
#    der Schule, und was spielt dort die Rolle der zurückgehaltenen Geschichten?
# 2. Dein Modell hat erfundene Geschichten gelesen. Große Modelle lesen, was Menschen ins Netz geschrieben haben. Wer
#    müsste vorher gefragt werden, und wer bezahlt?
# 3. LLaMA 2 7B hat fast 300 Tokens für jedes Gewicht gelesen, fünfzehnmal so viele wie nach der Faustregel. Warum haben
#    seine Hersteller das wohl bezahlt?

# %% [markdown] en teacher
# **Possible answers.** 1: Learning old tests by heart; a new test is the held-out set. Only if nobody has seen it
# before: the same holds for the benchmarks of large models. 2: Law differs between countries and is being argued about
# in courts; authors, forums, and also the people written about have an interest. A text in the public domain is the
# easy case. 3: The rule of thumb saves computing in *training*. Whoever runs a model for millions of people saves more
# with a smaller one that was trained longer, since each answer is cheaper.
#
# **Time.** On two cores without a GPU all trainings together take about five minutes in full mode. Let them discuss the
# first training while it runs. Stopped cells go on where they were, also after the kernel was restarted.

# %% [markdown] de teacher
# **Mögliche Antworten.** 1: Alte Klassenarbeiten auswendig lernen; eine neue Arbeit ist die zurückgehaltene Menge, aber
# nur, wenn sie vorher niemand gesehen hat. Dasselbe gilt für die Vergleichstests großer Modelle. 2: Das Recht ist von
# Land zu Land verschieden und wird gerade vor Gerichten ausgefochten; Autorinnen, Foren und auch die Menschen, über die
# geschrieben wird, haben ein Interesse daran. Ein gemeinfreier Text ist der einfache Fall. 3: Die Faustregel spart
# Rechenzeit im *Training*. Wer ein Modell für Millionen Menschen betreibt, spart mehr mit einem kleineren, das länger
# trainiert wurde: Jede Antwort wird billiger.
#
# **Zeit.** Auf zwei Kernen ohne Grafikkarte dauern alle Trainings zusammen im vollen Modus etwa fünf Minuten. Lassen
# Sie das erste Training besprechen, während es läuft. Angehaltene Zellen machen weiter, wo sie waren, auch nach einem
# Neustart des Kernels.
