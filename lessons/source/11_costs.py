"""
number = 11
minutes = 45
tab = "compare"
code = [
    "litellama/footprint/meter.py",
    "litellama/footprint/sensors.py",
    "litellama/footprint/bench.py",
    "litellama/footprint/emissions.py",
]

[en]
title = "What does it cost?"
question = "How much energy does an answer take, and who has measured it?"
goals = [
    "reckon with joules, watt-hours and kilowatt-hours",
    "measure what a token costs on this computer",
    "find out what LLaMA 2 would cost here, without having it",
    "turn energy into CO2e, and see how much the place matters",
    "explain why published figures contradict each other",
]
needs = "nothing but this notebook; multiplying and dividing"

[de]
title = "Was kostet das?"
question = "Wie viel Energie braucht eine Antwort, und wer hat das gemessen?"
goals = [
    "mit Joule, Wattstunden und Kilowattstunden rechnen",
    "messen, was ein Token auf diesem Rechner kostet",
    "herausfinden, was LLaMA 2 hier kosten würde, ohne es zu haben",
    "Energie in CO2e umrechnen und sehen, wie viel der Ort ausmacht",
    "erklären, warum sich veröffentlichte Zahlen widersprechen",
]
needs = "nur dieses Notebook; malnehmen und teilen"
"""

# %% [markdown] en
# ## Power and energy
#
# *Power* says how fast energy is used. Its unit is the *watt* (W). *Energy* is power times time:
#
# - one *joule* (J) is one watt for one second
# - one *watt-hour* (Wh) is one watt for one hour: 3,600 joules
# - one *kilowatt-hour* (kWh) is 1,000 watt-hours: 3,600,000 joules. An electricity bill counts these.
#
# The picture shows some everyday things and some answers of chatbots, as others published them. Mind the scale: each
# line to the right is ten times as much.

# %% [markdown] de
# ## Leistung und Energie
#
# *Leistung* sagt, wie schnell Energie verbraucht wird. Ihre Einheit ist das *Watt* (W). *Energie* ist Leistung mal
# Zeit:
#
# - ein *Joule* (J) ist ein Watt, eine Sekunde lang
# - eine *Wattstunde* (Wh) ist ein Watt, eine Stunde lang: 3600 Joule
# - eine *Kilowattstunde* (kWh) sind 1000 Wattstunden: 3.600.000 Joule. Danach rechnet die Stromrechnung.
#
# Das Bild zeigt einige Dinge aus dem Alltag und einige Antworten von Chatbots, so wie andere sie veröffentlicht haben.
# Achte auf die Skala: Jede Linie weiter rechts ist zehnmal so viel.

# %%
import plotly.graph_objects as go

from litellama.footprint.facts import fact
from litellama.footprint.emissions import WH, equivalents
from litellama.plots import LINES

phone, kettle = equivalents()[:2]
measured_by_others = "5-4-inference-energy-measured."
a100 = fact(measured_by_others + "llama-2-7b-chat.energy-per-response-a100-batch-1")
things = {
    T("boil a litre of water", "einen Liter Wasser kochen"): kettle.high / WH,
    T("charge a phone", "ein Handy laden"): phone.high / WH,
    T(
        "LLaMA 2 7B, a reply, its GPU alone", "LLaMA 2 7B, eine Antwort, nur die GPU"
    ): a100.number / WH,
    T(
        "ChatGPT, a question (an outsider's estimate)",
        "ChatGPT, eine Frage (von außen geschätzt)",
    ): fact(measured_by_others + "chatgpt-gpt-4o-typical-query.energy").number,
}
dots = {"size": 14, "color": LINES[0]}
everyday = go.Figure(
    go.Scatter(x=list(things.values()), y=list(things), mode="markers", marker=dots)
)
everyday.update_layout(template="plotly_white", height=280, margin={"t": 20})
everyday.update_xaxes(
    type="log", dtick=1, title=T("watt-hours (published)", "Wattstunden (veröffentlicht)")
)
everyday.update_yaxes(autorange="reversed", automargin=True)
lesson.show(everyday)

