"""
number = 3
minutes = 45
tab = "attention"
code = ["litellama/model.py"]

[en]
title = "Attention from scratch"
question = "How does a word find the other words that matter to it?"
goals = [
    "compute one attention head by hand, with numbers small enough for paper",
    "write scores, causal mask, softmax and mixing as four short functions",
    "let many heads share keys and values, as LLaMA 2 70B does",
    "prove that your attention equals the lab's, with the real weights of a layer",
]
needs = "Python functions; what a matrix is and how two are multiplied"

[de]
title = "Attention von Grund auf"
question = "Wie findet ein Wort die anderen Wörter, auf die es ihm ankommt?"
goals = [
    "einen Attention-Kopf von Hand rechnen, mit Zahlen, die auf ein Blatt passen",
    "Punkte, kausale Maske, Softmax und Mischung als vier kurze Funktionen schreiben",
    "viele Köpfe Keys und Values teilen lassen, wie in LLaMA 2 70B",
    "beweisen, dass deine Attention dasselbe tut wie die des Labors, mit den echten Gewichten einer Schicht",
]
needs = "Funktionen in Python; was eine Matrix ist und wie man zwei multipliziert"
"""

# %% [markdown] en
# ## A question, many offers
#
# Inside the model every token is a list of numbers, a *vector*. In *attention*, each token asks the tokens before it for
# something. From its vector it makes three new ones:
#
# - the *query* $q$: what am I looking for?
# - the *key* $k$: what do I offer?
# - the *value* $v$: what do I hand over, if somebody takes my offer?
#
# Where a query and a key point the same way, the one token looks at the other. Here are three tokens with vectors of only
# two numbers. Think of the first number as "colour" and of the second as "place".

# %% [markdown] de
# ## Eine Frage, viele Angebote
#
# Im Modell ist jedes Token eine Liste von Zahlen, ein *Vektor*. Bei der *Attention* (Aufmerksamkeit) fragt jedes Token
# die Tokens vor ihm nach etwas. Aus seinem Vektor macht es drei neue:
#
# - die *Query* $q$: Was suche ich?
# - den *Key* $k$: Was biete ich an?
# - den *Value* $v$: Was gebe ich weiter, wenn jemand mein Angebot annimmt?
#
# Wo eine Query und ein Key in dieselbe Richtung zeigen, schaut das eine Token auf das andere. Hier sind drei Tokens mit
# Vektoren aus nur zwei Zahlen. Stell dir die erste als „Farbe“ vor und die zweite als „Ort“.

# %%
import torch

names = ["red", "table", "colour?"]
q = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 0.0]])  # (T, D)
k = torch.tensor([[2.0, 0.0], [0.0, 2.0], [1.0, 1.0]])  # (T, D)
v = torch.tensor([[10.0, 0.0], [0.0, 10.0], [1.0, 1.0]])  # (T, D)
lesson.table(
    ["token", "q", "k", "v"],
    [
        [name, *(one[place].tolist() for one in (q, k, v))]
        for place, name in enumerate(names)
    ],
)

# %% [markdown] en
# The *score* of a query and a key is their *dot product*: multiply number by number and add up. It is large where both are
# large in the same places. So that scores don't grow with the length $D$ of the vectors, they are divided by $\sqrt{D}$:
#
# $$\text{score}(q, k) = \frac{q_1 k_1 + q_2 k_2 + \dots + q_D k_D}{\sqrt{D}}$$
#
# ### Exercise 3.1
#
# On paper: what is the score of the query of *colour?* (the third token) with the key of *red* (the first)? Here $D = 2$.

# %% [markdown] de
# Die *Punktzahl* (score) einer Query und eines Keys ist ihr *Skalarprodukt*: Zahl mal Zahl, und alles addiert. Sie ist
# groß, wo beide an denselben Stellen groß sind. Damit die Punkte nicht mit der Länge $D$ der Vektoren wachsen, teilt man
# sie durch $\sqrt{D}$:
#
# $$\text{score}(q, k) = \frac{q_1 k_1 + q_2 k_2 + \dots + q_D k_D}{\sqrt{D}}$$
#
# ### Aufgabe 3.1
#
# Auf Papier: Welche Punktzahl hat die Query von *colour?* (drittes Token) mit dem Key von *red* (erstes)? Hier ist
# $D = 2$.

# %% exercise 3.1
### BEGIN SOLUTION
#: score = ...
score = (2 * 2 + 0 * 0) / 2**0.5
### END SOLUTION

# %% check 3.1
lesson.check("3.1", score)

