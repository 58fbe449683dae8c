# ruff: noqa: INP001 - read by Sphinx and by tests/test_docs.py, never imported as a package
"""The table of operations, made from the methods themselves.

The rule: no row is written down. Each public method of each group is called with placeholder arguments and
a `send` that records the request; method and path come from that request, the kind from the retry table,
evidence and credential from the docstring. Where a page says `<!-- endpoints -->`, the table appears.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections import abc
from collections.abc import Iterator
from typing import Any, get_args, get_origin, get_type_hints

import attrs

from envoy_async import ApiKey, EnvoyClient
from envoy_async._retry import kind_of
from envoy_async._wire import Request, Response

MARK = "<!-- endpoints -->"
_HEAD = "| Method | HTTP | Kind | Evidence | Credential |\n|---|---|---|---|---|\n"
_SOURCE = re.compile(r"Source: `(?P<http>[A-Z]+ /[^`]*)` \((?P<evidence>seen|partial|inferred)\b")
_UUID = "00000000-0000-4000-8000-000000000000"
_ARRAYS = (list, tuple, abc.Iterable, abc.Sequence, abc.Collection)


@attrs.frozen(kw_only=True)
class Endpoint:
    """One row of the table."""

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
        link = f"{{py:meth}}`{self.group}.{self.name} <{self.target}>`"
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
    return {name: type(group) for name, group in vars(client).items() if not name.startswith("_")}


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
        kind=kind_of(request).value,
        evidence=source["evidence"],
        credential="key only" if "Needs an API key." in text else "key or token",
    )


async def _sent(method: Any, group: object) -> Request:
    """Call a method with placeholders, and give the request it would have sent."""
    hints = get_type_hints(method)
    needed = [p for p in list(inspect.signature(method).parameters.values())[1:] if p.default is p.empty]
    given = {parameter.name: _placeholder(hints[parameter.name]) for parameter in needed}
    answer = method(group, **given)
    try:
        await (answer if inspect.isawaitable(answer) else anext(answer))
    except _Recorded as recorded:
        return recorded.request
    raise ValueError(f"{method.__qualname__} sent nothing")


def _placeholder(type_: Any) -> Any:
    """Make a value of a type that passes the checks before sending."""
    origin, inside = get_origin(type_), get_args(type_)
    if isinstance(type_, type) and attrs.has(type_):
        hints = get_type_hints(type_)
        return type_(**{f.name: _placeholder(hints[f.name]) for f in attrs.fields(type_) if f.default is attrs.NOTHING})
    if origin in _ARRAYS:
        return (_placeholder(inside[0]),)
    if origin in {dict, abc.Mapping}:
        return {}
    return _placeholder(inside[0]) if inside else {str: _UUID, int: 1, float: 1.0, bool: True}[type_]


def table() -> str:
    """Write the table in Markdown."""
    return _HEAD + "".join(endpoint.row for endpoint in endpoints())


def _fill(_: object, __: str, source: list[str]) -> None:
    if MARK in source[0]:
        source[0] = source[0].replace(MARK, table())


def setup(app: Any) -> dict[str, bool]:
    """Put the table where a page asks for it."""
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