# %% [markdown] en
# ### Exercise 11.1
#
# A laptop draws 15 watts for 90 minutes. How much energy is that, in joules and in watt-hours? Let Python calculate:
# `*` multiplies and `/` divides. Decimal numbers have a point: `1.5`.

# %% [markdown] de
# ### Aufgabe 11.1
#
# Ein Laptop zieht 90 Minuten lang 15 Watt. Wie viel Energie ist das, in Joule und in Wattstunden? Lass Python rechnen:
# `*` nimmt mal, `/` teilt. Kommazahlen schreibt man mit Punkt: `1.5`.

# %% exercise 11.1
### BEGIN SOLUTION
#: laptop_joules = ...
#: laptop_watt_hours = ...
laptop_joules = 15 * 90 * 60
laptop_watt_hours = laptop_joules / 3600
### END SOLUTION

# %% check 11.1
lesson.check("11.1", laptop_joules, laptop_watt_hours)

# %% [markdown] en teacher
# The usual slip is watts times minutes. “15 watts per hour” is wrong too: watts are already *per second*; one of the
# sources of this lesson makes the same mistake.

# %% [markdown] de teacher
# Der übliche Fehler ist Watt mal Minuten. Auch „15 Watt pro Stunde“ ist falsch: Watt sind schon *pro Sekunde*; eine der
# Quellen dieser Lektion macht denselben Fehler.

# %% [markdown] en
# ## A meter in the computer
#
# Many processors count the joules that they take: a *sensor*. The lab's meter looks for three of them: processor
# (`cpu`), memory (`ram`) and graphics card (`gpu`). Where there is none, it estimates: the seconds of work times the
# watts that such parts usually draw. This is what your computer has:

# %% [markdown] de
# ## Ein Zähler im Rechner
#
# Viele Prozessoren zählen die Joule, die sie verbrauchen: ein *Sensor*. Der Zähler des Labors sucht drei davon:
# Prozessor (`cpu`), Arbeitsspeicher (`ram`) und Grafikkarte (`gpu`). Wo es keinen gibt, schätzt er: die Sekunden Arbeit
# mal die Watt, die solche Teile üblicherweise ziehen. Das hat dein Rechner:

# %%
from litellama.footprint.sensors import sensors

ways = {
    "RAPL": T("the processor's counter", "Zähler des Prozessors"),
    "NVML counter": T("the graphics card's counter", "Zähler der Grafikkarte"),
    "NVML power": T(
        "the graphics card's watts, over time", "Watt der Grafikkarte, über die Zeit"
    ),
    "CPU time x watts per core": T(
        "seconds of work x usual watts of a core", "Rechenzeit x übliche Watt eines Kerns"
    ),
    "installed memory x watts per GB": T(
        "memory x usual watts per GB", "Speicher x übliche Watt je GB"
    ),
}
known = {True: T("measured", "gemessen"), False: T("estimated", "geschätzt")}
lesson.table(
    [T("part", "Teil"), T("how", "wie"), T("the figure is then", "die Zahl ist dann")],
    [[sensor.part, ways[sensor.method], known[sensor.measured]] for sensor in sensors()[0]],
)


def how(energy):
    return " + ".join(ways[one] for one in energy.method.split(" + "))


# %% [markdown] en
# Now a measurement. TinyTown answers the same question again and again for a few seconds, and the meter gives what one
# answer took. With each figure stands the range in which the true one may lie. An estimate has a wide one.

# %% [markdown] de
# Jetzt eine Messung. TinyTown beantwortet einige Sekunden lang immer wieder dieselbe Frage, und der Zähler sagt, was
# eine Antwort gebraucht hat. Zu jeder Zahl gehört der Bereich, in dem die wahre liegen kann. Bei einer Schätzung ist er
# breit.

# %%
from litellama.footprint.meter import measure

