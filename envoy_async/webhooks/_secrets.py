"""The secrets of an endpoint, and until when each is in force.

The rule: a key leaves the ring for a comparison, and comes up nowhere else: no repr, no pickle, no error shows one.
"""

from __future__ import annotations

import hmac
import logging
import math
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TypeAlias

import attrs

from .._signing import Scheme, SecretEncoding, key_of
from ..errors import ConfigurationError

End: TypeAlias = datetime | float | None
RETIREMENT = 86_400.0  # seconds an old secret goes on signing after a rotation (seen)
_SHORTEST = 24  # bytes, as Standard Webhooks asks for
_log = logging.getLogger("envoy_async.webhooks")


@attrs.frozen
class _Held:
    key: bytes = attrs.field(repr=False)
    not_after: float


class SecretRing:
    """The secrets that deliveries may be signed with, each with its end; the current one has none.

    Hold one ring for an endpoint and give it to its verifier: what `rotate` changes holds from the next delivery on.
    A ring is not pickled.

    Args:
        secrets: one secret, or several, newest first; one with its end is a pair `(secret, not_after)`, the end being
            Unix seconds or a datetime with a zone, `None` for no end.
        encoding: whether what follows `whsec_` is the `base64` of the key, or as `text` the key itself. Which of them
            the vendor means is not known; base64 is what Standard Webhooks says (inferred).
        clock: what tells now, in Unix seconds.

    Raises:
        ConfigurationError: there is no secret, or one cannot be read so.
    """

    def __init__(
        self,
        secrets: str | Iterable[str | tuple[str, End]],
        *,
        encoding: SecretEncoding = "base64",
        clock: Callable[[], float] = time.time,
    ) -> None:
        if encoding not in ("base64", "text"):
            raise ConfigurationError("encoding must be 'base64' or 'text'")
        pairs = [(each, None) if isinstance(each, str) else each for each in _listed(secrets)]
        self._encoding: SecretEncoding = encoding
        self._clock = clock
        self._held = tuple(self._hold(secret, end) for secret, end in pairs)
        if not self._held:
            raise ConfigurationError("a webhook needs at least one secret, whsec_…")

    def rotate(self, new: str, *, overlap: float = RETIREMENT) -> None:
        """Put a new secret in front. The former ones end *overlap* seconds from now, unless they end earlier.

        Rotating to the secret that is in front already changes nothing.

        Raises:
            ConfigurationError: the secret cannot be read.
        """
        now = self._clock()
        first = self._hold(new, None)
        if hmac.compare_digest(first.key, self._held[0].key):
            return
        old = (attrs.evolve(held, not_after=min(held.not_after, now + overlap)) for held in self._held)
        self._held = (first, *(held for held in old if held.not_after > now and held.key != first.key))

    def seals(self, content: bytes, now: float, tolerance: float, scheme: Scheme) -> list[bytes]:
        """Return what each secret makes of a text, in base64, those left out whose end is more than *tolerance* ago."""
        keys = (held.key for held in self._held if now <= held.not_after + tolerance)
        return [b64encode(scheme.seal(key, content)) for key in keys]

    def __len__(self) -> int:
        """Count the secrets, also those past their end."""
        return len(self._held)

    def __repr__(self) -> str:
        return f"SecretRing({len(self)} secrets)"

    def __reduce__(self) -> tuple[object, ...]:
        """Refuse to be pickled: a secret does not travel."""
        raise TypeError("secrets are not pickled; make the ring where it is used")

    def _hold(self, secret: str, end: End) -> _Held:
        try:
            key = key_of(secret, self._encoding)
            not_after = _seconds(end)
        except (ValueError, TypeError, AttributeError) as error:
            problem = str(error) if type(error) is ValueError else "a secret is a text, and its end a time"
        else:
            if len(key) < _SHORTEST:
                _log.warning("a webhook secret has %d bytes; Standard Webhooks asks for %d", len(key), _SHORTEST)
            return _Held(key, not_after)
        raise ConfigurationError(f"{problem} (encoding={self._encoding!r}); take it as the API shows it, whsec_…")


def _listed(secrets: str | Iterable[str | tuple[str, End]]) -> Sequence[str | tuple[str, End]]:
    return [secrets] if isinstance(secrets, str) else list(secrets)


def _seconds(end: End) -> float:
    if end is None:
        return math.inf
    if isinstance(end, datetime):
        if end.tzinfo is None:
            raise ValueError("the end of a secret has no time zone")
        return end.timestamp()
    return float(end)
