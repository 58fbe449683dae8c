"""Requests and responses as values.

The rule: everything here is immutable, and nothing here knows a socket, a clock, or the client. What
the caller got wrong ends in `BadInput`, before a byte is sent; `resources` turns it into the public error.
The path template stays beside the quoted path: it names the operation in tables, logs, and errors.
"""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime, timedelta, timezone
from functools import cache
from typing import Self, cast
from urllib.parse import quote, unquote

import attrs

from ._credentials import NO_SECRET, Secret
from ._headers import parse_retry_after
from ._masking import without_phones

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_LARGEST = 2**63  # what JSON parsers and databases take for a whole number
_LONGEST_HEADER = 8192  # characters; common servers refuse more
_NEEDLESS = "2[DEde]|3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa]|5[Ff]|7[Ee]"  # the codes of letters, digits, and -._~
_PATH = rf"(?a:(/([\w.~!$&'()*+,;=:@-]|%(?!{_NEEDLESS})[0-9A-Fa-f]{{2}})+)+)"
_HEADER = r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}"
_OWN_HEADER = (  # what HTTP, the credentials, or the SDK needs for itself
    "(?i:accept(-encoding)?|(proxy-)?authorization|connection|content-(encoding|length|type)|cookie|expect|host|keep-alive|"
    "te|trailer|transfer-encoding|upgrade|user-agent|x-api-key|x-organization-id)"
)
_NUMBERS = frozenset({"page", "page_size"})
# The prefixes are those of the prefixed-ID guide and of samples; the raw uuid is accepted too, since the reference
# declares `format: uuid`. Ids of other kinds are never in a request.
_PREFIXES = {
    "api_key_id": "key",
    "call_id": "call",
    "carrier_id": "car",
    "contact_id": "con",
    "endpoint_id": "ep",
    "load_id": "load",
    "message_id": "msg",
    "offer_id": "ofr",
    "outreach_id": "otr",
    "preference_id": "pref",
}


class BadInput(ValueError):  # noqa: N818 - never leaves the package; the public name is InvalidRequestError
    """Input refused before sending; `param` names the field."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


def _operation(request: Request) -> str:
    return f"{request.method} {request.template}"


@attrs.frozen(kw_only=True)
class Request:
    """One API operation with its input filled in: what to send, not how."""

    method: str
    template: str
    path: str
    query: tuple[tuple[str, str], ...] = attrs.field(
        default=(), repr=lambda pairs: without_phones(unquote(repr(pairs)))
    )
    body: bytes | None = attrs.field(default=None, repr=False)
    paged: bool = True  # whether the operation takes `page` and `page_size` (bare arrays do not)
    patient: bool = False  # waits for quota as long as it takes (listings)
    keyed: bool = False  # the body holds a key by which the server finds the record again: no second one is made
    secret: Secret = attrs.field(default=NO_SECRET, repr=False)  # what of the body must not come back in an error
    headers: tuple[tuple[str, str], ...] = attrs.field(default=(), repr=False)  # more of them, from a middleware
    operation: str = attrs.field(init=False, repr=False, eq=False, default=attrs.Factory(_operation, takes_self=True))
    """The operation's name in tables: method and path template."""

    @property
    def target(self) -> str:
        """The quoted path with its query string, to be appended to the base URL."""
        if not self.query:
            return self.path
        return self.path + "?" + "&".join([f"{name}={value}" for name, value in self.query])

    def with_header(self, name: str, value: str) -> Self:
        """Return the same request with one more header, which replaces one of that name.

        Args:
            name: any but the headers of HTTP itself, of credentials, and those the SDK sends.
            value: printable ASCII.

        Raises:
            ValueError: name or value cannot be sent.
        """
        if not re.fullmatch(_HEADER, name) or re.fullmatch(_OWN_HEADER, name):
            msg = "this header cannot be set by a middleware"
            raise BadInput(msg, "name")
        kept = tuple(pair for pair in self.headers if pair[0].lower() != name.lower())
        return attrs.evolve(self, headers=(*kept, (name, header_value("value", value))))

    def at_page(self, number: int, size: int, query: tuple[tuple[str, str], ...] = ()) -> Self:
        """Return the same request for another page, *query* instead of parameters of these names.

        An operation without pages is asked for page 1 as it is.
        """
        if not self.paged and number == 1:
            return self
        replaced = _NUMBERS | {name for name, _ in query} if query else _NUMBERS
        kept = [pair for pair in self.query if pair[0] not in replaced]
        return type(self)(  # each field by name: `evolve` takes twice as long, for every page
            method=self.method,
            template=self.template,
            path=self.path,
            query=(*kept, *query, ("page", str(number)), ("page_size", str(size))),
            body=self.body,
            paged=self.paged,
            patient=self.patient,
            keyed=self.keyed,
            secret=self.secret,
            headers=self.headers,
        )


@attrs.frozen
class Attempt:
    """One row of the ledger of a call: when it started, how long it waited before, how it ended."""

    started: float
    """Seconds since the call began."""
    waited: float
    """Seconds spent waiting for quota, a free place, or a back-off before this attempt."""
    status: int | None = None
    """HTTP status of the answer, `None` when there was none."""
    cause: str | None = None
    """What went wrong, `None` for a success."""