seconds = lesson.pick(fast=2, full=5)
question = "Tom has a red ball. What colour is the ball?"
answer = lesson.ask(question)
tokens = len(lesson.model().tokenizer.encode(answer))
one = measure(lambda: lesson.ask(question), seconds=seconds)
energy = one.reading.total
joules = energy.joules
print(answer, f"({tokens} tokens)")
lesson.result(
    T("one answer of TinyTown here", "eine Antwort von TinyTown hier"), joules, "J",
    kind="measured" if energy.measured else "estimated", how=how(energy),
)  # fmt: skip
lesson.result(
    T("lies between", "liegt zwischen"),
    f"{energy.low:.2g} – {energy.high:.2g}",
    "J",
    kind="estimated",
)

# %% [markdown] en
# ### Exercise 11.2
#
# How many joules is that for each *token* of the answer, each word or piece of a word? The cell above has made the
# variables `joules` and `tokens`.

# %% [markdown] de
# ### Aufgabe 11.2
#
# Wie viele Joule sind das für jedes *Token* der Antwort, also jedes Wort oder Wortstück? Die Zelle darüber hat die
# Variablen `joules` und `tokens` angelegt.

# %% exercise 11.2
### BEGIN SOLUTION
#: joules_per_token = ...
joules_per_token = joules / tokens
### END SOLUTION

# %% check 11.2
lesson.check("11.2", joules_per_token, joules, tokens)
lesson.result(
    T("TinyTown here, each token", "TinyTown hier, je Token"), joules_per_token, "J",
    kind="measured" if energy.measured else "estimated", how=how(energy),
)  # fmt: skip

# %% [markdown] en
# This figure differs from computer to computer: by the processor, by how it is known, and by what else the computer is
# doing. Run the measurement again: how far apart are two runs?
#
# ### Exercise 11.3
#
# Design an experiment: what makes an answer dear? Find a message for which TinyTown writes **at least three times as
# many tokens** as above. (It understands English only.) The check then measures it.

# %% [markdown] de
# Diese Zahl ist auf jedem Rechner anders: je nach Prozessor, je nachdem, woher sie stammt, und je nachdem, was der
# Rechner sonst noch tut. Führe die Messung noch einmal aus: Wie weit liegen zwei Läufe auseinander?
#
# ### Aufgabe 11.3
#
# Ein Versuch: Was macht eine Antwort teuer? Finde eine Nachricht, auf die TinyTown **mindestens dreimal so viele
# Tokens** schreibt wie oben. (Es versteht nur Englisch.) Die Prüfung misst sie dann.

# %% exercise 11.3
### BEGIN SOLUTION
#: dear_question = ...
dear_question = "Tell me a story."
### END SOLUTION

# %% check 11.3
lesson.check("11.3", dear_question)
dear = measure(lambda: lesson.ask(dear_question), seconds=seconds).reading.total
lesson.result(
    T("times as much energy as the first answer", "Vielfaches der Energie der ersten Antwort"), dear.joules / joules,
    kind="measured" if dear.measured else "estimated", how=how(dear),
)  # fmt: skip

# %% [markdown] en
# A model calculates once for each token that it writes. So twice as long an answer takes about twice the energy. The
# question costs as well, but less: its tokens are read all at once.

# %% [markdown] de
# Ein Modell rechnet für jedes Token, das es schreibt, einmal. Eine doppelt so lange Antwort braucht deshalb etwa
# doppelt so viel Energie. Auch die Frage kostet, aber weniger: Ihre Tokens werden alle auf einmal gelesen.

# %% [markdown] en
# ## LLaMA 2, without LLaMA 2
#
# LLaMA 2 7B has 2,283 times as many weights as TinyTown. It may not fit into this computer at all. But it is a tower
# of 32 equal *layers*, and how long a layer takes hardly depends on what its weights say. So the lab builds a few
# layers of the right size with random numbers, measures those, and scales up.
#
# ### Exercise 11.4
#
# Suppose a token takes 8 milliseconds through 2 layers and 20 milliseconds through 6 layers. Some work, such as
# choosing the token, is done only once, however many layers there are. How many milliseconds does the whole model with
# 32 layers take?

