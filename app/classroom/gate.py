"""The gate of a class: whoever has not said the password sees the page that asks for it, and nothing else."""

from __future__ import annotations

import asyncio
import html
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.classroom.classroom import Classroom
from app.common.assets import template
from app.common.strings import FALLBACK, Problem, all_words

COOKIE = "litellama-class"
SECONDS_FOR_A_WRONG_PASSWORD = 1.0
FOR_ALL = ("/favicon.ico", "/manifest.json", "/views/icon")  # browsers ask for these without the cookie
JOIN = "/gradio_api/queue/join"
MOST_WAITING = 6  # requests of one pupil in the line: what a page asks at once, and not what would keep out the others
MOST_GUESSES_AT_ONCE = 20  # more wait for one another: so many passwords a second can be tried, whoever tries
ROUTES = ("/enter", "/teacher", "/teacher.json", "/room.json", "/results.csv")
"""What the gate answers itself; `app.server.request_filter` must let them pass."""


def member_of(headers: Headers) -> str:
    """The class's cookie in a request's headers, "" if there is none."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""


class Gate:
    """ASGI middleware around the app. `line` tells where in it each member's waiting requests stand, by cookie; `end`
    is called when the teacher ends the class; `secure` marks the cookie for encrypted connections only; the routes
    `teachers_only` are shut for pupils."""

    def __init__(
        self,
        app: ASGIApp,
        room: Classroom,
        line: Callable[[], dict[str, list[int]]] = dict,
        end: Callable[[], None] = lambda: None,
        models: Callable[[], list[str]] = list,
        secure: bool = False,
        teachers_only: Sequence[str] = (),
    ) -> None:
        self.app, self.room, self.secure = app, room, secure
        self.teachers_only = tuple(teachers_only)
        self.line, self.end, self.models = line, end, models
        self._guesses = asyncio.Semaphore(MOST_GUESSES_AT_ONCE)
        self._own: dict[tuple[str, str], Callable[[Request, str], Awaitable[Response]]] = {
            ("GET", "/enter"): self._ask_pupil, ("POST", "/enter"): self._enter,
            ("GET", "/teacher"): self._teacher_page, ("POST", "/teacher"): self._enter_as_teacher,
            ("GET", "/teacher.json"): self._overview, ("POST", "/teacher.json"): self._order,
            ("GET", "/room.json"): self._news, ("GET", "/results.csv"): self._results,
        }  # fmt: skip

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        cookie = member_of(Headers(scope=scope))
        own = self._own.get((scope["method"], scope["path"]))
        if own is not None:
            await (await own(Request(scope, receive), cookie))(scope, receive, send)
        elif scope["path"] in ROUTES:
            await PlainTextResponse("There is nothing here.", 405)(scope, receive, send)
        elif not self.room.is_member(cookie) and not scope["path"].startswith(FOR_ALL):
            await self._stay_outside(scope)(scope, receive, send)
        elif scope["path"] in self.teachers_only and not self.room.is_teacher(cookie):
            await _told(Problem("class.teachers_only"), 403)(scope, receive, send)
        elif scope["path"] == JOIN and len(self.line().get(cookie, ())) >= MOST_WAITING:  # guard: waiting-line
            await _told(Problem("class.many_waiting", most=MOST_WAITING), 429)(scope, receive, send)
        else:
            self.room.saw(cookie)
            await self.app(scope, receive, send)

    def _stay_outside(self, scope: Scope) -> Response:
        if scope["path"] == "/" and scope["method"] == "GET":
            return RedirectResponse("/enter", 303)
        return PlainTextResponse("The class's password is asked for first.", 401)

    # --- Pupils ------------------------------------------------------------------------------------------------------

    async def _ask_pupil(self, request: Request, cookie: str) -> Response:
        return _form("pupil", request)

    async def _enter(self, request: Request, cookie: str) -> Response:
        fields = await _fields(request)
        try:
            mine = self.room.enter(fields.get("name"), fields.get("password"))
        except Problem as problem:
            return await self._not_in("pupil", request, problem, fields.get("name", ""))
        return self._let_in("/", mine)

    async def _news(self, request: Request, cookie: str) -> Response:
        if not self.room.is_member(cookie):
            return JSONResponse({"out": True}, 401)
        self.room.saw(cookie)
        pupil = self.room.pupil(cookie)
        told = {"name": pupil and pupil.name, "place": min(self.line().get(cookie, [0]))}
        return JSONResponse(told | self.room.orders.to_json())

    # --- The teacher -------------------------------------------------------------------------------------------------

    async def _teacher_page(self, request: Request, cookie: str) -> Response:
        if not self.room.is_teacher(cookie):
            return _form("teacher", request)
        return HTMLResponse(template("teacher.html"))

    async def _enter_as_teacher(self, request: Request, cookie: str) -> Response:
        fields = await _fields(request)
        try:
            mine = self.room.enter_as_teacher(fields.get("password"))
        except Problem as problem:
            return await self._not_in("teacher", request, problem, "")
        return self._let_in("/teacher", mine)

    async def _overview(self, request: Request, cookie: str) -> Response:
        if not self.room.is_teacher(cookie):
            return JSONResponse({"out": True}, 401)
        return JSONResponse(self._seen())

    def _seen(self) -> dict[str, Any]:
        """What the teacher's page shows."""
        places = {cookie: min(own) for cookie, own in self.line().items()}
        told = {"models": self.models(), "more_models": bool(self.teachers_only)}
        return self.room.overview(places) | told

    async def _order(self, request: Request, cookie: str) -> Response:
        if not self.room.is_teacher(cookie):
            return JSONResponse({"out": True}, 401)
        try:
            sent = json.loads(await request.body())
            if not isinstance(sent, dict):
                raise Problem("problem.request")
            if sent == {"end": True}:
                self.room.end()
                self.end()
            else:
                self.room.order(**{str(name): value for name, value in sent.items()})
        except (ValueError, RecursionError) as wrong:
            problem = wrong if isinstance(wrong, Problem) else Problem("problem.request")
            return _told(problem, 400)
        return JSONResponse(self._seen())

    async def _results(self, request: Request, cookie: str) -> Response:
        if not self.room.is_teacher(cookie):
            return PlainTextResponse("This page is the teacher's.", 401)
        headers = {"content-disposition": 'attachment; filename="results.csv"'}
        return Response(self.room.results(), media_type="text/csv", headers=headers)

    # --- The form ----------------------------------------------------------------------------------------------------

    async def _not_in(self, who: str, request: Request, problem: Problem, name: str) -> Response:
        if problem.key == "class.wrong_password":  # nobody is locked out: a class often shares one address
            async with self._guesses:
                await asyncio.sleep(SECONDS_FOR_A_WRONG_PASSWORD)
        return _form(who, request, problem, name)

    def _let_in(self, to: str, cookie: str) -> Response:
        response = RedirectResponse(to, 303)
        response.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", secure=self.secure)
        return response


