"""The requests that one model serves together: the prompt that is being read, and the conversations that go on.

The engine's worker calls `take`, `read` and `step` in turn, for as long as there is anything to do.
"""

from __future__ import annotations

import time
from collections import deque
from queue import SimpleQueue

import torch
from torch import Tensor

from litellama.decoding import Decoding, is_hooked, read_tokens
from litellama.generate import Progress, Step, make_step
from litellama.model import KVCache, LiteLlama
from litellama.sampling import Sampling
from litellama.serving.prefix_cache import PrefixCache, Ticket

READ_AT_ONCE = 128  # tokens of a prompt between two steps of the others, who would wait too long for all of a long one
READ_AT_LEAST = 16
OPERATIONS_AT_ONCE = 2**35  # of a large model fewer tokens, so that a pass takes a second or two on a few cores
SECONDS_UNHEARD = 60.0  # after which a caller that takes no tokens, and never closed its iterator, is held to be gone


class Request:
    """One caller's request, the tokens so far, and the way back to the caller."""

    def __init__(
        self,
        prompt_ids: list[int],
        sampling: Sampling,
        steps: int,
        generator: torch.Generator,
        stop_ids: frozenset[int],
        alternatives: int,
        ticket: Ticket | None,
    ) -> None:
        self.used = prompt_ids
        self.prompt_length = len(prompt_ids)
        self.sampling = sampling
        self.steps = steps
        self.generator = generator
        self.stop_ids = stop_ids
        self.alternatives = alternatives
        self.ticket = ticket
        self.events: SimpleQueue[Step | BaseException | None] = SimpleQueue()
        self.left = False
        self.failed = False
        self.heard = time.monotonic()
        """When the caller asked for an event the last time, by `time.monotonic`."""
        self.waiting = True
        self.read = self.stored = self.last_start = 0
        """Tokens of the prompt read by now, how many of them were stored before, and where the last pass began."""

    @property
    def most_tokens(self) -> int:
        """Tokens that it may have at its end."""
        return len(self.used) + self.steps

    @property
    def gone(self) -> bool:
        """Whether its caller left, or has let a token lie for so long that it must have been dropped."""
        if not self.left and not self.events.empty() and time.monotonic() - self.heard > SECONDS_UNHEARD:
            self.left = True
            self.events.put(
                TimeoutError(f"this reply was given up, as nobody took its tokens for {SECONDS_UNHEARD:g} s")
            )
        return self.left

    def progress(self) -> Progress:
        return Progress(self.read, self.prompt_length, self.stored, self.waiting)

    def fail(self, error: BaseException) -> None:
        """Tell the caller what went wrong. What was read is not stored: it may be wrong as well."""
        self.failed = True
        self.events.put(error)

    def sample(self, logits: Tensor) -> bool:
        """Take the next token by its scores (V) and tell the caller. False at the end, also if it is for something that
        goes wrong with this conversation alone; of that the caller is told."""
        try:
            id = self.sampling.sample(logits, self.generator, self.used)
            if id not in self.stop_ids:
                self.events.put(make_step(id, logits, self.alternatives))
                self.used.append(id)
                self.steps -= 1
                if self.steps:
                    return True
        except Exception as wrong:
            self.fail(wrong)
        return False