# %% [markdown] de
# ## LLaMA 2 ohne LLaMA 2
#
# LLaMA 2 7B hat 2283-mal so viele Gewichte wie TinyTown. Vielleicht passt es gar nicht in diesen Rechner. Es ist aber
# ein Turm aus 32 gleichen *Schichten*, und wie lange eine Schicht braucht, hängt kaum davon ab, was in ihren Gewichten
# steht. Also baut das Labor ein paar Schichten der richtigen Größe aus zufälligen Zahlen, misst sie und rechnet hoch.
#
# ### Aufgabe 11.4
#
# Angenommen, ein Token braucht 8 Millisekunden durch 2 Schichten und 20 Millisekunden durch 6 Schichten. Manches, etwa
# die Wahl des Tokens, geschieht nur einmal, egal wie viele Schichten es sind. Wie viele Millisekunden braucht das ganze
# Modell mit 32 Schichten?

# %% exercise 11.4
### BEGIN SOLUTION
#: milliseconds = ...
one_layer = (20 - 8) / (6 - 2)
milliseconds = 8 + (32 - 2) * one_layer
### END SOLUTION

# %% check 11.4
lesson.check("11.4", milliseconds)

# %% [markdown] en teacher
# 98 ms. Many multiply 20 / 6 by 32 (107 ms) and so count 32 times what happens once. A drawing helps: time against
# layers is a straight line that does not begin at zero. (Here: 3 ms for each layer, 2 ms once.)

# %% [markdown] de teacher
# 98 ms. Viele rechnen 20 / 6 mal 32 (107 ms) und zählen damit 32-mal, was nur einmal geschieht. Eine Zeichnung hilft:
# Zeit gegen Schichten ist eine Gerade, die nicht bei null beginnt. (Hier: 3 ms je Schicht, 2 ms einmalig.)

# %% [markdown] en
# The lab does the same for real models. In full mode this takes up to a minute.

# %% [markdown] de
# Das Labor macht dasselbe mit echten Modellen. Im vollen Modus dauert das bis zu einer Minute.

# %%
import torch

from litellama.config import PRESETS
from litellama.footprint.bench import Work, cost_by_layers
from litellama.footprint.machine import has_bfloat16

dtype = torch.bfloat16 if has_bfloat16("cpu") else torch.float32
names = lesson.pick(
    fast=["litellama-460m"], full=["litellama-460m", "tinyllama-1.1b", "llama2-7b"]
)
costs = {}
for name in names:
    print(name, "...")
    costs[name] = cost_by_layers(
        PRESETS[name], dtype, Work.decode(64), seconds=lesson.pick(fast=1, full=8)
    )
    lesson.result(
        T(f"{name} here, each token", f"{name} hier, je Token"), costs[name].energy.joules, "J",
        kind="estimated", how=T(
            f"{costs[name].layers_made} layers run here, scaled up; {how(costs[name].energy)}",
            f"{costs[name].layers_made} Schichten hier ausgeführt, hochgerechnet; {how(costs[name].energy)}",
        ),
    )  # fmt: skip

# %% [markdown] en
# ## A class in a year
#
# ### Exercise 11.5
#
# Write `class_kwh(joules_per_reply, pupils, replies, days)`: how many *kilowatt-hours* a class takes if each pupil gets
# `replies` replies on each of `days` days. Fill in what stands behind `return`. A kWh is `3.6e6` joules ($3.6 \cdot
# 10^6$).

# %% [markdown] de
# ## Eine Klasse, ein Jahr
#
# ### Aufgabe 11.5
#
# Schreibe `class_kwh(joules_per_reply, pupils, replies, days)`: wie viele *Kilowattstunden* eine Klasse braucht, wenn
# jede und jeder (`pupils`) an jedem von `days` Tagen `replies` Antworten bekommt. Ergänze, was hinter `return` steht.
# Eine kWh sind `3.6e6` Joule ($3{,}6 \cdot 10^6$).


# %% exercise 11.5
def class_kwh(joules_per_reply, pupils, replies, days):
    ### BEGIN SOLUTION
    #: return ...
    return joules_per_reply * pupils * replies * days / 3.6e6
    ### END SOLUTION