def _told(problem: Problem, status: int) -> Response:
    return JSONResponse({"problem": problem.to_json(), "detail": str(problem)}, status)


async def _fields(request: Request) -> dict[str, str]:
    """A form's fields, as a browser sends them. Anything else gives none."""
    body = (await request.body()).decode("utf-8", "replace")
    try:
        fields = parse_qs(body, keep_blank_values=True, max_num_fields=8)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


def _form(who: str, request: Request, problem: Problem | None = None, name: str = "") -> Response:
    """The page that asks a pupil or the teacher in, in the browser's language."""
    language = _language(request.headers.get("accept-language", ""))
    words = all_words()[FALLBACK] | all_words()[language]
    said = "" if problem is None else words[problem.key].format(**problem.values)
    values: dict[str, Any] = {
        "language": language, "title": words[f"class.{who}_title"], "why": words[f"class.{who}_why"],
        "name_label": words["class.name"], "name_why": words["class.name_why"], "go": words["class.go"],
        "password_label": words["class.password"], "action": "/enter" if who == "pupil" else "/teacher",
        "problem": said, "name": name,
        "hidden": "" if who == "pupil" else "hidden disabled",
    }  # fmt: skip
    page = template("enter.html")
    page = re.sub(r"\{\{(\w+)\}\}", lambda found: html.escape(str(values[found[1]])), page)
    return HTMLResponse(page, 200 if problem is None else 403)


def _language(accepted: str) -> str:
    """The first language of an Accept-Language header that there are words for."""
    wished = [part.split(";")[0].strip()[:2].lower() for part in accepted.split(",")]
    return next((language for language in wished if language in all_words()), FALLBACK)
