"""One command per operation, derived from what the client carries.

The rule: the method's signature is the source. Plain parameters become options; anything richer is read as
JSON. A parameter that is not given is not passed, so that the method's own defaults hold.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from collections.abc import AsyncIterable, Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import attrs
from cyclopts import App, Group, Parameter
from yarl import URL

from .._credentials import ApiKey, BearerToken, Credentials
from .._paging import Pages, Record
from .._retry import Timeouts
from ..client import BASE_URL, EnvoyClient
from ..models import OpenEnum, Unset
from ..resources import GROUPS
from .inputs import InputError, read
from .output import Format, chosen, records_of, sheet, write
from .progress import Meter
from .target import opened

_PLAIN: set[object] = {str, int, float, bool, date, datetime, Path, NoneType}
_FLAGS = "flags"
_CONNECTION = Group("Connection", sort_key=1)
_OUTPUT = Group("Output", sort_key=2)
_OPERATIONS = Group("Operations", sort_key=1)


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Connection:
    """How to reach the API, for everything that asks it."""

    api_key: Annotated[str | None, Parameter(group=_CONNECTION)] = attrs.field(default=None, repr=False)
    """API key; else ENVOY_API_KEY."""
    bearer_token: Annotated[str | None, Parameter(group=_CONNECTION)] = attrs.field(default=None, repr=False)
    """Bearer token instead of a key; else ENVOY_BEARER_TOKEN."""
    organization_id: Annotated[str | None, Parameter(group=_CONNECTION)] = None
    """Organization to act for; else ENVOY_ORGANIZATION_ID."""
    base_url: Annotated[str | None, Parameter(group=_CONNECTION)] = None
    """Address of the API; else ENVOY_BASE_URL, else the vendor's."""
    deadline: Annotated[float | None, Parameter(group=_CONNECTION)] = None
    """Seconds for the whole call, with its retries and waits."""

    @property
    def host(self) -> str:
        """Host of the API; to be asked once `client` has found its address to be one."""
        return URL(self.base_url or os.environ.get("ENVOY_BASE_URL") or BASE_URL).host or ""

    def client(self, *, token: str | None = None) -> EnvoyClient:
        """Build the client these flags ask for; without a credential among them, one with *token* if there is one."""
        if self.api_key is not None and self.bearer_token is not None:
            raise InputError("give --api-key or --bearer-token, not both")
        known: Credentials | None = None if self.api_key is None else ApiKey(self.api_key)
        chosen = self.bearer_token if known or self.bearer_token is not None else token
        known = known if chosen is None else BearerToken(chosen)
        timeouts = Timeouts() if self.deadline is None else Timeouts(deadline=self.deadline)
        return EnvoyClient(known, organization_id=self.organization_id, base_url=self.base_url, timeouts=timeouts)


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Flags(Connection):
    """What every operation takes besides its own parameters."""

    output: Annotated[Format | None, Parameter(group=_OUTPUT)] = None
    """Default: a table on a terminal; elsewhere jsonl for listings, json for single answers."""
    to: Annotated[Path | None, Parameter(group=_OUTPUT)] = None
    """File to write instead of stdout; it appears whole or not at all."""


@attrs.frozen
class Operation:
    """One method of one group of the client."""

    group: str
    method: Callable[..., object]

    @property
    def name(self) -> str:
        """The method's name."""
        return self.method.__name__

    @property
    def token(self) -> str | None:
        """The bearer token of the environment, if the operation takes nothing else."""
        said = " ".join((self.method.__doc__ or "").split())
        return os.environ.get("ENVOY_BEARER_TOKEN") or None if "Needs a bearer token." in said else None

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """The method's parameters, annotations resolved."""
        hints = get_type_hints(self.method)
        own = list(inspect.signature(self.method).parameters.values())[1:]
        return {parameter.name: parameter.replace(annotation=hints[parameter.name]) for parameter in own}

    @property
    def item(self) -> type[Record] | None:
        """What the method lists; `None` when it gives one answer."""
        answer = get_type_hints(self.method)["return"]
        return cast("type[Record]", get_args(answer)[0]) if get_origin(answer) is Pages else None


def groups() -> dict[str, type]:
    """Name the groups of operations as a client carries them, with their classes."""
    client = EnvoyClient(ApiKey("none"), base_url=BASE_URL, organization_id="none")
    return {name: type(getattr(client, name)) for name in GROUPS}


def operations(group: str, cls: type) -> Iterator[Operation]:
    """Find the operations of a group: its public methods that are awaited or give a listing."""
    for name, method in inspect.getmembers(cls, inspect.isfunction):
        operation = Operation(group, method)
        if not name.startswith("_") and (inspect.iscoroutinefunction(method) or operation.item is not None):
            yield operation


