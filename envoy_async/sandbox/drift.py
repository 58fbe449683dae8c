"""Rows that come and go while somebody pages: what makes plain paging lose and repeat rows.

A drift is called with the store and the number of the listing request (from 1), right before its answer is cut.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeAlias

from .store import Store

Drift: TypeAlias = Callable[[Store, int], None]


class RandomDrift:
    """Insert and delete a few calls at random; never deletes one that came after the start.

    So what a complete listing must hold is easy to say: every call of the start that is not in ``store.deleted``.
    """

    def __init__(self, *, seed: int = 0, inserts: int = 3, deletes: int = 3, probability: float = 0.3) -> None:
        """Allow up to `inserts` and `deletes` per listing request, each of them with `probability`."""
        self._rng = Random(seed)  # noqa: S311 - repeatable on purpose
        self._inserts = inserts
        self._deletes = deletes
        self._probability = probability

    def __call__(self, store: Store, n: int) -> None:  # noqa: ARG002 - part of the agreed signature
        """Change the store before one listing request is answered."""
        for _ in range(self._hits(self._inserts)):
            store.insert_call()
        late = set(store.inserted)
        early = [call_id for call_id in store.calls if call_id not in late]
        for call_id in self._rng.sample(early, min(len(early), self._hits(self._deletes))):
            store.delete_call(call_id)

    def _hits(self, tries: int) -> int:
        """Count how many of `tries` come true."""
        return sum(self._rng.random() < self._probability for _ in range(tries))
