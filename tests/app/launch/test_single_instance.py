"""A second start finds the first; a window of its own; Ctrl+C."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from app.launch.options import is_plain, parse_options
from app.launch.single_instance import FILE, announce, find_running
from app.launch.window import open_window
from tests.browser.app_server import ROOT

unix = pytest.mark.skipif(sys.platform == "win32", reason="starts programs as Unix does")


@contextmanager
def answering(said: object) -> Iterator[str]:
    """The address of a server that answers everything with `said`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def test_what_was_announced_is_found_while_it_is_that_one(tmp_path: Path) -> None:
    with announce(tmp_path / "lab", "http://127.0.0.1:1/") as token:
        assert find_running(tmp_path / "lab") is None, "nobody answers there"
        assert token.secret not in token.public_id
    assert not (tmp_path / "lab" / FILE).exists()
    with answering({"lab": "another"}) as address, announce(tmp_path, address):
        assert find_running(tmp_path) is None, "another program has the port by now"
    said = {"lab": ""}
    with answering(said) as address, announce(tmp_path, address) as token:
        said["lab"] = token.public_id
        assert find_running(tmp_path) == address
        if os.name == "posix":
            assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "7", '{"address": 3}', '{"address": "http://192.0.2.1:9/", "secret": "x"}', "x" * 5000,
        '{"address": "http://localhost.evil.example/", "secret": "x"}',
        '{"address": "file:///etc/passwd", "secret": "x"}',
        '{"address": "http://127.0.0.1:99999/", "secret": "x"}', '{"address": "http://[", "secret": "x"}', "[" * 1999,
    ],
)  # fmt: skip
def test_a_file_that_is_none_is_not_believed(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    assert find_running(tmp_path) is None


def test_a_later_servers_file_stays(tmp_path: Path) -> None:
    with announce(tmp_path, "http://127.0.0.1:1/"):
        with announce(tmp_path, "http://127.0.0.1:2/"):
            pass
        assert not (tmp_path / FILE).exists()
    with announce(tmp_path, "http://127.0.0.1:1/"):
        (tmp_path / FILE).write_text("a later one's")
    assert (tmp_path / FILE).exists()


def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with announce(tmp_path / "file" / "lab", "http://127.0.0.1:1/"):
        pass


def test_only_a_start_as_for_everybody_is_content_with_another(tmp_path: Path) -> None:
    assert is_plain(parse_options(["--no-browser"]))
    assert is_plain(parse_options(["--window"]))
    for other in (["--port", "0"], ["--models", str(tmp_path)], ["--classroom"], ["--no-downloads"]):
        assert not is_plain(parse_options(other))


# --- Real starts -----------------------------------------------------------------------------------------------------


def start(folder: Path, *options: str, **environment: str) -> subprocess.Popen[str]:
    """`python -m app` for a user whose folders lie in `folder`."""
    own = {"OMP_NUM_THREADS": "1", "XDG_RUNTIME_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "app", *options], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **own, **environment},
    )  # fmt: skip


def address_in(line: str) -> str:
    return line[line.index("http://") :].split()[0].rstrip(";")


def first_line(lab: subprocess.Popen[str]) -> str:
    assert lab.stdout is not None
    return lab.stdout.readline()


@unix
@pytest.mark.slow
def test_a_second_start_finds_the_first_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    first = start(tmp_path, "--no-browser")
    line = first_line(first)
    second = start(tmp_path, "--no-browser")
    said, trouble = second.communicate(timeout=60)
    assert (second.returncode, trouble) == (0, "")
    assert "is running already" in said
    assert address_in(said) == address_in(line)
    with httpx.stream("GET", f"{address_in(line)}gradio_api/heartbeat/somebody", timeout=20) as page:  # one is open
        assert page.status_code == 200
        first.send_signal(signal.SIGINT)
        _, trouble = first.communicate(timeout=20)
    assert first.returncode == 0
    assert "Traceback" not in trouble
    assert not (tmp_path / "litellama-lab" / FILE).exists()


@unix
@pytest.mark.slow
def test_two_starts_in_one_moment_both_end_well(tmp_path: Path) -> None:
    """They may both serve, or the later one waits for the other and opens it; neither is in the other's way."""
    labs = [start(tmp_path, "--no-browser") for _ in range(2)]
    lines = [first_line(lab) for lab in labs]
    assert all(httpx.get(address_in(line)).status_code == 200 for line in lines)
    for lab in labs:
        if lab.poll() is None:
            lab.send_signal(signal.SIGINT)
        _, trouble = lab.communicate(timeout=20)
        assert lab.returncode == 0
        assert "Traceback" not in trouble
    assert not (tmp_path / "litellama-lab" / FILE).exists()


@unix
@pytest.mark.slow
def test_after_a_crash_another_one_starts(tmp_path: Path) -> None:
    first = start(tmp_path, "--no-browser")
    assert first.stdout is not None
    assert "Ctrl+C" in first.stdout.readline()
    first.kill()
    first.communicate()
    assert (tmp_path / "litellama-lab" / FILE).exists()
    second = start(tmp_path, "--no-browser")
    assert second.stdout is not None
    assert "Ctrl+C" in second.stdout.readline()
    second.send_signal(signal.SIGINT)
    second.communicate(timeout=20)
    assert second.returncode == 0


def browser_that(folder: Path, does: str) -> str:
    """A PATH with a program called chromium that notes its arguments and then does something."""
    program = folder / "bin" / "chromium"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{folder}/asked"\n{does}\n')
    program.chmod(0o755)
    return f"{program.parent}:/usr/bin:/bin"


@unix
@pytest.mark.slow
def test_closing_the_window_ends_the_lab(tmp_path: Path) -> None:
    path = browser_that(tmp_path, "sleep 3")
    lab = start(tmp_path, "--window", "--port", "0", PATH=path)
    said, trouble = lab.communicate(timeout=60)
    assert (lab.returncode, trouble) == (0, "")
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[0] == f"--app={address_in(said)}"
    assert asked[1] == f"--user-data-dir={tmp_path / 'litellama-lab' / 'window'}"
    assert "--no-sandbox" not in asked


@unix
@pytest.mark.slow
def test_the_end_of_the_lab_closes_the_window(tmp_path: Path) -> None:
    path = browser_that(tmp_path, "exec sleep 600")
    lab = start(tmp_path, "--window", "--port", "0", PATH=path)
    assert lab.stdout is not None
    address = address_in(lab.stdout.readline())
    assert httpx.get(address).status_code == 200
    lab.send_signal(signal.SIGINT)
    lab.communicate(timeout=20)
    assert lab.returncode == 0


def test_without_a_browser_for_it_there_is_no_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("app.launch.window.BROWSER_PATHS", ())
    assert open_window("http://127.0.0.1:1/", tmp_path, lambda: None, lambda: None) is None


@unix
@pytest.mark.parametrize("does", ["exit 1", "exit 0"])  # it cannot, or hands over to one that is open already
@pytest.mark.slow
def test_a_window_that_does_not_stay_does_not_end_the_lab(tmp_path: Path, does: str) -> None:
    path = browser_that(tmp_path, does)
    lab = start(tmp_path, "--window", "--port", "0", PATH=path, BROWSER="true")
    address = address_in(first_line(lab))
    assert "could not be opened" in first_line(lab)
    assert httpx.get(address).status_code == 200
    lab.send_signal(signal.SIGINT)
    lab.communicate(timeout=20)
    assert lab.returncode == 0


@pytest.mark.parametrize("wrong", [["--window", "--classroom"], ["--window", "--no-browser"]])
def test_a_window_is_for_one_person(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_options(wrong)
    assert "--window is for one person" in capsys.readouterr().err