# %% check 11.5
lesson.check("11.5", class_kwh)
here = costs["litellama-460m"].energy
answers = {
    T("TinyTown here, the short answer", "TinyTown hier, die kurze Antwort"): joules,
    T("LiteLlama 460M here, 60 tokens", "LiteLlama 460M hier, 60 Tokens"): 60 * here.joules,
    T("LLaMA 2 7B on a data centre's GPU (published)", "LLaMA 2 7B auf einer GPU im Rechenzentrum (veröffentlicht)"):
        a100.number,
}  # fmt: skip
lesson.table(
    [
        T("25 pupils, 10 replies, 190 days", "25 Personen, 10 Antworten, 190 Tage"),
        "kWh",
        T("phone charges", "Handyladungen"),
    ],
    [
        [
            name,
            f"{class_kwh(each, 25, 10, 190):.3g}",
            f"{class_kwh(each, 25, 10, 190) * 3.6e6 / phone.high:,.1f}",
        ]
        for name, each in answers.items()
    ],
)

# %% [markdown] en
# ## Training
#
# Before anybody can ask a model it must be trained. Meta published for LLaMA 2 7B: 184,320 hours of a GPU that draws up
# to 400 watts. The building around it takes energy too, most of it for cooling. The factor for this is called *PUE*
# (power usage effectiveness); LLaMA's authors reckon with 1.1.
#
# Each kilowatt-hour also stands for greenhouse gases, counted as grams of *CO2e* (carbon dioxide equivalent). How many
# depends on what the electricity is made of. Germany's had 380.9 g of CO2e for each kWh in 2023 (published).
#
# ### Exercise 11.6
#
# How many kWh did the training take, and how many *tonnes* of CO2e would that have been in Germany?

# %% [markdown] de
# ## Training
#
# Bevor jemand ein Modell etwas fragen kann, muss es trainiert werden. Meta hat für LLaMA 2 7B veröffentlicht: 184.320
# Stunden einer GPU, die bis zu 400 Watt zieht. Auch das Gebäude darum braucht Energie, das meiste zum Kühlen. Der
# Faktor dafür heißt *PUE* (power usage effectiveness); die Autoren von LLaMA rechnen mit 1,1.
#
# Jede Kilowattstunde steht auch für Treibhausgase, gezählt in Gramm *CO2e* (CO2-Äquivalent). Wie viele es sind, hängt
# davon ab, woraus der Strom gemacht ist. In Deutschland waren es 2023 je kWh 380,9 g CO2e (veröffentlicht).
#
# ### Aufgabe 11.6
#
# Wie viele kWh hat das Training gebraucht, und wie viele *Tonnen* CO2e wären das in Deutschland gewesen?

# %% exercise 11.6
### BEGIN SOLUTION
#: training_kwh = ...
#: training_tonnes = ...
training_kwh = 184320 * 400 * 1.1 / 1000
training_tonnes = training_kwh * 380.9 / 1e6
### END SOLUTION

# %% check 11.6
lesson.check("11.6", training_kwh, training_tonnes)
lesson.result(
    T("training of LLaMA 2 7B", "Training von LLaMA 2 7B"), round(training_kwh), "kWh", kind="computed",
    how=T("from published hours, watts and PUE", "aus veröffentlichten Stunden, Watt und PUE"),
)  # fmt: skip

# %% [markdown] en
# The same training on the grids of several countries. The orange line is what Meta states, 31.22 t: it reckons with
# the mean of the USA, not with the place where the computers stood.

# %% [markdown] de
# Dasselbe Training an den Stromnetzen mehrerer Länder. Die orange Linie ist, was Meta angibt, 31,22 t: Gerechnet ist
# das mit dem Mittel der USA, nicht mit dem Ort, an dem die Rechner standen.

# %%
from litellama.footprint.emissions import emissions, grids, training_energy

