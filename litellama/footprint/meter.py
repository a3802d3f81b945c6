"""How much energy a piece of work took: measured where the machine has a sensor, estimated where it has none.

    with meter() as energy:
        work()
    energy.reading().total  # Energy(joules=..., low=..., high=..., method=...), or None: not measured

Three parts are kept apart. CPU: RAPL's counters, or time on the cores times watts per core. RAM: RAPL again, or watts
per gigabyte. GPU: NVML's energy counter, or its power sampled. A sensor that is not there, may not be read, or goes
away gives None and a sentence, never 0. All counters are of the whole machine, so other work counts as well; `measure`
subtracts what the machine takes when idle, where a sensor says.
"""

from __future__ import annotations

import contextlib
import math
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from litellama.footprint.facts import fact

PartName = Literal["cpu", "ram", "gpu"]
POWERCAP = Path("/sys/class/powercap")
SECONDS_BETWEEN_READS = 0.5  # RAPL's counters wrap within a minute on a large server
SHORTEST = 5.0  # seconds of work below which a reading says little

# Watts of a busy core: from an efficient server's (TDP by cores) to the generic default of Green Algorithms.
_WATTS_PER_CORE = "4-hardware.amd-epyc-9654.tdp-per-core", "4-hardware.generic-defaults-green-algorithms.cpu-any"
WATTS_PER_GB = 0.3725  # Green Algorithms, fact "5-6-formulas.green-algorithms.formula"
_UNCERTAIN = {"RAPL": 0.05, "NVML counter": 0.05, "NVML power": 0.15}  # shares, as far as the makers and testers say


@dataclass(frozen=True)
class Energy:
    """Joules with the range they may lie in, and how they were had: `measured` by a sensor, or estimated."""

    joules: float
    low: float
    high: float
    method: str
    measured: bool

    def scaled(self, factor: float) -> Energy:
        """The energy of `factor` times as much of the same work."""
        return Energy(self.joules * factor, self.low * factor, self.high * factor, self.method, self.measured)


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
        parts = [part for part in (self.cpu, self.ram, self.gpu) if part is not None]
        if not parts:
            return None
        return Energy(
            sum(part.joules for part in parts), sum(part.low for part in parts), sum(part.high for part in parts),
            " + ".join(dict.fromkeys(part.method for part in parts)), all(part.measured for part in parts),
        )  # fmt: skip


class SensorGone(Exception):
    """A sensor cannot be read, with a sentence on why."""


class Sensor(Protocol):
    """A source of one part's energy. `joules` so far, since any beginning; raises `SensorGone`."""

    part: PartName
    method: str
    measured: bool

    def joules(self) -> float:
        """A sum that only grows."""
        ...

    def uncertainty(self, joules: float) -> tuple[float, float]:
        """Between which values `joules` may really lie."""
        ...


class Rapl:
    """Linux's powercap tree: counters of the processor's packages ("cpu") or of the memory ("ram")."""

    measured = True
    method = "RAPL"

    def __init__(self, part: Literal["cpu", "ram"], root: Path | None = None) -> None:
        self.part: PartName = part
        wanted = "package" if part == "cpu" else "dram"
        self._zones = [
            zone
            for zone in sorted((root or POWERCAP).glob("intel-rapl:*"))
            if self._read(zone / "name").startswith(wanted)
        ]  # AMD's counters stand under Intel's name as well
        if not self._zones:
            raise SensorGone(f"this machine shows no RAPL counter of its {part.upper()}")
        self._ranges = [int(self._read(zone / "max_energy_range_uj")) for zone in self._zones]
        self._last = [int(self._read(zone / "energy_uj")) for zone in self._zones]
        self._sum = 0

    def joules(self) -> float:
        for number, zone in enumerate(self._zones):
            now = int(self._read(zone / "energy_uj"))
            step = now - self._last[number]
            self._sum += step if step >= 0 else step + self._ranges[number]  # it wrapped around
            self._last[number] = now
        return self._sum / 1e6

    def uncertainty(self, joules: float) -> tuple[float, float]:
        return _around(joules, _UNCERTAIN["RAPL"])

    def _read(self, path: Path) -> str:
        try:
            return path.read_text(encoding="ascii").strip()
        except PermissionError:
            allow = f"`sudo chmod -R a+r {POWERCAP}` allows it until the next start"
            raise SensorGone(f"{path} may be read by the administrator only; {allow}") from None
        except (OSError, ValueError) as error:
            raise SensorGone(f"{path} cannot be read: {error}") from None


