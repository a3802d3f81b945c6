"""What the server does for pages: every tab's service, and who tells them what becomes of a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.attention.service import AttentionService
from app.attribution.service import AttributionService
from app.chat.energy import ReplyMeter
from app.chat.reply_writer import ReplyWriter
from app.chat.service import ChatService
from app.classroom.classroom import Classroom
from app.common.page_lifecycle import PageLifecycle
from app.common.questions import QuestionReader
from app.compare.service import CompareService
from app.intervene.service import InterveneService
from app.layers.service import LayersService
from app.models.engines import RemoteEngine
from app.models.page_models import PageModels
from app.models.registry import Models
from app.responsibility.service import ResponsibilityService
from app.step.service import StepService
from litellama.checkpoint import Opened


class Services:
    """Everything that outlives a request. Each service is safe to be used by many threads."""

    def __init__(
        self,
        first: Opened,
        models: Path | None = None,
        *,
        engines: Sequence[RemoteEngine] = (),
        classroom: Classroom | None = None,
        seconds_per_reply: float | None = None,
        meter: ReplyMeter | None = None,
    ) -> None:
        """`first` answers pages that choose no model; the checkpoints in the folder `models`, and what `engines` offer,
        can be chosen as well. `classroom` is the class that uses this server, if one does."""
        self.models = Models(first, models, engines=engines)
        self.classroom = classroom
        self.lifecycle = PageLifecycle()
        self.page_models = PageModels(self.models, self.lifecycle)
        self.questions = QuestionReader()
        writer = ReplyWriter(
            self.page_models,
            meter or ReplyMeter(),
            in_class=classroom is not None,
            seconds_per_reply=seconds_per_reply,
        )
        self.chat = ChatService(writer, self.lifecycle, classroom)
        self.attention = AttentionService(self.page_models, self.questions)
        self.step = StepService(self.page_models, self.questions)
        self.layers = LayersService(self.page_models, self.questions)
        self.attribution = AttributionService(self.page_models, self.questions)
        self.intervene = InterveneService(self.page_models, self.questions)
        self.responsibility = ResponsibilityService(self.page_models)
        self.compare = CompareService(self.page_models)
        self.lifecycle.add(
            self.page_models, self.questions, self.chat, self.attention, self.step, self.attribution, self.intervene,
            self.responsibility,
        )  # fmt: skip
