"""Warehouse: an organization's records as a dlt source, for DuckDB, BigQuery, Snowflake, and the others.

The rule: a row is a record with all its fields, merged by `id`, so what is read twice changes nothing. That is used:
each run goes back by *overlap* from the latest record it has seen. Only calls can be asked for by day; the other
listings are read whole each time, and their older rows are left out before they are loaded.

dlt runs the listings side by side in an event loop of its own thread and ends that loop with the extraction, and the
client's connections end with their loop. Credentials stay inside the client: dlt gets them neither as arguments nor
as configuration, so that none of its files holds them.

Assumptions of ours, because the documentation was not readable there: a change of a load, carrier, or offer moves its
`updated_at`; the days of `GET /calls` may be those of another field than `created_at`, even days to come, and of any
zone. This module needs the extra `dlt`; it loads only when it is imported by name, and dlt at the first `source`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar, cast

import attrs

from ._columns import Column, Kind, columns_of
from ._credentials import Credentials, Login, Source
from ._paging import Pages
from .client import EnvoyClient
from .errors import ConfigurationError
from .models import Call, Carrier, Load, Offer, Outreach

if TYPE_CHECKING:
    from dlt.common.data_types import TDataType
    from dlt.common.schema.typing import TColumnSchema
    from dlt.sources import DltResource, DltSource, incremental

__all__ = ["source"]

Row: TypeAlias = dict[str, object]
OnInvalid: TypeAlias = Literal["raise", "skip"]
T = TypeVar("T", bound=Call | Load | Carrier | Offer | Outreach)
TABLES = ("calls", "loads", "carriers", "offers", "outreaches")
_log = logging.getLogger("envoy_async")
_AHEAD = timedelta(days=366)  # calls are planned for days to come
_TYPES: Mapping[Kind, TDataType] = {
    Kind.TEXT: "text",
    Kind.CHOICE: "text",
    Kind.TRUTH: "bool",
    Kind.WHOLE: "bigint",
    Kind.NUMBER: "double",
    Kind.INSTANT: "timestamp",
    Kind.DAY: "date",
    Kind.JSON: "json",
}


def _now() -> datetime:
    return datetime.now(UTC)


def source(
    credentials: str | Credentials | Login | Source | None = None,
    *,
    organization_id: str | None = None,
    base_url: str | None = None,
    resources: Collection[str] = TABLES,
    since: datetime | None = None,
    overlap: timedelta = timedelta(days=7),
    on_invalid: OnInvalid = "raise",
    clock: Callable[[], datetime] = _now,
) -> DltSource:
    """Build the dlt source `envoy`; `pipeline.run` loads it, each resource into a table of its name.

    The first run loads everything, a later one what is newer than the latest row loaded before, less *overlap*: by
    `updated_at` for loads, carriers, and offers, by `created_at` for calls and outreaches. So it does not see a call
    that changes later than *overlap* after its creation, and never a deletion. A run with a longer overlap, now and
    then, sees the first; a run with dlt's `refresh="drop_resources"` begins anew and sees both. What each listing went
    through, and whether it is proven, stands in a line of the logger `envoy_async` (INFO).

    Args:
        credentials: as for `EnvoyClient`, which reads its environment variables without them; no dlt secret is read.
        organization_id: as for `EnvoyClient`.
        base_url: as for `EnvoyClient`.
        resources: which of the five to load.
        since: load nothing older than this moment, by the same fields.
        overlap: how far to go back before the latest row.
        on_invalid: whether a record that cannot be read ends the run, or is left out; how many were left out stands in
            a line of the logger, as a warning.
        clock: tells today, which bounds the days that calls are asked for.

    Raises:
        ConfigurationError: dlt is not installed, there is no key, or a setting cannot work.
    """
    envoy = EnvoyClient(credentials, organization_id=organization_id, base_url=base_url)
    del credentials  # what fails below may be printed with its local variables
    _check(resources, since, overlap, on_invalid)
    import dlt

    keep = on_invalid
    latest = partial(_latest, since=since, overlap=overlap)

    def tables() -> list[DltResource]:
        found = [
            _table("calls", Call, latest("created_at"), lambda start: _calls(envoy, start, clock(), keep)),
            _table("loads", Load, latest("updated_at"), lambda _: envoy.loads.list(on_invalid=keep)),
            _table("carriers", Carrier, latest("updated_at"), lambda _: envoy.carriers.list(on_invalid=keep)),
            _table("offers", Offer, latest("updated_at"), lambda _: envoy.offers.list(on_invalid=keep)),
            _table("outreaches", Outreach, latest("created_at"), lambda _: envoy.outreaches.list(on_invalid=keep)),
        ]
        return [table for table in found if table.name in resources]

    return dlt.source(tables, name="envoy", section="envoy")()


def _check(resources: Collection[str], since: datetime | None, overlap: timedelta, on_invalid: object) -> None:
    if isinstance(resources, str) or not resources or not {*resources} <= {*TABLES}:
        msg = f"resources must be a list of some of {', '.join(TABLES)}"
    elif since is not None and getattr(since, "tzinfo", None) is None:
        msg = "since must be a datetime with a time zone"
    elif overlap < timedelta(0):
        msg = "overlap must be a timedelta of at least 0"
    elif on_invalid not in ("raise", "skip"):
        msg = "on_invalid must be 'raise' or 'skip'"
    else:
        return _need_dlt()
    raise ConfigurationError(msg)


def _latest(field: str, since: datetime | None, overlap: timedelta) -> incremental[datetime]:
    """Make what remembers the latest row of a run for the next one."""
    import dlt

    # merging makes rows unique; dlt must not, since a row that has changed may have the same moment
    return dlt.sources.incremental[datetime](field, since, primary_key=(), lag=overlap.total_seconds())


def _need_dlt() -> None:
    try:
        import_module("dlt")
    except ModuleNotFoundError as missing:
        msg = 'envoy_async.warehouse needs one more package: pip install "envoy-async[dlt]"'
        raise ConfigurationError(msg) from missing


def _table(
    name: str, model: type[T], cursor: incremental[datetime], listing: Callable[[datetime | None], Pages[T]]
) -> DltResource:
    """Make the resource that reads a listing from the moment dlt knows to begin with."""
    import dlt

    async def read(latest: incremental[datetime] = cursor) -> AsyncIterator[list[Row]]:
        pages = listing(latest.start_value)
        async for page in pages.by_page():
            yield [_row(item) for item in page.items]
        _log.info("%s: %s", name, pages.report)
        if pages.report.skipped:
            _log.warning("%s: %d records were left out, since they cannot be read", name, pages.report.skipped)

    return dlt.resource(  # pyright: ignore[reportUnknownMemberType] - its hints name pydantic, which may be missing
        read, name=name, write_disposition="merge", primary_key="id", columns=_columns(columns_of(model))
    )


def _calls(envoy: EnvoyClient, start: datetime | None, now: datetime, on_invalid: OnInvalid) -> Pages[Call]:
    """List the calls of all days that may hold one created since *start*, whatever those days mean to the server."""
    if start is None:
        return envoy.calls.list(on_invalid=on_invalid)
    first = date.fromordinal(start.astimezone(UTC).toordinal() - 1)
    last = now.astimezone(UTC).date() + _AHEAD
    return envoy.calls.list(start_date=first, end_date=last, on_invalid=on_invalid)


def _row(model: attrs.AttrsInstance) -> Row:
    """Turn a model into a row; what is null is left out, which dlt fills in again."""
    fields = {name: getattr(model, name) for name in attrs.fields_dict(type(model))}
    return {name: _value(value) for name, value in fields.items() if value is not None}


def _value(value: object) -> object:
    """Turn a field into plain values; moments stay moments, so that they become timestamps."""
    if attrs.has(type(value)):
        return _row(cast("attrs.AttrsInstance", value))
    if isinstance(value, tuple):
        return [_value(item) for item in cast("tuple[object, ...]", value)]
    return value.value if isinstance(value, Enum) else value


def _columns(columns: Sequence[Column], prefix: str = "") -> dict[str, TColumnSchema]:
    """Tell dlt the type of each column, so that a table is the same before its first value; lists become tables."""
    found: dict[str, TColumnSchema] = {}
    for column in columns:
        if column.kind is Kind.OBJECT:
            found |= _columns(column.inside, f"{prefix}{column.name}__")
        elif column.kind is not Kind.ARRAY:
            found[prefix + column.name] = {"data_type": _TYPES[column.kind]}
    return found
