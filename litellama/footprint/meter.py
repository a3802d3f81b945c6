"""How much energy a piece of work took: measured where the machine has a sensor, estimated where it has none.

    with meter() as energy:
        work()
    energy.reading().total  # Energy(joules=..., low=..., high=..., method=...), or None: not measured

Three parts are measured separately, each by its own sensor (`sensors.py`): CPU, RAM and GPU. A sensor that does not
exist, may not be read, or disappears gives None and a sentence, never 0. Counters are of the whole machine, so other
work counts as well; `measure` subtracts what the machine takes when idle, if a sensor measures it.
"""

from __future__ import annotations

import contextlib
import math
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from litellama.footprint.sensors import PartName, Sensor, SensorGone, sensors

SECONDS_BETWEEN_READS = 0.5  # RAPL's counters wrap within a minute on a large server
SHORTEST = 5.0  # seconds of work below which a reading says little


@dataclass(frozen=True)
class Energy:
    """Joules with their possible range, and how they were obtained: `measured` by a sensor, or estimated."""

    joules: float
    low: float
    high: float
    method: str
    measured: bool

    def scaled(self, factor: float) -> Energy:
        """The energy of `factor` times as much of the same work."""
        return Energy(self.joules * factor, self.low * factor, self.high * factor, self.method, self.measured)


def together(parts: Iterable[Energy | None]) -> Energy | None:
    """The sum of the parts that are not None; None if there is none. Measured only if every part of it was."""
    known = [part for part in parts if part is not None]
    if not known:
        return None
    methods = dict.fromkeys(method for part in known for method in part.method.split(" + "))
    return Energy(
        sum(part.joules for part in known), sum(part.low for part in known), sum(part.high for part in known),
        " + ".join(methods), all(part.measured for part in known),
    )  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """What a meter read. A part that is None was not measured, and `notes` says why."""

    seconds: float
    cpu: Energy | None
    ram: Energy | None
    gpu: Energy | None
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> Energy | None:
        """The sum of the parts there are; None if there is none. Measured only if every part of it was."""
        return together((self.cpu, self.ram, self.gpu))


class Meter:
    """Reads its sensors at `start`, at `stop`, and between, so that no overflow of a counter is missed."""

    def __init__(self, sensors: list[Sensor], notes: tuple[str, ...] = ()) -> None:
        self._sensors = list(sensors)
        self._notes = list(notes)
        self._joules: dict[int, tuple[float, float]] = {}  # of each sensor: at the start, now
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._look_in, daemon=True)
        self._began = self._seconds = 0.0

    def start(self) -> None:
        """Begin; a meter is used once."""
        self._began = time.monotonic()
        self._read(first=True)
        self._watch.start()

    def stop(self) -> None:
        """End: `reading` says what was read up to here."""
        self._read()
        self._seconds = time.monotonic() - self._began
        self._done.set()
        self._watch.join()

    def reading(self) -> Reading:
        """What was read so far, or in all if the meter has stopped."""
        if not self._done.is_set():
            self._read()
        parts: dict[PartName, Energy] = {}
        for number, sensor in enumerate(self._sensors):
            if number in self._joules:
                first, last = self._joules[number]
                low, high = sensor.uncertainty(last - first)
                parts[sensor.part] = Energy(last - first, low, high, sensor.method, sensor.measured)
        seconds = self._seconds if self._done.is_set() else time.monotonic() - self._began
        return Reading(seconds, parts.get("cpu"), parts.get("ram"), parts.get("gpu"), tuple(self._notes))

    def _read(self, first: bool = False) -> None:
        with self._lock:
            for number, sensor in enumerate(self._sensors):
                if not first and number not in self._joules:
                    continue  # it went away
                try:
                    joules = sensor.joules()
                    self._joules[number] = (joules if first else self._joules[number][0], joules)
                except SensorGone as why:
                    self._joules.pop(number, None)  # a part of the way is no reading of it all
                    self._notes.append(str(why))

    def _look_in(self) -> None:
        while not self._done.wait(SECONDS_BETWEEN_READS):
            self._read()


@contextlib.contextmanager
def meter(using: list[Sensor] | None = None) -> Iterator[Meter]:
    """A meter that runs while the context is open, on `using` or on the best sensors of this machine."""
    found, notes = sensors() if using is None else (using, ())
    one = Meter(found, notes)
    one.start()
    try:
        yield one
    finally:
        one.stop()


@dataclass(frozen=True)
class Measurement:
    """One piece of work, done `times` over: its mean `reading`, and `spread`, the standard deviation of its seconds as
    a share. `idle_subtracted` says whether what the machine takes without work is left out."""

    reading: Reading
    times: int
    spread: float
    idle_subtracted: bool


def measure(
    work: Callable[[], object],
    *,
    seconds: float = SHORTEST,
    idle_seconds: float = 2.0,
    using: list[Sensor] | None = None,
) -> Measurement:
    """Repeat `work` for at least `seconds`, so that the figure means something; gives the mean of one repetition.

    Where a sensor measures, the machine is first watched idle for `idle_seconds`, and that much power is subtracted.
    """
    found, notes = sensors() if using is None else (using, ())
    measuring = [sensor for sensor in found if sensor.measured]
    idle = Reading(1.0, None, None, None)
    if measuring and idle_seconds > 0:
        with meter(measuring) as watching:
            time.sleep(idle_seconds)
        idle = watching.reading()
    took: list[float] = []
    one = Meter(found, notes)
    one.start()
    try:
        while sum(took) < seconds:
            began = time.monotonic()
            work()
            took.append(time.monotonic() - began)
    finally:
        one.stop()
    whole = one.reading()

    def of_one(part: Energy | None, idle_energy: Energy | None) -> Energy | None:
        if part is None:
            return None
        rest = idle_energy.joules / idle.seconds * whole.seconds if part.measured and idle_energy else 0.0
        joules, low, high = (max(0.0, value - rest) for value in (part.joules, part.low, part.high))
        return Energy(joules, low, high, part.method, part.measured).scaled(1 / len(took))

    cpu, ram, gpu = (of_one(getattr(whole, name), getattr(idle, name)) for name in ("cpu", "ram", "gpu"))
    spread = statistics.stdev(took) / statistics.mean(took) if len(took) > 1 else math.inf
    reading = Reading(whole.seconds / len(took), cpu, ram, gpu, whole.notes)
    return Measurement(reading, len(took), spread, bool(measuring) and idle_seconds > 0)
