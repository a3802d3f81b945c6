"""One meter for works that run at the same time, such as the replies of several conversations on one machine.

    shared = SharedMeter()
    with shared.share(most_seconds=35) as mine:
        work()
    mine.energy  # Energy(joules=..., ...), or None, and then `mine.reason` is a sentence

Counters know the machine, not who works on it. So what they count is split evenly among the shares open at that moment:
dV = dE / open, and a share takes V(end) - V(begin). Two equal works side by side get half each, one alone gets all, and
the shares together are what the counters counted while any was open. Sensors are read when a share is opened or
closed, and in between by a thread that ends with the last share, so that no counter wraps around unseen.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from litellama.footprint.meter import SECONDS_BETWEEN_READS, Energy, together
from litellama.footprint.sensors import Sensor, SensorGone, sensors


class _Counter:
    """A sensor, its last reading, and `each`: joules that a share open since the beginning would have taken."""

    def __init__(self, sensor: Sensor) -> None:
        self.sensor = sensor
        self.last = sensor.joules()
        self.each = 0.0

    def advance(self, shares: int) -> None:
        """Read the sensor, and give each of the `shares` its part. Raises `SensorGone`."""
        now = self.sensor.joules()
        if shares:
            self.each += (now - self.last) / shares
        self.last = now


class Share:
    """One work's part of what the machine takes, from its opening to `close`. `energy` is None until then, and where it
    isn't known; `reason` says why."""

    def __init__(self, shared: SharedMeter, counters: list[_Counter], until: float, reason: str | None) -> None:
        self._shared = shared
        self._began = [(counter, counter.each) for counter in counters]
        self.until = until  # seconds of time.monotonic, after which the work counts as abandoned
        self.reason = reason
        self.energy: Energy | None = None

    def renew(self, most_seconds: float) -> None:
        """The work still goes on: count it as abandoned only after `most_seconds` from now."""
        self.until = time.monotonic() + most_seconds

    def close(self) -> Energy | None:
        """The work is done: what it took. Closing again changes nothing."""
        self._shared._close(self)
        return self.energy

    def taken(self) -> Energy | None:
        """What it took so far; None if any sensor was missed, for a part of it would pass for all."""
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
        """Open a share. It is abandoned after `most_seconds`, so that one that is never closed takes from nobody."""
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
        """Split what was counted since the last time; let abandoned shares go."""
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
        """Read now and then, while there is a share to read for."""
        while True:
            time.sleep(SECONDS_BETWEEN_READS)
            with self._lock:
                self._advance()
                if not self._open:
                    self._watched = False
                    return
