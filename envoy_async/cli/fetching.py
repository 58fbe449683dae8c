"""Recordings into a folder or an object storage: `envoy-async export recordings --to PLACE`.

The rule: one recording that fails is one line at the end, and the others go on. Run again, the command fetches what is
missing, so an interruption costs nothing but the recordings that were under way.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import aclosing
from typing import Annotated, cast

import attrs
from cyclopts import App, Parameter
from cyclopts.validators import Number

from .._paging import Pages
from ..bulk import Outcome
from ..errors import ConfigurationError, EnvoyError, InvalidRequestError
from ..export.recordings import StoredRecording, recordings, without_user_info
from ..models import Call
from .distributing import Spread, distribute
from .exporting import FILE, Asked, Clock, exportable, made, now
from .operations import Connection
from .progress import Meter
from .summary import size, write
from .tables import counted, printable

_LISTED = 20  # failures that are told one by one
_AGAIN = "run it again to go on: what is there is not fetched again"
_ABOUT = "Download the recordings of all calls that have one."


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Place(Spread):
    """Where the recordings go, and how."""

    to: Annotated[str, Parameter(group=FILE, metavar="PLACE")]
    """Folder, or a URL that fsspec knows, such as s3://bucket/recordings."""
    concurrency: Annotated[int, Parameter(group=FILE, validator=Number(gte=1), show_default=True)] = 4
    """Most downloads at once; with --organizations, most parts."""
    verify: Annotated[bool, Parameter(group=FILE, show_default=False)] = True
    """Compare the size of what is there already with what the API says (the default), for one request each."""


@attrs.define
class Tally:
    """What came of the recordings."""

    fetched: int = 0
    size: int = 0
    there: int = 0
    failed: int = 0
    failures: list[str] = attrs.field(factory=list[str])

    def add(self, outcome: Outcome[Call, StoredRecording]) -> None:
        """Count one recording."""
        if outcome.error is not None:
            self.failed += 1
            if len(self.failures) < _LISTED:
                self.failures.append(f"{outcome.key.id}: {outcome.error}")
            return
        stored = outcome.result()
        self.fetched += stored.fetched
        self.there += not stored.fetched
        self.size += stored.size if stored.fetched else 0

    def tell(self, place: Place, pages: Pages[Call]) -> None:
        """Print on stderr what was fetched, what was there, and what failed."""
        for failure in self.failures:
            sys.stderr.write(f"{printable(without_user_info(failure))}\n")
        report = pages.report
        lines = [
            ("listed", f"{counted(report.records, 'call')}{'' if report.proven else ', not proven to be all'}"),
            ("fetched", f"{counted(self.fetched, 'recording')}, {size(self.size)}, to {without_user_info(place.to)}"),
            ("there", f"{counted(self.there, 'recording')} already"),
            ("failed", f"{counted(self.failed, 'recording')}"),
        ]
        write(lines, sys.stderr)


def install(app: App, clock: Clock = now) -> None:
    """Give the command `export` of *app* one more command below it: `recordings`."""
    app["export"].command(command(clock), name="recordings")


def command(clock: Clock) -> Callable[..., int]:
    """Make the command that downloads recordings; its filters are those of the calls."""
    calls = next(operation for operation in exportable() if operation.item is Call)
    return made(calls, _ABOUT, Place, _start, clock)


def _start(asked: Asked, place: Place, connection: Connection) -> int:
    place.check()
    if place.organizations is not None:
        return distribute(asked.order("recordings", place.to), place, place.concurrency, connection)
    try:
        tally = asyncio.run(_run(asked, place, connection))
    except (ConfigurationError, InvalidRequestError):  # nothing was begun
        raise
    except EnvoyError as error:
        error.add_note(_AGAIN)
        raise
    except OSError as error:
        if without_user_info(str(error)) != str(error):  # a storage's own words
            raise OSError(without_user_info(str(error))) from None
        raise
    except KeyboardInterrupt:
        sys.stderr.write(f"interrupted: {_AGAIN}\n")
        raise
    return int(tally.failed > 0)


async def _run(asked: Asked, place: Place, connection: Connection) -> Tally:
    tally = Tally()
    async with connection.client(token=asked.operation.token) as envoy:
        pages = cast("Pages[Call]", asked.pages(envoy, asked.last))
        found = recordings(envoy, pages, place.to, concurrency=place.concurrency, verify=place.verify)
        with Meter("recordings") as meter:
            async with aclosing(found) as outcomes:
                async for outcome in outcomes:
                    tally.add(outcome)
                    meter.show(pages.report)
            meter.show(pages.report)
    tally.tell(place, pages)
    return tally
