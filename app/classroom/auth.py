"""Who may use a class's server: without the password there is only the page that asks for it."""

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
WRONG_PASSWORD_SECONDS = 1.0
PUBLIC_PATHS = ("/favicon.ico", "/manifest.json", "/views/icon")  # browsers ask for these without the cookie
JOIN = "/gradio_api/queue/join"
MOST_WAITING = 6  # requests of one pupil in the queue: enough for a page, and places are left for the others
MOST_GUESSES_AT_ONCE = 20  # more wait for one another: so many passwords a second can be tried, whoever tries
ROUTES = ("/enter", "/teacher", "/teacher.json", "/room.json", "/results.csv")
"""What `ClassroomAuth` answers itself; `app.server.request_filter` must let them pass."""


def class_cookie(headers: Headers) -> str:
    """The class's cookie in a request's headers; "" if there is none."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""


class ClassroomAuth:
    """ASGI middleware around the app: whoever is not in the class gets the form that asks for the password.

    `queue_positions` gives, by cookie, the positions of each member's waiting requests in Gradio's queue. `on_end` is
    called when the teacher ends the class. `secure`: the cookie is for encrypted connections only. Pupils may not use
    the routes in `teachers_only`.
    """

    def __init__(
        self,
        app: ASGIApp,
        classroom: Classroom,
        queue_positions: Callable[[], dict[str, list[int]]] = dict,
        on_end: Callable[[], None] = lambda: None,
        models: Callable[[], list[str]] = list,
        secure: bool = False,
        teachers_only: Sequence[str] = (),
    ) -> None:
        self.app, self.classroom, self.secure = app, classroom, secure
        self.teachers_only = tuple(teachers_only)
        self.queue_positions, self.on_end, self.models = queue_positions, on_end, models
        self._guesses = asyncio.Semaphore(MOST_GUESSES_AT_ONCE)
        self._routes: dict[tuple[str, str], Callable[[Request, str], Awaitable[Response]]] = {
            ("GET", "/enter"): self._pupil_form, ("POST", "/enter"): self._enter,
            ("GET", "/teacher"): self._teacher_page, ("POST", "/teacher"): self._enter_as_teacher,
            ("GET", "/teacher.json"): self._overview, ("POST", "/teacher.json"): self._change_settings,
            ("GET", "/room.json"): self._status, ("GET", "/results.csv"): self._results,
        }  # fmt: skip

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        cookie = class_cookie(Headers(scope=scope))
        route = self._routes.get((scope["method"], scope["path"]))
        if route is not None:
            await (await route(Request(scope, receive), cookie))(scope, receive, send)
        elif scope["path"] in ROUTES:
            await PlainTextResponse("There is nothing here.", 405)(scope, receive, send)
        elif not self.classroom.is_member(cookie) and not scope["path"].startswith(PUBLIC_PATHS):
            await self._not_logged_in(scope)(scope, receive, send)
        elif scope["path"] in self.teachers_only and not self.classroom.is_teacher(cookie):
            await _problem_response(Problem("class.teachers_only"), 403)(scope, receive, send)
        elif (
            scope["path"] == JOIN and len(self.queue_positions().get(cookie, ())) >= MOST_WAITING
        ):  # guard: waiting-line
            await _problem_response(Problem("class.many_waiting", most=MOST_WAITING), 429)(scope, receive, send)
        else:
            self.classroom.touch(cookie)
            await self.app(scope, receive, send)

    def _not_logged_in(self, scope: Scope) -> Response:
        if scope["path"] == "/" and scope["method"] == "GET":
            return RedirectResponse("/enter", 303)
        return PlainTextResponse("The class's password is asked for first.", 401)

    # --- Pupils ------------------------------------------------------------------------------------------------------

    async def _pupil_form(self, request: Request, cookie: str) -> Response:
        return _form("pupil", request)

    async def _enter(self, request: Request, cookie: str) -> Response:
        fields = await _form_fields(request)
        try:
            new_cookie = self.classroom.join(fields.get("name"), fields.get("password"))
        except Problem as problem:
            return await self._rejected("pupil", request, problem, fields.get("name", ""))
        return self._logged_in("/", new_cookie)

    async def _status(self, request: Request, cookie: str) -> Response:
        if not self.classroom.is_member(cookie):
            return JSONResponse({"out": True}, 401)
        self.classroom.touch(cookie)
        pupil = self.classroom.pupil(cookie)
        status = {"name": pupil and pupil.name, "place": min(self.queue_positions().get(cookie, [0]))}
        return JSONResponse(status | self.classroom.settings.to_json())

    # --- The teacher -------------------------------------------------------------------------------------------------

    async def _teacher_page(self, request: Request, cookie: str) -> Response:
        if not self.classroom.is_teacher(cookie):
            return _form("teacher", request)
        return HTMLResponse(template("teacher.html"))

    async def _enter_as_teacher(self, request: Request, cookie: str) -> Response:
        fields = await _form_fields(request)
        try:
            new_cookie = self.classroom.join_as_teacher(fields.get("password"))
        except Problem as problem:
            return await self._rejected("teacher", request, problem, "")
        return self._logged_in("/teacher", new_cookie)

    async def _overview(self, request: Request, cookie: str) -> Response:
        if not self.classroom.is_teacher(cookie):
            return JSONResponse({"out": True}, 401)
        return JSONResponse(self._overview_json())

    def _overview_json(self) -> dict[str, Any]:
        """What the teacher's page shows."""
        positions = {cookie: min(places) for cookie, places in self.queue_positions().items()}
        status = {"models": self.models(), "more_models": bool(self.teachers_only)}
        return self.classroom.overview(positions) | status

    async def _change_settings(self, request: Request, cookie: str) -> Response:
        if not self.classroom.is_teacher(cookie):
            return JSONResponse({"out": True}, 401)
        try:
            sent = json.loads(await request.body())
            if not isinstance(sent, dict):
                raise Problem("problem.request")
            if sent == {"end": True}:
                self.classroom.end()
                self.on_end()
            else:
                self.classroom.update_settings(**{str(name): value for name, value in sent.items()})
        except (ValueError, RecursionError) as wrong:
            problem = wrong if isinstance(wrong, Problem) else Problem("problem.request")
            return _problem_response(problem, 400)
        return JSONResponse(self._overview_json())

    async def _results(self, request: Request, cookie: str) -> Response:
        if not self.classroom.is_teacher(cookie):
            return PlainTextResponse("This page is the teacher's.", 401)
        headers = {"content-disposition": 'attachment; filename="results.csv"'}
        return Response(self.classroom.results(), media_type="text/csv", headers=headers)

    # --- The form ----------------------------------------------------------------------------------------------------

    async def _rejected(self, who: str, request: Request, problem: Problem, name: str) -> Response:
        if problem.key == "class.wrong_password":  # nobody is locked out: a class often shares one address
            async with self._guesses:
                await asyncio.sleep(WRONG_PASSWORD_SECONDS)
        return _form(who, request, problem, name)

    def _logged_in(self, to: str, cookie: str) -> Response:
        response = RedirectResponse(to, 303)
        response.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", secure=self.secure)
        return response


def _problem_response(problem: Problem, status: int) -> Response:
    return JSONResponse({"problem": problem.to_json(), "detail": str(problem)}, status)


async def _form_fields(request: Request) -> dict[str, str]:
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
    accepted_languages = [part.split(";")[0].strip()[:2].lower() for part in accepted.split(",")]
    return next((language for language in accepted_languages if language in all_words()), FALLBACK)
