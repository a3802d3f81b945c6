"""The shared meter against a counter whose hands the tests move: what replies take adds up, and is split fairly."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litellama.footprint import sharing
from litellama.footprint.sensors import PartName, Sensor, SensorGone
from litellama.footprint.sharing import SharedMeter

LONG = 1000.0  # seconds


@pytest.fixture(autouse=True)
def eager_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch reads all the time, between whatever the tests do."""
    monkeypatch.setattr(sharing, "SECONDS_BETWEEN_READS", 0.01)


class Hand:
    """A sensor that says what it is set to, or that it is gone."""

    measured = True

    def __init__(self, part: PartName = "cpu", method: str = "RAPL") -> None:
        self.part = part
        self.method = method
        self.at = 5.0
        self.gone = False
        self.reads = 0

    def joules(self) -> float:
        self.reads += 1
        if self.gone:
            raise SensorGone("the sensor was pulled out")
        return self.at

    def uncertainty(self, joules: float) -> tuple[float, float]:
        return joules * 0.9, joules * 1.2


def meter_of(*sensors: Sensor) -> SharedMeter:
    return SharedMeter(lambda: (list(sensors), ("no other sensor",)))


def test_a_reply_alone_gets_everything() -> None:
    hand = Hand()
    shared = meter_of(hand)
    hand.at += 100  # before it began: nobody's
    with shared.share(LONG) as mine:
        hand.at += 7
        assert mine.energy is None, "not known before the end"
    hand.at += 100
    energy = mine.energy
    assert energy is not None
    assert (energy.joules, energy.low, energy.high) == pytest.approx((7, 6.3, 8.4))
    assert (energy.method, energy.measured) == ("RAPL", True)
    assert mine.close() == energy, "closing again changes nothing"


def test_two_equal_replies_get_half_each() -> None:
    hand = Hand()
    shared = meter_of(hand)
    with shared.share(LONG) as one, shared.share(LONG) as other:
        hand.at += 8
    assert one.energy is not None
    assert one.energy.joules == pytest.approx(4)
    assert one.energy == other.energy


def test_worked_example_of_an_overlap() -> None:
    """6 J alone, 4 J beside another, which then takes 1 J more alone: 8 J and 3 J."""
    hand = Hand()
    shared = meter_of(hand)
    first = shared.share(LONG)
    hand.at += 6
    second = shared.share(LONG)
    hand.at += 4
    first.close()
    hand.at += 1
    second.close()
    assert first.energy is not None
    assert second.energy is not None
    assert (first.energy.joules, second.energy.joules) == pytest.approx((8, 3))


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 1e3)), max_size=30))
def test_the_shares_are_the_whole(events: list[tuple[int, float]]) -> None:
    """Each event opens or closes one of five shares, then the counter moves."""
    hand = Hand()
    shared = meter_of(hand)
    running: dict[int, sharing.Share] = {}
    done, whole = [], 0.0
    for number, joules in events:
        if number in running:
            done.append(running.pop(number).close())
        else:
            running[number] = shared.share(LONG)
        hand.at += joules
        whole += joules if running else 0
    done += [share.close() for share in running.values()]
    assert sum(energy.joules for energy in done if energy) == pytest.approx(whole, abs=1e-6)
    assert None not in done


def test_parts_add_up_and_an_estimate_spoils_the_measurement() -> None:
    cpu, ram = Hand(), Hand("ram", "guess")
    ram.measured = False
    with meter_of(cpu, ram).share(LONG) as mine:
        cpu.at += 3
        ram.at += 2
    assert mine.energy is not None
    assert mine.energy.joules == pytest.approx(5)
    assert (mine.energy.method, mine.energy.measured) == ("RAPL + guess", False)


def test_a_sensor_that_vanishes_is_a_reason_and_not_zero() -> None:
    cpu, ram = Hand(), Hand("ram")
    shared = meter_of(cpu, ram)
    with shared.share(LONG) as mine:
        cpu.at += 3
        cpu.gone = True
        with shared.share(LONG) as later:
            ram.at += 1
    for share in (mine, later):
        assert share.energy is None, "a part would pass for all"
        assert share.reason == "the sensor was pulled out"
    cpu.gone = False  # it is back, and the next reply finds it
    with shared.share(LONG) as next_one:
        cpu.at += 2
    assert next_one.energy is not None
    assert next_one.energy.joules == pytest.approx(2)


def test_without_any_sensor_there_is_a_reason() -> None:
    with meter_of().share(LONG) as mine:
        pass
    assert (mine.energy, mine.reason) == (None, "no other sensor")


def test_an_abandoned_reply_takes_from_nobody() -> None:
    hand = Hand()
    shared = meter_of(hand)
    lost = shared.share(most_seconds=0)
    time.sleep(0.001)
    with shared.share(LONG) as mine:
        hand.at += 6
    assert mine.energy is not None
    assert mine.energy.joules == pytest.approx(6)
    assert lost.close() is None
    assert lost.reason is not None
    assert "abandoned" in lost.reason


def test_a_reply_that_fails_leaves() -> None:
    hand = Hand()
    shared = meter_of(hand)
    with pytest.raises(ZeroDivisionError), shared.share(LONG):
        raise ZeroDivisionError
    with shared.share(LONG) as mine:
        hand.at += 6
    assert mine.energy is not None
    assert mine.energy.joules == pytest.approx(6)


def test_sensors_are_read_only_while_replies_run() -> None:
    hand = Hand()
    shared = meter_of(hand)
    with shared.share(LONG):
        until(lambda: hand.reads > 4, "nobody watched the counter")
    until(lambda: not shared._watched, "the watch went on")
    before = hand.reads
    time.sleep(0.05)
    assert hand.reads == before


def test_many_threads_at_once() -> None:
    hand = Hand()
    shared = meter_of(hand)
    turns = threading.Lock()
    found: list[float] = []

    def work() -> None:
        for _ in range(50):
            with shared.share(LONG) as mine, turns:
                hand.at += 1
            assert mine.energy is not None
            with turns:
                found.append(mine.energy.joules)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 200
    assert sum(found) == pytest.approx(200)


def until(true: object, otherwise: str) -> None:
    """Wait until `true()` is, five seconds at most."""
    assert callable(true)
    end = time.monotonic() + 5
    while not true():
        assert time.monotonic() < end, otherwise
        time.sleep(0.005)
