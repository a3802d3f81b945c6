"""A class: who comes in, what each may do at once, what the teacher decides; and the gate in front of it."""

from __future__ import annotations

import csv
import threading
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.classroom import auth
from app.classroom.auth import COOKIE, JOIN, MOST_WAITING, ClassroomAuth
from app.classroom.classroom import MOST_PUPILS, SECONDS_UNTIL_AWAY, Classroom
from app.common.strings import Problem
from app.launch.lan import class_instructions, lan_addresses, new_password


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def classroom(clock: Clock) -> Classroom:
    return Classroom("red-kite", "blue-hat", clock)


# --- Coming and going ------------------------------------------------------------------------------------------------


def test_two_pupils_of_one_name_are_told_apart(classroom: Classroom) -> None:
    cookies = [classroom.join(name, "Red-Kite ") for name in ("Mia", "mia", " M\tia ", "Mia")]
    names = [pupil.name for cookie in cookies if (pupil := classroom.pupil(cookie))]
    assert names == ["Mia", "mia 2", "M ia", "Mia 3"]
    assert len(set(cookies)) == 4


@pytest.mark.parametrize("name", ["", "   ", "\u202e\u200b", "!!!", "x" * 25, None, 7, ["Mia"], "\ud800"])
def test_a_name_that_is_none_is_refused(classroom: Classroom, name: object) -> None:
    with pytest.raises(Problem, match="1 to 24"):
        classroom.join(name, "red-kite")
    assert classroom.overview()["pupils"] == []


@pytest.mark.parametrize("password", ["", "red", "blue-hat", None, 7, "red-kitee", "r\u0435d-kite"])
def test_a_wrong_password_lets_nobody_in(classroom: Classroom, password: object) -> None:
    with pytest.raises(Problem, match="not the password"):
        classroom.join("Mia", password)
    with pytest.raises(Problem, match="not the password"):
        classroom.join_as_teacher("red-kite")


def test_both_passwords_must_be_there_and_differ() -> None:
    for pair in (("", "a"), ("a", ""), ("a", "a")):
        with pytest.raises(ValueError, match="two passwords"):
            Classroom(*pair)


def test_a_full_room_lets_in_only_for_those_who_went(classroom: Classroom, clock: Clock) -> None:
    first = classroom.join("First", "red-kite")
    for number in range(MOST_PUPILS - 1):
        classroom.join(f"P{number}", "red-kite")
    with pytest.raises(Problem, match="full"):
        classroom.join("Late", "red-kite")
    clock.now += SECONDS_UNTIL_AWAY + 1
    late = classroom.join("Late", "red-kite")
    assert classroom.is_member(late)
    assert not classroom.is_member(first)


def test_the_end_erases_everything_but_the_teacher(classroom: Classroom) -> None:
    teacher, pupil = classroom.join_as_teacher("blue-hat"), classroom.join("Mia", "red-kite")
    classroom.update_settings(message="hello", paused=True)
    with classroom.writing(teacher) as counter:
        counter.set_tokens(3)
    before = classroom.settings.number
    classroom.end()
    assert classroom.is_teacher(teacher)
    assert not classroom.is_member(pupil)
    assert "Mia" not in str(classroom.overview())
    assert (classroom.settings.message, classroom.settings.paused) == ("", False)
    assert classroom.settings.number > before


# --- Work ------------------------------------------------------------------------------------------------------------


def test_a_pupil_has_one_reply_at_a_time_and_others_do_not_mind(classroom: Classroom) -> None:
    mia, ben = classroom.join("Mia", "red-kite"), classroom.join("Ben", "red-kite")
    with classroom.writing(mia) as counter:
        with pytest.raises(Problem, match="still being written"), classroom.writing(mia):
            pass
        with classroom.writing(ben):
            assert classroom.overview()["writing"] == 2
        counter.set_tokens(4)
        counter.set_tokens(9)
        counter.joules, counter.estimated = 7.2, True
    told = classroom.overview()
    assert (told["tokens"], told["replies"], told["watt_hours"], told["estimated"]) == (9, 1, 0.002, True)
    assert told["tokens_per_second"] == 0.9
    with classroom.writing(mia):
        pass


