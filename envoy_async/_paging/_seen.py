"""Which records were delivered: the latest ids, and of a resumed listing their digests.

The rule: memory is bounded. Rows move by little between two pages, so the latest ids suffice; `whole` says whether
they are all there were. Ids come and go by the page, so that a page costs a few steps and no step for each record. A
digest is made when a checkpoint asks for it, once for each id.
"""

from __future__ import annotations

from collections import deque
from hashlib import blake2b
from itertools import chain, islice
from typing import Protocol, TypeVar

REMEMBERED = 10_000  # ids in memory
_KEPT = 5_500  # digests in a checkpoint, which has to fit into 64 KiB
DIGEST = 8  # bytes of one


class Record(Protocol):
    """Anything a listing can hold: it has an id."""

    @property
    def id(self) -> str:
        """The record's id, unique within the listing."""
        ...


T = TypeVar("T", bound=Record)


class Seen:
    """The ids of the latest pages, so many that at least the last *most* are among them; `None` for all."""

    def __init__(self, most: int | None = REMEMBERED) -> None:
        self.whole = True
        self._most = most
        self._ids: set[str] = set()
        self._pages: deque[list[str]] = deque()  # the same ids, in their order
        self._asked: tuple[object, list[str]] = (), []  # the items last asked about, and their ids
        self._earlier: frozenset[bytes] = frozenset()  # digests, of a resumed listing
        self._digests = bytearray()  # of the latest ids but those that were not handed out
        self._added = self._digested = 0

    def __contains__(self, id: str) -> bool:
        return id in self._ids or (bool(self._earlier) and digest(id) in self._earlier)

    def __len__(self) -> int:
        return len(self._ids) + len(self._earlier)

    def fresh(self, items: tuple[T, ...]) -> tuple[T, ...]:
        """Give the items that were not seen, each once, in their order."""
        ids = [item.id for item in items]
        self._asked = items, ids
        if not self._earlier and len(set(ids)) == len(ids) and self._ids.isdisjoint(ids):
            return items  # nearly always
        return tuple({item.id: item for item in items if item.id not in self}.values())

    def add(self, items: tuple[T, ...]) -> None:
        """Remember items, which are fresh."""
        ids = self._asked[1] if items is self._asked[0] else [item.id for item in items]
        self._ids.update(ids)
        self._pages.append(ids)
        self._added += len(ids)
        while self._most is not None and len(self._ids) - len(self._pages[0]) >= self._most:
            self._ids.difference_update(self._pages.popleft())
            self.whole = False
        if self._earlier and self._added > REMEMBERED:
            self._earlier, self.whole = frozenset(), False

    def ids(self) -> frozenset[str]:
        """Give the ids in memory."""
        return frozenset(self._ids)

    def digests(self, held: int) -> bytes:
        """Give the digests of the latest ids, without the last *held*, which were not handed out."""
        new = self._added - held - self._digested
        latest = chain.from_iterable(map(reversed, reversed(self._pages)))
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
