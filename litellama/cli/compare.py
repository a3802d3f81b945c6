"""`python -m litellama compare`: what models cost, by arithmetic, and measured on this machine with `--measure`."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from typing import Annotated, Any

import torch
import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from litellama.checkpoint.memory import BITS, weight_bytes
from litellama.cli.options import Device, Json
from litellama.config import ModelConfig, preset
from litellama.device import AUTO, choose_device, sixteen_bits
from litellama.footprint.arithmetic import (
    decode_bound,
    decode_flops,
    fits,
    kv_bytes_per_token,
    kv_bytes_without_sharing,
)
from litellama.footprint.bench import DTYPES, Work, cost_by_layers, scaling_error
from litellama.footprint.devices import all_devices
from litellama.footprint.machine import ROWS_SHARED_UP_TO, has_bfloat16, machine
from litellama.footprint.measurements import ModelCosts, Record, own_record, save_record, shipped_records

MODELS = ("tinytown", "smollm2-135m", "litellama-460m", "tinyllama-1.1b", "llama2-7b", "llama2-13b", "llama2-70b")
WHOLE = ("litellama-460m", "tinyllama-1.1b")  # run as wholes too, to check the scaling by layers
CONTEXT, PROMPT = 256, 128  # tokens: a question and a short answer
BOUND_PRECISION = "float16"


def compare(
    models: Annotated[str, typer.Option(help="Names of presets, separated by commas.")] = ",".join(MODELS),
    measure: Annotated[bool, typer.Option("--measure", help="Measure time and energy on this machine first.")] = False,
    precision: Annotated[str, typer.Option(help="Of the weights while measuring: bfloat16 or float32.")] = "auto",
    seconds: Annotated[float, typer.Option(help="How long to measure each piece of work.")] = 3.0,
    device: Device = AUTO,
    as_json: Json = False,
) -> None:
    """Set models side by side: size, memory, work, and what a token costs here."""
    configs = {name.strip(): preset(name.strip()) for name in models.split(",") if name.strip()}
    if not configs:
        raise ValueError("no model was named; choose among the presets of `python -m litellama list`")
    chosen = choose_device(device)
    record = _measure(configs, _precision(precision, chosen), seconds, chosen) if measure else _record()
    rows = [row(name, config, record) for name, config in configs.items()]
    if as_json:
        print(json.dumps({"models": rows}, indent=2))
    else:
        Console().print(_as_table(rows, record))


def row(name: str, config: ModelConfig, record: Record | None) -> dict[str, Any]:
    """One model's figures; what was not measured is None. The bound is the most tokens per second, with 16-bit weights,
    one conversation at a time, on each device that holds them."""
    costs = None if record is None else record.models.get(name)
    return {
        "name": name, "parameters": config.num_parameters, "parameters_by_part": config.parameters_by_part,
        "bytes": {precision: weight_bytes(config, precision) for precision in BITS},
        "context_length": config.max_position_embeddings, "kv_bytes_per_token": kv_bytes_per_token(config),
        "kv_bytes_at_full_context": kv_bytes_per_token(config) * config.max_position_embeddings,
        "kv_bytes_per_token_without_sharing": kv_bytes_without_sharing(config),
        "flops_per_token": decode_flops(config, CONTEXT),
        "joules_per_token": _joules(costs, record), "tokens_per_second": _speed(costs, record),
        "tokens_per_second_bound": {
            one.name: decode_bound(config, one, BOUND_PRECISION, CONTEXT).tokens_per_second
            for one in all_devices() if fits(config, one, BOUND_PRECISION, CONTEXT)
        },
    }  # fmt: skip


def _record() -> Record | None:
    """This machine's own measurement, else one that comes with the lab."""
    return own_record() or next(iter(shipped_records()), None)


def _joules(costs: ModelCosts | None, record: Record | None) -> dict[str, Any] | None:
    energy = None if costs is None else costs.decode.energy
    if energy is None or record is None:
        return None
    return {
        "value": energy.joules, "low": energy.low, "high": energy.high, "method": energy.method,
        "label": "measured" if energy.measured else "estimated", "machine": record.machine, "batch": 1,
        "precision": record.precision, "context": record.context, "date": record.date,
    }  # fmt: skip


