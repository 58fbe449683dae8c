"""The secrets of an endpoint, and until when each is in force.

The rule: a key leaves the ring for a comparison, and comes up nowhere else: no repr, no pickle, no error shows one.
"""

from __future__ import annotations

import hmac
import logging
import math
import time
from binascii import b2a_base64
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TypeAlias, cast

import attrs

from .._signing import STANDARD, Scheme
from ..errors import ConfigurationError

End: TypeAlias = datetime | float | None
_Given: TypeAlias = str | Sequence[object]  # callers need not type-check
RETIREMENT = 86_400.0  # seconds an old secret goes on signing after a rotation (seen)
_SHORTEST = 24  # bytes, as Standard Webhooks asks for
_log = logging.getLogger("envoy_async.webhooks")


@attrs.frozen
class _Held:
    mac: hmac.HMAC
    """Of no text yet, so that a delivery costs the text alone; its key cannot be had from it."""
    not_after: float

    def is_as(self, other: _Held) -> bool:
        """Whether both have the same key."""
        return hmac.compare_digest(self.mac.digest(), other.mac.digest())


class SecretRing:
    """The secrets that deliveries may be signed with, each with its end; the current one has none.

    Hold one ring for an endpoint and give it to its verifier: what `rotate` changes holds from the next delivery on.
    A ring is not pickled.

    Args:
        secrets: one secret, or several, newest first; one with its end is a pair `(secret, not_after)`, the end being
            Unix seconds or a datetime with a zone, `None` for no end.
        scheme: how deliveries are signed, and how secrets are read (inferred).
        clock: what tells now, in Unix seconds.

    Raises:
        ConfigurationError: there is no secret, or one cannot be read so.
    """

    def __init__(
        self,
        secrets: str | Iterable[str | tuple[str, End]],
        *,
        scheme: Scheme = STANDARD,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._held: tuple[_Held, ...] = ()  # for a repr of what fails below
        held = [_held(scheme, each) for each in _listed(secrets)]
        del secrets  # what fails below may be printed with its local variables
        if not held:
            raise ConfigurationError("a webhook needs at least one secret, whsec_…")
        self.scheme = scheme
        self._clock = clock
        self._held = tuple(map(_readable, held))

    def rotate(self, new: str, *, overlap: float = RETIREMENT) -> None:
        """Put a new secret in front. The former ones end *overlap* seconds from now, unless they end earlier.

        Rotating to the secret that is in front already is no second rotation, but ends the others that soon.

        Raises:
            ConfigurationError: the secret cannot be read.
        """
        now = self._clock()
        held = _held(self.scheme, new)
        del new  # the same
        first = _readable(held)
        ends = now + overlap
        old = (attrs.evolve(held, not_after=min(ends, held.not_after)) for held in self._held)
        self._held = (first, *(held for held in old if held.not_after > now and not held.is_as(first)))

    def seals(self, content: bytes, now: float, tolerance: float) -> list[bytes]:
        """Return what each secret makes of a text, in base64, those left out whose end is more than *tolerance* ago."""
        macs = [held.mac.copy() for held in self._held if now <= held.not_after + tolerance]
        for mac in macs:
            mac.update(content)
        return [b2a_base64(mac.digest(), newline=False) for mac in macs]

    def __len__(self) -> int:
        """Count the secrets, also those past their end."""
        return len(self._held)

    def __repr__(self) -> str:
        return f"SecretRing({len(self)} secrets)"

    def __reduce__(self) -> tuple[object, ...]:
        """Refuse to be pickled: a secret does not travel."""
        raise TypeError("secrets are not pickled; make the ring where it is used")


def _listed(secrets: object) -> Iterable[_Given]:
    """List what was given; what is no list is one secret, or none that can be read."""
    if isinstance(secrets, str | bytes) or not isinstance(secrets, Iterable):
        secrets = [secrets]
    return cast("Iterable[_Given]", secrets)


def _held(scheme: Scheme, given: _Given) -> _Held | str:
    """Read a secret with its end, or say why not: an error raised from here would keep the secret in its frame."""
    match given:
        case str() as secret:
            end: object = None
        case (str() as secret, end):
            pass
        case _:
            return "a secret is a text, or a pair of a text and its end"
    try:
        key, not_after = scheme.key(secret), _seconds(end)
    except (ValueError, OverflowError) as error:
        return str(error)
    if len(key) < _SHORTEST:
        _log.warning("a webhook secret has %d bytes; Standard Webhooks asks for %d", len(key), _SHORTEST)
    return _Held(hmac.new(key, None, scheme.digest), not_after)


def _readable(held: _Held | str) -> _Held:
    if isinstance(held, str):
        raise ConfigurationError(f"{held}; take it as the API shows it, whsec_…")
    return held


def _seconds(end: object) -> float:
    if end is None:
        return math.inf
    if isinstance(end, datetime) and end.utcoffset() is not None:
        return end.timestamp()
    if isinstance(end, int | float):
        return float(end)
    raise ValueError("the end of a secret is neither Unix seconds nor a datetime with a zone")
