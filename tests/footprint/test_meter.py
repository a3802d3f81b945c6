"""The meter against sensors with known answers: ones that wrap around, vanish or deny permission."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from litellama.footprint import sensors as module
from litellama.footprint.meter import Energy, Meter, Reading, measure, meter, together
from litellama.footprint.sensors import CpuTime, Nvml, RamShare, Rapl, SensorGone


class Tree:
    """A powercap tree in a folder, as Linux shows it: two packages, one with memory below it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for zone, name in (("intel-rapl:0", "package-0"), ("intel-rapl:1", "package-1"), ("intel-rapl:0:0", "dram"),
                           ("intel-rapl:0:1", "core")):  # fmt: skip
            (root / zone).mkdir()
            (root / zone / "name").write_text(f"{name}\n")
            (root / zone / "max_energy_range_uj").write_text("1000000\n")
            self.set(zone, 900_000)

    def set(self, zone: str, microjoules: int) -> None:
        (self.root / zone / "energy_uj").write_text(f"{microjoules}\n")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_rapl_adds_its_packages(tree: Tree) -> None:
    cpu, ram = Rapl("cpu", tree.root), Rapl("ram", tree.root)
    with meter([cpu, ram]) as energy:
        tree.set("intel-rapl:0", 950_000)
        tree.set("intel-rapl:1", 920_000)
        tree.set("intel-rapl:0:0", 903_000)
        tree.set("intel-rapl:0:1", 999_000)  # the cores are a part of the package already
    reading = energy.reading()
    assert reading.cpu is not None
    assert reading.ram is not None
    assert reading.cpu.joules == pytest.approx(0.07)
    assert reading.ram.joules == pytest.approx(0.003)
    assert reading.gpu is None
    assert reading.total is not None
    assert reading.total.joules == pytest.approx(0.073)
    assert reading.total.measured
    assert reading.cpu.low < reading.cpu.joules < reading.cpu.high


def test_a_counter_that_wraps_around_goes_on(tree: Tree) -> None:
    cpu = Rapl("cpu", tree.root)
    one = Meter([cpu])
    one.start()
    for microjoules in (999_000, 40_000, 700_000, 5_000):  # up, around, up, around
        tree.set("intel-rapl:0", microjoules)
        one.reading()
    one.stop()
    found = one.reading().cpu
    assert found is not None
    assert found.joules == pytest.approx(0.099 + 0.041 + 0.66 + 0.305)


def test_a_sensor_that_vanishes_is_not_zero(tree: Tree) -> None:
    with meter([Rapl("cpu", tree.root)]) as energy:
        tree.set("intel-rapl:0", 950_000)
        (tree.root / "intel-rapl:1" / "energy_uj").unlink()
    reading = energy.reading()
    assert reading.cpu is None
    assert reading.total is None
    assert "cannot be read" in reading.notes[0]


