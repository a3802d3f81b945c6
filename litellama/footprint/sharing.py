"""One meter for tasks that run at the same time, such as the replies of several conversations on one machine.

    shared = SharedMeter()
    with shared.share(most_seconds=35) as mine:
        work()
    mine.energy  # Energy(joules=..., ...), or None, and then `mine.reason` is a sentence

Counters measure the machine, not a task. So what they count is split evenly among the shares that are open at that
moment: dV = dE / open, and a share takes V(end) - V(begin). Two equal tasks at the same time get half each, a single
one gets all, and the shares together are what the counters counted while any was open. Sensors are read when a share is
opened or closed, and between by a thread that ends with the last share, so that no overflow of a counter is missed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from litellama.footprint.meter import SECONDS_BETWEEN_READS, Energy, together
from litellama.footprint.sensors import Sensor, SensorGone, sensors


class _Counter:
    """A sensor, its last reading, and `each`: the joules of a share that was open from the start (V above)."""

    def __init__(self, sensor: Sensor) -> None:
        self.sensor = sensor
        self.last = sensor.joules()
        self.each = 0.0

    def advance(self, shares: int) -> None:
        """Read the sensor, and split what it counted among `shares` shares. Raises `SensorGone`."""
        now = self.sensor.joules()
        if shares:
            self.each += (now - self.last) / shares
        self.last = now


class Share:
    """One task's part of the machine's energy, from its start to `close`. `energy` is None until then, and if it is
    unknown; then `reason` says why."""

    def __init__(self, shared: SharedMeter, counters: list[_Counter], until: float, reason: str | None) -> None:
        self._shared = shared
        self._began = [(counter, counter.each) for counter in counters]
        self.until = until  # seconds of time.monotonic, after which the work counts as abandoned
        self.reason = reason
        self.energy: Energy | None = None

    def renew(self, most_seconds: float) -> None:
        """The task still runs: count it as abandoned only after `most_seconds` from now."""
        self.until = time.monotonic() + most_seconds

    def close(self) -> Energy | None:
        """End the task, and return its energy. Closing again changes nothing."""
        self._shared._close(self)
        return self.energy

    def taken(self) -> Energy | None:
        """The energy so far; None if any sensor failed, because a part would be taken for the whole."""
        if self.reason is not None:
            return None
        parts = []
        for counter, began in self._began:
            joules, sensor = counter.each - began, counter.sensor
            parts.append(Energy(joules, *sensor.uncertainty(joules), sensor.method, sensor.measured))
        return together(parts)

    def __enter__(self) -> Share:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class SharedMeter:
    """The machine's sensors, and the shares open now. Safe to be used by many threads."""

    def __init__(self, find: Callable[[], tuple[list[Sensor], tuple[str, ...]]] = sensors) -> None:
        self._find = find
        self._lock = threading.RLock()  # a reply may be collected as garbage, and leave, in the midst of a reading
        self._open: set[Share] = set()
        self._watched = False
        self._begin()

    def share(self, most_seconds: float) -> Share:
        """Open a share. It ends by itself after `most_seconds`, so that a forgotten one takes nothing from others."""
        with self._lock:
            self._advance()
            if self._lost and not self._open:
                self._begin()  # a sensor went away: see what there is now
            reason = self._lost or (None if self._counters else "; ".join(self._notes))
            share = Share(self, self._counters, time.monotonic() + most_seconds, reason)
            self._open.add(share)
            if not self._watched:
                self._watched = True
                threading.Thread(target=self._look_in, daemon=True).start()
            return share

    def _close(self, share: Share) -> None:
        with self._lock:
            if share in self._open:
                self._advance()
                self._open.discard(share)
                share.energy = share.taken()

    def _begin(self) -> None:
        found, self._notes = self._find()
        self._counters: list[_Counter] = []
        self._lost: str | None = None  # why a sensor that was there isn't any more
        for sensor in found:
            try:
                self._counters.append(_Counter(sensor))
            except SensorGone as why:
                self._lose(why)

    def _advance(self) -> None:
        """Split what was counted since the last time, and end abandoned shares."""
        for counter in list(self._counters):
            try:
                counter.advance(len(self._open))
            except SensorGone as why:
                self._counters.remove(counter)
                self._lose(why)
        now = time.monotonic()
        for share in [one for one in list(self._open) if now > one.until]:
            share.reason = "it took so long that it was taken for abandoned"
            self._open.discard(share)

    def _lose(self, why: SensorGone) -> None:
        self._lost = str(why)
        for share in list(self._open):
            share.reason = self._lost

    def _look_in(self) -> None:
        """Read the sensors from time to time, while any share is open."""
        while True:
            time.sleep(SECONDS_BETWEEN_READS)
            with self._lock:
                self._advance()
                if not self._open:
                    self._watched = False
                    return
