"""What a training consumes: energy, memory, and the share of the device's speed that it uses."""

from __future__ import annotations

import time

from litellama.footprint.machine import Peak, peak_memory
from litellama.footprint.meter import Meter
from litellama.footprint.sensors import sensors
from litellama.training.events import Stepped
from litellama.training.loop import Metrics

SECONDS_BETWEEN_READINGS = 1.0


class ConsumptionMeter:
    """Adds to each step's metrics what was consumed. `before`: the joules, with their range, of earlier runs."""

    def __init__(self, device: str, fastest: Peak | None, before: tuple[float, float, float]) -> None:
        found, notes = sensors()
        self._meter = Meter(found, notes)
        self._meter.start()
        self._device, self._fastest, self._before = device, fastest, before
        self._read = 0.0
        self._joules: tuple[float, float, float] | None = None
        self._how = ""

    def stepped(self, metrics: Metrics) -> Stepped:
        if time.monotonic() - self._read >= SECONDS_BETWEEN_READINGS:
            self._read = time.monotonic()
            total = self._meter.reading().total
            if total is None:
                self._joules, self._how = None, "no sensor"
            else:
                middle, low, high = self._before
                self._joules = (middle + total.joules, low + total.low, high + total.high)
                self._how = total.method
        mfu = metrics.flops_per_second / self._fastest.flops if self._fastest else None
        return Stepped(metrics, mfu, self._joules, self._how, peak_memory(self._device))

    def close(self) -> None:
        self._meter.stop()
