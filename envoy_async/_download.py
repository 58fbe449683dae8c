"""A file on its way here, as values: what a storage's answer means for the bytes that are there already.

The rule: nothing here opens a file or a socket, and no address stands in a value, since whoever holds it can read the
file. Bytes count only where both sides agree on their place: a part must begin where the last one ended, and a whole
must be as large as everybody says who names a size.

Assumptions, because the storage behind the links is not described: it speaks of ranges as RFC 9110 does, or ignores
them; and a recording does not change once it is there. Within one download sizes and strong entity tags are compared.
What an earlier download left is gone on with only where the API says how large the whole is: nothing else tells then
whether the two belong together.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeAlias

import attrs

from ._credentials import Secret
from ._wire import Request
from .errors import InvalidResponseError

FILE = Request(method="GET", template="/calls/{call_id}/recording (the file)", path="")
"""How fetching a recording's file is called in logs and errors; it is no operation of the API, and never sent."""
LARGEST = 16 * 1024**3  # bytes; more is no recording of a phone call
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_NO_RANGE = re.compile(r"bytes \*/([0-9]{1,18})")
_NUMBER = re.compile(r"[0-9]{1,18}")
_STRONG = re.compile(r'"[!#-~]{1,256}"')
_PAGES = re.compile(r"text/.*|application/(.*\+)?(json|xml)")
_WHOLE, _PART, _NO_SUCH_PART = 200, 206, 416


class Sink(Protocol):
    """Where the bytes go."""

    def write(self, data: bytes) -> None:
        """Add these bytes."""
        ...

    def clear(self) -> None:
        """Drop all bytes."""
        ...


@attrs.define(kw_only=True)
class Download:
    """One file in progress: how much is there, and how much there should be."""

    sink: Sink = attrs.field(repr=False)
    size: int = 0
    """Bytes that are there; to begin with those of an earlier download, which are dropped where they cannot belong."""
    expected: int | None = None
    """Bytes of the whole, as the API says."""
    total: int | None = attrs.field(init=False, default=attrs.Factory(lambda self: self.expected, takes_self=True))
    """Bytes of the whole, as far as known."""
    reached: int = attrs.field(init=False, default=0)
    """The most bytes that were there in this download; who starts anew gets no further by that."""
    _tag: str | None = attrs.field(init=False, default=None)
    _end: int | None = attrs.field(init=False, default=None)  # where the answer under way ends

    def __attrs_post_init__(self) -> None:
        if self.size > (self.expected or 0):
            self._restart()
        self.reached = self.size

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return 0 < self.size == self.total

    @property
    def headers(self) -> dict[str, str]:
        """What to ask the storage for."""
        wanted = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if self.size:
            wanted["Range"] = f"bytes={self.size}-"
            if self._tag is not None:
                wanted["If-Range"] = self._tag
        return wanted

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the head of an answer of 200, 206, or 416; when it is whole then, no body is wanted.

        Raises:
            InvalidResponseError: it is not about this file; where it was `cut`, another try may help.
        """
        if status == _NO_SUCH_PART and self.size:
            self._past_the_end(headers)
        elif status == _WHOLE:
            self._check(headers)
            self._from_the_start(headers)
        elif status == _PART and self.size:
            self._check(headers)
            self._go_on(headers)
        else:
            raise InvalidResponseError(f"the storage answered {status} to a question that has no such answer")

    def take(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        if self.size + len(data) > (LARGEST if self._end is None else self._end):
            self._restart()
            raise InvalidResponseError("the storage sent more bytes than there should be")
        self.sink.write(data)
        self.size += len(data)
        self.reached = max(self.reached, self.size)

    def end(self) -> None:
        """Take the end of the body; raises when something is missing."""
        if self.total is None and self._end is None:
            self.total = self.size  # sent in chunks, of which the last one was marked
        if self.total == 0:
            raise InvalidResponseError("the storage has an empty file")
        if not self.whole:
            raise _again("the storage sent only a part of the file")

    def _check(self, headers: Mapping[str, str]) -> None:
        """Refuse what is no recording, such as the page of a portal, or what would have to be unpacked first."""
        kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if _PAGES.fullmatch(kind):
            raise InvalidResponseError("the storage sent a text instead of a recording")
        if headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
            raise InvalidResponseError("the storage sent the file packed, which was not asked for")

    def _from_the_start(self, headers: Mapping[str, str]) -> None:
        length = _NUMBER.fullmatch(headers.get("Content-Length", ""))
        total = None if length is None else int(length[0])
        framed = "chunked" in headers.get("Transfer-Encoding", "").lower()
        if total is None and self.expected is None and not framed:
            raise InvalidResponseError("neither the API nor the storage says how large the file is")
        self._agree(total)
        if self.size:
            self._restart()
        self.total = self._end = self.expected if total is None else total
        self._tag = _strong(headers)

    def _go_on(self, headers: Mapping[str, str]) -> None:
        found = _RANGE.fullmatch(headers.get("Content-Range", ""))
        first, last = (-1, -1) if found is None else (int(found[1]), int(found[2]))
        total = None if found is None or found[3] == "*" else int(found[3])
        if first != self.size or last < first or (total is not None and last >= total):
            raise InvalidResponseError("the storage sent another part of the file than was asked for")
        self._agree(total)
        tag = _strong(headers)
        if total not in {None, self.total or total} or (self._tag is not None and tag not in {None, self._tag}):
            self._restart()
            raise _again("the file changed while it was fetched")
        self.total = self.total or total
        self._tag = self._tag or tag
        self._end = last + 1

    def _past_the_end(self, headers: Mapping[str, str]) -> None:
        found = _NO_RANGE.fullmatch(headers.get("Content-Range", ""))
        if found is None or int(found[1]) != self.size or self.expected is not None:
            self._restart()
            raise _again("what was there already is no part of the file")
        self.total = self.size

    def _agree(self, total: int | None) -> None:
        """Compare what the storage says with what the API said, before anything that is there is touched."""
        if total is not None and self.expected not in {None, total}:
            msg = f"the storage has {total} bytes of this recording, the API says {self.expected}"
            raise InvalidResponseError(msg)
        if total is not None and total > LARGEST:
            raise InvalidResponseError(f"the recording has {total} bytes, and at most {LARGEST} are fetched")

    def _restart(self) -> None:
        self.sink.clear()
        self.size, self.total, self._tag, self._end = 0, self.expected, None, None


def _again(message: str) -> InvalidResponseError:
    error = InvalidResponseError(message)
    error.cut = True
    return error


def _strong(headers: Mapping[str, str]) -> str | None:
    """Return the entity tag if it is one by which bytes can be compared."""
    tag = headers.get("ETag", "").strip()
    return tag if _STRONG.fullmatch(tag) else None


Fetch: TypeAlias = Callable[[Secret, Download], Awaitable[None]]
"""Fetches what is missing of a file from its address; an error leaves what has come so far."""
