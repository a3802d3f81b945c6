"""The app's one stateful object: the models, and for every open page its model, conversation and texts."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from app.attention.service import Looks, look_again, look_at, move_window, overview, picture, roles_json
from app.attribution import service as attributions
from app.chat.conversation import Conversation, Turn, Update, Voice
from app.chat.energy import ReplyCost, ReplyMeter
from app.chat.recently_closed import RecentlyClosed
from app.chat.responders import LocalResponder, RemoteResponder, Responder
from app.chat.side_by_side import SideBySide
from app.classroom.classroom import Classroom
from app.common.errors import as_problem
from app.common.questions import Readings, read_question
from app.common.settings import MOST_TOKENS_IN_CLASS, Settings
from app.common.strings import Problem
from app.intervene import service as interventions
from app.layers.service import lens_json
from app.models.engines import RemoteEngine
from app.models.registry import Model, Models
from app.responsibility import service as responsibility
from app.step.service import trace_json
from litellama.chat.format import ChatFormat
from litellama.checkpoint import Opened
from litellama.explain.attention import HeadRoles, head_roles, roles_in
from litellama.explain.tokenized_run import TokenizedRun
from litellama.generate import Progress
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer

MOST_CONVERSATIONS = 200
MOST_CHARACTERS = 4000
SECONDS_IN_CLASS = 30.0  # that a reply may take there, so that everybody's turn comes
SECONDS_HELD = 60.0  # after which a reply that nobody asks to go on is held to be dropped
SECONDS_BETWEEN_UPDATES = 0.2
SECONDS_BETWEEN_BEATS = 10.0  # in which the page is told again that nothing changed, and so isn't lost
SECONDS_UNTOLD = 1.0  # of waiting for the first token, before the page is told how far it is


class Session:
    """Everything that outlives a request. Safe to be used by many threads, one conversation by one reply at a time."""

    def __init__(
        self,
        first: Opened,
        models: Path | None = None,
        *,
        seconds_per_reply: float | None = None,
        engines: Sequence[RemoteEngine] = (),
    ) -> None:
        """`first` answers pages that choose no model; the checkpoints in the folder `models`, and what `engines` offer,
        can be chosen as well. A reply is bounded by its tokens; in a class also by `SECONDS_IN_CLASS`, anywhere by
        `seconds_per_reply` where they are given."""
        self.models = Models(first, models, engines=engines)
        self.seconds_per_reply = seconds_per_reply
        self.scale = ReplyMeter()
        self.beside = SideBySide(self.models, self.answer)
        self.room: Classroom | None = None
        """The class that uses this server, if one does; see `app.classroom.classroom`."""
        self._pages: OrderedDict[str, Voice] = OrderedDict()
        self._aside = RecentlyClosed()
        self._lock = threading.Lock()
        self._looks = Looks()
        self._readings = Readings()
        self._texts = attributions.Texts()
        self._stops = responsibility.Stops()
        self._roles: WeakKeyDictionary[LiteLlama, HeadRoles] = WeakKeyDictionary()

    def choose(self, key: str, name: object) -> None:
        """Let a page use the model called `name`, None for the first; what another model said to it is forgotten."""
        if not (name is None or isinstance(name, str)):
            raise Problem("problem.request")
        name = self.models.first.name if name is None else name
        if self._page(key).model != name:
            self.leave(key)
            self._page(key).model = name

    def opened(self, key: str) -> Opened:
        """The model of one page. Raises `Problem` if it cannot be had, runs elsewhere, or isn't the one that answered
        here before."""
        return self._model_for(self._page(key)).opened

    def opened_here(self, key: str) -> Opened | None:
        """As `opened`; None for a model that runs elsewhere."""
        return self.opened(key) if self.models.remote(self._page(key).model) is None else None

    def conversation(self, key: str) -> Conversation:
        """The conversation of one browser page."""
        return self._page(key).conversation

    def forget(self, key: str) -> None:
        """Erase a conversation, also while its reply is being written."""
        page = self._page(key)
        self._erase(page)
        page.conversation = Conversation()

    def forget_all(self) -> None:
        """Forget all of every page, also of those that are open."""
        with self._lock:
            keys = list(self._pages)
        for key in keys:
            self.leave(key)
        self._aside.clear()

    def set_aside(self, key: str) -> None:
        """Forget all of a page that was closed or is out of reach; what was said there is kept a while for `resume`."""
        with self._lock:
            page = self._pages.get(key)
        self.leave(key)
        if page is not None and page.conversation.turns:
            self._aside.put(key, page)

    def resume(self, key: str, former: str) -> list[dict[str, Any]]:
        """Let a page that was loaded again go on with what was said on it when its key was `former`, which is given
        back. It is nothing if that is forgotten, was said by another model, or this page has spoken already."""
        page = self._page(key)
        if page.conversation.turns or former == key:
            return []
        self.set_aside(former)  # where the network was lost, the server may not have noticed yet
        before = self._aside.take(former)
        if before is None or before.model != page.model:
            return []
        page.stamp, page.conversation = before.stamp, before.conversation.continued()
        return page.conversation.to_json()

    def leave(self, key: str) -> None:
        """Forget all of a page at once."""
        with self._lock:
            page = self._pages.pop(key, None)
        if page is not None:
            self._erase(page)
        self.beside.leave(key)
        self._looks.forget(key)
        self._readings.forget(key)
        self._texts.forget(key)
        self._texts.forget(f"{key}/intervene")
        self._texts.forget(f"{key}/step")
        self._stops.end(key)

    def stop(self, key: str, request: object = None) -> None:
        """Let the running reply, or both of them, end with the token they are at. `request` is the page's number of the
        message; if its turn has not come yet, it will be refused."""
        page = self._page(key)
        page.stopped = request
        page.conversation.stop.set()
        self.beside.stop(key)

    def check_wanted(self, key: str, request: object) -> None:
        """Raise `Problem` if the page stopped its `request` before the turn of it came."""
        if request is not None and self._page(key).stopped == request:
            raise Problem("problem.not_begun")

    def ask(self, key: str, text: object, settings: Settings, request: object = None) -> Iterator[Update]:
        """Reply to a new message, which is the page's `request`."""
        question = read_message(text)
        yield from self.answer(self._page(key), question, settings, partial(self.check_wanted, key, request))

    def answer(
        self, voice: Voice, question: str, settings: Settings, check_wanted: Callable[[], None] = lambda: None
    ) -> Iterator[Update]:
        """Let a voice reply to a message that was read."""
        speaker, conversation = self._speaker_for(voice), voice.conversation
        with conversation.writing(SECONDS_HELD) as hold_on:
            check_wanted()  # while its model was being opened, the page may have stopped it
            yield from self._write(speaker, conversation, question, settings, hold_on)

    def redo(self, key: str, text: object, settings: Settings, request: object = None) -> Iterator[Update]:
        """Reply to the last message once more; `text` replaces it, None keeps it."""
        question, page = None if text is None else read_message(text), self._page(key)
        speaker, conversation = self._speaker_for(page), page.conversation
        with conversation.writing(SECONDS_HELD) as hold_on:
            self.check_wanted(key, request)
            last = conversation.drop_last()
            try:
                yield from self._write(speaker, conversation, question or last.question, settings, hold_on)
            except Problem:
                conversation.turns.append(last)  # nothing is lost by a message that could not be used
                raise

    def alternatives(self, key: str, turn: object, token: object) -> dict[str, Any]:
        """The ten likeliest tokens at one place of a reply, as {"chosen", "probability", "rows": [...]}."""
        return self.alternatives_of(self._page(key), turn, token)

    def alternatives_of(self, voice: Voice, turn: object, token: object) -> dict[str, Any]:
        """The same of a voice's reply."""
        step = voice.conversation.turn(turn).step(token)
        return {"turn": turn, "token": token} | self._speaker_for(voice).alternatives(step)

    def look(self, key: str, text: object, start: object = None) -> Iterator[dict[str, Any]]:
        """Read and answer `text` and show every head; with `start`, another window of the text looked at last.

        The heads' roles, a property of the model, are measured at the first look and come after its pictures; with
        them, the same scores on this text.
        """
        model, tokenizer, chat_format = self._used(key)
        question = None
        if start is not None:
            looks = iter([move_window(model, self._looks.get(key), start)])
        elif (known := self._readings.get(key, question := read_message(text))) is not None:
            looks = iter([look_again(model, known)])
        else:
            looks = look_at(model, tokenizer, question, chat_format)
        for look in looks:
            if question is not None and look.reading.answer:
                self._readings.store(key, question, look.reading)
            self._looks.keep(key, look)
            here = None if look.maps.start else roles_json(roles_in(look.maps, look.reading))
            roles = self._roles.get(model)
            shown = overview(look, model.config) | {"here": here}
            yield shown | {"roles": roles and roles_json(roles)}
        if roles is None:
            roles = self._roles[model] = head_roles(model, tokenizer)
            yield shown | {"roles": roles_json(roles)}

    def head(self, key: str, view: object, layer: object, head: object) -> dict[str, Any]:
        """One head's map of the text looked at last, or a layer's mean, or the rollout."""
        return picture(self._looks.get(key), view, layer, head)

    def guesses(self, key: str, text: object) -> dict[str, Any]:
        """Read and answer `text`; for each token of the answer, what each layer would have said."""
        model, tokenizer, _ = self._used(key)
        return lens_json(model, tokenizer, self._reading(key, text))

    def step(self, key: str, sent: dict[str, Any]) -> dict[str, Any]:
        """Every number of one step: of a new `text`, or of the text read last at `place`, `layer` and `head`."""
        model, tokenizer, _ = self._used(key)
        page, key = key, f"{key}/step"
        if "text" in sent:
            self._texts.keep(key, attributions.Explained(self._reading(page, sent["text"])))
        reading = self._texts.get(key).reading
        return trace_json(model, tokenizer, reading, sent.get("place"), sent.get("layer", 0), sent.get("head", 0))

    def intervene(self, key: str, action: object, sent: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The Intervene tab's `action` on its own text: begin, change, worth, patch or few."""
        model, tokenizer, chat_format = self._used(key)
        page, key = key, f"{key}/intervene"
        if action == "begin":
            text = attributions.Explained(self._reading(page, sent.get("text")))
            self._texts.keep(key, text)
            yield interventions.begin(model, tokenizer, text.reading, chat_format)
            return
        text = self._texts.get(key)
        if action == "change":
            strength = sent.get("strength", 0)
            yield interventions.answer_with(model, tokenizer, text.reading, sent.get("off"), strength, chat_format)
        elif action == "worth":
            yield from interventions.worth_of_each(model, text)
        elif action == "patch":
            yield from interventions.patched_from(model, tokenizer, text, read_message(sent.get("other")), chat_format)
        elif action == "few":
            yield from interventions.few_that_suffice(model, tokenizer, text, chat_format)
        else:
            raise Problem("problem.request")

    def measure(self, key: str, action: object, sent: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The Responsibility tab's `action`: compare groups of words, or calibrate."""
        opened = self.opened(key)
        if action == "compare":
            yield from responsibility.compare(opened, sent, self._stops.begin(key))
        elif action == "calibrate":
            text = {} if sent.get("text") is None else {"text": read_message(sent["text"])}
            yield from responsibility.calibrate(opened, text, self._stops.begin(key))
        else:
            raise Problem("problem.request")

    def end_measuring(self, key: str) -> None:
        """Let the measurement under way, if there is one, end where it is."""
        self._stops.end(key)

    def read(self, key: str, text: object) -> dict[str, Any]:
        """Read and answer `text`, whose answer is to be explained."""
        model, tokenizer, _ = self._used(key)
        explained = attributions.Explained(self._reading(key, text))
        self._texts.keep(key, explained)
        return attributions.reading_json(model, tokenizer, explained.reading)

    def explain(self, key: str, sent: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Explain the answer read last by one method, with news of how far it is."""
        yield from attributions.explain(self._used(key)[0], self._texts.get(key), sent)

    def cancel_explaining(self, key: str) -> None:
        """Let the explanation under way, if there is one, end where it is."""
        for mine in (key, f"{key}/intervene"):
            self._texts.stop(mine)

    def put_to_the_test(self, key: str) -> dict[str, Any]:
        """Blank out words by what the explanation found last says of them, and at random."""
        return attributions.put_to_the_test(self._used(key)[0], self._texts.get(key))

    def compare(self, key: str) -> Iterator[dict[str, Any]]:
        """What every method says of what was explained last."""
        yield from attributions.compare(self._used(key)[0], self._texts.get(key))

    def _reading(self, key: str, text: object) -> TokenizedRun:
        """A page's question and its answer, read once for all tabs. Raises `Problem` if nothing is answered."""
        model, tokenizer, chat_format = self._used(key)
        question = read_message(text)
        reading = self._readings.get(key, question)
        if reading is None:
            reading = read_question(model, tokenizer, question, chat_format)
            self._readings.store(key, question, reading)
        if not reading.answer:
            raise Problem("problem.no_answer")
        return reading

    def _used(self, key: str) -> tuple[LiteLlama, Tokenizer, ChatFormat]:
        opened = self.opened(key)
        return opened.model, opened.tokenizer, opened.chat_format

    def _seconds(self, speaker: Responder) -> float:
        """The most a reply may take."""
        if speaker.seconds is not None:
            return speaker.seconds
        if self.seconds_per_reply is not None:
            return self.seconds_per_reply
        return math.inf if self.room is None else SECONDS_IN_CLASS

    def _speaker_for(self, voice: Voice) -> Responder:
        """Who answers. Raises `Problem` if it cannot be had, or isn't who answered here before."""
        remote = self.models.remote(voice.model)
        if remote is not None:
            return RemoteResponder(remote)
        model = self._model_for(voice)
        return LocalResponder(model.opened, partial(model.engine.follow, owner=voice.conversation.owner))

    def _erase(self, page: Voice) -> None:
        """End the reply under way, and erase what models have stored of the conversation."""
        page.conversation.stop.set()
        self.models.forget(page.conversation.owner)

    def _model_for(self, voice: Voice) -> Model:
        if (remote := self.models.remote(voice.model)) is not None:
            raise Problem("problem.engine_weights", name=remote.title)
        model = self.models.open(voice.model)
        with self._lock:
            voice.stamp = voice.stamp or model.stamp
            if voice.stamp != model.stamp:
                raise Problem("problem.model_replaced", name=model.title)
        return model

    def _page(self, key: str) -> Voice:
        """What is known of a page; the least recently used make room for new ones."""
        with self._lock:
            page = self._pages.setdefault(key, Voice(self.models.first.name))
            self._pages.move_to_end(key)
            oldest = next(iter(self._pages)) if len(self._pages) > MOST_CONVERSATIONS else None
        if oldest is not None:
            self.leave(oldest)
        return page

    def _write(
        self, speaker: Responder, conversation: Conversation, question: str, settings: Settings,
        hold_on: Callable[[], None],
    ) -> Iterator[Update]:  # fmt: skip
        if self.room is not None:
            settings = replace(settings, max_tokens=min(settings.max_tokens, MOST_TOKENS_IN_CLASS))
        turn = conversation.begin(question)
        try:
            yield from self._stream(speaker, conversation, turn, settings, hold_on)
        except Exception as error:  # one user's failure: a sentence for that user
            conversation.turns.remove(turn)
            raise as_problem(error, "a reply") from error

    def _stream(
        self,
        speaker: Responder,
        conversation: Conversation,
        turn: Turn,
        settings: Settings,
        hold_on: Callable[[], None],
    ) -> Iterator[Update]:
        speech = speaker.reply(conversation.messages(), settings)
        start = time.monotonic()

        def update(state: str, bill: ReplyCost | None = None, progress: Progress | None = None) -> Update:
            elapsed = time.monotonic() - start
            total = bill and conversation.bill
            return Update(
                turn.number, state, turn.tokens(), speech.dropped, settings.seed, elapsed, bill, total,
                speech.written, speech.stats, speech.remarks, progress,
            )  # fmt: skip

        def cut() -> str | None:
            """Why the reply must end now, if it must."""
            if conversation.stop.is_set():
                return "stopped"
            if time.monotonic() - start > most_seconds:
                return "time" if speaker.where is None else "late"
            return None

        told = 0.0  # so the first text is told at once
        shown: Progress | None = None
        most_seconds = self._seconds(speaker)
        weighed = self.scale.share(SECONDS_HELD) if speaker.where is None else nullcontext()
        with closing(speech), weighed as share:
            for piece in speech.pieces:
                hold_on()
                if share is not None:
                    share.renew(SECONDS_HELD)
                turn.add(piece)
                state = cut()
                if state:
                    break
                progress = None if turn.steps else piece.progress
                if piece.progress is not None:
                    speech.read = piece.progress.read - piece.progress.stored
                    early = time.monotonic() - start < SECONDS_UNTOLD
                    known = progress == shown and time.monotonic() - told < SECONDS_BETWEEN_BEATS
                    if progress is None or early or known:  # in a class, forty may wait at once
                        continue
                    shown = progress
                if time.monotonic() - told >= SECONDS_BETWEEN_UPDATES:
                    told = time.monotonic()
                    yield update("running", progress=progress)
            else:
                state = cut() or speech.state or ("length" if len(turn.steps) >= speech.most else "done")
            bill = self.scale.bill(share, speech.read, speech.written or len(turn.steps))
        conversation.bill += bill
        turn.told = update(state, bill)
        yield turn.told


def read_message(text: object) -> str:
    """Check what was typed, here and not only in the page. Raises `Problem`; half characters become U+FFFD."""
    if not isinstance(text, str):
        raise Problem("problem.request")
    if not text.strip():
        raise Problem("problem.empty")
    if len(text) > MOST_CHARACTERS:
        raise Problem("problem.too_long", length=len(text), limit=MOST_CHARACTERS)
    return text.strip().encode("utf-16", "surrogatepass").decode("utf-16", "replace")