taken = training_energy("llama2-7b")
places = sorted(grids().items(), key=lambda pair: pair[1].number)[::3]
tonnes = {name: emissions(taken.joules, grid.number) / 1e6 for name, grid in places}
stated = fact("1-2-llama-2-training-energy-carbon.llama-2-7b.training-emissions-stated")
by_grid = go.Figure(
    go.Bar(x=list(tonnes.values()), y=list(tonnes), orientation="h", marker_color=LINES[0])
)
label = T("Meta states 31.22 t", "Meta gibt 31,22 t an")
by_grid.add_vline(
    x=stated.number,
    line_color=LINES[1],
    annotation_text=label,
    annotation_position="bottom right",
)
by_grid.update_layout(template="plotly_white", height=400, margin={"t": 30})
by_grid.update_xaxes(
    title=T(
        "tonnes of CO2e (computed from published figures)",
        "Tonnen CO2e (aus Veröffentlichtem berechnet)",
    )
)
lesson.picture(
    by_grid,
    T(
        "The training of LLaMA 2 7B, 81,101 kWh, on the electricity of different countries.",
        "Das Training von LLaMA 2 7B, 81.101 kWh, mit dem Strom verschiedener Länder.",
    ),
)

# %% test
assert abs(training_kwh - taken.joules / 3.6e6) < 1
assert tonnes["Iceland"] * 10 < max(tonnes.values())
assert energy.low < joules < energy.high
assert dear.joules > 1.5 * joules
assert here.joules > joules_per_token
assert (
    abs(PRESETS["llama2-7b"].num_parameters / PRESETS["tinytown"].num_parameters - 2283) < 1
)
assert milliseconds == 98

# %% [markdown] en
# ## When sources disagree
#
# All these figures were published, and none of them is simply wrong except one. BLOOM is a large open model that was
# trained in France.

# %% [markdown] de
# ## Wenn Quellen sich widersprechen
#
# Alle diese Zahlen sind veröffentlicht, und bis auf eine ist keine einfach falsch. BLOOM ist ein großes, offenes
# Modell, das in Frankreich trainiert wurde.

# %%
bloom = "5-5-training-footprint-of-other-models.bloom-176b."
running, all_in = (
    fact(bloom + "dynamic-training-emissions"),
    fact(bloom + "training-emissions-incl-idle-and-embodied"),
)
by_meta = fact("1-3-llama-1-training-comparison.bloom-175b.training-emissions")
old = fact(measured_by_others + "llama-2-7b-chat.energy-per-generated-token-a100-batch-1")
new = fact(
    measured_by_others + "llama-3-1-8b.energy-per-token-h100-batch-64-vllm-0-11-1-v3-0-2025"
)
rows = [
    ["A", T("training BLOOM", "Training von BLOOM"),
     T(f"{running.value} t: while it calculated", f"{running.value} t: während es rechnete"),
     T(f"{all_in.value} t: with idling and making", f"{all_in.value} t: mit Leerlauf und Herstellung")],
    ["B", T("training BLOOM", "Training von BLOOM"),
     T(f"{running.value} t: its own paper", f"{running.value} t: die eigene Arbeit"),
     T(f"{by_meta.value} t: LLaMA's paper, American mean", f"{by_meta.value} t: LLaMAs Arbeit, Mittel der USA")],
    ["C", T("a token of a model of 7 to 8 billion weights", "ein Token eines Modells mit 7 bis 8 Mrd. Gewichten"),
     T(f"{old.value} J: one conversation (A100, 2023)", f"{old.value} J: ein Gespräch (A100, 2023)"),
     T(f"{new.value} J: 64 at once (H100, 2025)", f"{new.value} J: 64 zugleich (H100, 2025)")],
    ["D", T("electricity, in a tool's manual", "Strom, im Handbuch eines Programms"),
     T("731.59 kg for a kWh", "731,59 kg je kWh"), T("731.59 g for a kWh", "731,59 g je kWh")],
]  # fmt: skip
lesson.table(
    ["", T("what", "was"), T("one figure", "eine Zahl"), T("another", "eine andere")], rows
)

# %% [markdown] en
# ### Exercise 11.7
#
# Why do they differ? Give each case one of these reasons:
#
# - `"boundary"`: one counts things that the other leaves out
# - `"grid"`: they reckon with the electricity of different places
# - `"batch"`: the computer served a different number of conversations at once
# - `"unit"`: somebody mixed up units