class RunningBatch:
    """The conversations that go on together, `running[i]` in slot i, and the one whose prompt is being read."""

    def __init__(self, model: LiteLlama, slots: int, most_tokens: int, prefixes: PrefixCache) -> None:
        self.model = model
        self.prefixes = prefixes
        self.read_at_once = _read_at_once(model)
        self.decoding, self.slots = _decoding(model, slots)
        self.most_tokens = most_tokens
        self.running: list[Request] = []
        self.reading: Request | None = None
        self.cache: KVCache | None = None

    @property
    def busy(self) -> bool:
        return bool(self.running) or self.reading is not None

    def all(self) -> list[Request]:
        return [*self.running, *([self.reading] if self.reading else [])]

    def take(self, waiting: deque[Request]) -> None:
        """Let those go who left, and begin with the next one's prompt if a slot is free."""
        for slot in reversed(range(len(self.running))):
            if self.running[slot].gone:
                self._close(slot)
        if self.reading is not None and self.reading.left:
            self._end(self.reading, self.cache)
            self.reading = self.cache = None
        while self.reading is None and waiting and self._has_room(waiting[0]):
            conversation = waiting.popleft()
            if not conversation.left:
                self.reading, self.cache = conversation, None

    def _has_room(self, conversation: Request) -> bool:
        """Whether there is a slot, and memory for all that those who go on may still write; alone, one always may."""
        tokens = sum(one.most_tokens for one in (*self.running, conversation))
        return not self.running or (len(self.running) < self.slots and tokens <= self.most_tokens)

    def read(self) -> None:
        """Read the next part of a prompt. A prompt that can't be read, for want of memory perhaps, is the matter of
        who sent it: the others go on."""
        if self.reading is None:
            return
        try:
            self._read_part(self.reading)
        except Exception as wrong:
            self.reading.fail(wrong)
            self.reading = self.cache = None
            if len(self.decoding.lengths) > len(self.running):  # its slot was open already
                self.decoding.close(len(self.running))

    def _read_part(self, conversation: Request) -> None:
        """After the last part the conversation takes a slot and its first token."""
        if self.cache is None:
            self.cache = self._begin(conversation)
        start = conversation.last_start = self.cache.length
        logits = read_tokens(self.model, conversation.used[start : start + self.read_at_once], self.cache)
        conversation.read = self.cache.length
        if self.cache.length < conversation.prompt_length:
            return
        if conversation.sample(logits):
            self.decoding.fill(self.decoding.open(), self.cache)
            self.running.append(conversation)
        else:
            self._end(conversation, self.cache)
        self.reading = self.cache = None

    @torch.inference_mode()
    def _begin(self, conversation: Request) -> KVCache:
        """A cache for a prompt, with what is stored of its beginning."""
        cache = KVCache(self.model.config, 1, conversation.prompt_length, self.model.dtype, self.model.device)
        found = None
        if conversation.ticket is not None and not is_hooked(self.model):
            found = self.prefixes.find(conversation.ticket, conversation.used)
        if found is not None:
            stored, length = found
            cache.keys[:, 0, :, :length] = stored.keys[:, :, :length]
            cache.values[:, 0, :, :length] = stored.values[:, :, :length]
            cache.length = conversation.read = conversation.stored = length
        conversation.waiting = False
        return cache

    def _end(self, conversation: Request, cache: KVCache | None) -> None:
        """Store what was read of a conversation that leaves, alone in `cache`, for its next turn; then tell its caller.

        Not while somebody looks on or interferes: with hooks, keys and values are others.
        """
        hooked = self.decoding.hooked or is_hooked(self.model)
        if cache is not None and conversation.ticket is not None and not conversation.failed and not hooked:
            self._store(conversation, conversation.ticket, cache)
        conversation.events.put(None)

    def _store(self, conversation: Request, ticket: Ticket, cache: KVCache) -> None:
        end = cache.length
        keys, values = cache.keys[:, 0, :, :end], cache.values[:, 0, :, :end]
        try:
            self.prefixes.store(
                ticket, conversation.used[:end], keys, values, min(conversation.prompt_length, end),
                conversation.last_start,
            )  # fmt: skip
        except (MemoryError, RuntimeError):  # no memory for the copy: then the next turn reads all of it anew
            self.prefixes.clear()

    def step(self) -> None:
        """One token for each conversation."""
        if not self.running:
            return
        logits = self.decoding.step([conversation.used[-1] for conversation in self.running])
        over = [slot for slot, one in enumerate(self.running) if not one.sample(logits[slot])]
        for slot in reversed(over):
            self._close(slot)

    def _close(self, slot: int) -> None:
        self._end(self.running[slot], self.decoding.cache.row(slot, self.decoding.lengths[slot]))
        self.decoding.close(slot)
        self.running[slot] = self.running[-1]  # the last one moves here
        del self.running[-1]


def _decoding(model: LiteLlama, slots: int) -> tuple[Decoding, int]:
    """Decoding with `slots`, or as many as the machine lets a process have: some promise no memory beyond their own."""
    while True:
        try:
            return Decoding(model, slots, model.config.max_position_embeddings), slots
        except MemoryError:
            if slots == 1:
                raise
            slots //= 2


def _read_at_once(model: LiteLlama) -> int:
    """How many tokens of a prompt are read in one pass. It depends on the model alone, never on the moment: the same
    prompt must be read in the same parts to give the same bits."""
    if model.device.type != "cpu":
        return READ_AT_ONCE
    fitting = OPERATIONS_AT_ONCE // model.config.num_parameters
    return min(READ_AT_ONCE, max(READ_AT_LEAST, fitting))
