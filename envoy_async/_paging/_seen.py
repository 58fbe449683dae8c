"""Which records were delivered: the latest ids, and of a resumed listing their digests.

The rule: memory is bounded. Rows move by little between two pages, so the latest ids suffice; `whole` says whether
they are all there were. A digest is made when a checkpoint asks for it, once for each id.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable
from hashlib import blake2b
from itertools import islice
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
    """The ids of the latest records, at most *most* of them; `None` for all."""

    def __init__(self, most: int | None = REMEMBERED) -> None:
        self.whole = True
        self._most = most
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._earlier: frozenset[bytes] = frozenset()  # digests, of a resumed listing
        self._digests = bytearray()  # of the latest ids but those that were not handed out
        self._added = self._digested = 0

    def __contains__(self, id: str) -> bool:
        return id in self._ids or (bool(self._earlier) and digest(id) in self._earlier)

    def __len__(self) -> int:
        return len(self._ids) + len(self._earlier)

    def fresh(self, items: Iterable[T]) -> tuple[T, ...]:
        """Give the items that were not seen, each once, in their order."""
        known = self if self._earlier else self._ids
        return tuple({item.id: item for item in items if item.id not in known}.values())

    def add(self, items: Collection[Record]) -> None:
        """Remember items, which are fresh."""
        self._ids.update({item.id: None for item in items})
        self._added += len(items)
        while self._most is not None and len(self._ids) > self._most:
            self._ids.popitem(last=False)
            self.whole = False
        if self._earlier and self._added > REMEMBERED:
            self._earlier, self.whole = frozenset(), False

    def ids(self) -> frozenset[str]:
        """Give the ids in memory."""
        return frozenset(self._ids)

    def digests(self, held: int) -> bytes:
        """Give the digests of the latest ids, without the last *held*, which were not handed out."""
        new = self._added - held - self._digested
        ids = islice(reversed(self._ids), held, held + max(0, new))
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
