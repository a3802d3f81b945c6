"""The plan of a training as tables that fit a terminal of 100 columns, each with the words that its figures need."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from litellama.scaling.training_memory import LOGIT_BYTES

BAR = 22  # characters
HOW = {
    "weights": "4 bytes each: float32 masters",
    "gradients": "4 bytes for each weight",
    "optimizer": "8 bytes for each weight: AdamW's moments",
    "copies": "2 bytes for each weight that is multiplied",
    "activations": "counted: what the layers' own code saves",
    "logits": f"{LOGIT_BYTES} bytes each: with log-probabilities, gradients",
}
GATHERED = "in bfloat16 what is whole at a time"
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def print_plan(document: dict[str, Any], console: Console) -> None:
    """Print what `plan_document` found."""
    assumed = document["assumptions"]
    several = "" if assumed["gpus"] == 1 else f"{assumed['gpus']:,} x "
    console.print(f"\n[bold]What training {document['preset']} would take[/] on {several}{assumed['gpu']}")
    console.print("Nothing is trained, and nothing allocated. Every figure says how it is known.\n", style="dim")
    console.print(_parameters(document["parameters"]))
    console.print(_memory(document["memory"], assumed))
    _say(console, _memory_words(document["memory"], assumed))
    console.print(_costs(document))
    _say(console, _cost_words(document))
    console.print(_published(document["published"]))
    _say(console, _published_words(document))


def _table(title: str, columns: Iterable[str], left: Iterable[str]) -> Table:
    table = Table(
        box=SIMPLE, title=title, title_justify="left", title_style="bold", pad_edge=False, padding=(0, 1, 0, 0)
    )  # fmt: skip
    for name in columns:
        table.add_column(name, justify="left" if name in left else "right", overflow="fold")
    return table


def _say(console: Console, sentences: Iterable[str]) -> None:
    for sentence in sentences:
        console.print(sentence, style="dim")
    console.print()


def _bar(share: float) -> str:
    """A bar as long as the share, in eighths of a character."""
    eighths = round(share * BAR * 8)
    return "█" * (eighths // 8) + ("", *"▏▎▍▌▋▊▉")[eighths % 8]


def _parameters(parameters: dict[str, Any]) -> Table:
    total = parameters["total"]
    table = _table("Parameters", ("part", "number", "share", "", "known"), ("part", "", "known"))
    for part, count in parameters["by_part"].items():
        tied = "shares the embedding's" if part == "head" and not count else _bar(count / total)
        table.add_row(_words(part), f"{count:,}", f"{count / total:.1%}", tied, parameters["label"])
    table.add_section()
    table.add_row("all", f"{total:,}", "", "", parameters["label"], style="bold")
    return table


def _memory(memory: dict[str, Any], assumed: dict[str, Any]) -> Table:
    each = "" if assumed["gpus"] == 1 else " of each GPU"
    title = f"Memory{each}, {_rows(memory['rows'])} of {memory['length']:,} tokens at once"
    table = _table(title, ("part", "GB", "", "how", "known"), ("part", "", "how", "known"))
    total = memory["total"]["bytes"]
    for part, one in memory["by_part"].items():
        how = HOW[part]
        if assumed["gpus"] > 1 and part in ("weights", "gradients", "optimizer"):
            how += f", divided by {assumed['gpus']:,}"
        elif assumed["gpus"] > 1 and part == "copies":
            how = GATHERED
        table.add_row(_words(part), _gb(one["bytes"]), _bar(one["bytes"] / total), how, one["label"])
    table.add_section()
    table.add_row(
        "all", _gb(total), "", f"of {memory['gpu_bytes'] / 1e9:,.0f} GB", memory["total"]["label"], style="bold"
    )
    return table


def _memory_words(memory: dict[str, Any], assumed: dict[str, Any]) -> Iterable[str]:
    if assumed["gpus"] > 1:
        yield (
            "The GPUs share what is divided (FSDP). Gathered whole at a time: embedding, head, two layers, and one "
            "layer's gradient."
        )
    if memory["checkpointing"]:
        yield (
            "With checkpointing a layer keeps its input alone and is computed a second time: a third more operations, "
            "which MFU does not count, so expect more hours."
        )
    spare = f"with {memory['spare']:.0%} of the memory to spare for the driver and the gaps between tensors"
    rows, share = memory["largest_rows"], memory["step_rows_per_gpu"]
    if rows:
        pieces = -(-share // memory["rows"])
        whole = "at once" if pieces == 1 else f"in {pieces:,} pieces, whose gradients are added"
        whose = "A step's" if assumed["gpus"] == 1 else "Each GPU's"
        verb = "is" if share == 1 else "are"
        yield f"It fits: up to {_rows(rows)} at once, {spare}. {whose} {_rows(share)} {verb} read {whole}."
    elif memory["would_fit"]:
        count, also = memory["would_fit"]["gpus"], memory["would_fit"]["checkpointing"]
        yield (
            f"It does not fit: a GPU holds not one row, {spare}. {count:,} of them together would"
            + (", with --checkpointing." if also else ".")
        )
    else:
        yield f"It does not fit: a GPU holds not one row, {spare}, however many share what can be divided."


def _costs(document: dict[str, Any]) -> Table:
    """One column for each schedule; from the lower to the higher figure where two utilisations are shown."""
    schedules, assumed = document["schedules"], document["assumptions"]
    names = [f"{one['name']}\n[dim]{one['label']}[/]" for one in schedules]
    table = _table("The whole training", ("", *names, "known"), ("", "known"))

    def row(name: str, known: str, of: Callable[[dict[str, Any]], str], style: str = "") -> None:
        table.add_row(name, *map(of, schedules), known, style=style)

    def span(key: str, show: Callable[[float], str]) -> Callable[[dict[str, Any]], str]:
        def of(one: dict[str, Any]) -> str:
            values = sorted(estimate[key] for estimate in one["bills"])
            return _span(show(values[0]), show(values[-1]))

        return of

    first = schedules[0]
    row("tokens", "", lambda one: f"{one['tokens']:,}", "bold")
    row("tokens for each parameter", "computed", lambda one: _three(one["tokens_per_parameter"]))
    row(f"steps of {first['rows']:,} x {first['length']:,}", "computed", lambda one: f"{one['steps']:,}")
    row("operations, 6ND", "computed", lambda one: _power(one["flops_6nd"]))
    row("operations, exactly", "computed", lambda one: _power(one["flops_exact"]))
    table.add_section()
    row("GPU-hours", "estimated", span("gpu_hours", _three), "bold")
    row(f"time on {_gpus(assumed['gpus'])}", "estimated", span("days", _time))
    row("kWh", "estimated", span("kwh", _three))
    row("CO2e", "estimated", span("co2e_kg", _mass))
    if assumed["price_per_gpu_hour"] is None:
        table.add_row("cost", *["not given"] * len(schedules), "")
    else:
        row(f"cost at {assumed['price_per_gpu_hour']:g} an hour", "estimated", span("cost", _three))
    return table


def _cost_words(document: dict[str, Any]) -> Iterable[str]:
    assumed = document["assumptions"]
    shares = assumed["utilisations"]
    speed = f"{assumed['flops_per_second'] / 1e12:,.0f} TFLOP/s"
    if len(shares) == 1:
        yield f"GPU-hours: exact operations at {shares[0]['share']:.1%} (given) of {speed} (published)."
    else:
        high, low = sorted(shares, key=lambda one: -one["share"])
        yield (
            f"GPU-hours: exact operations at {high['share']:.1%} to {low['share']:.1%} of {speed} (published), which "
            f"{high['of']}'s and {low['of']}'s published hours on A100s imply. Their own figures, "
            f"{high['stated']['value']}% and {low['stated']['value']}%, count the operations in other ways."
        )
        yield "Smaller models fill a GPU less, and other GPUs get other shares; --mfu takes what you measured."
    grid, pue = assumed["grid"], assumed["pue"]
    yield (
        f"kWh: GPU-hours x {assumed['watts']:,.0f} W (published: the most a GPU draws) x PUE {pue['value']} "
        f"(which LLaMA's authors take). CO2e: {grid['value']:g} g for each kWh ({grid['country']}, {grid['status']})."
    )
    for one in document["schedules"]:
        if one["name"] == "the card's product":
            yield (
                f"The model card writes {one['sources'][0]['place']}. "
                f"The product is right, and it is {one['tokens'] / 1e12:.3f}T. Who reads “0.98T”, or the 1T in the "
                "model's name, reads ten times too much."
            )


def _published(rows: list[dict[str, Any]]) -> Table:
    columns = ("", "parameters", "tokens", "A100-hours", "watts", "kWh, derived", "CO2e", "known")
    table = _table("Beside it: trainings that were", columns, ("", "known"))
    for one in rows:
        table.add_row(
            one["name"], f"{one['parameters'] / 1e9:,.2f} B", f"{one['tokens'] / 1e12:,.3g} T",
            f"{one['gpu_hours']:,.0f}", "–" if one["watts"] is None else f"{one['watts']:,.0f}", f"{one['kwh']:,.0f}",
            _mass(one["co2e_kg"], "{:,.5g}"), one["label"],
        )  # fmt: skip
    return table


def _published_words(document: dict[str, Any]) -> Iterable[str]:
    yield (
        f"kWh: hours x watts x PUE. CO2e: as stated; reckoned with {document['published_with']['value']}. LiteLlama's "
        "authors published no hours: its line is 6ND at the share that LLaMA 2 7B's 6ND and hours imply."
    )


def _words(part: str) -> str:
    return part.replace("_", "-")


def _rows(count: int) -> str:
    return "one row" if count == 1 else f"{count:,} rows"


def _span(low: str, high: str) -> str:
    """From one to the other; a unit that both have stands once."""
    if low == high:
        return low
    number, _, unit = low.partition(" ")
    return f"{number if high.endswith(' ' + unit) else low} – {high}"


def _gpus(count: int) -> str:
    return "1 GPU" if count == 1 else f"{count:,} GPUs"


def _time(days: float) -> str:
    for unit, size in (("days", 1.0), ("hours", 1 / 24), ("min", 1 / 1440)):
        if days >= size:
            return f"{_three(days / size)} {unit}"
    return f"{_three(days * 86_400)} s"


def _gb(count: int) -> str:
    return f"{count / 1e9:,.2f}"


def _three(value: float) -> str:
    """Three digits, never as a power of ten."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.{max(0, 2 - math.floor(math.log10(rounded)))}f}"


def _power(value: float) -> str:
    digits, exponent = f"{value:.3e}".split("e")
    return f"{digits} x 10{str(int(exponent)).translate(RAISED)}"


def _mass(kilograms: float, digits: str = "") -> str:
    for unit, size in (("t", 1000.0), ("kg", 1.0), ("g", 0.001)):
        if kilograms >= size or unit == "g":
            value = kilograms / size
            return f"{digits.format(value) if digits else _three(value)} {unit}"
    raise AssertionError
