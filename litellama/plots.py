"""Plain numbers to pictures, for lessons: Plotly figures, and text shaded by scores.

    maps = attention_maps(model, reading.ids)
    attention_map(reading.tokens, maps.weights[0, 3], title="Layer 1, head 4").show(config=CONFIG)

Numbers come as lists, numpy arrays or tensors. Colours can be told apart by people who see few of them: white to dark
blue for shares, teal and orange for what is below and above zero; every value also shows on hover.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import plotly.graph_objects as go

CONFIG = {"displaylogo": False, "showSendToCloud": False, "toImageButtonOptions": {"format": "svg"}}
"""For a figure's `show`: no button that would send anything elsewhere."""

SHARES = [[0, "#ffffff"], [0.25, "rgb(131,159,174)"], [0.5, "rgb(80,119,139)"], [1, "rgb(6,63,92)"]]
SIGNED = [[0, "rgb(15,107,96)"], [0.5, "#ffffff"], [1, "rgb(214,111,8)"]]
LADDER_WORDS = {
    "measured": "{tokens} tokens, measured",
    "fitted": "{tokens} tokens, fitted",
    "law": "the law at {tokens} tokens, extrapolated",
    "extrapolated": "{name}, extrapolated",
    "parameters": "parameters, embedding and head included",
    "loss": "held-out loss, nats per token",
    "thousands": ",",
}
"""What `scaling_law` says in its legend and on its axes."""

MOST_POINTS = 200  # of a curve; more would only slow the page
LINES = ("rgb(15,107,96)", "rgb(214,111,8)", "rgb(6,63,92)", "rgb(91,100,114)", "rgb(160,60,110)")
BOXES = ("#cfe4e0", "#f8dcc0", "#ccdbe6")  # three, so that neighbours differ


def attention_map(tokens: Sequence[str], weights: Any, *, title: str = "") -> go.Figure:
    """One head's map (T, T): each row, a token, shares its look among the tokens above it and itself."""
    shares = _table(weights, len(tokens), len(tokens))
    seen = numpy.where(numpy.tri(len(tokens), dtype=bool), shares, numpy.nan)  # what comes later cannot be looked at
    names = [f"{number} {_visible(token)}" for number, token in enumerate(tokens, 1)]
    picture = go.Heatmap(
        z=seen, x=names, y=names, colorscale=SHARES, zmin=0, zmax=1, colorbar={"tickformat": ".0%"},
        hovertemplate="from %{y}<br>to %{x}<br>%{z:.1%}<extra></extra>",
    )  # fmt: skip
    return _framed(go.Figure(picture), title, square=True)


