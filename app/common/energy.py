"""Energy as the page gets it, and the records of what LLaMA 2 7B takes."""

from __future__ import annotations

import logging
from typing import Any

from litellama.footprint.measurements import Record, own_record, shipped_records, text_energy
from litellama.footprint.meter import Energy

LARGE = "llama2-7b"
METHODS = {
    "RAPL": "chat.method_rapl", "NVML counter": "chat.method_nvml_counter", "NVML power": "chat.method_nvml_power",
    "CPU time x watts per core": "chat.method_cpu_time", "installed memory x watts per GB": "chat.method_memory",
}  # fmt: skip

log = logging.getLogger("litellama.app")


def records() -> list[Record]:
    """This machine's measurement, if there is one that can be read, then those that come with the lab."""
    try:
        own = own_record()
        if own is not None:
            text_energy(own, LARGE, 1, 1)  # a record with nonsense in it fails here
            return [own, *shipped_records()]
    except (OSError, ValueError, TypeError, ZeroDivisionError) as error:  # the app starts without it
        log.warning("what was measured on this machine is left out: %s", error)
    return shipped_records()


def large_record() -> Record | None:
    """This machine's record if it says what LLaMA 2 7B takes, else the first shipped one that does."""
    return next((one for one in records() if text_energy(one, LARGE, 1, 1) is not None), None)


def methods_of(energy: Energy) -> list[str]:
    """Keys of the strings that say how it was had."""
    return [METHODS[method] for method in energy.method.split(" + ") if method in METHODS]


def energy_json(energy: Energy | None) -> dict[str, Any] | None:
    """Joules and their range, with the keys of the strings that say of what kind they are and how they were had."""
    if energy is None:
        return None
    return {
        "joules": energy.joules, "low": energy.low, "high": energy.high,
        "kind": "chat.kind_measured" if energy.measured else "chat.kind_estimated",
        "methods": methods_of(energy),
    }  # fmt: skip