@attrs.frozen
class Response:
    """A whole answer: status, headers (case-insensitive), body bytes, and the attempts it took."""

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    attempts: tuple[Attempt, ...] = ()
    doubt: Callable[..., None] | None = attrs.field(default=None, repr=False, eq=False)
    """Whom to tell of the error when the answer of an unsafe operation cannot be read: it ran."""

    @property
    def retry_after(self) -> float | None:
        """Seconds the server asks to wait; `None` when it did not say so in a readable way."""
        return parse_retry_after(self.headers.get("Retry-After"), self.headers.get("Date"))


Send = Callable[[Request], Awaitable[Response]]


def build(
    method: str,
    template: str,
    *,
    ids: Mapping[str, object] | None = None,
    query: Mapping[str, object] | None = None,
    body: bytes | None = None,
    paged: bool = True,
    patient: bool = False,
) -> Request:
    """Build a request, or raise `BadInput` naming the field that cannot be sent."""
    pairs = () if query is None else _pairs(query)
    path = expand(template, ids) if ids else template
    return Request(method=method, template=template, path=path, query=pairs, body=body, paged=paged, patient=patient)


def _pairs(query: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(query, Mapping):
        msg = "query must be a mapping of names to values"
        raise BadInput(msg, "query")
    pairs = cast("Mapping[object, object]", query).items()
    return tuple((_name(name), encode(str(name), value)) for name, value in pairs if value is not None)


def _name(name: object) -> str:
    if isinstance(name, str) and name:
        return _quoted(name, name)
    msg = "query has a name that is no text, or empty"
    raise BadInput(msg, "query")


def plain_path(path: object) -> str:
    """Return *path* when it can stand behind the base URL as it is: quoted, absolute, and never leading upwards."""
    if (
        not isinstance(path, str)
        or re.fullmatch(_PATH, path) is None
        or not {".", ".."}.isdisjoint(unquote(path).split("/"))
    ):
        msg = (
            "path must start with one slash, be quoted, and hold no empty or dotted segments; a query goes into query="
        )
        raise BadInput(msg, "path")
    return path


def expand(template: str, ids: Mapping[str, object]) -> str:
    """Fill the ids into the path template, each quoted as one path segment."""
    return template.format_map({name: _segment(name, value) for name, value in ids.items()})


def _segment(name: str, value: object) -> str:
    text = identifier(name, value)
    return text if name in _PREFIXES else _quoted(name, text)  # the shapes of ids need no quoting


@cache
def _id_shape(name: str) -> re.Pattern[str]:
    return re.compile(f"{_PREFIXES[name]}_{_UUID}|(?i:{_UUID})")


def identifier(name: str, value: object) -> str:
    """Return *value* when it can be an id of this name: of the right prefix, or without one."""
    if not isinstance(value, str):
        msg = f"{name} must be a string, not {type(value).__name__}"
        raise BadInput(msg, name)
    if value in {"", ".", ".."} or (name in _PREFIXES and not _id_shape(name).fullmatch(value)):
        msg = f"{name} has the wrong shape: expected {_PREFIXES.get(name, name)}_<uuid> or <uuid>"
        raise BadInput(msg, name)
    return value


def check_ids(body: Mapping[str, object]) -> None:
    """Refuse a body that holds an id of another kind than its field's name says."""
    for name, value in body.items():
        if name in _PREFIXES and value is not None:
            identifier(name, value)


def encode(name: str, value: object) -> str:
    """Encode one query value: booleans as `true`/`false`, days and instants in ISO 8601."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _quoted(name, value)
        case int() if abs(value) <= _LARGEST:
            return str(int(value))
        case float() if math.isfinite(value):
            return _quoted(name, repr(float(value)))
        case datetime():
            return _quoted(name, instant(name, value))
        case date():
            return value.isoformat()
        case _:
            msg = f"{name} cannot be sent: this {type(value).__name__} has no spelling in a query"
            raise BadInput(msg, name)


def instant(name: str, value: datetime) -> str:
    """Return the aware datetime in ISO 8601; a naive one is refused, since its zone would be a guess."""
    offset = value.utcoffset()
    if offset is None:
        msg = f"{name} is a naive datetime; give it a time zone"
        raise BadInput(msg, name)
    if offset % timedelta(minutes=1):  # which ISO 8601 has no spelling for
        offset = offset // timedelta(minutes=1) * timedelta(minutes=1)
        try:
            value = value.astimezone(timezone(offset))
        except OverflowError:
            msg = f"{name} lies outside the years 1 to 9999"
            raise BadInput(msg, name) from None
    return value.isoformat()


def _quoted(name: str, value: str) -> str:
    try:
        return quote(value, safe="")
    except UnicodeEncodeError:
        msg = f"{name} holds text that is not valid Unicode"
        raise BadInput(msg, name) from None


def header_value(name: str, value: object) -> str:
    """Return *value* when it is safe in an HTTP header: printable ASCII, not empty, no line breaks."""
    clean = isinstance(value, str) and value.isascii() and value.isprintable() and value.strip() == value
    if not isinstance(value, str) or not clean or not 0 < len(value) <= _LONGEST_HEADER:
        msg = f"{name} cannot be a header value: only printable ASCII without surrounding blanks is sent"
        raise BadInput(msg, name)
    return value
