"""What a reply and a whole conversation took, and what LLaMA 2 7B would have taken for the same number of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.common.energy import LARGE, energy_json, large_record
from litellama.footprint.measurements import text_energy
from litellama.footprint.meter import Energy, together
from litellama.footprint.sharing import Share, SharedMeter

ELSEWHERE = "@chat.energy_elsewhere"


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
        """Begin to measure one reply; it counts as abandoned after `most_seconds`, unless it is renewed."""
        return self._meter.share(most_seconds)

    def cost(self, share: Share | None, read: int, written: int) -> ReplyCost:
        """What a reply took that read and wrote so many tokens; without a share, it was written by another server."""
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
