"""Where energy figures come from: counters where the machine has them, else time or memory times watts.

CPU: RAPL's counters, or time on the cores times watts per core. RAM: RAPL again, or watts per gigabyte. GPU: NVML's
energy counter, or its power sampled. All counters are of the whole machine; time on the cores is of this process. A
sensor that does not exist, may not be read, or disappears raises `SensorGone` with the reason; it never gives 0.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol

from litellama.footprint.facts import fact

PartName = Literal["cpu", "ram", "gpu"]
POWERCAP = Path("/sys/class/powercap")

# Facts of a busy core's watts: from an efficient server's (TDP by cores) to the generic default of Green Algorithms.
WATTS_PER_CORE = "4-hardware.amd-epyc-9654.tdp-per-core", "4-hardware.generic-defaults-green-algorithms.cpu-any"
WATTS_PER_GB = 0.3725  # Green Algorithms, fact "5-6-formulas.green-algorithms.formula"
_UNCERTAIN = {"RAPL": 0.05, "NVML counter": 0.05, "NVML power": 0.15}  # shares, as far as the makers and testers say


class SensorGone(Exception):
    """A sensor cannot be read; the message is the reason, as a sentence."""


class Sensor(Protocol):
    """A source of one part's energy. `joules` so far, since any beginning; raises `SensorGone`."""

    part: PartName
    method: str
    measured: bool

    def joules(self) -> float:
        """A sum that only grows."""
        ...

    def uncertainty(self, joules: float) -> tuple[float, float]:
        """The lowest and the highest value that `joules` may really have."""
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
        self._low, self._high = (fact(id).number for id in WATTS_PER_CORE)

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
    """The best sensor of each part on this machine, and a sentence for each part without one."""
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