def test_a_reply_that_fails_frees_the_place(classroom: Classroom) -> None:
    mia = classroom.join("Mia", "red-kite")
    with pytest.raises(RuntimeError), classroom.writing(mia):
        raise RuntimeError
    with classroom.writing(mia):
        pass


def test_a_paused_class_waits_and_its_teacher_does_not(classroom: Classroom) -> None:
    mia, teacher = classroom.join("Mia", "red-kite"), classroom.join_as_teacher("blue-hat")
    classroom.update_settings(paused=True)
    with pytest.raises(Problem, match="paused"), classroom.writing(mia):
        pass
    with classroom.writing(teacher):
        pass
    classroom.update_settings(paused=False)
    with classroom.writing(mia):
        pass
    with pytest.raises(Problem, match="not come in"), classroom.writing("nobody"):
        pass


@pytest.mark.parametrize(
    "changes", [{"paused": 1}, {"message": None}, {"message": "x" * 1001}, {"rule": "x"}, {"model": 3}]
)
def test_an_order_that_is_none_changes_nothing(classroom: Classroom, changes: dict[str, object]) -> None:
    before = classroom.settings
    with pytest.raises(Problem):
        classroom.update_settings(**changes)
    assert classroom.settings == before


def test_figures_are_handed_on_without_names(classroom: Classroom) -> None:
    for name in ("Mia", "Ben"):
        with classroom.writing(classroom.join(name, "red-kite")) as counter:
            counter.set_tokens(5)
    rows = list(csv.reader(classroom.results().splitlines()))
    assert rows == [["pupil", "replies", "tokens", "watt_hours"], ["1", "1", "5", ""], ["2", "1", "5", ""]]


