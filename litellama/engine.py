"""Many conversations on one model: one worker, one batch, a slot for each (continuous batching; Yu et al. 2022, Orca).

A thread for each conversation would read all weights for each new token of each conversation, and the threads would be
in one another's way. Here one worker makes the next token of all conversations in one step. A new one joins between two
steps, as soon as its prompt is read; one that is over, or that nobody listens to any more, leaves at once.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

import torch
from torch import Tensor

from litellama.decoding import Decoding
from litellama.generate import Step, check_request, make_step
from litellama.model import KVCache, LiteLlama
from litellama.sampling import Sampling

SLOTS = 40
MOST_CACHE_BYTES = 2 * 2**30  # of keys and values together; memory is only taken as slots are filled
READ_AT_ONCE = 128  # tokens of a prompt between two steps of the others, who would wait too long for all of a long one
SECONDS_OF_SILENCE = 0.25  # after which a caller is asked whether it still wants to wait


class Engine:
    """One model for many callers. Safe to be used by many threads; without work it holds no thread and no cache.

    `slots` conversations go on at once, fewer if their caches would not fit into `MOST_CACHE_BYTES`; others wait
    their turn.
    """

    def __init__(self, model: LiteLlama, slots: int = SLOTS) -> None:
        config = model.config
        tokens = config.num_hidden_layers * config.num_key_value_heads * config.head_dim * 2  # numbers of one token
        most = MOST_CACHE_BYTES // (tokens * config.max_position_embeddings * model.dtype.itemsize)
        self.model = model
        self.slots = max(1, min(slots, most))
        self._waiting: deque[_Conversation] = deque()
        self._lock = threading.Lock()
        self._working = False

    def generate(
        self,
        prompt_ids: Sequence[int],
        *,
        sampling: Sampling,
        max_new_tokens: int,
        seed: int,
        stop_ids: Collection[int] = (),
        alternatives: int = 0,
        give_up: Callable[[], bool] = lambda: False,
    ) -> Iterator[Step]:
        """As `litellama.generate.generate` for this model, with the same tokens, together with whoever else asks.

        Closing the iterator frees the slot before the next step. Who waits for a slot can't close it; so while nothing
        comes, `give_up` is asked, and the iterator ends when it says so.
        """
        check_request(self.model, prompt_ids, max_new_tokens, seed)
        room = self.model.config.max_position_embeddings - len(prompt_ids)
        conversation = _Conversation(
            list(prompt_ids), sampling, min(max_new_tokens, room), torch.Generator().manual_seed(seed),
            frozenset(stop_ids), alternatives,
        )  # fmt: skip
        return self._listen(conversation, give_up)

    def _listen(self, conversation: _Conversation, give_up: Callable[[], bool]) -> Iterator[Step]:
        if not conversation.steps:
            return
        self._enter(conversation)
        try:
            while True:
                try:
                    news = conversation.news.get(timeout=SECONDS_OF_SILENCE)
                except Empty:
                    if give_up():
                        return
                    continue
                if news is None:
                    return
                if isinstance(news, BaseException):
                    raise news
                yield news
        finally:
            conversation.left = True

    def _enter(self, conversation: _Conversation) -> None:
        """Let a conversation wait for its slot, and see to it that somebody works."""
        with self._lock:
            if not self._working:  # a machine may have no memory for one more thread: then nobody waits in vain
                threading.Thread(target=self._work, name="litellama-engine", daemon=True).start()
                self._working = True
            self._waiting.append(conversation)

    def _work(self) -> None:
        """Serve until nobody is left. What goes wrong is told to all who were being served, and work goes on."""
        batch: _Batch | None = None
        while True:
            with self._lock:
                if not (self._waiting or (batch and batch.busy)):
                    self._working = False
                    return
            try:
                batch = batch or _Batch(self.model, self.slots)
                batch.take(self._waiting)
                batch.read()
                batch.step()
            except BaseException as wrong:
                for conversation in batch.all() if batch else self._everybody_waiting():
                    conversation.news.put(wrong)
                batch = None

    def _everybody_waiting(self) -> list[_Conversation]:
        return [self._waiting.popleft() for _ in range(len(self._waiting))]


@dataclass(eq=False)
class _Conversation:
    """One caller's request, the tokens so far, and the way back to the caller."""

    used: list[int]
    sampling: Sampling
    steps: int
    generator: torch.Generator
    stop_ids: frozenset[int]
    alternatives: int
    news: SimpleQueue[Step | BaseException | None] = field(default_factory=SimpleQueue)
    left: bool = False

    def choose(self, logits: Tensor) -> bool:
        """Take the next token by its scores (V) and tell the caller. False at the end, which is told too, as is what
        goes wrong with this conversation alone."""
        try:
            id = self.sampling.choose(logits, self.generator, self.used)
            if id not in self.stop_ids:
                self.news.put(make_step(id, logits, self.alternatives))
                self.used.append(id)
                self.steps -= 1
                if self.steps:
                    return True
        except Exception as wrong:
            self.news.put(wrong)
        self.news.put(None)
        return False


