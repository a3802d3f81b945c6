"""What a reply and a whole conversation took, and what LLaMA 2 7B would have taken for the same number of tokens."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from litellama.footprint.measurements import Record, own_record, shipped_records, text_energy
from litellama.footprint.meter import Energy, together
from litellama.footprint.sharing import Share, SharedMeter

LARGE = "llama2-7b"
ELSEWHERE = "@chat.energy_elsewhere"
METHODS = {
    "RAPL": "chat.method_rapl", "NVML counter": "chat.method_nvml_counter", "NVML power": "chat.method_nvml_power",
    "CPU time x watts per core": "chat.method_cpu_time", "installed memory x watts per GB": "chat.method_memory",
}  # fmt: skip

log = logging.getLogger("litellama.app")


@dataclass(frozen=True)
class ReplyCost:
    """What replies took. Of `unknown` many the energy isn't known, the last time for `reason`; `large`: LLaMA 2 7B."""

    replies: int = 0
    read: int = 0  # tokens, as `written`
    written: int = 0
    energy: Energy | None = None
    large: Energy | None = None
    unknown: int = 0
    reason: str | None = None

    def __add__(self, other: ReplyCost) -> ReplyCost:
        return ReplyCost(
            self.replies + other.replies, self.read + other.read, self.written + other.written,
            together((self.energy, other.energy)), together((self.large, other.large)),
            self.unknown + other.unknown, other.reason or self.reason,
        )  # fmt: skip

    @property
    def times(self) -> float | None:
        """How many times as much LLaMA 2 7B would have taken; None unless both are known of every reply."""
        if self.unknown or self.large is None or self.energy is None or self.energy.joules <= 0:
            return None
        return self.large.joules / self.energy.joules

    def to_json(self) -> dict[str, Any]:
        return {
            "replies": self.replies, "read": self.read, "written": self.written, "energy": energy_json(self.energy),
            "large": energy_json(self.large), "times": self.times, "unknown": self.unknown, "reason": self.reason,
        }  # fmt: skip


class ReplyMeter:
    """The meter that all replies of this process share, and the record that says what LLaMA 2 7B takes."""

    def __init__(self, meter: SharedMeter | None = None) -> None:
        self._meter = meter or SharedMeter()
        self.record = large_record()

    def share(self, most_seconds: float) -> Share:
        """Begin to weigh one reply; it counts as abandoned after `most_seconds`, unless it is renewed."""
        return self._meter.share(most_seconds)

    def bill(self, share: Share | None, read: int, written: int) -> ReplyCost:
        """End to weigh a reply that read and wrote so many tokens; without a share, one that was written elsewhere."""
        if share is None:
            return ReplyCost(1, read, written, None, None, 1, ELSEWHERE)
        energy = share.close()
        large = None if self.record is None else text_energy(self.record, LARGE, read, written)
        return ReplyCost(1, read, written, energy, large, int(energy is None), share.reason)

    def record_json(self) -> dict[str, Any] | None:
        """Where and how LLaMA 2 7B was measured."""
        record = self.record
        if record is None:
            return None
        return {
            "machine": record.machine, "date": record.date, "precision": record.precision, "context": record.context,
        }  # fmt: skip


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
