# ruff: noqa: INP001 - read by Sphinx and by tests/test_docs.py, never imported as a package
"""The tables of operations, made from the methods themselves.

The rule: no row is written down. Each public method of each group is called with placeholder arguments and
a `send` that records the request; method and path come from that request, kind and credential from the tables the
client itself goes by, evidence from the docstring. Where a page says `<!-- endpoints -->`, the tables appear.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections import abc
from collections.abc import Iterator, Mapping
from itertools import groupby
from types import MappingProxyType
from typing import Any, get_args, get_origin, get_type_hints

import attrs

from envoy_async import ApiKey, BearerToken, EnvoyClient, Pages
from envoy_async._credentials import ANONYMOUS, ASSUMED, NEEDS
from envoy_async._retry import kind_of
from envoy_async._wire import Request, Response
from envoy_async.resources import GROUPS

MARK = "<!-- endpoints -->"
_HEAD = ":::{table}\n:width: 100%\n:widths: 19 43 14 11 13\n\n"
_HEAD += "| Method | HTTP | Kind | Evidence | Credential |\n|---|---|---|---|---|\n"
_SOURCE = re.compile(r"Source: `(?P<http>[A-Z]+ /[^`]*)` \((?P<evidence>seen|partial|inferred)\b")
_CREDENTIALS = MappingProxyType({ApiKey: "API key", BearerToken: "bearer token", None: "either"})
_UUID = "00000000-0000-4000-8000-000000000000"
_KEY = "mc_number"  # what makes an unsafe operation idempotent, where it is given
_TEXTS = MappingProxyType({"url": "https://example.com/hooks", _KEY: "MC123456"})  # all other text may be an id
_ARRAYS = (list, tuple, abc.Iterable, abc.Sequence, abc.Collection)


@attrs.frozen(kw_only=True)
class Endpoint:
    """One row of the tables."""

    group: str
    name: str
    target: str
    """Full name of the method, for links."""
    http: str
    """HTTP method and path template, as sent."""
    said: str
    """HTTP method and path template, as the docstring says."""
    kind: str
    evidence: str
    credential: str

    @property
    def row(self) -> str:
        """The row in Markdown."""
        link = f"{{py:meth}}`{self.name} <{self.target}>`"
        return f"| {link} | `{self.http}` | {self.kind} | {self.evidence} | {self.credential} |\n"


class _Recorded(Exception):  # noqa: N818 - carries a request out of a method, and is no error
    def __init__(self, request: Request) -> None:
        super().__init__()
        self.request = request


async def _record(request: Request) -> Response:
    raise _Recorded(request)


def groups() -> dict[str, type]:
    """Name the groups of operations as a client carries them, with their classes."""
    client = EnvoyClient(ApiKey("none"), base_url="https://example.invalid", organization_id="none")
    return {name: type(getattr(client, name)) for name in GROUPS}


def methods(cls: type) -> Iterator[tuple[str, Any]]:
    """Give the public methods of a group, in the order they are written."""
    own = {**vars(cls)}
    yield from ((name, found) for name, found in own.items() if not name.startswith("_") and inspect.isfunction(found))


def endpoints() -> list[Endpoint]:
    """Make all rows."""
    return [_endpoint(group, cls, name, method) for group, cls in groups().items() for name, method in methods(cls)]


def _endpoint(group: str, cls: type, name: str, method: Any) -> Endpoint:
    text = " ".join((inspect.getdoc(method) or "").split())
    source = _SOURCE.search(text)
    if source is None:
        raise ValueError(f"{cls.__name__}.{name} does not say its source: Source: `GET /path` (seen).")
    request = asyncio.run(_sent(method, cls(_record)))
    return Endpoint(
        group=group,
        name=name,
        target=f"envoy_async.resources.{cls.__name__}.{name}",
        http=f"{request.method} {request.template}",
        said=source["http"],
        kind=_kind(request, asyncio.run(_sent(method, cls(_record), keyed=True))),
        evidence=source["evidence"],
        credential=_credential(request.operation) + (" (assumed)" if request.operation in ASSUMED else ""),
    )


def _kind(plain: Request, keyed: Request) -> str:
    """Say the kind, and the other one that a key in the body gives."""
    kinds = kind_of(plain).value, kind_of(keyed).value
    return kinds[0] if kinds[0] == kinds[1] else f"{kinds[0]}; {kinds[1]} with `{_KEY}`"


def _credential(operation: str) -> str:
    return "none" if operation == ANONYMOUS else _CREDENTIALS[NEEDS.get(operation)]


async def _sent(method: Any, group: object, *, keyed: bool = False) -> Request:
    """Call a method with placeholders for what it needs, and with the key if wanted; give what it would have sent."""
    parameters = list(inspect.signature(method).parameters.values())[1:]
    needed = [parameter.name for parameter in parameters if parameter.default is parameter.empty]
    wanted = [*needed, *(parameter.name for parameter in parameters if keyed and parameter.name == _KEY)]
    answer = method(group, **_fill(wanted, get_type_hints(method), keyed=keyed))
    try:
        await (answer.first() if isinstance(answer, Pages) else answer)
    except _Recorded as recorded:
        return recorded.request
    raise ValueError(f"{method.__qualname__} sent nothing")


def _fill(names: list[str], hints: Mapping[str, Any], *, keyed: bool) -> dict[str, Any]:
    return {name: _placeholder(name, hints[name], keyed=keyed) for name in names}


def _placeholder(name: str, type_: Any, *, keyed: bool) -> Any:
    """Make a value of a type that passes the checks before sending: of a union the first type, of arrays two items."""
    origin, inside = get_origin(type_), get_args(type_)
    if isinstance(type_, type) and attrs.has(type_):
        fields = attrs.fields(type_)
        names = [field.name for field in fields if field.default is attrs.NOTHING or (keyed and field.name == _KEY)]
        return type_(**_fill(names, get_type_hints(type_), keyed=keyed))
    if origin in _ARRAYS:
        return (_placeholder(name, inside[0], keyed=keyed),) * 2
    if origin in {dict, abc.Mapping}:
        return {}
    if inside:
        return _placeholder(name, inside[0], keyed=keyed)
    return {str: _TEXTS.get(name, _UUID), int: 1, float: 1.0, bool: True}[type_]


def tables() -> str:
    """Write one table for each group in Markdown, in the order of the client."""
    rows = groupby(endpoints(), key=lambda endpoint: endpoint.group)
    return "\n".join(f"## envoy.{group}\n\n{_HEAD}{''.join(row.row for row in own)}:::\n" for group, own in rows)


def _put(_: object, __: str, source: list[str]) -> None:
    if MARK in source[0]:
        source[0] = source[0].replace(MARK, tables())


def setup(app: Any) -> dict[str, bool]:
    """Put the tables where a page asks for them."""
    app.connect("source-read", _put)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
