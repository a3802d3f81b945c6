"""Keys and values of texts already read, by owner, so that the next turn of a conversation reads only what is new.

    stored     [system, question 1, reply 1]               keys and values of each token
    prompt     [system, question 1, reply 1, question 2]   the stored part is copied, `question 2` is read

A token's keys and values depend on the tokens before it and on nothing after it, so those of a text's first n tokens
serve every prompt that begins with the same n ("prefix caching" in vLLM and llama.cpp). Here they serve their owner's
prompts alone: in a class, the time to a pupil's first token must not tell what another pupil has written.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from weakref import WeakValueDictionary

import torch
from torch import Tensor

SHORTEST_PREFIX = 8  # tokens; fewer are read as quickly as they are looked up
MOST_BYTES = 2**30  # of all that is stored for one model
SHARE_OF_FREE = 0.25  # of the memory that would be free if nothing were stored; a large model's texts are gigabytes


@dataclass(frozen=True)
class StoredPrefix:
    """The tokens that were read, and keys and values of each, (layers, G, T, D).

    The first `prompt_length` of them were a prompt, whose last part was read in one pass from `last_start` on.
    """

    ids: tuple[int, ...]
    keys: Tensor
    values: Tensor
    prompt_length: int
    last_start: int

    @property
    def nbytes(self) -> int:
        return self.keys.nbytes + self.values.nbytes

    def usable(self, prompt_ids: Sequence[int]) -> int:
        """How many of a prompt's first tokens needn't be read again; always fewer than all, for there must be logits.

        The same prompt once more ("Try again") is read from where its last pass began: the same sums in the same order,
        so that the same seed gives the same reply to the last bit, in 16 bits as well.
        """
        if tuple(prompt_ids) == self.ids[: self.prompt_length]:
            return self.last_start
        most = min(len(self.ids), len(prompt_ids) - 1)
        return next((i for i in range(most) if self.ids[i] != prompt_ids[i]), most)


class Ticket:
    """An owner's right to store, until the owner is forgotten."""

    def __init__(self) -> None:
        self.valid = True


class PrefixCache:
    """One stored text for each owner, the latest; the least recently used are given up first.

    Safe to be used by many threads. `free_bytes` says how much memory is free, None if nobody can say.
    """

    def __init__(self, max_bytes: int, free_bytes: Callable[[], int | None]) -> None:
        self.max_bytes = max_bytes
        self._free_bytes = free_bytes
        self._stored: OrderedDict[Ticket, StoredPrefix] = OrderedDict()  # the least recently used in front
        self._tickets: WeakValueDictionary[Hashable, Ticket] = WeakValueDictionary()
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes of all that is stored."""
        with self._lock:
            return self._used()

    def ticket(self, owner: Hashable) -> Ticket:
        """The right of `owner` to find and to store, which ends with `forget`."""
        with self._lock:
            ticket = self._tickets.get(owner)
            if ticket is None:
                ticket = self._tickets[owner] = Ticket()
            return ticket

    def find(self, ticket: Ticket, prompt_ids: Sequence[int]) -> tuple[StoredPrefix, int] | None:
        """The owner's text, and how many of its tokens begin `prompt_ids`; None if these are too few to be of use."""
        with self._lock:
            stored = self._stored.get(ticket)
            if stored is None:
                return None
            self._stored.move_to_end(ticket)
        length = stored.usable(prompt_ids)
        return (stored, length) if length >= SHORTEST_PREFIX else None

    @torch.inference_mode()
    def store(
        self, ticket: Ticket, ids: Sequence[int], keys: Tensor, values: Tensor, prompt_length: int, last_start: int
    ) -> None:
        """Copy a text's keys and values (layers, G, T, D) in place of what the owner had stored.

        Nothing is stored for who was forgotten, nor what is larger than the bound.
        """
        with self._lock:
            if not ticket.valid:
                return
            self._stored.pop(ticket, None)
            size = keys.nbytes + values.nbytes
            limit = self._limit()
            if size > limit:
                return
            while self._used() + size > limit:
                self._stored.popitem(last=False)
            keys, values = (part.clone(memory_format=torch.contiguous_format) for part in (keys, values))
            self._stored[ticket] = StoredPrefix(tuple(ids), keys, values, prompt_length, last_start)

    def forget(self, owner: Hashable) -> None:
        """Erase what is stored for `owner`; what is being read for it now won't be stored either."""
        with self._lock:
            ticket = self._tickets.pop(owner, None)
            if ticket is not None:
                ticket.valid = False
                self._stored.pop(ticket, None)

    def clear(self) -> None:
        """Give up all that is stored; it is read anew when it is needed."""
        with self._lock:
            self._stored.clear()

    def close(self) -> None:
        """Give up all that is stored, and store nothing any more."""
        with self._lock:
            self.max_bytes = 0
            self._stored.clear()

    def _used(self) -> int:
        return sum(stored.nbytes for stored in self._stored.values())

    def _limit(self) -> int:
        free = self._free_bytes()
        return self.max_bytes if free is None else min(self.max_bytes, int(SHARE_OF_FREE * (free + self._used())))
