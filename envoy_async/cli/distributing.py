"""Listings and recordings of many organizations: `envoy-async export GROUP --organizations IDS --to FOLDER`.

The rule: one plan, whoever runs it. Without `--engine` its parts are fetched by this process, with it by the workers
of a Dask cluster; what is written and what is told is the same. Credentials and address come from the environment of
the process that fetches: none travels, so none is an option here. Run again, the command fetches what is not whole
yet; for that the plan must be the same, so its last day is given and does not move with the clock.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, cast

import attrs
from cyclopts import Group, Parameter
from cyclopts.validators import Number

from ..fleet import FleetManifest, Plan, export_distributed, plan
from .inputs import InputError
from .operations import Connection, dashed
from .progress import Meter
from .summary import doubts, size, write
from .tables import counted, printable

_GROUP = Group("Many organizations", sort_key=0)
_EITHER = {"to", "concurrency"}  # what an export of one organization takes, too
_NATURAL = Number(gte=1)
_DAYS, _AT_ONCE = 7, 4
_LISTED = 20  # failures that are told one by one
_AGAIN = "run it again to go on: what is whole is not fetched again"
_ELSEWHERE = (
    "with --organizations, credentials and address are those in the environment of the process that fetches: "
    "ENVOY_API_KEY_<ORGANIZATION ID>, ENVOY_API_KEY, or ENVOY_BEARER_TOKEN, and ENVOY_BASE_URL"
)


@Parameter(name="*")
@attrs.resolve_types  # here, for classes of other modules that take these options over
@attrs.frozen(kw_only=True)
class Spread:
    """Many organizations instead of one: which ones, and who fetches."""

    organizations: Annotated[
        str | None, Parameter(name=["--organizations", "--organisations"], group=_GROUP, metavar="ID,…|@FILE")
    ] = None
    """Export these organizations, each into files of its own below --to, a folder or a URL; @FILE holds their ids."""
    days_per_part: Annotated[int, Parameter(group=_GROUP, validator=_NATURAL, show_default=True)] = _DAYS
    """Days in a part, with --since."""
    engine: Annotated[str | None, Parameter(group=_GROUP, metavar="URL")] = None
    """Scheduler of the Dask cluster that fetches, such as tcp://scheduler:8786. Default: this process fetches."""

    def check(self) -> None:
        """Refuse options that do not go together: what this class adds is for many organizations, the rest for one."""
        many = self.organizations is not None
        for field in attrs.fields(type(self)):
            flag = f"--{'no-' if field.default is True else ''}{dashed(field.name)}"
            if getattr(self, field.name) == field.default or (field.name in _EITHER and not field.inherited):
                continue
            if field.inherited != many:
                raise InputError(f"{flag} {'does not go' if many else 'goes'} with --organizations")


@Parameter(name="*")
@attrs.resolve_types
@attrs.frozen(kw_only=True)
class Parts(Spread):
    """The same for a listing, whose parts are files."""

    format: Annotated[str, Parameter(group=_GROUP, show_default=True)] = "jsonl"
    """Format of the parts: jsonl, csv, or parquet, the first two also with .gz or .zst behind."""
    concurrency: Annotated[int, Parameter(group=_GROUP, validator=_NATURAL, show_default=True)] = _AT_ONCE
    """Most parts at once, without --engine; a worker of a cluster takes as many as it has threads."""


@attrs.frozen(kw_only=True)
class Order:
    """What to fetch for each organization."""

    resource: str
    filters: Mapping[str, object]
    since: date | None
    until: date | None
    to: str
    format: str = "jsonl"

    def plan(self, spread: Spread) -> Plan:
        """Cut it into parts."""
        if self.since is not None and self.until is None:
            raise InputError(
                "with --organizations, --since goes with --until: a run that goes on must ask for the same"
            )
        if self.since is None and spread.days_per_part != _DAYS:
            raise InputError("--days-per-part goes with --since")
        return plan(
            self.resource,
            _ids(spread.organizations or ""),
            self.to,
            since=self.since,
            until=self.until,
            days=spread.days_per_part,
            format=self.format,
            filters=cast("Mapping[str, str]", self.filters),  # which the plan checks
        )


def distribute(order: Order, spread: Spread, concurrency: int, connection: Connection) -> int:
    """Export for many organizations, tell what came of it, and give the exit code: 1 when a part failed."""
    if connection != Connection():
        raise InputError(_ELSEWHERE)
    if spread.engine is not None and concurrency != _AT_ONCE:
        raise InputError("--concurrency does not go with --engine: a worker takes as many parts as it has threads")
    cut = order.plan(spread)
    try:
        manifest = asyncio.run(_run(cut, spread.engine, concurrency))
    except KeyboardInterrupt:
        sys.stderr.write(f"interrupted: {_AGAIN}\n")
        raise
    tell(order.to, manifest)
    return int(not manifest.complete)


async def _run(cut: Plan, engine: str | None, concurrency: int) -> FleetManifest:
    with Meter(cut.resource) as meter:
        return await export_distributed(cut, engine, concurrency=concurrency, progress=meter.show_parts)


def _ids(text: str) -> list[str]:
    """Tell ids apart that have commas, blanks, or ends of lines between them; `@file` holds such."""
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8-sig")
        except OSError as error:
            raise InputError(f"--organizations: cannot read {error.filename}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise InputError("--organizations: not UTF-8 text") from None
    return re.findall(r"[^,\s]+", text)


def tell(to: str, manifest: FleetManifest) -> None:
    """Print on stderr which parts failed and why, what was fetched and written, and what is proven."""
    failures = manifest.failures
    for shard in failures[:_LISTED]:
        sys.stderr.write(f"{printable(f'{shard.part}: {shard.error}: {shard.message}')}\n")
    if failures[_LISTED:]:
        sys.stderr.write(f"… and {len(failures) - _LISTED:,} more, in {to.rstrip('/')}/manifest.json\n")
    write(_lines(to, manifest), sys.stderr)


def _lines(to: str, manifest: FleetManifest) -> list[tuple[str, str]]:
    refused = f", {manifest.rate_limited:,} refused for quota (429)" if manifest.rate_limited else ""
    noun = "recording" if manifest.resource == "recordings" else "record"
    parts = f"{manifest.fetched:,} fetched, {manifest.kept:,} there already, {manifest.failed:,} failed"
    troubles = sorted({shard.quota_trouble for shard in manifest.shards if shard.quota_trouble})
    alone = f"; Redis was out of reach: {', '.join(troubles)}" if troubles else ""
    return [
        ("parts", f"{manifest.parts:,} of {counted(manifest.organizations, 'organization')}: {parts}"),
        ("asked", f"{counted(manifest.requests, 'request')}{refused}{alone}"),
        ("written", f"{counted(manifest.records, noun)}, {size(manifest.bytes)}, to {to}"),
        ("proven", "complete, by the listings themselves" if manifest.proven else f"no: {doubts(manifest.doubts)}"),
    ]