# %% [markdown] de
# ### Aufgabe 11.7
#
# Warum unterscheiden sie sich? Gib jedem Fall einen dieser Gründe:
#
# - `"boundary"` (Grenze): Eine zählt Dinge mit, die die andere weglässt
# - `"grid"` (Stromnetz): Sie rechnen mit dem Strom verschiedener Orte
# - `"batch"` (Bündel): Der Rechner hat verschieden viele Gespräche zugleich bedient
# - `"unit"` (Einheit): Jemand hat Einheiten verwechselt

# %% exercise 11.7
### BEGIN SOLUTION
#: reasons = {
#:     "A": ...,
#:     "B": ...,
#:     "C": ...,
#:     "D": ...,
#: }
reasons = {
    "A": "boundary",
    "B": "grid",
    "C": "batch",
    "D": "unit",
}
### END SOLUTION

# %% check 11.7
lesson.check("11.7", reasons)

# %% [markdown] en
# So with each figure belongs: what was counted (chips only? idling? the building?), where, with how many conversations
# at once, and whether it was measured or estimated. The app's tab *Compare* lists over a thousand such figures with
# their sources.

# %% [markdown] de
# Zu jeder Zahl gehört also: was gezählt wurde (nur die Chips? der Leerlauf? das Gebäude?), wo, bei wie vielen
# Gesprächen zugleich, und ob gemessen oder geschätzt wurde. Der Reiter *Vergleich* der App nennt über tausend solcher
# Zahlen mit ihren Quellen.

# %% [markdown] en teacher
# In B three things differ: the grid (385 against 57 g for each kWh), PUE, and idling. The grid is by far the largest
# part: 6.8 of the factor 7.4. In C the GPU and the software differ as well; serving many at once is the largest part,
# since the weights are then read from memory once for all. 731.59 kg for one kWh cannot be: the dirtiest
# grid of the list, India's, has 713 grams.

# %% [markdown] de teacher
# In B unterscheiden sich drei Dinge: das Stromnetz (385 gegen 57 g je kWh), der PUE und der Leerlauf. Das Netz macht
# bei Weitem das meiste aus: 6,8 vom Faktor 7,4. In C sind auch GPU und Software andere; am meisten bringt es, viele
# zugleich zu bedienen, denn dann werden die Gewichte einmal für alle aus dem Speicher gelesen. 731,59 kg für eine kWh
# kann nicht sein: Das schmutzigste Netz der Liste, das von Indien, hat 713 Gramm.

# %% [markdown] en
# ## Training or use?
#
# ### Exercise 11.8
#
# The training of LLaMA 2 7B took 81,101 kWh. A reply took 1828.8 J (published: on a GPU of a data centre, its chips
# alone, one conversation at a time). After how many `replies` has the use taken as much as the training? And after how
# many `days`, if a million people ask ten times a day each?

# %% [markdown] de
# ## Training oder Nutzung?
#
# ### Aufgabe 11.8
#
# Das Training von LLaMA 2 7B hat 81.101 kWh gebraucht. Eine Antwort brauchte 1828,8 J (veröffentlicht: auf einer GPU im
# Rechenzentrum, nur ihre Chips, ein Gespräch auf einmal). Nach wie vielen Antworten (`replies`) hat die Nutzung so viel
# gebraucht wie das Training? Und nach wie vielen Tagen (`days`), wenn eine Million Menschen je zehnmal am Tag fragen?

# %% exercise 11.8
### BEGIN SOLUTION
#: replies = ...
#: days = ...
replies = 81101 * 3.6e6 / 1828.8
days = replies / (1_000_000 * 10)
### END SOLUTION

# %% check 11.8
lesson.check("11.8", replies, days)
lesson.result(
    T("replies that cost as much as the training", "Antworten, die so viel kosten wie das Training"), round(replies),
    kind="computed", how=T("from published figures", "aus veröffentlichten Zahlen"),
)  # fmt: skip

# %% [markdown] en
# ## Your computer among the others
#
# At the end your own figures stand beside published ones. A horizontal line is the range of an estimate. Mind what
# differs: the model, the computer, and how many conversations run at once.

