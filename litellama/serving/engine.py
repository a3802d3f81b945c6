"""Many conversations on one model: one worker, one batch, a slot for each (continuous batching; Yu et al. 2022, Orca).

A thread for each conversation would read all weights for each new token of each conversation, and the threads would be
in one another's way. Here one worker makes the next token of all conversations in one step. A new one joins between two
steps, as soon as its prompt is read; one that is over, or that nobody listens to any more, leaves at once.

What a conversation has read is stored when it leaves (`prefix_cache`), and its next turn reads only what is new. The
sums are the same in another order: the prompt was read in other parts, and replies token by token. So probabilities
agree with those of reading anew within rounding (1e-4 in float32 is held by a test), and a greedy reply is another one
only where two tokens are as likely as each other to that precision.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Collection, Generator, Hashable, Iterator, Sequence
from contextlib import closing
from functools import partial
from queue import Empty

import torch

from litellama.checkpoint.memory import free_memory
from litellama.generate import Progress, Step, check_request
from litellama.model import LiteLlama
from litellama.sampling import Sampling
from litellama.serving.batch import Request, RunningBatch
from litellama.serving.prefix_cache import MOST_BYTES, PrefixCache

SLOTS = 40
MOST_CACHE_BYTES = 2 * 2**30  # of keys and values together; on a CPU memory is only taken as slots are filled
SECONDS_OF_SILENCE = 0.25  # after which a caller is told how far its prompt is

Events = Generator[Step | Progress, None, None]


class Engine:
    """One model for many users. Safe to be used by many threads; without work it holds no thread, and no memory but
    what `forget` erases.

    `slots` conversations go on at once, fewer if their prompts and the longest replies that they asked for would not
    fit into `MOST_CACHE_BYTES`; others wait their turn. The model's weights must stay as they are: what was read with
    others would be wrong. `stored_bytes` is the most that is stored of texts already read.
    """

    def __init__(self, model: LiteLlama, slots: int = SLOTS, stored_bytes: int = MOST_BYTES) -> None:
        config = model.config
        tokens = config.num_hidden_layers * config.num_key_value_heads * config.head_dim * 2  # numbers of one token
        self.most_tokens = MOST_CACHE_BYTES // (tokens * model.dtype.itemsize)
        """Of all conversations together."""
        if model.device.type != "cpu":  # where memory is taken for whole slots at once
            slots = max(1, min(slots, self.most_tokens // config.max_position_embeddings))
        self.model = model
        self.slots = slots
        self._waiting: deque[Request] = deque()
        self._lock = threading.Lock()
        self._working = False
        self._prefixes = PrefixCache(stored_bytes, partial(free_memory, model.device))

    @property
    def stored_bytes(self) -> int:
        """Bytes of what is stored of texts already read."""
        return self._prefixes.nbytes

    def generate(
        self,
        prompt_ids: Sequence[int],
        *,
        sampling: Sampling,
        max_new_tokens: int,
        seed: int,
        stop_ids: Collection[int] = (),
        alternatives: int = 0,
        owner: Hashable = None,
    ) -> Iterator[Step]:
        """As `litellama.generate.generate` for this model, with the same tokens, together with whoever else asks.

        Closing the iterator frees the slot before the next step. What is read for an `owner` is stored until `forget`,
        and a later prompt of the same owner that begins with it reads only the rest; without an owner nothing is.
        """
        events = self.follow(
            prompt_ids, sampling=sampling, max_new_tokens=max_new_tokens, seed=seed, stop_ids=stop_ids,
            alternatives=alternatives, owner=owner,
        )  # fmt: skip
        return _steps(events)

    def follow(
        self,
        prompt_ids: Sequence[int],
        *,
        sampling: Sampling,
        max_new_tokens: int,
        seed: int,
        stop_ids: Collection[int] = (),
        alternatives: int = 0,
        owner: Hashable = None,
    ) -> Events:
        """As `generate`, and a `Progress` four times a second while no token comes, so that a caller can say how far it
        is, or close the iterator. One comes in any case before the first step, and says how much was stored."""
        check_request(self.model, prompt_ids, max_new_tokens, seed)
        room = self.model.config.max_position_embeddings - len(prompt_ids)
        conversation = Request(
            list(prompt_ids), sampling, min(max_new_tokens, room), torch.Generator().manual_seed(seed),
            frozenset(stop_ids), alternatives, None if owner is None else self._prefixes.ticket(owner),
        )  # fmt: skip
        return self._listen(conversation)

    def forget(self, owner: Hashable) -> None:
        """Erase what is stored for `owner`, also what a reply under way would store."""
        self._prefixes.forget(owner)

    def forget_all(self) -> None:
        """Give up all that is stored, for the sake of its memory."""
        self._prefixes.clear()

    def store_no_more(self) -> None:
        """Give up all that is stored, for good."""
        self._prefixes.close()

    def _listen(self, conversation: Request) -> Events:
        if not conversation.steps:
            return
        self._enter(conversation)
        begun = False
        try:
            while True:
                conversation.heard = time.monotonic()
                try:
                    event = conversation.events.get(timeout=SECONDS_OF_SILENCE)
                except Empty:
                    yield conversation.progress()
                    continue
                if event is None:
                    return
                if isinstance(event, BaseException):
                    raise event
                if not begun:
                    begun = True
                    yield conversation.progress()
                yield event
        finally:
            conversation.left = True  # guard: closed-page

    def _enter(self, conversation: Request) -> None:
        """Let a conversation wait for its slot, and see to it that somebody works."""
        with self._lock:
            if not self._working:  # a machine may have no memory for one more thread: then nobody waits in vain
                threading.Thread(target=self._work, name="litellama-engine", daemon=True).start()
                self._working = True
            self._waiting.append(conversation)

    def _work(self) -> None:
        """Serve until nobody is left. What goes wrong is told to all who were being served, and work goes on."""
        batch: RunningBatch | None = None
        while True:
            with self._lock:
                if not (self._waiting or (batch and batch.busy)):
                    self._working = False
                    return
            try:
                batch = batch or RunningBatch(self.model, self.slots, self.most_tokens, self._prefixes)
                batch.take(self._waiting)
                batch.read()
                batch.step()
            except BaseException as wrong:
                for conversation in batch.all() if batch else self._everybody_waiting():
                    conversation.fail(wrong)
                batch = None

    def _everybody_waiting(self) -> list[Request]:
        return [self._waiting.popleft() for _ in range(len(self._waiting))]


def _steps(events: Events) -> Iterator[Step]:
    """The steps alone. Closing this closes `events`, whatever else still holds them."""
    with closing(events):
        for event in events:
            if isinstance(event, Step):
                yield event