# %% [markdown] en
# ### Exercise 3.2
#
# Now all at once. `q` has a row for each token that looks ($T$ rows), `k` one for each token that is looked at. Write
# `scores(q, k)`: a table with a row for each query and a column for each key. One matrix product does it: `q @ k.mT`
# (`.mT` turns rows into columns). Don't forget the root.

# %% [markdown] de
# ### Aufgabe 3.2
#
# Jetzt alle auf einmal. `q` hat eine Zeile für jedes Token, das schaut ($T$ Zeilen), `k` eine für jedes, auf das geschaut
# wird. Schreibe `scores(q, k)`: eine Tabelle mit einer Zeile für jede Query und einer Spalte für jeden Key. Ein einziges
# Matrixprodukt genügt: `q @ k.mT` (`.mT` macht Zeilen zu Spalten). Vergiss die Wurzel nicht.


# %% exercise 3.2
def scores(q, k):
    ### BEGIN SOLUTION
    return q @ k.mT / q.shape[-1] ** 0.5
    ### END SOLUTION


# %% check 3.2
lesson.check("3.2", scores)
print(scores(q, k))

# %% [markdown] en
# ## Nobody sees the future
#
# The model writes one token after the other. A token must not look at what comes behind it: when the model writes, that
# isn't there yet. The *causal mask* sets these scores to $-\infty$ (minus infinity).
#
# Then each row becomes shares that add up to 1. That is the *softmax*: take $e$ to the power of each score, and divide by
# the row's sum.
#
# $$\text{share}_j = \frac{e^{s_j}}{e^{s_1} + e^{s_2} + \dots}$$
#
# Here $s_j$ is the score of key number $j$. Since $e^{-\infty} = 0$, forbidden tokens get the share 0.
#
# ### Exercise 3.3
#
# Write `shares(scores)`: mask, then softmax over each row. `torch.ones(T, S, dtype=torch.bool).tril()` is true on and below
# the diagonal; `table.masked_fill(~allowed, -torch.inf)` puts $-\infty$ where `allowed` is false; `.softmax(-1)` works on
# rows.

# %% [markdown] de
# ## Niemand sieht die Zukunft
#
# Das Modell schreibt ein Token nach dem anderen. Kein Token darf auf das schauen, was hinter ihm kommt: Beim Schreiben
# ist es noch nicht da. Die *kausale Maske* setzt diese Punkte auf $-\infty$ (minus unendlich).
#
# Dann wird jede Zeile zu Anteilen, die zusammen 1 ergeben. Das macht die *Softmax*: Man nimmt $e$ hoch jede Punktzahl und
# teilt durch die Summe der Zeile.
#
# $$\text{Anteil}_j = \frac{e^{s_j}}{e^{s_1} + e^{s_2} + \dots}$$
#
# Dabei ist $s_j$ die Punktzahl von Key Nummer $j$. Weil $e^{-\infty} = 0$ ist, bekommen verbotene Tokens den Anteil 0.
#
# ### Aufgabe 3.3
#
# Schreibe `shares(scores)`: erst die Maske, dann die Softmax über jede Zeile. `torch.ones(T, S, dtype=torch.bool).tril()`
# ist auf und unter der Diagonale wahr; `table.masked_fill(~allowed, -torch.inf)` setzt $-\infty$, wo `allowed` falsch ist;
# `.softmax(-1)` wirkt auf Zeilen.


# %% exercise 3.3
def shares(scores):
    ### BEGIN SOLUTION
    allowed = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    return scores.masked_fill(~allowed, -torch.inf).softmax(-1)
    ### END SOLUTION


# %% check 3.3
lesson.check("3.3", shares)

# %% [markdown] en
# The picture has a row for each token that looks. *colour?* looks mostly at *red*, as it should. Change `q` above and
# run everything from there again: can you make it look at *table*?

# %% [markdown] de
# Das Bild hat eine Zeile für jedes Token, das schaut. *colour?* schaut vor allem auf *red*, wie es soll. Ändere oben `q`
# und führe alles von dort an noch einmal aus: Kannst du es auf *table* schauen lassen?

# %%
from litellama.plots import attention_map

small = shares(scores(q, k))
lesson.show(attention_map(names, small, title=T("Three tokens", "Drei Tokens")))