# %% [markdown] de
# ## Dein Rechner unter den anderen
#
# Zum Schluss stehen deine eigenen Zahlen neben veröffentlichten. Ein waagerechter Strich ist der Bereich einer
# Schätzung. Achte darauf, was verschieden ist: das Modell, der Rechner und wie viele Gespräche zugleich laufen.

# %%
each = energy.scaled(1 / tokens)
own = {T("TinyTown, here", "TinyTown, hier"): each}
own |= {T(f"{name}, here", f"{name}, hier"): cost.energy for name, cost in costs.items()}
final = go.Figure()
final.add_scatter(
    x=[one.joules for one in own.values()], y=list(own), mode="markers", name=T("this computer", "dieser Rechner"),
    marker={"size": 12, "color": LINES[1]},
    error_x={
        "array": [one.high - one.joules for one in own.values()],
        "arrayminus": [one.joules - one.low for one in own.values()],
    },
)  # fmt: skip
others = {
    T("LLaMA 2 7B, A100, one at a time", "LLaMA 2 7B, A100, eines auf einmal"): old.number,
    T("LLaMA 3.1 8B, H100, 64 at once", "LLaMA 3.1 8B, H100, 64 zugleich"): new.number,
}
final.add_scatter(
    x=list(others.values()), y=list(others), mode="markers", name=T("published", "veröffentlicht"),
    marker={"size": 12, "color": LINES[0], "symbol": "diamond"},
)  # fmt: skip
final.update_layout(template="plotly_white", height=360, margin={"t": 20})
final.update_xaxes(type="log", title=T("joules for each token", "Joule je Token"))
final.update_yaxes(autorange="reversed", automargin=True)
lesson.picture(
    final,
    T(
        "Joules for each token: on this computer, and as others published for GPUs in data centres (chips alone).",
        "Joule je Token: auf diesem Rechner, und wie andere es für GPUs in Rechenzentren angeben (nur die Chips).",
    ),
)

# %% test
assert old.number / new.number > 30
assert 15 < days < 17
assert abs(by_meta.number / running.number - 7.4) < 0.1
assert each.joules < here.joules

# %% [markdown] en
# ## To discuss
#
# 1. A reply takes less energy than boiling a cup of water. Is the energy of chatbots then a problem? For whom, and
#    when?
# 2. Companies rarely publish what their models take. Should they have to? What exactly should they state?
# 3. A model twice as good takes ten times the energy. For which tasks would you use it, and for which the small one?

# %% [markdown] de
# ## Zum Besprechen
#
# 1. Eine Antwort braucht weniger Energie, als eine Tasse Wasser zu kochen. Ist die Energie von Chatbots dann ein
#    Problem? Für wen, und ab wann?
# 2. Firmen veröffentlichen selten, was ihre Modelle verbrauchen. Sollten sie es müssen? Was genau sollten sie angeben?
# 3. Ein doppelt so gutes Modell braucht zehnmal so viel Energie. Für welche Aufgaben würdest du es nehmen, für welche
#    das kleine?

# %% [markdown] en teacher
# Possible answers. 1: One reply is little; billions each day are power stations, built in certain places, and agents
# or videos take far more than a short text. Compare with what it replaces. 2: For a fair comparison: energy for each
# reply and of the training, what is counted, place, PUE, measured or estimated. Against it: secrets of business; for
# it: users cannot choose what they cannot see. 3: No right answer; good ones name what a mistake would cost.

# %% [markdown] de teacher
# Mögliche Antworten. 1: Eine Antwort ist wenig; Milliarden am Tag sind Kraftwerke, gebaut an bestimmten Orten, und
# Agenten oder Videos brauchen weit mehr als ein kurzer Text. Vergleichen Sie mit dem, was ersetzt wird. 2: Für einen
# gerechten Vergleich: Energie je Antwort und des Trainings, was gezählt ist, Ort, PUE, gemessen oder geschätzt. Dagegen
# sprechen Geschäftsgeheimnisse, dafür, dass niemand wählen kann, was man nicht sieht. 3: Keine richtige Antwort; gute
# nennen, was ein Fehler kosten würde.
