"""Webhooks from a shell: `envoy-async webhooks` listens, verifies a delivery, and has lost ones sent again.

The rule: a secret is read and never written. How the vendor's secrets are read, as base64 or as text, is not known, so
`verify` tries both and says which was right.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Annotated, cast

import attrs
from cyclopts import App, Group, Parameter
from cyclopts.validators import Number

from .._signing import Scheme, SecretEncoding
from ..errors import ConfigurationError, EnvoyError, SignatureError
from ..models import WebhookEndpointStatus
from ..webhooks import Event, Headers, Reconciled, WebhookVerifier, reconcile
from .exporting import Clock, now
from .inputs import InputError
from .listening import line_of, listen
from .operations import Flags
from .output import Record, chosen, sheet
from .summary import write
from .tables import counted, printable
from .target import opened

_GROUP = Group("Webhooks", sort_key=1)
_ENVIRONMENT = "ENVOY_WEBHOOK_SECRET"
_STDIN = "-"
_AGO = re.compile(r"([0-9]{1,9})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_READINGS: tuple[SecretEncoding, ...] = ("base64", "text")
_LISTED = 20  # failures that are told one by one
_COLUMNS = ("id", "outcome", "reason")


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Delivery:
    """A delivery in files, and what it is checked with."""

    headers: Annotated[str, Parameter(allow_leading_hyphen=True, metavar="FILE|-")]
    """Its headers: lines such as `Name: value`, or one JSON object."""
    body: Annotated[str, Parameter(allow_leading_hyphen=True, metavar="FILE|-")]
    """Its body, byte for byte as it came."""
    secret: Annotated[list[str] | None, Parameter(negative=(), show_default=False)] = attrs.field(
        default=None, repr=False
    )
    """Secret of the endpoint, once for each; else ENVOY_WEBHOOK_SECRET, with spaces between several."""
    at: str | None = None
    """When it came: a moment such as 2026-11-01T08:00Z, or 10m for ten minutes ago. Default: now."""
    tolerance: Annotated[float, Parameter(validator=Number(gte=0))] = 300.0
    """Seconds it may have been signed before or after that."""
    any_time: Annotated[bool, Parameter(negative=(), show_default=False)] = False
    """Leave out when it was signed."""

    def verified(self, now: datetime) -> tuple[Event, SecretEncoding]:
        """Check it with every secret in both readings, and say in which of them it was right."""
        if self.headers == self.body == _STDIN:
            raise InputError("give - for --headers or --body, not both")
        secrets = self.secret or os.environ.get(_ENVIRONMENT, "").split()
        if not secrets:
            raise InputError(f"there is no secret: set {_ENVIRONMENT}, or give --secret")
        moment = now if self.at is None else instant(self.at, now, "--at")
        headers, body = headers_in(_bytes(self.headers)), _bytes(self.body)
        wrong: list[EnvoyError] = []
        for secret, reading in product(secrets, _READINGS):
            try:
                return self._verifier(secret, reading).verify(headers, body, now=moment.timestamp()), reading
            except (ConfigurationError, SignatureError) as error:
                wrong.append(error)
        raise wrong[-1]

    def _verifier(self, secret: str, reading: SecretEncoding) -> WebhookVerifier:
        tolerance = math.inf if self.any_time else self.tolerance
        return WebhookVerifier(secret, tolerance, scheme=Scheme(secret_encoding=reading))


def install(app: App, clock: Clock = now) -> None:
    """Give *app* the command `webhooks`, with its commands below it; *clock* tells what is now."""
    below = App(name="webhooks", help="Receive webhooks, check one, or have lost ones sent again.", group=_GROUP)
    below.command(listen)
    below.command(_verifying(clock), name="verify")
    below.command(_replaying(clock), name="replay")
    app.command(below)


def _verifying(clock: Clock) -> Callable[..., None]:
    """Make the command that checks a delivery."""

    def verify(*, delivery: Delivery) -> None:
        """Check a delivery in files, and print its event as JSON."""
        event, reading = delivery.verified(clock())
        sys.stdout.write(f"{line_of(event)}\n")
        sys.stderr.write(f"verified; secrets are read as {reading}\n")

    return verify


def _replaying(clock: Clock) -> Callable[..., int]:
    """Make the command that has messages sent again."""

    def replay(endpoint_id: str, *, since: str, flags: Flags = Flags()) -> int:  # noqa: B008 - frozen
        """Have the messages of an endpoint sent again of which no delivery succeeded, and list what became of each.

        Done: a delivery succeeded. Replayed: asked for again. Waiting: the sender still tries. Failed: with a reason.

        Args:
            endpoint_id: the endpoint.
            since: first moment: 2h for two hours ago, a day such as 2026-11-01 in UTC, or 2026-11-01T08:00Z.
        """
        moment = instant(since, clock(), "--since")
        return asyncio.run(_replay(endpoint_id, moment, flags))

    return replay


async def _replay(endpoint_id: str, since: datetime, flags: Flags) -> int:
    async with flags.client() as envoy:
        with opened(flags.to) as file:
            found = await reconcile(envoy, endpoint_id, since=since)
            page = sheet(chosen(flags.output, file, flags.to, listing=True), file, _COLUMNS)
            page.add(_rows(found))
            page.end()
    _tell(found)
    return int(bool(found.failed))


def _rows(found: Reconciled) -> list[Record]:
    kept = {"done": found.done, "replayed": found.replayed, "waiting": found.waiting}
    rows: list[Record] = [{"id": id, "outcome": outcome, "reason": None} for outcome, ids in kept.items() for id in ids]
    failed: list[Record] = [{"id": id, "outcome": "failed", "reason": str(why)} for id, why in found.failed.items()]
    return [*rows, *failed]


def _tell(found: Reconciled) -> None:
    """Print on stderr how many there were of each, and why some failed."""
    for id, why in list(found.failed.items())[:_LISTED]:
        sys.stderr.write(f"{printable(f'{id}: {why}')}\n")
    report, status = found.report, found.endpoint_status
    counts = {"done": found.done, "replayed": found.replayed, "waiting": found.waiting, "failed": found.failed}
    lines = [
        ("listed", f"{counted(report.records, 'attempt')}{'' if report.proven else ', not proven to be all'}"),
        *((outcome, counted(len(ids), "message")) for outcome, ids in counts.items()),
    ]
    if status != WebhookEndpointStatus.ACTIVE:
        lines.append(("endpoint", f"{status}: presumably nothing is delivered before it is ACTIVE"))
    write(lines, sys.stderr)


def instant(text: str, now: datetime, option: str) -> datetime:
    """Read a moment: `2h` before *now*, a day (its begin in UTC), or ISO 8601 with a time zone.

    Raises:
        InputError: it is none of them; it names *option*.
    """
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            return now - timedelta(seconds=int(ago[1]) * _UNITS[ago[2]])
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
        return datetime.combine(date.fromisoformat(text), moment.time(), UTC)
    except (ValueError, OverflowError):
        problem = "expected 2h, a day such as 2026-11-01, or a moment with its time zone, such as 2026-11-01T08:00Z"
    raise InputError(f"{option}: {problem}")


def headers_in(raw: bytes) -> Headers:
    """Read headers: lines such as `Name: value`, or a JSON object.

    Raises:
        InputError: they are neither; it shows nothing of them.
    """
    try:
        text = raw.decode("utf-8-sig").strip()
        if text.startswith("{"):  # as pairs, so that a name that is there twice is seen
            return cast("Sequence[tuple[str, str]]", json.loads(text, object_pairs_hook=list))
    except (ValueError, RecursionError):
        problem = "neither lines such as `Name: value` nor a JSON object"
    else:
        return [_pair(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    raise InputError(f"--headers: {problem}")


def _pair(number: int, line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon:
        raise InputError(f"--headers: line {number} is not such as `Name: value`")
    return name.strip(), value.strip()


def _bytes(file: str) -> bytes:
    return sys.stdin.buffer.read() if file == _STDIN else Path(file).read_bytes()
