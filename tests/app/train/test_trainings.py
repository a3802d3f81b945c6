"""The Train tab behind the page: a real training in its own process, what may be asked of it, and by whom."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.common.strings import Problem
from app.train import service as trainings
from app.train.service import MINUTES, POINTS, Curve, Trainings, sizes
from app.train.upload_store import UploadStore
from app.train.uploads import Upload
from litellama.checkpoint import open_checkpoint
from litellama.training.state import states

TEXT = "The red kite flew over the quiet town, and Mia looked up. " * 60
SECONDS = 120


@pytest.fixture
def shelf() -> UploadStore:
    return UploadStore()


@pytest.fixture
def desk(tmp_path: Path, shelf: UploadStore) -> Iterator[Trainings]:
    desk = Trainings(tmp_path, shelf)
    yield desk
    desk.close()


def start(desk: Trainings, shelf: UploadStore, **changes: object) -> dict[str, Any]:
    upload = shelf.put(Upload("text", TEXT, "utf-8"))
    sent = {"action": "start", "size": "litellama-300k", "corpus": "own", "upload": upload, "minutes": 0.25}
    return desk.act(sent | changes)


def wait(desk: Trainings, token: str, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """What there is to see once `until` is true of it."""
    began = time.monotonic()
    while True:
        seen = desk.act({"action": "see", "token": token})
        if until(seen):
            return seen
        assert seen["state"] != "failed", seen["trouble"]
        assert time.monotonic() - began < SECONDS, seen
        time.sleep(0.05)


@pytest.mark.slow
def test_a_training_from_start_to_a_kept_model(desk: Trainings, shelf: UploadStore, tmp_path: Path) -> None:
    assert desk.act({"action": "see"}) == {"state": "none"}
    begun = start(desk, shelf)
    token = begun["token"]
    assert begun["state"] == "preparing"
    assert begun["mine"]
    wait(desk, token, lambda seen: seen["step"] >= 2 and len(seen["samples"]) >= 1)
    assert "token" not in desk.act({"action": "see", "token": "somebody else's"})

    with pytest.raises(Problem, match="under way already"):
        start(desk, shelf)
    with pytest.raises(Problem, match="another page"):
        desk.act({"action": "stop", "token": "somebody else's"})
    with pytest.raises(Problem, match="no trained model"):
        desk.act({"action": "keep", "token": token, "name": "too early"})

    desk.act({"action": "pause", "token": token})
    time.sleep(0.5)  # the step under way
    paused = desk.act({"action": "see", "token": token})
    time.sleep(0.5)
    assert desk.act({"action": "see", "token": token})["step"] == paused["step"]
    assert paused["state"] == "paused"
    desk.act({"action": "go", "token": token})
    wait(desk, token, lambda seen: seen["step"] > paused["step"])

    desk.act({"action": "stop", "token": token})
    ended = wait(desk, token, lambda seen: seen["state"] == "ended")
    assert ended["step"] < ended["steps"], "it was stopped before its time"
    assert ended["curve"][-1][1] < ended["curve"][0][1], "it learned something"

    kept = desk.act({"action": "keep", "token": token, "name": "Mias Drachen"})["kept"]
    again = desk.act({"action": "keep", "token": token, "name": "Mias Drachen"})["kept"]
    assert (kept, again) == ("mias-drachen", "mias-drachen-2")
    opened = open_checkpoint(tmp_path / kept)
    assert opened.verified
    assert opened.card is not None
    assert opened.card["name"] == "Mias Drachen"
    assert opened.card["steps"] == ended["step"]
    assert str(tmp_path) not in opened.card["corpus"], "the card goes to other machines"

    desk.act({"action": "more", "token": token, "minutes": 0.25})
    more = wait(desk, token, lambda seen: seen["state"] == "running" and seen["step"] > ended["step"])
    assert more["tokens"] > ended["tokens"]
    desk.act({"action": "stop", "token": token})
    wait(desk, token, lambda seen: seen["state"] == "ended")


@pytest.mark.slow
def test_a_server_that_ends_leaves_a_state(tmp_path: Path, shelf: UploadStore) -> None:
    desk = Trainings(tmp_path, shelf)
    token = start(desk, shelf)["token"]
    seen = wait(desk, token, lambda seen: seen["step"] >= 3)
    desk.close()
    (folder,) = (tmp_path / ".trainings").iterdir()
    (state,) = states(folder / "model-training")[:1]
    assert int(state.name.removeprefix("state-")) >= seen["step"]


@pytest.mark.slow
def test_what_fails_has_a_sentence(desk: Trainings, shelf: UploadStore) -> None:
    bad = shelf.put(Upload("chat", '{"messages": "none"}\n' * 40, "utf-8"))
    token = start(desk, shelf, upload=bad)["token"]
    began = time.monotonic()
    while (seen := desk.act({"action": "see", "token": token}))["state"] == "preparing":
        assert time.monotonic() - began < SECONDS
        time.sleep(0.05)
    assert seen["state"] == "failed"
    assert "line 1" in seen["trouble"]
    assert "Traceback" not in seen["trouble"]
    start(desk, shelf)  # and another may begin


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there, nothing ends by a signal")
def test_a_killed_training_is_told_with_the_logs_number_and_goes_on(
    desk: Trainings, shelf: UploadStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token = start(desk, shelf)["token"]
    state = tmp_path / ".trainings" / "00001" / "model-training"
    wait(desk, token, lambda seen: seen["step"] >= 2 and bool(states(state)))
    (process,) = (child for child in psutil.Process().children() if "train" in child.cmdline())
    process.kill()
    wait(desk, token, lambda seen: seen["state"] == "killed")
    killed = desk.act({"action": "see", "token": token})
    assert f"[{killed['trouble']}] a training ended before its time" in caplog.text
    desk.act({"action": "more", "token": token, "minutes": 0.25})
    wait(desk, token, lambda seen: seen["state"] == "running" and seen["step"] >= 2)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"size": "llama2-7b"}, "does not understand"), ({"size": ["x"]}, "does not understand"),
        ({"corpus": "/etc/passwd"}, "does not understand"), ({"upload": "forged"}, "no longer here"),
        ({"upload": None}, "no longer here"), ({"minutes": 0}, "from 0.25 to 60"), ({"minutes": True}, "from 0.25"),
        ({"minutes": float("nan")}, "from 0.25"), ({"minutes": "3"}, "from 0.25"), ({"minutes": 61}, "from 0.25"),
    ],
)  # fmt: skip
def test_orders_that_are_refused(
    desk: Trainings, shelf: UploadStore, tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(Problem, match=sentence):
        start(desk, shelf, **changes)
    assert desk.act({"action": "see"}) == {"state": "none"}
    assert list(tmp_path.iterdir()) == [], "nothing was begun"


def test_a_short_text_is_refused(desk: Trainings, shelf: UploadStore) -> None:
    with pytest.raises(Problem, match="has 4 characters"):
        start(desk, shelf, upload=shelf.put(Upload("text", "kite", "utf-8")))


@pytest.mark.parametrize("sent", [None, [], {"action": "explode"}, {"action": "stop"}, {"action": None}])
def test_requests_that_make_no_sense(desk: Trainings, sent: object) -> None:
    with pytest.raises(Problem):
        desk.act(sent)


def test_a_training_whose_page_is_gone_obeys_any(
    desk: Trainings, shelf: UploadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(desk, shelf)
    monkeypatch.setattr(trainings, "SECONDS_UNSEEN", -1)
    desk.act({"action": "stop", "token": "somebody else's"})


def test_the_curve_stays_short_and_true() -> None:
    curve = Curve()
    for step in range(1, 5001):
        curve.add(step, 5000.0 - step)
    assert POINTS / 2 <= len(curve.points) < POINTS
    width = curve.points[0][0]
    assert curve.points[0] == (width, pytest.approx(5000 - (width + 1) / 2))
    assert all(late - early == width for (early, _), (late, _) in zip(curve.points, curve.points[1:], strict=False))


def test_a_shelf_forgets_the_oldest() -> None:
    shelf = UploadStore()
    names = [shelf.put(Upload("text", str(number), "utf-8")) for number in range(50)]
    assert shelf.get(names[-1]).text == "49"
    with pytest.raises(Problem):
        shelf.get(names[0])


def test_sizes_grow_and_the_minutes_allow_a_lesson() -> None:
    counts = [size["parameters"] for size in sizes()]
    assert counts == sorted(counts)
    assert counts[0] < 500_000
    assert counts[-1] > 10_000_000
    assert MINUTES.low <= 3 <= MINUTES.high