# %% [markdown] en
# ## What is handed over
#
# Last, each token collects the values, each in its share: the *weighted mean*. With the table of shares $A$ and the values
# $V$ it is one more matrix product, $A V$. Together (Vaswani et al. 2017):
#
# $$\text{attention}(Q, K, V) = \text{softmax}\!\left(\frac{Q K^\top}{\sqrt{D}}\right) V$$
#
# $Q$, $K$ and $V$ are all queries, keys and values as rows of three tables; $K^\top$ is $K$ with rows and columns
# exchanged.
#
# ### Exercise 3.4
#
# Write `head(q, k, v)` with your two functions.

# %% [markdown] de
# ## Was weitergegeben wird
#
# Zuletzt sammelt jedes Token die Values ein, jeden mit seinem Anteil: der *gewichtete Mittelwert*. Mit der Tabelle der
# Anteile $A$ und den Values $V$ ist das noch ein Matrixprodukt, $A V$. Alles zusammen (Vaswani u. a. 2017):
#
# $$\text{attention}(Q, K, V) = \text{softmax}\!\left(\frac{Q K^\top}{\sqrt{D}}\right) V$$
#
# $Q$, $K$ und $V$ sind alle Queries, Keys und Values als Zeilen von drei Tabellen; $K^\top$ ist $K$ mit vertauschten
# Zeilen und Spalten.
#
# ### Aufgabe 3.4
#
# Schreibe `head(q, k, v)` mit deinen beiden Funktionen.


# %% exercise 3.4
def head(q, k, v):
    ### BEGIN SOLUTION
    return shares(scores(q, k)) @ v
    ### END SOLUTION


# %% check 3.4
lesson.check("3.4", head)
print(head(q, k, v))

# %% [markdown] en teacher
# Read the last row with the class: about 7 of "red", little of "table". The value of *red* was (10, 0), and most of it
# arrived. If somebody asks where $q$, $k$ and $v$ come from: learnt matrices, which come next. Common faults: the
# softmax over columns (`softmax(0)`), the root of the number of tokens instead of $D$, the mask after the softmax (then
# rows no longer add up to 1).

# %% [markdown] de teacher
# Lesen Sie mit der Klasse die letzte Zeile: etwa 7 von „red“, wenig von „table“. Der Value von *red* war (10, 0), und das
# meiste davon kam an. Fragt jemand, woher $q$, $k$ und $v$ kommen: aus gelernten Matrizen, sie kommen gleich. Häufige
# Fehler: die Softmax über Spalten (`softmax(0)`), die Wurzel aus der Zahl der Tokens statt aus $D$, die Maske nach der
# Softmax (dann ergeben die Zeilen nicht mehr 1).

# %% [markdown] en
# ## Many heads, shared keys
#
# One head can look for one thing. So a layer has several *heads* side by side, each with its own queries. TinyTown has 6.
# In older models each head had its own keys and values, too. Keys and values of all earlier tokens must be kept in memory
# while the model writes. LLaMA 2 70B and LiteLlama save there: several query heads *share* one key head and one value
# head. That is *grouped-query attention*, GQA (Ainslie et al. 2023). TinyTown has 6 query heads and 2 key heads: heads 1 to
# 3 share the first, heads 4 to 6 the second.
#
# In the tables there is now one more direction, for the heads: `q` has the shape $(H, T, D)$ with $H = 6$ query heads, `k`
# and `v` have $(G, T, D)$ with $G = 2$.
#
# ### Exercise 3.5
#
# Write `heads(q, k, v)`: repeat each key head and value head until there is one for each query head, then use `head`.
# `k.repeat_interleave(3, dim=0)` gives the first head three times, then the second three times. How often must it be,
# for any $H$ and $G$?

# %% [markdown] de
# ## Viele Köpfe, geteilte Keys
#
# Ein Kopf kann nach einer Sache suchen. Deshalb hat eine Schicht mehrere *Köpfe* (heads) nebeneinander, jeder mit eigenen
# Queries. TinyTown hat 6. In älteren Modellen hatte jeder Kopf auch eigene Keys und Values. Die Keys und Values aller
# früheren Tokens müssen im Speicher bleiben, solange das Modell schreibt. LLaMA 2 70B und LiteLlama sparen dort: Mehrere
# Query-Köpfe *teilen* sich einen Key-Kopf und einen Value-Kopf. Das heißt *Grouped-Query Attention*, kurz GQA (Ainslie
# u. a. 2023). TinyTown hat 6 Query-Köpfe und 2 Key-Köpfe: Kopf 1 bis 3 teilen sich den ersten, Kopf 4 bis 6 den zweiten.
#
# Die Tabellen haben nun eine Richtung mehr, für die Köpfe: `q` hat die Form $(H, T, D)$ mit $H = 6$ Query-Köpfen, `k` und
# `v` haben $(G, T, D)$ mit $G = 2$.
#
# ### Aufgabe 3.5
#
# Schreibe `heads(q, k, v)`: Wiederhole jeden Key-Kopf und jeden Value-Kopf, bis jeder Query-Kopf einen hat, und nimm dann
# `head`. `k.repeat_interleave(3, dim=0)` gibt den ersten Kopf dreimal, dann den zweiten dreimal. Wie oft muss es sein, für
# beliebige $H$ und $G$?