class _Batch:
    """The conversations that go on together, `running[i]` in slot i, and the one whose prompt is being read."""

    def __init__(self, model: LiteLlama, slots: int) -> None:
        self.model = model
        self.decoding = Decoding(model, slots, model.config.max_position_embeddings)
        self.slots = slots
        self.running: list[_Conversation] = []
        self.reading: _Conversation | None = None
        self.cache: KVCache | None = None

    @property
    def busy(self) -> bool:
        return bool(self.running) or self.reading is not None

    def all(self) -> list[_Conversation]:
        return [*self.running, *([self.reading] if self.reading else [])]

    def take(self, waiting: deque[_Conversation]) -> None:
        """Let those go who left, and begin with the next one's prompt if a slot is free."""
        for slot in reversed(range(len(self.running))):
            if self.running[slot].left:
                self._close(slot)
        if self.reading is not None and self.reading.left:
            self.reading = None
        while self.reading is None and waiting and len(self.running) < self.slots:
            conversation = waiting.popleft()
            if not conversation.left:
                self.reading, self.cache = conversation, None

    def read(self) -> None:
        """Read the next part of a prompt. A prompt that can't be read, for want of memory perhaps, is the matter of
        who sent it: the others go on."""
        if self.reading is None:
            return
        try:
            self._read_part(self.reading)
        except Exception as wrong:
            self.reading.news.put(wrong)
            self.reading = None
            if len(self.decoding.lengths) > len(self.running):  # its slot was open already
                self.decoding.close(len(self.running))

    def _read_part(self, conversation: _Conversation) -> None:
        """Behind the last part the conversation takes a slot and its first token."""
        length = len(conversation.used)
        if self.cache is None:
            self.cache = KVCache(self.model.config, 1, length, self.model.dtype, self.model.device)
        ids = conversation.used[self.cache.length : self.cache.length + READ_AT_ONCE]
        logits = _read(self.model, ids, self.cache)
        if self.cache.length == length:
            if conversation.choose(logits):
                self.decoding.fill(self.decoding.open(), self.cache)
                self.running.append(conversation)
            self.reading = None

    def step(self) -> None:
        """One token for each conversation."""
        if not self.running:
            return
        logits = self.decoding.step([conversation.used[-1] for conversation in self.running])
        over = [slot for slot, one in enumerate(self.running) if not one.choose(logits[slot])]
        for slot in reversed(over):
            self._close(slot)

    def _close(self, slot: int) -> None:
        self.decoding.close(slot)
        self.running[slot] = self.running[-1]  # the last one moves here
        del self.running[-1]


@torch.inference_mode()
def _read(model: LiteLlama, ids: list[int], cache: KVCache) -> Tensor:
    return model(torch.tensor([ids], device=model.device), cache=cache, last_only=True).logits[
        0, -1, : model.config.sampled_vocab_size
    ]