def all_heads(weights: Any, *, title: str = "") -> go.Figure:
    """Every head's map (L, H, T, T) as one picture, a row for each layer, the last on top."""
    maps = _numbers(weights)
    if maps.ndim != 4 or maps.shape[2] != maps.shape[3]:
        raise ValueError(f"weights have shape {maps.shape}; (layers, heads, tokens, tokens) was expected")
    layers, heads, size, _ = maps.shape
    gap = max(1, size // 12)
    canvas = numpy.full((layers * (size + gap), heads * (size + gap)), numpy.nan)
    for layer in range(layers):
        for head in range(heads):
            top, left = (layers - 1 - layer) * (size + gap), head * (size + gap)
            canvas[top : top + size, left : left + size] = maps[layer, head]
    # The root, so that faint looks are seen too.
    picture = go.Heatmap(z=numpy.sqrt(canvas), colorscale=SHARES, zmin=0, zmax=1, showscale=False, hoverinfo="skip")
    middle = size / 2
    figure = _framed(go.Figure(picture), title, square=True)
    figure.update_xaxes(
        title="head", tickvals=[head * (size + gap) + middle for head in range(heads)],
        ticktext=[str(head + 1) for head in range(heads)],
    )  # fmt: skip
    figure.update_yaxes(
        title="layer", tickvals=[(layers - 1 - layer) * (size + gap) + middle for layer in range(layers)],
        ticktext=[str(layer + 1) for layer in range(layers)],
    )  # fmt: skip
    return figure


def head_grid(values: Any, *, title: str = "", unit: str = "") -> go.Figure:
    """One number for each head (L, H): a role's score, or what the answer loses without it. The last layer on top."""
    numbers = _numbers(values)
    if numbers.ndim != 2:
        raise ValueError(f"values have shape {numbers.shape}; (layers, heads) was expected")
    most = float(numpy.nanmax(numpy.abs(numbers), initial=0)) or 1.0
    picture = go.Heatmap(
        z=numbers, x=[str(head + 1) for head in range(numbers.shape[1])],
        y=[str(layer + 1) for layer in range(numbers.shape[0])], colorscale=SIGNED, zmin=-most, zmax=most,
        texttemplate="%{z:.2f}",
        hovertemplate=f"layer %{{y}}, head %{{x}}: %{{z:.4g}} {html.escape(unit)}<extra></extra>",
    )  # fmt: skip
    figure = go.Figure(picture)
    figure.update_xaxes(title="head", type="category")
    figure.update_yaxes(title="layer", type="category")
    return _framed(figure, title, first_on_top=False)


def layer_guesses(answer: Sequence[str], texts: Sequence[Sequence[str]], shares: Any, *, title: str = "") -> go.Figure:
    """The logit lens: each layer's likeliest token (row 0 is the embedding) for each token of the answer."""
    table = _table(shares, len(texts), len(answer))
    picture = go.Heatmap(
        z=table, x=[f"{number} {_visible(token)}" for number, token in enumerate(answer, 1)],
        y=["embedding", *(f"layer {layer}" for layer in range(1, len(texts)))],
        text=[[_visible(text) for text in row] for row in texts], texttemplate="%{text}", textfont={"size": 13},
        colorscale=SHARES, zmin=0, zmax=1, colorbar={"tickformat": ".0%"},
        hovertemplate="%{y}: “%{text}” %{z:.1%}<extra></extra>",
    )  # fmt: skip
    return _framed(go.Figure(picture), title, first_on_top=False)


def word_scores(words: Sequence[str], scores: Any, *, title: str = "", unit: str = "nats") -> go.Figure:
    """What each part of the prompt adds to the answer, as bars in the text's order."""
    (values,) = _table([_numbers(scores)], 1, len(words))
    names = [f"{number} {_visible(word)}" for number, word in enumerate(words, 1)]
    bars = go.Bar(
        x=values, y=names, orientation="h", marker_color=[LINES[int(value < 0)] for value in values],
        hovertemplate=f"%{{y}}: %{{x:.3f}} {html.escape(unit)}<extra></extra>",
    )  # fmt: skip
    figure = _framed(go.Figure(bars), title)
    figure.update_xaxes(title=unit)
    figure.update_layout(height=max(240, 90 + 21 * len(words)))
    return figure


def curves(named: Mapping[str, Any], *, title: str = "", x: str = "", y: str = "") -> go.Figure:
    """Lines over a common way from 0 to 1, such as an answer's probability while words are blanked out."""
    figure = go.Figure()
    for number, (name, values) in enumerate(named.items()):
        heights = _numbers(values)
        dash = ("solid", "dash", "dot", "dashdot")[number % 4]  # told apart without colours too
        figure.add_scatter(
            x=numpy.linspace(0, 1, len(heights)), y=heights, name=html.escape(name), mode="lines",
            line={"color": LINES[number % len(LINES)], "dash": dash, "width": 2.5},
        )  # fmt: skip
    figure.update_xaxes(title=x, tickformat=".0%")
    figure.update_yaxes(title=y, tickformat=".0%", rangemode="tozero")
    return _framed(figure, title, first_on_top=False)


def loss_curves(named: Mapping[str, Sequence[Any]], *, title: str = "", x: str = "step", y: str = "loss") -> go.Figure:
    """How losses fell, step by step: each line a loss for every step (long ones as means, 200 at most), or pairs (step,
    loss) of those that were measured now and then, which are marked."""
    figure = go.Figure()
    for number, (name, values) in enumerate(named.items()):
        pairs = _numbers(values)
        seldom = pairs.ndim == 2
        if not seldom:
            width = math.ceil(len(pairs) / MOST_POINTS) or 1
            ends = numpy.arange(width, len(pairs) + 1, width)
            pairs = numpy.array([(end, pairs[end - width : end].mean()) for end in ends]).reshape(-1, 2)
        figure.add_scatter(
            x=pairs[:, 0], y=pairs[:, 1], name=html.escape(name), mode="lines+markers" if seldom else "lines",
            line={
                "color": LINES[number % len(LINES)], "width": 2, "dash": ("solid", "dash", "dot", "dashdot")[number % 4]
            },
            marker={"size": 7, "symbol": ("circle", "square", "diamond", "cross")[number % 4]},
        )  # fmt: skip
    figure.update_xaxes(title=x)
    figure.update_yaxes(title=y)
    return _framed(figure, title, first_on_top=False)


def trust_table(
    methods: Mapping[str, Mapping[str, float]], *, title: str = "", names: Mapping[str, str] | None = None
) -> go.Figure:
    """How often each method's top word is right (pointing), best on top; `methods` as `trust --json` prints them, with
    whiskers where one has `low` and `high`. `names` are what to call them."""
    order = sorted(methods, key=lambda name: methods[name]["pointing"], reverse=True)
    facts = [methods[name] for name in order]
    above, below = (
        [abs(fact.get(end, fact["pointing"]) - fact["pointing"]) for fact in facts] for end in ("high", "low")
    )
    bars = go.Bar(
        x=[fact["pointing"] for fact in facts], y=[html.escape((names or {}).get(name, name)) for name in order],
        orientation="h", marker_color=[LINES[3] if name == "random" else LINES[0] for name in order],
        text=[f"{fact['pointing']:.0%}" for fact in facts], textposition="inside", insidetextanchor="start",
        error_x={"array": above, "arrayminus": below, "visible": any(above + below)},
        customdata=[[fact["deletion_auc"], fact["seconds"]] for fact in facts],
        hovertemplate="%{y}: top word right %{x:.1%}<br>answer left %{customdata[0]:.1%}<br>%{customdata[1]:.2f} s"
        "<extra></extra>",
    )  # fmt: skip
    figure = _framed(go.Figure(bars), title)
    figure.update_xaxes(title="top word is right", tickformat=".0%", range=[0, 1])
    return figure


def model_sizes(models: Sequence[Mapping[str, Any]], *, precision: str = "float16", title: str = "") -> go.Figure:
    """Gigabytes of each model's weights, to scale; `models` as `compare --json` prints them."""
    sizes = [model["bytes"][precision] / 1e9 for model in models]
    bars = go.Bar(
        x=sizes, y=[html.escape(model["name"]) for model in models], orientation="h", marker_color=LINES[0],
        text=[f"{size:.3g} GB" for size in sizes], hovertemplate="%{y}: %{x:.4g} GB, computed<extra></extra>",
    )  # fmt: skip
    figure = _framed(go.Figure(bars), title)
    figure.update_xaxes(title=f"GB of weights, {precision} (computed)")
    return figure


def model_energy(models: Sequence[Mapping[str, Any]], *, title: str = "") -> go.Figure:
    """Joules for each token with their range, on a scale of powers of ten; models that were not measured are left out.

    `models` as `compare --json` prints them.
    """
    known = [(model["name"], model["joules_per_token"]) for model in models if model["joules_per_token"]]
    figure = go.Figure()
    for number, label in enumerate(("measured", "estimated")):
        chosen = [(name, joules) for name, joules in known if joules["label"] == label]
        if chosen:
            values = numpy.array([[joules[key] for key in ("value", "low", "high")] for _, joules in chosen])
            figure.add_scatter(
                x=values[:, 0], y=[html.escape(name) for name, _ in chosen], mode="markers", name=label,
                marker={"color": LINES[number], "size": 11, "symbol": ("circle", "diamond")[number]},
                error_x={"array": values[:, 2] - values[:, 0], "arrayminus": values[:, 0] - values[:, 1]},
                customdata=[[joules["low"], joules["high"], html.escape(joules["method"])] for _, joules in chosen],
                hovertemplate="%{y}: %{x:.3g} J (%{customdata[0]:.3g} to %{customdata[1]:.3g})<br>%{customdata[2]}"
                "<extra></extra>",
            )  # fmt: skip
    figure.update_xaxes(type="log", title="joules per token, one conversation at a time")
    return _framed(figure, title)


def worth(models: Sequence[Mapping[str, Any]], above_chance: Mapping[str, float], *, title: str = "") -> go.Figure:
    """What each joule buys: points above guessing (`scores()` of the footprint) against joules for each token."""
    known = [model for model in models if model["joules_per_token"] and model["name"] in above_chance]
    dots = go.Scatter(
        x=[model["joules_per_token"]["value"] for model in known], y=[above_chance[model["name"]] for model in known],
        text=[html.escape(model["name"]) for model in known], mode="markers+text", textposition="top center",
        marker={"color": LINES[0], "size": 12}, hovertemplate="%{text}: %{x:.3g} J, %{y:.1f} points<extra></extra>",
    )  # fmt: skip
    figure = _framed(go.Figure(dots), title, first_on_top=False)
    figure.update_xaxes(type="log", title="joules per token")
    figure.update_yaxes(title="points above guessing", rangemode="tozero")
    return figure


def scaling_law(
    runs: Sequence[Mapping[str, Any]],
    law: Mapping[str, float] | None = None,
    extrapolated: Sequence[Mapping[str, Any]] = (),
    *,
    title: str = "",
    words: Mapping[str, str] = LADDER_WORDS,
) -> go.Figure:
    """Loss against parameters, both by powers of ten: for each token budget the runs and the law's curve, or without a
    law a line through the runs; hollow, with their ranges, the models that nobody measured here. All three as
    `sweep --json` prints them; `words` in another language if wanted."""
    figure = go.Figure()

    def curve(low: float, high: float, tokens: float, name: str, line: Mapping[str, Any]) -> None:
        assert law is not None
        sizes = numpy.geomspace(low, high, 60)
        losses = law["E"] + law["A"] * sizes ** -law["alpha"] + law["B"] * tokens ** -law["beta"]
        figure.add_scatter(x=sizes, y=losses, name=name, mode="lines", line=line, hoverinfo="skip")

    smallest, largest = (pick((run["parameters"] for run in runs), default=1) for pick in (min, max))
    for number, budget in enumerate(sorted({run["budget"] for run in runs})):
        chosen = sorted((run for run in runs if run["budget"] == budget), key=lambda run: run["parameters"])
        colour, symbol = LINES[number % len(LINES)], ("circle", "square", "diamond", "cross")[number % 4]
        read = f"{budget:,}".replace(",", words["thousands"])
        if law is not None:
            fitted = words["fitted"].format(tokens=read)
            curve(smallest, largest, chosen[0]["tokens"], fitted, {"color": colour, "width": 2})
        figure.add_scatter(
            x=[run["parameters"] for run in chosen], y=[run["loss"] for run in chosen],
            mode="markers" if law is not None else "markers+lines", line={"color": colour, "width": 1},
            name=words["measured"].format(tokens=read),
            marker={"color": colour, "size": 9, "symbol": symbol}, text=[html.escape(run["size"]) for run in chosen],
            hovertemplate="%{text}<br>%{x:,}: %{y:.4f}<extra></extra>",
        )  # fmt: skip
    for number, one in enumerate(extrapolated):
        colour, name = LINES[number % len(LINES)], html.escape(one["name"])
        dotted = {"color": colour, "width": 1, "dash": "dot"}
        curve(largest, one["parameters"], one["tokens"], words["law"].format(tokens=f"{one['tokens']:.3g}"), dotted)
        label = words["extrapolated"].format(name=name)
        figure.add_scatter(
            x=[one["parameters"]], y=[one["loss"]], name=label, mode="markers",
            marker={"color": colour, "size": 12, "symbol": ("circle", "square", "diamond")[number % 3] + "-open"},
            error_y={"array": [one["high"] - one["loss"]], "arrayminus": [one["loss"] - one["low"]]},
            customdata=[[one["low"], one["high"]]],
            hovertemplate=f"{label}: %{{y:.2f}} (%{{customdata[0]:.2f}}–%{{customdata[1]:.2f}})<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(type="log", title=words["parameters"])
    figure.update_yaxes(type="log", title=words["loss"])
    return _framed(figure, title, first_on_top=False)


def pair_differences(
    differences: Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Mapping[str, Any]]], *, title: str = ""
) -> go.Figure:
    """How much likelier each continuation is for one group than for the other, with its interval, beside a line of no
    difference; hollow where the interval holds zero. `differences` as `probe --json` prints them, or several such lists
    by name, such as before and after a repair."""
    named = differences if isinstance(differences, Mapping) else {"": differences}
    figure = go.Figure()
    for number, (name, rows) in enumerate(named.items()):
        colour, symbol = LINES[number % len(LINES)], ("circle", "square", "diamond", "cross")[number % 4]
        values = [row["value"] for row in rows]
        lows, highs = ([row["value"] if row[end] is None else row[end] for row in rows] for end in ("low", "high"))
        clear = [row["low"] is not None and not row["low"] <= 0 <= row["high"] for row in rows]
        figure.add_scatter(
            x=values, y=[html.escape(f"{row['continuation']}: {row['one']} – {row['other']}") for row in rows],
            mode="markers", name=html.escape(name),
            marker={"color": colour, "size": 11, "line": {"color": colour, "width": 2},
                    "symbol": [symbol if sure else f"{symbol}-open" for sure in clear]},
            error_x={"array": numpy.subtract(highs, values), "arrayminus": numpy.subtract(values, lows)},
            customdata=list(zip(lows, highs, strict=True)),
            hovertemplate="%{y}<br>%{x:+.3f} (%{customdata[0]:+.3f} to %{customdata[1]:+.3f}), measured<extra></extra>",
        )  # fmt: skip
    figure.add_vline(x=0, line={"color": LINES[3], "dash": "dash"})
    figure.update_xaxes(title="difference of mean shares, 95 % interval", tickformat="+.0%")
    figure.update_layout(showlegend=len(named) > 1, scattermode="group")
    return _framed(figure, title)