class Nvml:
    """All NVIDIA GPUs of the machine, by their energy counters or, where they have none, their power over time.

    `library` is the module `pynvml`, of the package nvidia-ml-py.
    """

    part: PartName = "gpu"
    measured = True

    def __init__(self, library: Any = None) -> None:
        self._library = library or _pynvml()
        self._sum = 0.0
        try:
            self._library.nvmlInit()
            count = self._library.nvmlDeviceGetCount()
            self._gpus = [self._library.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
            if not self._gpus:
                raise SensorGone("NVML finds no GPU")
            try:
                self._last = self._counters()
                self.method = "NVML counter"
            except self._library.NVMLError:
                self._last, self._then = self._watts(), time.monotonic()
                self.method = "NVML power"
        except self._library.NVMLError as error:
            raise SensorGone(f"NVML gives no reading: {error}") from None

    def joules(self) -> float:
        try:
            if self.method == "NVML counter":
                now = self._counters()
                self._sum += sum(max(0.0, new - old) for new, old in zip(now, self._last, strict=True))
            else:
                now, moment = self._watts(), time.monotonic()
                self._sum += (sum(now) + sum(self._last)) / 2 * (moment - self._then)
                self._then = moment
            self._last = now
        except self._library.NVMLError as error:
            raise SensorGone(f"the GPU's sensor went away: {error}") from None
        return self._sum

    def uncertainty(self, joules: float) -> tuple[float, float]:
        return _around(joules, _UNCERTAIN[self.method])

    def _counters(self) -> list[float]:
        return [self._library.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1e3 for gpu in self._gpus]  # from mJ

    def _watts(self) -> list[float]:
        return [self._library.nvmlDeviceGetPowerUsage(gpu) / 1e3 for gpu in self._gpus]  # from mW


class CpuTime:
    """No sensor: the time that this process spent on the cores, times watts per core. Other programs do not count."""

    part: PartName = "cpu"
    method = "CPU time x watts per core"
    measured = False

    def __init__(self, clock: Callable[[], float] = time.process_time) -> None:
        self._clock = clock
        self._low, self._high = (fact(id).number for id in _WATTS_PER_CORE)

    def joules(self) -> float:
        return self._clock() * math.sqrt(self._low * self._high)  # the middle, as factors go

    def uncertainty(self, joules: float) -> tuple[float, float]:
        middle = math.sqrt(self._low * self._high)
        return joules * self._low / middle, joules * self._high / middle


class RamShare:
    """No sensor: the machine's memory, whether used or not, times watts per gigabyte. Half to double, as sources go."""

    part: PartName = "ram"
    method = "installed memory x watts per GB"
    measured = False

    def __init__(self, gigabytes: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._watts = WATTS_PER_GB * (_installed_gigabytes() if gigabytes is None else gigabytes)

    def joules(self) -> float:
        return self._clock() * self._watts

    def uncertainty(self, joules: float) -> tuple[float, float]:
        return joules / 2, joules * 2


def sensors() -> tuple[list[Sensor], tuple[str, ...]]:
    """The best there is of each part on this machine, and a sentence on each that is not there."""
    found: list[Sensor] = []
    notes: list[str] = []
    ways: tuple[tuple[Callable[[], Sensor], Callable[[], Sensor] | None], ...] = (
        (lambda: Rapl("cpu"), CpuTime), (lambda: Rapl("ram"), RamShare), (Nvml, None),
    )  # fmt: skip
    for sensor, instead in ways:
        try:
            found.append(sensor())
        except SensorGone as why:
            notes.append(str(why))
            if instead is not None:
                found.append(instead())
    return found, tuple(notes)


class Meter:
    """Reads its sensors from `start` to `stop`, and in between, so that no counter wraps around unseen."""

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
    """Do `work` over and over for at least `seconds`, so that the figure means something, and give what one took.

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

    def of_one(part: Energy | None, resting: Energy | None) -> Energy | None:
        if part is None:
            return None
        rest = resting.joules / idle.seconds * whole.seconds if part.measured and resting else 0.0
        joules, low, high = (max(0.0, value - rest) for value in (part.joules, part.low, part.high))
        return Energy(joules, low, high, part.method, part.measured).scaled(1 / len(took))

    cpu, ram, gpu = (of_one(getattr(whole, name), getattr(idle, name)) for name in ("cpu", "ram", "gpu"))
    spread = statistics.stdev(took) / statistics.mean(took) if len(took) > 1 else math.inf
    reading = Reading(whole.seconds / len(took), cpu, ram, gpu, whole.notes)
    return Measurement(reading, len(took), spread, bool(measuring) and idle_seconds > 0)


def _around(joules: float, share: float) -> tuple[float, float]:
    return joules * (1 - share), joules * (1 + share)


def _installed_gigabytes() -> float:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (AttributeError, ValueError, OSError):  # Windows
        return 8.0


def _pynvml() -> Any:
    try:
        import pynvml
    except ImportError:
        raise SensorGone("GPUs are not measured: the package nvidia-ml-py is not installed") from None
    return pynvml
