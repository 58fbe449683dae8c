"""A plan: what is to be fetched, cut into shards.

The rule: a plan is its arguments, and its shards follow from them, the same ones in the same order every time. So a
plan of a million shards is as small as one of ten, and a run that is repeated finds the parts of the one before.

Assumption: with days, a record is in the window of the day the server counts it to, and both the first and the last
day of a window belong to it. The zone is the server's. None of this is documented, so no part with days is proven.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TypeAlias, cast

import attrs
import msgspec

from .._credentials import ApiKey
from .._paging import Pages, Record
from ..client import BASE_URL, EnvoyClient
from ..errors import ConfigurationError, refused
from ..export._formats import target_of
from ..export.recordings import without_user_info
from ..resources import GROUPS

Filter: TypeAlias = str | bool | int
RECORDINGS = "recordings"
_LISTED = "calls"  # whose recordings they are
_OWN = {"start_date", "end_date", "page", "limit", "order_by", "order_desc"}  # parameters of `list` that are not given
_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")
_FORMAT = re.compile(r"[a-z]+(\.(gz|zst))?")
_DEFAULT = "jsonl"


@attrs.frozen(kw_only=True)
class Shard:
    """One piece of work: a listing of one organization, or the recordings of its calls. It holds no secret."""

    resource: str
    """Such as `calls`, or `recordings`."""
    organization: str | None
    """`None` stands for the organization of the key itself."""
    part: str
    """Path of its file below the target; of recordings, the name of its manifest without its ending."""
    since: date | None = None
    until: date | None = None
    """First and last day, both included."""
    filters: tuple[tuple[str, Filter], ...] = ()

    def listing(self, envoy: EnvoyClient) -> Pages[Record]:
        """Make the listing, which sends nothing yet."""
        method = _listed(envoy, self.resource)
        values: dict[str, object] = dict(self.filters)
        if "start_date" in inspect.signature(method).parameters:  # it has an order that can be trusted, read upwards
            values.setdefault("strategy", "backward" if self.since is None else "windows")
        if self.since is not None:
            values |= {"start_date": self.since, "end_date": self.until}
        return method(**values)

    @property
    def folder(self) -> str:
        """The folder of its organization below the target; empty for the target itself."""
        return self.part.rpartition("/")[0]


@attrs.frozen(kw_only=True)
class Plan:
    """What is to be fetched: iterate it for its shards, and ask `len` for how many there are. It holds no secret."""

    resource: str
    organizations: tuple[str | None, ...]
    to: str
    """The folder, in full, or the URL."""
    since: date | None = None
    until: date | None = None
    days: int = 7
    """Days of a shard."""
    format: str = _DEFAULT
    filters: tuple[tuple[str, Filter], ...] = ()

    def __iter__(self) -> Iterator[Shard]:
        for since, until in self._windows():  # outside, so that shards of one quota do not stand behind each other
            for organization in self.organizations:
                part = self._part(organization, since, until)
                yield Shard(
                    resource=self.resource,
                    organization=organization,
                    part=part,
                    since=since,
                    until=until,
                    filters=self.filters,
                )

    def __len__(self) -> int:
        return len(self.organizations) * sum(1 for _ in self._windows())

    @property
    def item(self) -> type[Record]:
        """The model of what is listed."""
        return next(iter(self)).listing(_nobody()).item

    def to_json(self) -> bytes:
        """Write it as JSON, without the target: a folder may be reached in several ways."""
        told = {name: value for name, value in attrs.asdict(self).items() if name != "to"}
        return msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n"

    def _windows(self) -> Iterator[tuple[date | None, date | None]]:
        if self.since is None or self.until is None:
            yield None, None
            return
        for number in range(math.ceil(((self.until - self.since).days + 1) / self.days)):
            first = self.since + timedelta(days=number * self.days)
            yield first, first + timedelta(days=min(self.days - 1, (self.until - first).days))

    def _part(self, organization: str | None, since: date | None, until: date | None) -> str:
        days = "" if since is None else f"-{since}_{until}"
        ending = "" if self.resource == RECORDINGS else f".{self.format}"
        folder = "" if organization is None else f"organization={organization}/"
        return f"{folder}{self.resource}{days}{ending}"


def plan(
    resource: str,
    organizations: Sequence[str | None],
    to: str | Path,
    *,
    since: date | None = None,
    until: date | None = None,
    days: int = 7,
    format: str = _DEFAULT,
    filters: Mapping[str, Filter] | None = None,
) -> Plan:
    """Plan an export: which shards there are, and where their parts go. Nothing is sent, and nothing is written.

    Without days there is one shard per organization, whose completeness can be proven. Days make smaller shards, which
    rest on what the server's days mean; that is not documented.

    Args:
        resource: what the client lists by page, such as `calls`, `loads`, or `offers`; or `recordings`.
        organizations: their ids; `None` among them stands for the organization of the key itself.
        to: a folder, which all workers see, or a URL for fsspec (extra `fsspec`), such as `s3://bucket/calls`.
        since: first day, of calls and recordings only; goes with `until`.
        until: last day.
        days: days per shard.
        format: ending of the parts: `jsonl`, `csv`, `parquet`, or whatever else an export knows.
        filters: further parameters of the listing, such as `{"status": "COMPLETED"}`.

    Raises:
        InvalidRequestError: an argument cannot work; `param` names it.
        ConfigurationError: the target or the format cannot work.
    """
    planned = Plan(
        resource=resource,
        organizations=_organizations(organizations),
        to=_target(str(to)),
        since=since,
        until=until,
        days=days,
        format=format,
        filters=tuple(sorted((name, _plain(name, value)) for name, value in (filters or {}).items())),
    )
    _check(planned)
    return planned


def _organizations(given: Sequence[str | None]) -> tuple[str | None, ...]:
    if isinstance(given, str) or not isinstance(given, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise refused("organizations", "organizations must be a list, whose order stays the same")
    named: list[object] = [*given]
    for organization in named:
        if organization is not None and not (isinstance(organization, str) and _ID.fullmatch(organization)):
            raise refused("organizations", "an organization is named by its id: letters, digits, _ and -")
    if not given or len(set(given)) < len(given):
        raise refused("organizations", "organizations must be at least one, and none of them twice")
    return tuple(given)


def _target(to: str) -> str:
    if without_user_info(to) != to:
        msg = "to must not hold user info: a plan holds no secret, so give each worker its credentials where it runs"
        raise ConfigurationError(msg)
    if to in {"", "-", "None"} or to.rstrip("/").endswith(":"):
        raise ConfigurationError("to must be a folder or a URL: a fleet writes many files")
    return to.rstrip("/") if "://" in to else str(Path(to).resolve())


def _plain(name: str, value: object) -> Filter:
    plain = getattr(value, "value", value)  # of an enum
    if not isinstance(plain, str | bool | int):
        raise refused(name, f"{name} must be text, a number, or a truth value, not a {type(value).__name__}")
    return plain


def _check(planned: Plan) -> None:
    """Refuse what could not be run."""
    nobody = _nobody()
    known = _resources(nobody)
    if planned.resource not in known:
        raise refused("resource", f"resource must be one of {', '.join(known)}")
    parameters = inspect.signature(_listed(nobody, planned.resource)).parameters
    _check_days(planned, dated="start_date" in parameters)
    known = sorted(parameters.keys() - _OWN)
    for name, _ in planned.filters:
        if name not in known:
            raise refused(name, f"{planned.resource} takes no {name}; it takes {', '.join(known)}")
    item = planned.item  # which refuses values that cannot be sent
    if planned.resource != RECORDINGS and not _FORMAT.fullmatch(planned.format):
        raise refused("format", "format must be an ending such as jsonl, csv.gz, or parquet")
    if planned.resource != RECORDINGS:
        target_of(f"part.{planned.format}", item)
    elif planned.format != _DEFAULT:
        raise refused("format", "recordings have the format they are recorded in: leave it out")


def _check_days(planned: Plan, *, dated: bool) -> None:
    since, until = planned.since, planned.until
    if type(planned.days) is not int or planned.days < 1:
        raise refused("days", "days must be a whole number of at least 1")
    if (since is None) != (until is None):
        raise refused("since", "since and until go together: give both or neither")
    if since is None or until is None:
        return
    if not dated:
        raise refused("since", f"{planned.resource} take no days")
    for name, day in (("since", since), ("until", until)):
        if type(day) is not date:
            raise refused(name, f"{name} must be a datetime.date (a day), not a {type(day).__name__}")
    if until < since:
        raise refused("until", "until must not be before since")


def _nobody() -> EnvoyClient:
    """Make a client that only tells what can be listed."""
    return EnvoyClient(ApiKey("none"), base_url=BASE_URL, organization_id="none")


def _listed(envoy: EnvoyClient, resource: str) -> Callable[..., Pages[Record]]:
    """Find what lists a resource."""
    name = _LISTED if resource == RECORDINGS else resource
    return cast("Callable[..., Pages[Record]]", getattr(envoy, name).list)


def _resources(envoy: EnvoyClient) -> list[str]:
    """Name what can be listed by page and without ids, and recordings."""
    found = [RECORDINGS]
    for name in GROUPS:
        group = getattr(envoy, name)
        if not hasattr(group, "list"):
            continue
        parameters = inspect.signature(group.list).parameters
        needed = [one for one in parameters.values() if one.default is inspect.Parameter.empty]
        if "page_size" in parameters and not needed:
            found.append(name)
    return sorted(found)