def install(app: App) -> None:
    """Give *app* a command per group, and below it one per operation."""
    for group, cls in groups().items():
        below = App(name=dashed(group), help=paragraphs(cls)[0], group=_OPERATIONS)
        for operation in operations(group, cls):
            below.command(command(operation), name=dashed(operation.name))
        app.command(below)


def command(operation: Operation) -> Callable[..., int]:
    """Make the function behind a command: its signature is what cyclopts parses."""
    parameters = operation.parameters
    options = sorted(map(option, parameters.values()), key=lambda parameter: parameter.kind)
    flags = inspect.Parameter(_FLAGS, inspect.Parameter.KEYWORD_ONLY, annotation=Flags, default=Flags())
    signature = inspect.Signature([*options, flags])

    def run(*args: object, **kwargs: object) -> int:
        given = signature.bind(*args, **kwargs).arguments
        flags = given.pop(_FLAGS, Flags())
        values = {name: argument(parameters[name], value) for name, value in given.items()}
        return _code(asyncio.run(_run(operation, values, flags)))

    run.__doc__ = help_of(operation.method)
    run.__signature__ = signature  # type: ignore[attr-defined]
    return run


async def _run(operation: Operation, values: Mapping[str, object], flags: Flags) -> object:
    async with flags.client(token=operation.token) as envoy:
        answer = operation.method(getattr(envoy, operation.group), **values)
        with opened(flags.to) as file:
            format = chosen(flags.output, file, flags.to, listing=operation.item is not None)
            if operation.item is None:
                found = await cast("Any", answer)
                if found is not None:  # what only deletes has no answer
                    write(str(found) if isinstance(found, Path) else found, format, file)
                return found
            sheet_ = sheet(format, file, list(attrs.fields_dict(cast("type[attrs.AttrsInstance]", operation.item))))
            title = f"{operation.group} {operation.name}"
            with Meter(title, shown=flags.to is not None or format == "table", lasting=flags.to is not None) as meter:
                pages = cast("Pages[Record]", answer)
                async for page in pages.by_page():
                    sheet_.add(records_of(page.items))
                    file.flush()
                    meter.show(pages.report)
            sheet_.end()
    return None


def _code(answer: object) -> int:
    """Say with the exit code whether all went through; a batch may have failed in part, and is no error."""
    failed = getattr(answer, "failed", 0)
    if failed:
        sys.stderr.write(f"{failed} failed; the results say why\n")
    return 1 if failed or getattr(answer, "success", True) is False else 0


def option(parameter: inspect.Parameter) -> inspect.Parameter:
    """Turn a method's parameter into one that cyclopts parses; `UNSET` is what is not given."""
    hidden = parameter.default is None or isinstance(parameter.default, Unset)
    members = _members(parameter.annotation)
    type_: Any
    if Sequence[str] in members:
        kind, type_, how = parameter.kind, list[str], Parameter(show_default=False, negative=())
    elif all(map(_is_plain, members)):
        plain: list[object] = [
            str if isinstance(member, type) and issubclass(member, OpenEnum) else member for member in members
        ]
        kind, type_, how = parameter.kind, cast("Any", Union)[tuple(plain)], Parameter(show_default=not hidden)
    else:
        kind, type_ = inspect.Parameter.KEYWORD_ONLY, str
        how = Parameter(metavar="JSON|@FILE|-", allow_leading_hyphen=True, show_default=False)
    if hidden:
        return parameter.replace(kind=kind, annotation=Annotated[type_ | None, how], default=None)
    return parameter.replace(kind=kind, annotation=Annotated[type_, how])


def _members(type_: object) -> list[object]:
    """Split a union, and leave out the mark for "not given" and what a shell cannot give."""
    members = get_args(type_) if get_origin(type_) in {Union, UnionType} else (type_,)
    return [member for member in members if member is not Unset and get_origin(member) is not AsyncIterable]


def _is_plain(member: object) -> bool:
    return member in _PLAIN or get_origin(member) is Literal or (isinstance(member, type) and issubclass(member, Enum))


def argument(parameter: inspect.Parameter, value: object) -> object:
    """Turn what cyclopts parsed into what the method takes."""
    if not isinstance(value, str) or all(map(_is_plain, _members(parameter.annotation))):
        return value
    return read(value, parameter.annotation, f"--{dashed(parameter.name)}")


def dashed(name: str) -> str:
    """Write a name as a shell does."""
    return name.replace("_", "-")


def help_of(method: Callable[..., object]) -> str:
    """Keep the first paragraph of a docstring, and its `Args:`, where cyclopts finds the help of options."""
    first, *others = paragraphs(method)
    return "\n\n".join([first, *(text for text in others if text.startswith("Args:"))])


def paragraphs(described: object) -> list[str]:
    """Split a docstring."""
    return (inspect.getdoc(described) or "").split("\n\n")