def test_no_permission_is_a_sentence(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(self: Path, *arguments: Any, **options: Any) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", deny)
    with pytest.raises(SensorGone, match=r"administrator only; `sudo chmod"):
        Rapl("cpu", tree.root)


def test_a_machine_without_sensors_estimates_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POWERCAP", tmp_path)
    monkeypatch.setattr(module, "_pynvml", lambda: FakeNvml(gpus=0).library)
    with meter() as energy:
        _busy(0.05)
    reading = energy.reading()
    assert reading.gpu is None
    assert reading.cpu is not None
    assert reading.ram is not None
    assert not reading.cpu.measured
    assert not reading.ram.measured
    assert len(reading.notes) == 3
    assert reading.cpu.high / reading.cpu.low > 2, "an estimate's range is wide, and shown"


def test_cpu_time_and_memory_by_hand() -> None:
    seconds = iter([10.0, 12.0])
    cpu = CpuTime(lambda: next(seconds))
    before, after = cpu.joules(), cpu.joules()
    low, high = cpu.uncertainty(after - before)
    assert (low, high) == (pytest.approx(2 * 3.75), pytest.approx(2 * 12.0))
    moments = iter([0.0, 8.0])
    ram = RamShare(16, lambda: next(moments))
    ram.joules()
    assert ram.joules() == pytest.approx(8 * 16 * 0.3725)


class FakeNvml:
    """As much of the module `pynvml` as the meter asks for."""

    class Error(Exception):
        pass

    def __init__(self, gpus: int = 2, counter: bool = True) -> None:
        self.joules = [100.0] * gpus
        self.watts = [50.0] * gpus
        self.counter = counter
        self.gone = False
        self.library = SimpleNamespace(
            NVMLError=self.Error, nvmlInit=lambda: None, nvmlDeviceGetCount=lambda: gpus,
            nvmlDeviceGetHandleByIndex=lambda index: index, nvmlDeviceGetTotalEnergyConsumption=self._energy,
            nvmlDeviceGetPowerUsage=self._power,
        )  # fmt: skip

    def _energy(self, gpu: int) -> int:
        if self.gone or not self.counter:
            raise self.Error("GPU is lost" if self.gone else "Not Supported")
        return round(self.joules[gpu] * 1e3)

    def _power(self, gpu: int) -> int:
        if self.gone:
            raise self.Error("GPU is lost")
        return round(self.watts[gpu] * 1e3)


def test_nvml_counters_of_all_gpus() -> None:
    fake = FakeNvml()
    with meter([Nvml(fake.library)]) as energy:
        fake.joules = [107.5, 102.0]
    found = energy.reading().gpu
    assert found is not None
    assert found.joules == pytest.approx(9.5)
    assert (found.method, found.measured) == ("NVML counter", True)


def test_nvml_power_where_there_is_no_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    fake = FakeNvml(gpus=1, counter=False)
    sensor = Nvml(fake.library)
    for now, watts in ((1.0, 50.0), (2.0, 150.0)):  # noqa: B007
        fake.watts = [watts]
        joules = sensor.joules()
    assert joules == pytest.approx(50 + 100)
    assert sensor.method == "NVML power"


def test_a_gpu_that_is_lost_is_not_zero() -> None:
    fake = FakeNvml()
    with meter([Nvml(fake.library)]) as energy:
        fake.gone = True
    assert energy.reading().gpu is None
    assert "went away" in energy.reading().notes[0]
    fake.gone = True
    with pytest.raises(SensorGone, match="gives no reading"):
        Nvml(fake.library)
    with pytest.raises(SensorGone, match="finds no GPU"):
        Nvml(FakeNvml(gpus=0).library)


class Steady:
    """A sensor of a machine that takes 10 watts idle and 20 more while `working`."""

    part = "cpu"
    method = "steady"
    measured = True

    def __init__(self) -> None:
        self.working = False
        self._sum, self._then = 0.0, time.monotonic()

    def joules(self) -> float:
        now = time.monotonic()
        self._sum += (30 if self.working else 10) * (now - self._then)
        self._then = now
        return self._sum

    def uncertainty(self, joules: float) -> tuple[float, float]:
        return joules * 0.9, joules * 1.1

    def work(self, seconds: float) -> Callable[[], None]:
        def do() -> None:
            self.joules()
            self.working = True
            time.sleep(seconds)
            self.joules()
            self.working = False

        return do


def test_short_work_is_repeated_and_idle_power_subtracted() -> None:
    sensor = Steady()
    found = measure(sensor.work(0.05), seconds=0.4, idle_seconds=0.2, using=[sensor])  # type: ignore[list-item]
    assert 5 <= found.times <= 8
    assert found.idle_subtracted
    assert found.reading.cpu is not None
    assert found.reading.cpu.joules == pytest.approx(20 * found.reading.seconds, rel=0.1)
    assert found.reading.cpu.low < found.reading.cpu.joules < found.reading.cpu.high
    assert 0 <= found.spread < 1
    whole = measure(sensor.work(0.05), seconds=0.1, idle_seconds=0, using=[sensor])  # type: ignore[list-item]
    assert not whole.idle_subtracted
    assert whole.reading.cpu is not None
    assert whole.reading.cpu.joules == pytest.approx(30 * whole.reading.seconds, rel=0.1)


def test_work_that_fails_stops_the_meter() -> None:
    sensor = Steady()
    with pytest.raises(ZeroDivisionError):
        measure(lambda: 1 // 0, using=[sensor], idle_seconds=0)  # type: ignore[list-item]


def test_nothing_measured_is_not_zero() -> None:
    assert Reading(1.0, None, None, None).total is None
    mixed = Reading(1.0, Energy(2, 1, 3, "RAPL", True), Energy(1, 0.5, 2, "guess", False), None).total
    assert mixed == Energy(3, 1.5, 5, "RAPL + guess", False)
    assert together([mixed, None, mixed]) == mixed.scaled(2), "a method is named once"
    assert together([]) is None


def _busy(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