# %% exercise 3.5
def heads(q, k, v):
    ### BEGIN SOLUTION
    times = q.shape[0] // k.shape[0]
    return head(q, k.repeat_interleave(times, dim=0), v.repeat_interleave(times, dim=0))
    ### END SOLUTION


# %% check 3.5
lesson.check("3.5", heads)

# %% [markdown] en
# ## The real thing
#
# Now the weights of TinyTown's second layer. A layer's attention has four learnt matrices: `q_proj`, `k_proj` and `v_proj`
# make queries, keys and values from the token vectors, and `o_proj` joins what the heads found. Before queries meet keys,
# both are *rotated* by their place in the text, so that a head can tell near from far; lesson 4 explains `rotate`, here we
# take the lab's.
#
# The next cell reads a sentence, takes what stands before the second layer, and makes `x`, one row of 192 numbers for each
# token.

# %% [markdown] de
# ## Das Echte
#
# Jetzt kommen die Gewichte von TinyTowns zweiter Schicht. Die Attention einer Schicht hat vier gelernte Matrizen: `q_proj`,
# `k_proj` und `v_proj` machen aus den Vektoren der Tokens Queries, Keys und Values, und `o_proj` fügt zusammen, was die
# Köpfe gefunden haben. Bevor Queries auf Keys treffen, werden beide je nach ihrem Platz im Text *gedreht*, damit ein Kopf
# nah und fern unterscheiden kann; `rotate` erklärt Lektion 4, hier nehmen wir die des Labors.
#
# Die nächste Zelle liest einen Satz, nimmt, was vor der zweiten Schicht steht, und macht daraus `x`: für jedes Token eine
# Zeile mit 192 Zahlen.

# %%
from litellama.explain.tokenized_run import read_text
from litellama.model import rotary_tables, rotate

town = lesson.model("tinytown")
reading = read_text(
    town.model,
    town.tokenizer,
    "Tom hid a red ball under the bed. The ball is",
    max_new_tokens=0,
)
layer = town.model.model.layers[1]
with torch.inference_mode():
    output = town.model(
        torch.tensor([reading.ids], device=lesson.device), output_hidden_states=True
    )
    x = layer.input_layernorm(output.hidden_states[1])[0].cpu()  # (T, E)
    positions = torch.arange(len(x))[None]
    cos, sin = rotary_tables(town.model.model.rotary.cpu(), positions)
attention = layer.self_attn.cpu()
print(
    tuple(x.shape),
    {name: tuple(part.weight.shape) for name, part in attention.named_children()},
)

# %% [markdown] en
# ### Exercise 3.6
#
# Write `my_attention(x, attention, cos, sin)`. In five lines: queries, keys and values as `attention.q_proj(x)` and so on;
# each cut into heads by `.view(T, -1, 32).transpose(0, 1)`, which gives $(H, T, D)$; queries and keys rotated by
# `rotate(q, cos[0], sin[0])`; your `heads`; then the heads side by side again with `.transpose(0, 1).reshape(T, -1)`,
# through `attention.o_proj`.

# %% [markdown] de
# ### Aufgabe 3.6
#
# Schreibe `my_attention(x, attention, cos, sin)`. In fünf Zeilen: Queries, Keys und Values mit `attention.q_proj(x)` und so
# weiter; jedes mit `.view(T, -1, 32).transpose(0, 1)` in Köpfe geschnitten, das gibt $(H, T, D)$; Queries und Keys mit
# `rotate(q, cos[0], sin[0])` gedreht; deine `heads`; dann die Köpfe mit `.transpose(0, 1).reshape(T, -1)` wieder
# nebeneinander und durch `attention.o_proj`.


# %% exercise 3.6
def my_attention(x, attention, cos, sin):
    ### BEGIN SOLUTION
    T_ = len(x)
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    q, k, v = (
        one(x).view(T_, -1, attention.head_dim).transpose(0, 1) for one in projections
    )
    found = heads(rotate(q, cos[0], sin[0]), rotate(k, cos[0], sin[0]), v)
    return attention.o_proj(found.transpose(0, 1).reshape(T_, -1))
    ### END SOLUTION


