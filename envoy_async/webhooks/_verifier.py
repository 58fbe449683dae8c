"""Whether a delivery is genuine: from headers and raw bytes to an `Event` or a `WebhookError`.

The rule: shape, then signature, then time, then JSON. Nothing is parsed before its signature was found to be right, and
whichever signature it is, all of them are compared with all secrets. An error says which check failed, never a value.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from hmac import compare_digest
from typing import TypeAlias, cast

from .._signing import STANDARD, Scheme
from ..errors import ConfigurationError, PayloadError, SignatureError, TimestampError
from ._event import Event, read_event
from ._secrets import End, SecretRing

Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]
_Pairs: TypeAlias = Iterable[tuple[object, object]]
LARGEST_BODY = 1024 * 1024
_LONGEST_HEADER = 4096  # characters of the list of signatures
_MOST_SIGNATURES = 16
_ID = re.compile(r"[!-\-/-~]{1,128}")  # visible ASCII but for the dot, which joins the parts of what is signed
_SECONDS = re.compile(r"[0-9]{1,11}")


class WebhookVerifier:
    """Checks deliveries of one endpoint.

    Args:
        secrets: the endpoint's secret, several of them, or a `SecretRing`, which can be rotated meanwhile.
        tolerance: seconds a delivery may have been signed before or after now. Five minutes is what Standard Webhooks
            says (inferred).
        scheme: how deliveries are signed, and how secrets are read (inferred); of a ring that is given, its own holds.
        largest_body: bytes a body may have.
        clock: what tells now, in Unix seconds, when `verify` is not told.

    Raises:
        ConfigurationError: there is no secret, one cannot be read, or a limit is negative.
    """

    def __init__(
        self,
        secrets: str | Iterable[str | tuple[str, End]] | SecretRing,
        tolerance: float = 300.0,
        *,
        scheme: Scheme = STANDARD,
        largest_body: int = LARGEST_BODY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not (tolerance >= 0 and largest_body >= 0):
            raise ConfigurationError("tolerance and largest_body must be 0 or more")
        try:
            ring = secrets if isinstance(secrets, SecretRing) else SecretRing(secrets, scheme=scheme, clock=clock)
        except ConfigurationError:
            del secrets  # the error may be printed with the local variables of its frames
            raise
        self.secrets = ring
        self._scheme = scheme = ring.scheme
        self.largest_body = largest_body
        self._tolerance = tolerance
        self._clock = clock
        names = (scheme.id_header, scheme.timestamp_header, scheme.signature_header)
        self._names = tuple(name.lower() for name in names)

    def verify(self, headers: Headers, body: bytes | bytearray | memoryview, *, now: float | None = None) -> Event:
        """Check a delivery and return its event. Nothing is kept: the same delivery passes again.

        Args:
            headers: all headers of the request, as a mapping or as pairs; names in any case.
            body: the raw bytes of the body, as they came.
            now: Unix seconds; `None` asks the clock.

        Raises:
            SignatureError: a header is missing, there twice, or malformed; or no signature is right.
            TimestampError: it was signed at another time, or at none that can be read.
            PayloadError: the body is too large, or signed and yet no event.
        """
        now = self._clock() if now is None else now
        id, timestamp, signatures = self._found(headers)
        _check_shape(id, timestamp, signatures)
        if not isinstance(body, bytes | bytearray | memoryview):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise PayloadError("the body must be given as the raw bytes that came")
        body = bytes(body)  # no copy of bytes; the length of a view need not be that of its bytes
        if len(body) > self.largest_body:
            raise PayloadError(f"the body has more than {self.largest_body} bytes")
        if not self._is_signed(self._scheme.content(id, timestamp, body), signatures, now):
            raise SignatureError("no signature is that of a secret in force")
        if abs(now - int(timestamp)) > self._tolerance:
            raise TimestampError("it was signed too long ago, or the clocks differ")
        return read_event(body, message_id=id, sent_at=datetime.fromtimestamp(int(timestamp), UTC))

    def _found(self, headers: Headers) -> list[str]:
        """Pick the three headers that count, each of which must be there once."""
        found: dict[str, str] = {}
        try:
            pairs = cast("_Pairs", headers.items() if isinstance(headers, Mapping) else headers)
            for name, value in pairs:
                key = (name if type(name) is str else _text(name)).lower()  # nearly always plain, and there are many
                if key in self._names:
                    if key in found:
                        raise SignatureError(f"the header {key} is there twice")
                    found[key] = _text(value)
            return [found[name] for name in self._names]
        except KeyError:
            problem = f"a header is missing: {', '.join(name for name in self._names if name not in found)}"
        except (TypeError, ValueError):
            problem = "the headers cannot be read"
        raise SignatureError(problem)

    def _is_signed(self, content: bytes, signatures: str, now: float) -> bool:
        """Whether any signature is right; every one is compared with that of every secret, whatever was found."""
        right = self.secrets.seals(content, now, self._tolerance)
        start = f"{self._scheme.version},"
        entries = signatures.split(" ")[:_MOST_SIGNATURES]
        given = [entry[len(start) :].encode() for entry in entries if entry.startswith(start)]
        matches = [compare_digest(one, other) for one in given for other in right]
        return any(matches)


def _text(value: object) -> str:
    """Read a name or a value of a header; frameworks give some as bytes."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, str):
        return value
    raise TypeError


def _check_shape(id: str, timestamp: str, signatures: str) -> None:
    if _ID.fullmatch(id) is None:
        raise SignatureError("the id is malformed")
    if _SECONDS.fullmatch(timestamp) is None:
        raise TimestampError("the timestamp is no whole number of seconds")
    if len(signatures) > _LONGEST_HEADER or not signatures.isascii():
        raise SignatureError("the list of signatures is malformed")