def _speed(costs: ModelCosts | None, record: Record | None) -> dict[str, Any] | None:
    if costs is None or record is None:
        return None
    return {
        "decode": 1 / costs.decode.seconds, "prefill": record.prompt / costs.prefill.seconds, "label": "measured",
        "method": f"{costs.decode.layers_made} layers run, their marginal cost multiplied",
        "error_against_whole_model": costs.error, "machine": record.machine, "batch": 1,
        "precision": record.precision, "context": record.context, "date": record.date,
    }  # fmt: skip


def _precision(wanted: str, device: torch.device) -> str:
    if wanted == "auto":
        if device.type != "cpu":
            return sixteen_bits(device)
        return "bfloat16" if has_bfloat16(device) else "float32"
    if wanted not in DTYPES:
        raise ValueError(f"there is no precision called {wanted!r} to measure in; choose one of {', '.join(DTYPES)}")
    return wanted


def _measure(configs: dict[str, ModelConfig], precision: str, seconds: float, device: torch.device) -> Record:
    if not seconds > 0:
        raise ValueError(f"seconds is {seconds}; a number above 0 was expected")
    models: dict[str, ModelCosts] = {}
    console = Console(stderr=True)
    with console.status("measuring ...") as status:
        for name, config, costs in _costs(configs, precision, seconds, device, status.update):
            models[name] = costs
            console.print(f"{name}: {1 / costs.decode.seconds:,.3g} tokens/s, {config.num_parameters:,} parameters")
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    record = Record(machine(device), today, torch.__version__, precision, CONTEXT, PROMPT, models)
    save_record(record)
    return record


def _costs(
    configs: dict[str, ModelConfig], precision: str, seconds: float, device: torch.device, say: Any
) -> Iterator[tuple[str, ModelConfig, ModelCosts]]:
    dtype = DTYPES[precision]
    decode, prefill = Work.decode(CONTEXT), Work.prefill(PROMPT)
    threads = torch.get_num_threads()
    for name, config in configs.items():
        torch.set_num_threads(1 if config.num_parameters <= ROWS_SHARED_UP_TO else threads)  # as the app runs them
        say(f"{name}: a token written")
        written = cost_by_layers(config, dtype, decode, seconds=seconds, device=device)
        say(f"{name}: {PROMPT} tokens read")
        read = cost_by_layers(config, dtype, prefill, seconds=seconds, device=device)
        error = None
        if name in WHOLE:
            say(f"{name}: the whole model, to check")
            error = scaling_error(config, dtype, decode, seconds=2 * seconds, device=device)
        yield name, config, ModelCosts(written, read, error)


def _as_table(rows: list[dict[str, Any]], record: Record | None) -> Table:
    where = "not measured here yet; --measure does it"
    if record is not None:
        machine = f"{record.machine}, {record.date}, {record.precision}, batch 1, after {record.context} tokens"
        energies = {one["joules_per_token"]["label"] for one in rows if one["joules_per_token"]}
        where = f"speed measured, joules {' or '.join(sorted(energies)) or 'not measured'} on {machine}"
    table = Table(
        "model", "weights", "16 bit", "4 bit", "KV KiB", "tokens/s", "joules", "check", box=SIMPLE,
        pad_edge=False, padding=(0, 1, 0, 0),
        caption="16 bit, 4 bit: GB. KV, joules: per token. Sizes: computed from the shape. "
        f"Speed and energy: {where}. "
        "Check: the scaled time of a token against the whole model's.",
    )  # fmt: skip
    for one in rows:
        speed, joules = one["tokens_per_second"], one["joules_per_token"]
        error = speed and speed["error_against_whole_model"]
        table.add_row(
            one["name"], _short(one["parameters"]), f"{one['bytes']['float16'] / 1e9:.2f}",
            f"{one['bytes']['int4'] / 1e9:.2f}", f"{one['kv_bytes_per_token'] / 2**10:,.1f}",
            "–" if speed is None else f"{speed['decode']:.3g}",
            "–" if joules is None else f"{_two(joules['value'])} ({_two(joules['low'])}-{_two(joules['high'])})",
            "–" if error is None else f"{error:+.1%}",
        )  # fmt: skip
    return table


def _two(value: float) -> str:
    """Two digits, never as a power of ten."""
    return f"{float(f'{value:.2g}'):,.10g}"


def _short(count: int) -> str:
    return f"{count / 1e9:.2f} B" if count >= 1e9 else f"{count / 1e6:.1f} M"
