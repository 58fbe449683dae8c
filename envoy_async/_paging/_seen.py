"""Which records were delivered: the latest ids, and of a resumed listing their digests.

The rule: memory is bounded, and stays what it is once it is full. Rows move by little between two pages, so the latest
ids suffice; `whole` says whether they are all there were. Ids come by the page and go by the quarter, so that no step
of Python is taken for a single one. A digest is made when a checkpoint asks for it, once for each id.
"""

from __future__ import annotations

import math
from collections import deque
from hashlib import blake2b
from itertools import chain, islice
from typing import Protocol, TypeVar

REMEMBERED = 10_000  # ids in memory
_KEPT = 5_500  # digests in a checkpoint, which has to fit into 64 KiB
DIGEST = 8  # bytes of one
_PARTS = 4  # sets that the ids in memory fill


class Record(Protocol):
    """Anything a listing can hold: it has an id."""

    @property
    def id(self) -> str:
        """The record's id, unique within the listing."""
        ...


T = TypeVar("T", bound=Record)


class _Part:
    """Some ids, for looking them up and in their order."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.order: list[str] = []

    def take(self, ids: list[str]) -> bool:
        """Take ids in if there are no two of one, and none was there; says whether it was so."""
        together = len(self.known) + len(ids)
        self.known.update(ids)
        if len(self.known) < together:  # hardly ever, so nobody looks before
            self.known = set(self.order)
            return False
        self.order += ids
        return True


class Seen:
    """The ids of the latest records: of *most* while there are no more, later of three quarters of them at least.

    They are forgotten a quarter at a time. To take single ids out of a set costs as much as to put them in, and their
    places stay taken until the set has grown to four times its size.
    """

    def __init__(self, most: int | None = REMEMBERED) -> None:
        self.whole = True
        self._size = math.inf if most is None else most / _PARTS
        self._parts: deque[_Part] = deque([_Part()])
        self._earlier: frozenset[bytes] = frozenset()  # digests, of a resumed listing
        self._digests = bytearray()  # of the latest ids but those that were not handed out
        self._added = self._digested = 0

    def __contains__(self, id: str) -> bool:
        known = any(id in part.known for part in self._parts)
        return known or (bool(self._earlier) and digest(id) in self._earlier)

    def __len__(self) -> int:
        return sum(len(part.order) for part in self._parts) + len(self._earlier)

    def fresh(self, items: tuple[T, ...]) -> tuple[T, ...]:
        """Give the items that were not seen, each once, in their order."""
        return tuple({item.id: item for item in items if item.id not in self}.values())

    def take(self, items: tuple[T, ...]) -> bool:
        """Remember items if all of them are fresh, and none of them otherwise; says which."""
        if self._earlier:
            return False  # the long way looks at digests, too
        ids, latest = [item.id for item in items], self._latest()
        for part in self._parts:
            if part is not latest and not part.known.isdisjoint(ids):
                return False
        if not latest.take(ids):
            return False
        self._took(ids)
        return True

    def add(self, items: tuple[T, ...]) -> None:
        """Remember items, which are fresh."""
        ids = [item.id for item in items]
        self._latest().take(ids)
        self._took(ids)

    def _latest(self) -> _Part:
        """Give the part that has room."""
        if len(self._parts[-1].order) >= self._size:
            self._parts.append(_Part())
        return self._parts[-1]

    def _took(self, ids: list[str]) -> None:
        """Count, and forget what there is no room for."""
        self._added += len(ids)
        if len(self._parts) > _PARTS:
            self._parts.popleft()
            self.whole = False
        if self._earlier and self._added > REMEMBERED:
            self._earlier, self.whole = frozenset(), False

    def keep(self) -> None:
        """Forget nothing from now on."""
        self._size = math.inf

    def ids(self) -> frozenset[str]:
        """Give the ids in memory."""
        return frozenset[str]().union(*(part.known for part in self._parts))

    def digests(self, held: int) -> bytes:
        """Give the digests of the latest ids, without the last *held*, which were not handed out."""
        new = self._added - held - self._digested
        latest = chain.from_iterable(reversed(part.order) for part in reversed(self._parts))
        ids = islice(latest, held, held + max(0, new))
        self._digests += b"".join(reversed([digest(id) for id in ids]))
        self._digested += max(0, new)
        del self._digests[: -_KEPT * DIGEST]
        return bytes(self._digests)

    @property
    def fits(self) -> bool:
        """Whether a checkpoint holds all that is remembered, and that is all there was."""
        return self.whole and len(self._earlier) + self._added <= _KEPT

    def restore(self, digests: bytes, *, whole: bool) -> None:
        """Go on after a checkpoint."""
        self._digests[:] = digests
        self._earlier = frozenset(digests[at : at + DIGEST] for at in range(0, len(digests), DIGEST))
        self.whole = whole


def digest(what: str | bytes) -> bytes:
    """Give 64 bits that stand for an id, or for a record that could not be read."""
    what = what.encode(errors="surrogatepass") if isinstance(what, str) else what
    return blake2b(what, digest_size=DIGEST, person=b"envoy-listing").digest()