def reliability_diagram(bins: Sequence[Mapping[str, Any]], *, title: str = "") -> go.Figure:
    """How sure a model was against how often it was right, with intervals and the number of answers; on the dashed line
    it would be calibrated. `bins` as `Reliability.to_json` gives them."""
    held = [one for one in bins if one["count"]]
    sure, right = [one["confidence"] for one in held], [one["right"]["value"] for one in held]
    most = max((one["count"] for one in held), default=1)
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": LINES[3], "dash": "dash"}, name="calibrated", hoverinfo="skip"
    )
    figure.add_scatter(
        x=sure, y=right, mode="markers", name="measured",
        marker={"color": LINES[0], "size": [8 + 16 * math.sqrt(one["count"] / most) for one in held]},
        error_y={"array": [one["right"]["high"] - one["right"]["value"] for one in held],
                 "arrayminus": [one["right"]["value"] - one["right"]["low"] for one in held]},
        customdata=[[one["count"], one["right"]["low"], one["right"]["high"]] for one in held],
        hovertemplate="%{x:.0%} sure, %{y:.0%} right (%{customdata[1]:.0%} to %{customdata[2]:.0%})"
        "<br>%{customdata[0]} answers, measured<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(title="how sure the model was", tickformat=".0%", range=[-0.03, 1.03])
    figure.update_yaxes(title="how often it was right", tickformat=".0%", range=[-0.03, 1.03])
    return _framed(figure, title, first_on_top=False, square=True)


@dataclass(frozen=True)
class ShadedText:
    """Words shaded by their scores, shown by a notebook: teal speaks for the answer, orange (dashed) against it."""

    words: tuple[str, ...]
    scores: tuple[float, ...]

    def _repr_html_(self) -> str:
        most = max((abs(score) for score in self.scores if math.isfinite(score)), default=0) or 1.0
        spans = []
        for word, score in zip(self.words, self.scores, strict=True):
            share = score / most if math.isfinite(score) else 0.0
            colour = LINES[int(share < 0)].removeprefix("rgb(").removesuffix(")")
            line = f"2px {'dashed' if share < 0 else 'solid'} rgba({colour},{abs(share):.2f})"
            style = f"background:rgba({colour},{abs(share) * 0.6:.2f});border-bottom:{line};white-space:pre-wrap"
            spans.append(f'<span title="{score:+.3f}" style="{style}">{html.escape(word)}</span>')
        return f'<p style="font-size:16px;line-height:1.9">{"".join(spans)}</p>'


def shaded_text(words: Sequence[str], scores: Any) -> ShadedText:
    """The prompt, each word shaded by what it adds to the answer."""
    (values,) = _table([_numbers(scores)], 1, len(words))
    return ShadedText(tuple(words), tuple(values.tolist()))


@dataclass(frozen=True)
class TokenBoxes:
    """A text's tokens as a row of boxes, each with its id below, shown by a notebook."""

    tokens: tuple[str, ...]
    ids: tuple[int, ...]

    def _repr_html_(self) -> str:
        boxes = []
        for number, (token, id) in enumerate(zip(self.tokens, self.ids, strict=True)):
            style = (
                f"display:inline-block;text-align:center;margin:2px 1px;padding:2px 0;color:#1d2530;"
                f"background:{BOXES[number % len(BOXES)]}"
            )
            text = html.escape(token.replace("\n", "↵"))
            boxes.append(
                f'<span style="{style}"><span style="white-space:pre;font-size:16px">{text}</span>'
                f'<br><span style="font-size:11px;padding:0 3px">{id}</span></span>'
            )
        return f'<p style="line-height:1.3">{"".join(boxes)}</p>'


def token_boxes(tokens: Sequence[str], ids: Sequence[int]) -> TokenBoxes:
    """Where a tokenizer cuts a text: `tokens` as a reader sees them, leading spaces included, and their ids."""
    if len(tokens) != len(ids):
        raise ValueError(f"there are {len(tokens)} tokens and {len(ids)} ids; one id for each token was expected")
    return TokenBoxes(tuple(tokens), tuple(ids))


def _numbers(values: Any) -> numpy.ndarray[Any, Any]:
    return numpy.asarray(values.tolist() if hasattr(values, "tolist") else values, dtype=float)


def _table(values: Any, rows: int, columns: int) -> numpy.ndarray[Any, Any]:
    numbers = _numbers(values)
    if numbers.shape != (rows, columns):
        raise ValueError(
            f"the numbers have shape {numbers.shape}; {(rows, columns)} was expected, as many as the names"
        )
    return numbers


def _visible(text: str) -> str:
    """A token's text as it can stand in a figure: Plotly reads some HTML in labels, and text is never HTML."""
    return html.escape(text.replace("\n", "↵")) or "·"


def _framed(figure: go.Figure, title: str, *, first_on_top: bool = True, square: bool = False) -> go.Figure:
    figure.update_layout(
        title=html.escape(title) or None, template="plotly_white", margin={"l": 20, "r": 20, "t": 50 if title else 20},
        width=680 if square else None, height=640 if square else None,
    )  # fmt: skip
    if first_on_top:
        figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(automargin=True, showgrid=False)
    figure.update_yaxes(automargin=True, showgrid=False)
    return figure