# %% check 3.6
lesson.check("3.6", my_attention, attention, x, cos, sin)

# %% [markdown] en
# You have written the attention of LLaMA 2. The largest difference to the lab's, over all numbers:

# %% [markdown] de
# Du hast die Attention von LLaMA 2 geschrieben. Der größte Unterschied zu der des Labors, über alle Zahlen:

# %%
with torch.inference_mode():
    theirs, _ = attention(x[None], cos, sin, None, None, False)
    difference = (my_attention(x, attention, cos, sin) - theirs[0]).abs().max().item()
lesson.result(
    T("largest difference", "größter Unterschied"),
    difference,
    how=T("rounding; differs between machines", "Rundung; je nach Rechner verschieden"),
)

# %% [markdown] en
# Here is the lab's own code. Find your lines in it. What is new is the first direction of each table, for several texts at
# once (`batch`), and the `cache`, which lesson 8 explains.

# %% [markdown] de
# Hier steht der Code des Labors. Finde deine Zeilen darin. Neu ist die erste Richtung jeder Tabelle, für mehrere Texte auf
# einmal (`batch`), und der `cache`, den Lektion 8 erklärt.

# %%
from litellama.model import Attention, attend_explicitly

lesson.code(attend_explicitly)
lesson.code(Attention.forward)

# %% [markdown] en
# And this is where one head of that layer looks. Which head it is, you choose.

# %% [markdown] de
# Und hierhin schaut ein Kopf dieser Schicht. Welcher, das wählst du.

# %%
number = 5
with torch.inference_mode():
    parts = [
        one(x).view(len(x), -1, 32).transpose(0, 1)
        for one in (attention.q_proj, attention.k_proj)
    ]
    turned_q, turned_k = (rotate(part, cos[0], sin[0]) for part in parts)
    looks = shares(scores(turned_q, turned_k.repeat_interleave(3, dim=0)))
lesson.picture(
    attention_map(
        reading.tokens,
        looks[number - 1],
        title=T(f"Layer 2, head {number}", f"Schicht 2, Kopf {number}"),
    ),
    T(
        f"Where head {number} of layer 2 looks, computed with my own functions.",
        f"Wohin Kopf {number} der Schicht 2 schaut, mit meinen eigenen Funktionen berechnet.",
    ),
)

# %% test
from litellama.explain.attention import attention_maps

maps = attention_maps(town.model, reading.ids)
assert torch.allclose(looks, maps.weights[1].float(), atol=1e-5)
assert difference < 1e-5
assert small[2, 0] > 0.6
assert small[2, 0] > small[2, 1]
assert abs(score - 2.828) < 0.001
assert (town.config.num_attention_heads, town.config.num_key_value_heads) == (6, 2)
assert float(looks[4].diagonal(-1).mean()) > 0.8

# %% [markdown] en
# ## To discuss
#
# 1. A head's picture shows where it looks. Does it show what it *does* with what it finds there?
# 2. A text of twice the length has a table of scores of four times the size. What does that mean for long texts, and for
#    who can afford them?
# 3. The rules above are simple, and nobody wrote down what head 5 should do. Where does its behaviour come from?

# %% [markdown] de
# ## Zum Besprechen
#
# 1. Das Bild eines Kopfes zeigt, wohin er schaut. Zeigt es auch, was er mit dem Gefundenen *tut*?
# 2. Ein doppelt so langer Text hat eine viermal so große Tabelle von Punkten. Was heißt das für lange Texte, und dafür, wer
#    sie sich leisten kann?
# 3. Die Regeln oben sind einfach, und niemand hat aufgeschrieben, was Kopf 5 tun soll. Woher kommt sein Verhalten?

# %% [markdown] en teacher
# Possible answers. 1: No; values and `o_proj` decide that, and later layers (lesson 9). 2: Cost grows with the square of
# the length; long contexts need memory and money. 3: From training: the matrices were adjusted, step by step, until the
# next token was predicted well (lesson 5).

# %% [markdown] de teacher
# Mögliche Antworten. 1: Nein; das entscheiden die Values und `o_proj`, und spätere Schichten (Lektion 9). 2: Die Kosten
# wachsen mit dem Quadrat der Länge; lange Kontexte brauchen Speicher und Geld. 3: Aus dem Training: Die Matrizen wurden
# Schritt für Schritt so verändert, dass das nächste Token gut vorhergesagt wird (Lektion 5).
