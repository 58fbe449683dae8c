"""The demo: list every call of a server that refuses, inserts, and deletes meanwhile, and count what got lost.

The rule: nothing is claimed that was not measured. The demo owns the server, so it compares what the SDK
delivered with what the server holds, id by id.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Parameter
from cyclopts.validators import Number
from rich.table import Table
from rich.text import Text

from .._converter import unstructure
from .._paging import Pages, Report
from ..client import EnvoyClient
from ..models import Call
from ..sandbox import RandomDrift, Sandbox, Store
from ..sandbox.store import newest_first
from .output import to_json
from .progress import Meter
from .tables import console, counted
from .target import opened

_SIZE = 100  # records per page
_RUSH = 3  # the listing request at which somebody else uses up the quota
_POSITIVE = Parameter(validator=Number(gt=0))


def demo(
    *,
    json: bool = False,
    to: Path = Path("calls.jsonl"),
    calls: Annotated[int, _POSITIVE] = 2_500,
    seed: int = 7,
    quota: Annotated[int, _POSITIVE] = 20,
    window: Annotated[float, _POSITIVE] = 2.0,
) -> int:
    """List every call of a local server that refuses, inserts, and deletes meanwhile; prove that nothing got lost.

    Needs no account. Ends with exit code 1 if anything is missing or came twice.

    Args:
        json: print one JSON object instead.
        to: file for the calls that were there from start to end.
        calls: calls to begin with.
        seed: what data and drift are made from.
        quota: requests per window.
        window: seconds.
    """
    if not json:
        _announce(calls, quota, window)
    outcome = asyncio.run(_play(Scene(calls=calls, seed=seed, quota=quota, window=window), to))
    if json:
        sys.stdout.write(f"{to_json(outcome.figures())}\n")
    else:
        tell(outcome)
    return int(not outcome.complete)


class Scene:
    """The server of the demo, and a plain page-by-page reader that asks at the same moments as the SDK."""

    def __init__(self, *, calls: int, seed: int, quota: int, window: float) -> None:
        self._change = RandomDrift(seed=seed)
        self._quota = quota
        self.server = Sandbox(seed=seed, calls=calls, loads=1, quota=quota, window=window, drift=self._drift)
        self.start = frozenset(self.server.store.calls)
        self.plain: set[str] = set()

    def _drift(self, store: Store, n: int) -> None:
        """Before listing request *n* is answered: rows come and go, once the quota, and the plain reader reads."""
        self._change(store, n)
        if n >= _RUSH and not any(received.status == 429 for received in self.server.requests):  # noqa: PLR2004
            self.server.spend(self._quota)  # the SDK cannot know, so its next request is refused
        rows = newest_first(store.calls.values())
        self.plain.update(str(row["id"]) for row in rows[(n - 1) * _SIZE : n * _SIZE])


@attrs.frozen(kw_only=True)
class Outcome:
    """What happened, measured on both sides."""

    report: Report
    path: Path
    inserted: int
    deleted: int
    lost: int
    duplicated: int
    left_out: int
    """Delivered calls that were inserted after the start."""
    taken_out: int
    """Delivered calls that were deleted afterwards."""
    records: int
    """Lines in the file."""
    plain_lost: int
    """Calls that plain paging would have lost."""

    @property
    def complete(self) -> bool:
        """Whether nothing is missing and nothing came twice."""
        return not (self.lost or self.duplicated)

    def figures(self) -> dict[str, object]:
        """Give the figures for programs."""
        return {
            "records": self.records,
            "pages": self.report.pages,
            "requests": self.report.requests,
            "rate_limited": self.report.rate_limited,
            "waited_seconds": round(self.report.waited, 3),
            "inserted": self.inserted,
            "deleted": self.deleted,
            "lost": self.lost,
            "duplicated": self.duplicated,
            "path": str(self.path),
        }


async def _play(scene: Scene, to: Path) -> Outcome:
    """List everything, settle, and write the file."""
    with opened(to) as file:  # before the listing: an unwritable place fails at once
        async with (
            scene.server as server,
            EnvoyClient(server.api_key, organization_id=server.organization_id, base_url=server.base_url) as envoy,
        ):
            pages = envoy.calls.list(page_size=_SIZE)
            delivered = await _delivered(pages)
        outcome, kept = settle(scene, pages.report, delivered, to)
        file.writelines(f"{to_json(unstructure(call))}\n" for call in kept)
    return outcome


async def _delivered(pages: Pages[Call]) -> list[Call]:
    """Take every call the SDK delivers, in order, and show how far it is."""
    taken: list[Call] = []
    with Meter("calls") as meter:
        async for call in pages:
            taken.append(call)
            if len(taken) % _SIZE == 0:
                meter.show(pages.report)
        meter.show(pages.report)
    return taken


def settle(scene: Scene, report: Report, delivered: list[Call], to: Path) -> tuple[Outcome, list[Call]]:
    """Compare with the server: what was lost, what came twice, and which calls were there all the time."""
    store = scene.server.store
    deleted = set(store.deleted)
    ids = {call.id for call in delivered}
    staying = scene.start - deleted
    kept = list({call.id: call for call in delivered if call.id in staying}.values())
    outcome = Outcome(
        report=report,
        path=to,
        inserted=len(store.inserted),
        deleted=len(deleted),
        lost=len(staying - ids),
        duplicated=len(delivered) - len(ids),
        left_out=len(ids - scene.start),
        taken_out=len(ids & deleted),
        records=len(kept),
        plain_lost=len(staying - scene.plain),
    )
    return outcome, kept


def _announce(calls: int, quota: int, window: float) -> None:
    line = f"Listing {calls:,} calls from a local sandbox: {quota} requests per {window:g} s, rows come and go.\n"
    console(sys.stdout).print(Text(line))


def tell(outcome: Outcome) -> None:
    """Print what was fetched, waited, retried, drifted, and proven."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, line in _lines(outcome):
        table.add_row(name, Text(line))
    screen = console(sys.stdout)
    screen.print(table)
    verdict = f"{outcome.lost:,} lost, {outcome.duplicated:,} duplicated"
    screen.print(Text(f"\n{verdict}", style="bold green" if outcome.complete else "bold red"))


def _lines(outcome: Outcome) -> list[tuple[str, str]]:
    report = outcome.report
    retries = report.requests - report.pages
    return [
        (
            "fetched",
            f"{report.records:,} records, {counted(report.pages, 'page')}, {counted(report.requests, 'request')}",
        ),
        ("waited", f"{report.waited:.1f} s, for quota"),
        ("retried", f"{counted(retries, 'request')}, {report.rate_limited} refused for quota (429)"),
        ("drifted", f"{outcome.inserted} inserted, {outcome.deleted} deleted, {report.stepped_back} steps back"),
        ("left out", f"{outcome.left_out} inserted after the start, {outcome.taken_out} deleted after delivery"),
        ("written", f"{outcome.records:,} records to {outcome.path}"),
        ("proven", "by the listing itself, and checked against the server" if report.proven else "no"),
        ("plain paging", f"would have lost {outcome.plain_lost:,}, asking at the same moments"),
    ]
