"""Listings into files: `envoy-async export GROUP --to FILE`.

The rule: nothing here names a resource. What can be exported is what the client lists by page without ids, and its
options are the parameters of `list`, but for those that decide where and in which order to read, which is the
export's own affair. What was fetched is never thrown away: an error says how to go on.

`--since` and `--until` are there where `list` takes days. Which zone the vendor counts days in is not known. So the
last day is tomorrow, as UTC counts, unless one is given: wherever that zone is, the calls of this moment are in it.
An export that goes on later keeps the last day it was begun with, which its work folder tells.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Annotated, TypeVar, cast

import attrs
from cyclopts import App, Group, Parameter
from cyclopts.validators import Number

from .._paging import MOST_AHEAD, Pages, Record
from ..client import EnvoyClient
from ..errors import EnvoyError
from ..export import Manifest, estimate, export, update
from ..export._folder import begun
from .distributing import Order, Parts, distribute
from .inputs import InputError
from .operations import Connection, Operation, argument, dashed, groups, help_of, operations, option
from .progress import Meter
from .summary import tell, tell_estimate

Clock = Callable[[], datetime]
T = TypeVar("T")

_GROUP = Group("Export", sort_key=1)
FILE = Group("File", sort_key=0)
_DAYS = {"start_date", "end_date"}
_OWN = _DAYS | {"page", "order_by", "order_desc"}  # parameters of `list` that are not offered
_WORDS = {  # of the library, and what they are here; the longer ones first
    "update(resume=True)": "--incremental --resume",
    "export(resume=True)": "--resume, without --incremental",
    "resume=True": "--resume",
    "overwrite=True": "--overwrite",
}
_INTERRUPTED = "interrupted: run it again with --resume to go on\n"
_STDOUT = "-"
_REQUIRED = inspect.Parameter.empty


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Target(Parts):
    """Where an export goes, and how."""

    to: Annotated[str, Parameter(group=FILE, allow_leading_hyphen=True, metavar="FILE")]
    """File to write: .jsonl, .csv, or .parquet, also with .gz or .zst behind; - writes JSON lines to stdout."""
    resume: Annotated[bool, Parameter(group=FILE, negative=(), show_default=False)] = False
    """Go on with an export that was interrupted."""
    overwrite: Annotated[bool, Parameter(group=FILE, negative=(), show_default=False)] = False
    """Replace the file if there is one."""
    incremental: Annotated[bool, Parameter(group=FILE, negative=(), show_default=False)] = False
    """Add what is new or changed since the last export to the file."""
    dry_run: Annotated[bool, Parameter(group=FILE, negative=(), show_default=False)] = False
    """Print how many pages, requests, and minutes it takes; write nothing."""
    prefetch: Annotated[int, Parameter(group=FILE, validator=Number(gte=1, lte=MOST_AHEAD), show_default=False)] = 1
    """Most pages to fetch at the same time, 1 to 64."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Days:
    """Which days."""

    since: date | None = None
    """First day, such as 2026-01-01; else from the first record on. The zone the server counts days in is not known."""
    until: date | None = None
    """Last day; goes with --since. Default: tomorrow, as UTC counts."""


@attrs.frozen(kw_only=True)
class Asked:
    """The listing that is asked for."""

    operation: Operation
    filters: Mapping[str, object]
    dated: bool
    """Whether it takes days."""
    days: Days
    today: date

    @property
    def last(self) -> date:
        """The last day, if there are days."""
        return self.days.until or self.today + timedelta(days=1)

    def order(self, resource: str, to: str) -> Order:
        """Ask for the same of many organizations."""
        return Order(resource=resource, filters=self.filters, since=self.days.since, until=self.days.until, to=to)

    def pages(self, envoy: EnvoyClient, last: date, since: date | None = None) -> Pages[Record]:
        """Make the listing, from *since* on if that is given, which the first day wanted must not come after."""
        values = dict(self.filters)
        if since is not None and self.days.since is not None and self.days.since > since:
            raise InputError(f"--since must not be later than {since}, or records between could be missing")
        first = since or self.days.since
        if self.dated and first is not None:
            if first > last:
                raise InputError(f"the last day, {last}, is before the first, {first}")
            values |= {"start_date": first, "end_date": last}
        if self.dated:  # it has an order that can be trusted, read upwards
            values.setdefault("strategy", "backward" if first is None else "windows")
        return cast("Pages[Record]", self.operation.method(getattr(envoy, self.operation.group), **values))


@attrs.frozen(kw_only=True)
class Job:
    """One export: what to list, and where it goes."""

    asked: Asked
    target: Target

    @property
    def last(self) -> date:
        """The last day, if there are days; of a resumed export the one it was begun with."""
        if self.asked.days.until is None and self.target.resume:
            day = begun(self.target.to).get("end_date")
            return self.asked.last if day is None else date.fromisoformat(day)
        return self.asked.last

    @property
    def keeps(self) -> bool:
        """Whether what was fetched stays, for `--resume`."""
        return self.target.to != _STDOUT and not self.target.dry_run

    def listing(self, envoy: EnvoyClient, last: date, since: date | None = None) -> Pages[Record]:
        """Make the listing, with pages fetched ahead."""
        return self.asked.pages(envoy, last, since).prefetch(self.target.prefetch)

    async def run(self, connection: Connection) -> None:
        """Export, or only tell what that would take."""
        async with connection.client(token=self.asked.operation.token) as envoy:
            if self.target.dry_run:
                tell_estimate(await estimate(self.listing(envoy, self.asked.last)))
                return
            shown = self.target.to != _STDOUT or not sys.stdout.isatty()
            with Meter(self.asked.operation.group, shown=shown) as meter:
                manifest = await self.write(envoy, meter)
        tell(self.target.to, manifest)

    async def write(self, envoy: EnvoyClient, meter: Meter) -> Manifest:
        """Write or update the file."""
        to, resume, last = self.target.to, self.target.resume, self.last
        if self.target.incremental:
            return await update(partial(self.listing, envoy, last), to, resume=resume, progress=meter.show)
        pages, overwrite = self.listing(envoy, last), self.target.overwrite
        return await export(pages, to, resume=resume, overwrite=overwrite, progress=meter.show)


