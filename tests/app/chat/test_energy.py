"""What the chat says a reply took: the bills of replies, and the record of LLaMA 2 7B they are held against."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.chat.energy import ReplyCost, ReplyMeter
from app.common import energy as energy_module
from app.common.energy import METHODS as WORDS
from app.common.energy import energy_json, large_record
from app.common.settings import read_settings
from app.common.strings import all_words
from app.server.services import Services
from litellama.checkpoint import open_checkpoint
from litellama.footprint import sensors
from litellama.footprint.measurements import OWN, save_record
from litellama.footprint.meter import Energy
from litellama.footprint.sharing import SharedMeter
from tests.conftest import COSTS, METHODS, RECORD

SETTINGS = {"temperature": 0.7, "top_p": 0.95, "top_k": 0, "max_tokens": 20, "seed": 1}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder of its own, without what was measured on this machine, or shipped."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(energy_module, "shipped_records", list)


@pytest.fixture
def services(tiny_checkpoint: Path) -> Services:
    save_record(RECORD)
    return Services(open_checkpoint(tiny_checkpoint))


def ask(
    services: Services, key: str = "a", action: str = "ask", text: str | None = "Where is the kite?"
) -> Iterator[Any]:
    return getattr(services.chat, action)(key, text, read_settings(SETTINGS))


def last(updates: Iterator[Any]) -> dict[str, Any]:
    return [update.to_json() for update in updates][-1]


def test_a_reply_comes_with_its_energy_and_that_of_a_large_model(services: Services) -> None:
    updates = [update.to_json() for update in ask(services)]
    assert [one["bill"] for one in updates[:-1]] == [None] * (len(updates) - 1)
    bill = updates[-1]["bill"]
    assert bill["replies"] == 1
    assert bill["written"] == updates[-1]["count"] > 0
    energy = bill["energy"]
    assert 0 < energy["low"] <= energy["joules"] <= energy["high"]
    assert energy["methods"]
    joules = 20 * bill["written"] + 64 * bill["read"] / 128
    assert bill["large"]["joules"] == pytest.approx(joules)
    assert bill["large"]["kind"] == "chat.kind_estimated"
    assert bill["times"] == pytest.approx(joules / energy["joules"])
    assert services.chat.writer.meter.record_json() == {
        "machine": "a machine", "date": "2026-11-23", "precision": "bfloat16", "context": 256,
    }  # fmt: skip


def test_the_total_counts_every_reply_and_clear_forgets_it(services: Services) -> None:
    first = last(ask(services))
    assert first["total"] == first["bill"]
    again = last(ask(services, action="redo", text=None))
    total, bills = again["total"], (first["bill"], again["bill"])
    assert total["replies"] == 2, "the reply that was replaced took its energy all the same"
    for path in (("written",), ("read",), ("energy", "joules"), ("large", "high")):
        assert dig(total, *path) == pytest.approx(sum(dig(bill, *path) for bill in bills)), path
    assert total["energy"]["methods"] == first["bill"]["energy"]["methods"]
    assert last(ask(services, "another page"))["total"]["replies"] == 1
    services.chat.erase("a")
    assert last(ask(services))["total"]["replies"] == 1


def test_a_reply_that_is_dropped_midway_leaves_the_meter(services: Services) -> None:
    running = ask(services)
    next(running)
    assert len(services.chat.writer.meter._meter._open) == 1
    running.close()
    assert services.chat.writer.meter._meter._open == set()
    assert last(ask(services))["total"]["replies"] == 1


def test_a_meter_without_sensors_is_a_reason_and_no_number(services: Services) -> None:
    services.chat.writer.meter = ReplyMeter(SharedMeter(lambda: ([], ("nothing can be read here",))))
    update = last(ask(services))
    assert (update["bill"]["energy"], update["bill"]["times"]) == (None, None)
    assert update["bill"]["reason"] == "nothing can be read here"
    assert update["bill"]["large"] is not None
    assert update["total"]["unknown"] == 1


def test_a_factor_only_where_all_is_known() -> None:
    one = Energy(2.0, 1.0, 3.0, "RAPL", True)
    known = ReplyCost(1, 10, 10, one, one.scaled(10))
    assert known.times == pytest.approx(10)
    assert (known + ReplyCost(1, 5, 5, None, one, 1, "gone")).times is None
    assert replace(known, energy=one.scaled(0)).times is None, "a counter that did not move yet"
    assert (ReplyCost() + known) == known


def test_the_record_is_this_machines_else_a_shipped_one(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = replace(RECORD, machine="another machine")
    assert large_record() is None
    monkeypatch.setattr(energy_module, "shipped_records", lambda: [replace(shipped, models={}), shipped])
    assert large_record() == shipped
    save_record(replace(RECORD, models={"tinytown": COSTS}))
    assert large_record() == shipped, "this machine's says nothing of LLaMA 2 7B"
    save_record(RECORD)
    assert large_record() == RECORD


@pytest.mark.parametrize("broken", ["", "{}", '{"models": 3}', "no prompt"])
def test_a_broken_record_does_not_keep_the_app_from_starting(
    broken: str, caplog: pytest.LogCaptureFixture, tiny_checkpoint: Path
) -> None:
    save_record(replace(RECORD, prompt=0))
    if broken != "no prompt":
        OWN.write_text(broken)
    with caplog.at_level(logging.WARNING):
        services = Services(open_checkpoint(tiny_checkpoint))
    assert "is left out" in caplog.text
    update = last(ask(services))
    assert (update["bill"]["large"], services.chat.writer.meter.record_json()) == (None, None)


def test_every_method_has_its_words() -> None:
    source = inspect.getsource(sensors)
    assert [method for method in WORDS if f'"{method}"' not in source] == []
    found, _ = sensors.sensors()
    assert {sensor.method for sensor in found} <= WORDS.keys()
    assert set(WORDS.values()) <= all_words()["en"].keys()
    shown = energy_json(Energy(1, 1, 1, METHODS, False))
    assert shown is not None
    assert shown["methods"] == ["chat.method_cpu_time", "chat.method_memory"]


def dig(values: Any, *path: str) -> float:
    for name in path:
        values = values[name]
    return float(values)