def test_forty_threads_lose_nothing(classroom: Classroom) -> None:
    cookies = [classroom.join("P", "red-kite") for _ in range(40)]

    def work(cookie: str) -> None:
        for _ in range(50):
            with classroom.writing(cookie) as counter:
                counter.set_tokens(1)
                counter.set_tokens(3)

    threads = [threading.Thread(target=work, args=(cookie,)) for cookie in cookies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert classroom.overview()["tokens"] == 40 * 50 * 3
    assert len({pupil["name"] for pupil in classroom.overview()["pupils"]}) == 40


# --- The gate --------------------------------------------------------------------------------------------------------


@pytest.fixture
def client(classroom: Classroom, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(auth, "WRONG_PASSWORD_SECONDS", 0.0)

    async def inside(request: object) -> PlainTextResponse:
        return PlainTextResponse("inside")

    paths = ("/", "/config", "/favicon.ico", "/open-model", JOIN)
    app = Starlette(routes=[Route(path, inside, methods=["GET", "POST"]) for path in paths])
    ended: list[bool] = []
    app.state.ended = ended
    line: dict[str, list[int]] = {}
    app.state.line = line
    app.add_middleware(
        ClassroomAuth, classroom=classroom, queue_positions=lambda: line, on_end=lambda: ended.append(True),
        models=lambda: ["a"], teachers_only=("/open-model",),
    )  # fmt: skip
    with TestClient(app, follow_redirects=False) as client:
        yield client


def test_outside_there_is_only_the_gate(client: TestClient) -> None:
    assert client.get("/").headers["location"] == "/enter"
    assert client.get("/config").status_code == 401
    assert client.get("/room.json").status_code == 401
    assert client.get("/teacher.json").status_code == 401
    assert client.post("/teacher.json", json={"paused": True}).status_code == 401
    assert client.get("/results.csv").status_code == 401
    assert client.delete("/enter").status_code == 405
    assert 'type="password"' in client.get("/teacher").text
    client.cookies.set(COOKIE, "forged")
    assert client.get("/config").status_code == 401


def test_the_password_opens_and_the_cookie_is_not_for_scripts(client: TestClient, classroom: Classroom) -> None:
    refused = client.post("/enter", data={"name": "Mia", "password": "wrong"})
    assert refused.status_code == 403
    assert "not the password" in refused.text
    assert 'value="Mia"' in refused.text
    entered = client.post("/enter", data={"name": "Mia", "password": "red-kite"})
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    cookie = entered.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/").text == "inside"
    assert client.get("/room.json").json()["place"] == 0
    client.app.state.line[client.cookies[COOKIE]] = [5, 3]  # type: ignore[attr-defined]
    assert client.get("/room.json").json()["place"] == 3
    assert client.get("/room.json").json()["name"] == "Mia"
    assert client.get("/teacher.json").status_code == 401
    classroom.end()
    assert client.get("/").status_code == 303


@pytest.mark.fault(19)
def test_one_pupil_cannot_fill_the_line(client: TestClient, classroom: Classroom) -> None:
    mia, ben = classroom.join("Mia", "red-kite"), classroom.join("Ben", "red-kite")
    client.app.state.line[mia] = list(range(1, MOST_WAITING + 1))  # type: ignore[attr-defined]
    refused = client.post(JOIN, headers={"cookie": f"{COOKIE}={mia}"})
    assert refused.status_code == 429
    assert "waiting already" in refused.json()["detail"]
    assert client.post(JOIN, headers={"cookie": f"{COOKIE}={ben}"}).text == "inside"
    assert client.get("/config", headers={"cookie": f"{COOKIE}={mia}"}).text == "inside"
    told = classroom.overview({mia: 2})
    assert (told["waiting"], [pupil["place"] for pupil in told["pupils"]]) == (1, [2, 0])


def test_only_the_teacher_adds_models(client: TestClient, classroom: Classroom) -> None:
    pupil, teacher = classroom.join("Mia", "red-kite"), classroom.join_as_teacher("blue-hat")
    assert client.post("/open-model", headers={"cookie": f"{COOKIE}={pupil}"}).status_code == 403
    assert client.post("/open-model", headers={"cookie": f"{COOKIE}={teacher}"}).text == "inside"
    assert client.get("/teacher.json", headers={"cookie": f"{COOKIE}={teacher}"}).json()["more_models"]


def test_a_name_is_text_in_the_form(client: TestClient) -> None:
    told = client.post("/enter", data={"name": '"><script>{{go}}</script>', "password": "wrong"})
    assert "<script>" not in told.text
    assert "{{go}}" in told.text
    german = client.get("/enter", headers={"accept-language": "de-AT,de;q=0.9"})
    assert "Willkommen" in german.text
    assert "Welcome" in client.get("/enter", headers={"accept-language": "xx,*"}).text


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"name", b"a=1&" * 50])
def test_a_form_that_is_none_lets_nobody_in(client: TestClient, body: bytes) -> None:
    assert client.post("/enter", content=body).status_code == 403


def test_the_teacher_decides(client: TestClient, classroom: Classroom) -> None:
    pupil = classroom.join("Mia", "red-kite")
    client.post("/teacher", data={"password": "blue-hat"})
    assert "class-figures" in client.get("/teacher").text
    assert client.get("/teacher.json").json()["models"] == ["a"]
    assert client.post("/teacher.json", json={"paused": True}).json()["orders"]["paused"]
    assert client.post("/teacher.json", json={"paused": "yes"}).status_code == 400
    assert client.post("/teacher.json", content=b"[" * 100_000).status_code == 400
    assert client.get("/results.csv").text.startswith("pupil,")
    assert client.post("/teacher.json", json={"end": True}).status_code == 200
    assert not classroom.is_member(pupil)
    assert client.app.state.ended == [True]  # type: ignore[attr-defined]


# --- What the terminal shows -----------------------------------------------------------------------------------------


def test_passwords_can_be_said_and_differ() -> None:
    made = {new_password() for _ in range(50)}
    assert len(made) == 50
    assert all(len(password.split("-")) == 4 and password.isascii() for password in made)


def test_the_terminal_warns_unless_tls_stands_in_front() -> None:
    shown = class_instructions(["http://192.168.1.5:7860/"], "red-kite", "blue-hat", encrypted=False)
    assert "http://192.168.1.5:7860/teacher" in shown
    assert "Nothing is encrypted" in shown
    assert "Nothing is encrypted" not in class_instructions(["https://lab.school/"], "a", "b", encrypted=True)
    assert all(not address.startswith("127.") for address in lan_addresses())