def now() -> datetime:
    """Tell what time it is."""
    return datetime.now(UTC)


def install(app: App, clock: Clock = now) -> None:
    """Give *app* the command `export`, with one command below it per listing; *clock* tells which day is tomorrow."""
    below = App(name="export", help="Write a whole listing, or all recordings, to files.", group=_GROUP)
    for operation in exportable():
        below.command(command(operation, clock), name=dashed(operation.group))
    app.command(below)


def exportable() -> Iterator[Operation]:
    """Find what the client lists by page and without ids."""
    for group, cls in groups().items():
        for operation in operations(group, cls):
            needed = [name for name, found in operation.parameters.items() if found.default is _REQUIRED]
            if operation.item is not None and "page_size" in operation.parameters and not needed:
                yield operation


def command(operation: Operation, clock: Clock) -> Callable[..., int]:
    """Make the command that writes a listing to a file."""

    def start(asked: Asked, target: Target, connection: Connection) -> int:
        _check(target)
        if target.organizations is not None:
            order = attrs.evolve(asked.order(operation.group, target.to), format=target.format)
            return distribute(order, target, target.concurrency, connection)
        job = Job(asked=asked, target=target)
        with _told_for_shells(job):
            asyncio.run(job.run(connection))
        return 0

    return made(operation, f"Write all {operation.group} to a file.", Target, start, clock)


def made(
    operation: Operation, about: str, kind: type[T], start: Callable[[Asked, T, Connection], int], clock: Clock
) -> Callable[..., int]:
    """Make the function behind a command, whose signature is what cyclopts parses.

    Args:
        operation: what lists the records; its filters become options.
        about: what the command does.
        kind: the options of where it goes.
        start: does it, and gives the exit code.
        clock: tells which day is tomorrow.
    """
    parameters = operation.parameters
    dated = parameters.keys() >= _DAYS
    signature = _signature(parameters, kind, dated=dated)

    def run(*args: object, **kwargs: object) -> int:
        given = signature.bind(*args, **kwargs).arguments
        target, connection, days = given.pop("target"), given.pop("connection", Connection()), given.pop("days", Days())
        if days.until is not None and days.since is None:
            raise InputError("--until goes with --since")
        filters = {name: argument(parameters[name], value) for name, value in given.items()}
        today = clock().astimezone(UTC).date()
        asked = Asked(operation=operation, filters=filters, dated=dated, days=days, today=today)
        return start(asked, target, connection)

    run.__doc__ = _help(operation, about)
    run.__signature__ = signature  # type: ignore[attr-defined]
    return run


def _check(target: Target) -> None:
    """Refuse options that do not go together."""
    target.check()
    if target.incremental and target.overwrite:
        raise InputError("give --incremental or --overwrite, not both")
    if target.incremental and target.to == _STDOUT:
        raise InputError("--incremental needs a file: what went to stdout cannot be brought up to date")


def _signature(parameters: Mapping[str, inspect.Parameter], kind: type, *, dated: bool) -> inspect.Signature:
    """Take the listing's own parameters, and lay those of the export beside them."""
    named = inspect.Parameter.KEYWORD_ONLY
    own = [option(parameter) for name, parameter in parameters.items() if name not in _OWN]
    days = [inspect.Parameter("days", named, annotation=Days, default=Days())] if dated else []
    target = inspect.Parameter("target", named, annotation=kind)
    connection = inspect.Parameter("connection", named, annotation=Connection, default=Connection())
    return inspect.Signature([target, *days, *own, connection])


def _help(operation: Operation, about: str) -> str:
    """Say what it does and how well the listing is known; the help of the options is the method's."""
    text = help_of(operation.method)
    source = re.search(r"Source: `[^`]+` \([^)]+\)\.", " ".join(text.split()))
    return "\n\n".join([f"{about} {source[0] if source else ''}".strip(), *text.split("\n\n")[1:]])


@contextmanager
def _told_for_shells(job: Job) -> Generator[None]:
    """Let what ends an export early say how to go on, in the words of the command line."""
    try:
        yield
    except (EnvoyError, OSError) as error:
        if isinstance(error, EnvoyError):
            error.message = _in_shell_words(error.message)
        error.__notes__ = [_in_shell_words(note) for note in getattr(error, "__notes__", ())]
        raise
    except KeyboardInterrupt:
        if job.keeps:
            sys.stderr.write(_INTERRUPTED)
        raise


def _in_shell_words(text: str) -> str:
    for word, here in _WORDS.items():
        text = text.replace(word, here)
    return text
