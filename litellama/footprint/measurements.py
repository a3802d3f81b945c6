"""What was measured, and where: one JSON file for each machine. Those that come with the lab are in `measurements/`.

A record holds the machine, the date, torch's version, the precision and the length of text, and for each model the cost
of a token written ("decode") and of a text read ("prefill") as (seconds, energy), with the method's own error where the
whole model could be run as well.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from litellama.footprint.bench import Cost
from litellama.footprint.meter import Energy, together

OWN = Path("runs") / "measurements.json"
"""Where `compare --measure` stores what it measured on this machine."""


@dataclass(frozen=True)
class ModelCosts:
    """One model's costs. `error`: how much the scaled time of a token differs from the whole model's, as a share of the
    latter; None where the whole model was not run."""

    decode: Cost
    prefill: Cost
    error: float | None = None


@dataclass(frozen=True)
class Record:
    """One machine's measurement. `context` tokens stand before the token written; `prompt` tokens are read at once."""

    machine: str
    date: str
    torch: str
    precision: str
    context: int
    prompt: int
    models: dict[str, ModelCosts]


def save_record(record: Record, path: Path = OWN) -> None:
    """Write the record, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")
    os.replace(new, path)


def load_record(path: Path) -> Record:
    """Read a record. Raises `ValueError` for a file that is none."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        models = {name: _costs(one) for name, one in values.pop("models").items()}
        return Record(**values, models=models)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} holds no measurement ({error!r}); `python -m litellama compare --measure` makes one"
        ) from None


def shipped_records() -> list[Record]:
    """The measurements on known machines that come with the lab."""
    folder = resources.files(__package__).joinpath("measurements")
    if not folder.is_dir():
        return []
    paths = sorted((one for one in folder.iterdir() if one.name.endswith(".json")), key=lambda one: one.name)
    return [load_record(Path(str(path))) for path in paths]


def own_record() -> Record | None:
    """What was measured on this machine, if anything was."""
    return load_record(OWN) if OWN.exists() else None


def text_energy(record: Record, name: str, prompt_tokens: int, answer_tokens: int) -> Energy | None:
    """Joules for model `name` to read `prompt_tokens` and write `answer_tokens`, from the record's cost of each; None
    where the record does not say.

    decode energy x answer_tokens + prefill energy x prompt_tokens / record.prompt: {decode 20 J, prefill of 128: 64 J},
    256 tokens read, 10 written -> 20 x 10 + 64 x 2 = 328 J
    """
    costs = record.models.get(name)
    if costs is None or costs.decode.energy is None or costs.prefill.energy is None:
        return None
    written = costs.decode.energy.scaled(answer_tokens)
    read = costs.prefill.energy.scaled(prompt_tokens / record.prompt)
    return together((written, read))


def _costs(values: dict[str, Any]) -> ModelCosts:
    return ModelCosts(_cost(values["decode"]), _cost(values["prefill"]), values["error"])


def _cost(values: dict[str, Any]) -> Cost:
    energy = values.pop("energy")
    return Cost(**values, energy=energy and Energy(**energy))
