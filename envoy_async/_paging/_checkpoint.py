"""A position written down: JSON, of at most 64 KiB, bound to one listing.

The rule: a checkpoint holds where the listing stood and digests of the latest ids, no record and no secret. What it
is bound to (filters, organization, account) is in it as a digest. Whatever is wrong with it is a
`CheckpointMismatchError`, before anything is sent.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from hashlib import blake2b
from typing import cast

import attrs

from .._wire import Request
from ..errors import CheckpointMismatchError
from ._route import State

_VERSION = 1
_LARGEST = 64 * 1024  # characters


@attrs.frozen(eq=False, repr=False)
class Saved:
    """What a checkpoint holds besides what it is bound to."""

    route: Mapping[str, object]
    counts: Mapping[str, object]
    digests: bytes
    whole: bool


@attrs.frozen
class Binding:
    """The listing a checkpoint belongs to."""

    operation: str
    filters: str
    scope: str
    strategy: str | None

    @classmethod
    def of(cls, request: Request, page: int = 1, scope: str = "", strategy: str | None = None) -> Binding:
        """Bind to what a request asks for, from which page on, and to who asks."""
        kept = sorted(f"{name}={value}" for name, value in request.query if name not in {"page", "page_size"})
        return cls(request.operation, _digest(request.path, str(page), *kept), scope, strategy)

    def write(self, route: State, counts: State, digests: bytes, *, whole: bool) -> str:
        """Write a checkpoint."""
        bound = attrs.asdict(self)
        seen = b64encode(digests).decode()
        told = {"version": _VERSION, **bound, "route": route, "counts": counts, "whole": whole, "seen": seen}
        return _dumped({**told, "check": _digest(_dumped(told))})

    def read(self, text: str) -> Saved:
        """Read a checkpoint; raises `CheckpointMismatchError` for that of another listing, or what is none."""
        told = _parsed(text)
        if told.get("version") != _VERSION:
            raise CheckpointMismatchError("the checkpoint was written by another version of the SDK")
        for name, ours in attrs.asdict(self).items():
            if told.get(name) != ours:
                wrong = {"scope": "organization, account, or server", "filters": "set of filters"}.get(name, name)
                raise CheckpointMismatchError(f"the checkpoint is of another {wrong} than this listing")
        if told.get("check") != _digest(_dumped({name: value for name, value in told.items() if name != "check"})):
            raise damaged()
        try:
            digests = b64decode(str(told["seen"]), validate=True)
            return Saved(_mapping(told["route"]), _mapping(told["counts"]), digests, told["whole"] is True)
        except (KeyError, ValueError):
            raise damaged() from None


def damaged() -> CheckpointMismatchError:
    """Make the error for what is no checkpoint."""
    return CheckpointMismatchError("this is no checkpoint of a listing, or it was damaged")


def _dumped(told: Mapping[str, object]) -> str:
    return json.dumps(told, separators=(",", ":"))


def _parsed(text: object) -> Mapping[str, object]:
    if isinstance(text, str) and len(text) <= _LARGEST:
        try:
            return _mapping(json.loads(text))
        except (ValueError, RecursionError):
            pass
    raise damaged()


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ValueError  # noqa: TRY004 - one kind of damage like the others
    return cast("Mapping[str, object]", value)


def _digest(*texts: str) -> str:
    return blake2b("\n".join(texts).encode(errors="surrogatepass"), digest_size=16).hexdigest()
