"""Faults 91 to 100 and 102: clocks that jump, input that cannot be meant, and settings that would give the key away."""

from __future__ import annotations

import ast
import asyncio
import pickle
import time
import warnings
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import aiohttp
import attrs
import pytest
from hypothesis import example, given, settings, strategies as st

import envoy_async
from envoy_async import ApiKey, BearerToken, EnvoyClient, EnvoyError, Login, RetryPolicy, Timeouts, errors
from envoy_async.models import NewLoad
from tests.faults._canary import leaks
from tests.faults.conftest import (
    IMPATIENT,
    ONE_EACH,
    PHONE,
    READ,
    SHOWN,
    UNSAFE,
    Waiting,
    clean,
    every_operation,
    fails,
    virtual,
)
from tests.transport.conftest import (
    CUT,
    KEY,
    LOST,
    NEW_LOAD,
    NOT_HTTP,
    REFUSED,
    STOPS,
    UNREADABLE,
    UUID,
    MisbehavingServer,
    Operation,
    Step,
    answer,
    half_body,
    hang,
    make_client,
    redirect,
    trickle,
)

good = answer(200, SHOWN)
PACKAGE = Path(envoy_async.__file__).parent


@pytest.fixture(scope="module")
def nobody() -> str:
    """Give the address of a server that is not there: what is refused before sending needs none."""
    return "http://127.0.0.1:9/v1"


async def refused(nobody: str, operation: Operation, param: str | None = None) -> EnvoyError:
    """Check that an operation is refused before anything is sent."""
    async with make_client(nobody) as envoy:
        error = await fails(operation(envoy), errors.InvalidRequestError)
    assert (error.attempts, error.status) == ((), None)
    assert param is None or error.param == param
    return error


HOUR = 3600.0


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 365 * 24 * HOUR, -10 * 365 * 24 * HOUR], ids=str)
@virtual
async def test_fault_091_wall_clock_jumps(jump: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock jumps in the middle of a wait: what is waited is what the server said, by its own clock."""
    times: list[float] = []
    server_now = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
    headers = {
        "Date": format_datetime(server_now, usegmt=True),
        "Retry-After": format_datetime(server_now + timedelta(seconds=30), usegmt=True),
        "X-RateLimit-Limit": "100",
        "X-RateLimit-Remaining": "50",
        "X-RateLimit-Reset": str(int(server_now.timestamp()) + 40),
    }

    async def run(writer: asyncio.StreamWriter) -> None:
        times.append(asyncio.get_running_loop().time())
        was = time.time()
        monkeypatch.setattr(time, "time", lambda: was + jump)
        await (answer(429, REFUSED, headers=headers) if len(times) == 1 else good).run(writer)

    async with MisbehavingServer(Step("jump", run)) as server:
        async with make_client(server.url, timeouts=Timeouts(), clock=Waiting()) as envoy:
            await READ(envoy)
        assert len(server.executed) == 2
    assert 30 <= times[1] - times[0] <= 31


def _clocks(node: ast.AST) -> list[ast.expr]:
    """Give what is a clock to be passed on: an argument's default, or what a function does that only tells time."""
    match node:
        case ast.arguments():
            return [*node.defaults, *(default for default in node.kw_defaults if default is not None)]
        case ast.FunctionDef(body=[ast.Return(value=ast.Call(func=clock))], args=ast.arguments(args=[])):
            return [clock]
        case _:
            return []


def test_fault_091_no_clock_but_the_given_one() -> None:
    """What decides about sending reads no clock of the machine; a clock is an argument, or its default."""
    clocks = {"time", "monotonic", "perf_counter", "now", "utcnow", "today"}
    found: list[str] = []
    for file in PACKAGE.rglob("*.py"):
        if {"sandbox", "cli"} & set(file.relative_to(PACKAGE).parts):
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        given = {id(clock) for node in ast.walk(tree) for clock in _clocks(node)}
        for node in ast.walk(tree):
            match node:
                case _ if id(node) in given:
                    pass
                case ast.Attribute(value=ast.Name(id="time" | "datetime" | "date"), attr=name) if name in clocks:
                    found.append(f"{file.name}:{node.lineno}")
                case ast.ImportFrom(module="time"):
                    found.append(f"{file.name}:{node.lineno}")
                case _:
                    pass
    assert found == []


BY_ID: dict[str, Callable[[EnvoyClient, str], Awaitable[object]]] = {
    "calls.get": lambda envoy, value: envoy.calls.get(value),
    "calls.end": lambda envoy, value: envoy.calls.end(value),
    "calls.join": lambda envoy, value: envoy.calls.join(value),
    "loads.update": lambda envoy, value: envoy.loads.update(value, is_posted=True),
    "carriers.enable": lambda envoy, value: envoy.carriers.enable(value),
    "webhook_endpoints.delete": lambda envoy, value: envoy.webhook_endpoints.delete(value),
    "webhook_endpoints.rotate_secret": lambda envoy, value: envoy.webhook_endpoints.rotate_secret(value),
    "webhook_messages.replay": lambda envoy, value: envoy.webhook_messages.replay(value, endpoint_id=UUID),
    "api_keys.deactivate": lambda envoy, value: envoy.api_keys.deactivate(value),
}
WRONG_IDS = ["", ".", "..", "../webhooks", "a/b", "%2e%2e", "call_1", "a\r\nb", "call_ä", " ", "\x00", f"lead_{UUID}"]


@pytest.mark.parametrize("name", BY_ID)
async def test_fault_092_ids_that_are_none(name: str, nobody: str) -> None:
    """An id that could lead elsewhere, or belongs to another kind, is refused before sending."""
    for value in (*WRONG_IDS, f"{UUID}/end", f"call_{UUID}?x=1", f"CALL_{UUID}"):
        error = await refused(nobody, lambda envoy, value=value: BY_ID[name](envoy, value))  # type: ignore[misc]
        assert (error.param or "").endswith("_id"), value


@settings(max_examples=100)
@given(st.text() | st.from_regex(r"[a-z]{2,5}_[0-9a-f-]{30,40}"))
@example(UUID.upper() + "\n")
def test_fault_092_any_text_as_an_id(value: str) -> None:
    """Whatever text is given as an id, it is one plain segment of the path, or refused."""
    seen: list[str] = []

    async def send(request: object) -> object:
        seen.append(request.path)  # type: ignore[attr-defined]
        raise errors.ConnectError("no more is needed")

    calls = type(EnvoyClient(KEY).calls)(send)  # type: ignore[arg-type]
    with pytest.raises((errors.InvalidRequestError, errors.ConnectError)):
        asyncio.run(calls.get(value))
    assert all(path == f"/calls/{value}" and value.isascii() and "/" not in value for path in seen)


WRONG_PHONES = [
    "",
    "None",
    "null",
    "4155550137",
    "+1 415 555 0137",
    "+1-415-555-0137",
    "+0123456789",
    "+1415555\u0660137",
]


@pytest.mark.parametrize("value", [*WRONG_PHONES, "+" + "1" * 16, 14155550137, True, ["+14155550137"], {}], ids=ascii)
async def test_fault_093_phone_numbers_that_are_none(value: object, nobody: str) -> None:
    """A number that is not in E.164 is refused before anything is sent: no call to a wrong number."""
    await refused(nobody, lambda envoy: envoy.calls.create(extra={"phone_number": value}), "phone_number")


async def test_fault_093_none_is_sent_as_null() -> None:
    """`None` is null, and never the text "None"."""
    async with MisbehavingServer(good) as server, make_client(server.url) as envoy:
        await envoy.calls.create(extra={"phone_number": None})
        await envoy.calls.create(extra={"phone_number": PHONE})
        assert [sent.body for sent in server.executed] == [
            b'{"phone_number": null}',
            b'{"phone_number": "%s"}' % PHONE.encode(),
        ]


WRONG_HEADERS = ["", " org", "org\n", "a\r\nX-API-Key: x", "a\x00b", "org_é", "\u2028", "x" * 8_193, "\x7f", "a\tb"]


@pytest.mark.parametrize("value", WRONG_HEADERS, ids=lambda value: ascii(value)[:20])
def test_fault_094_header_values_that_cannot_be_sent(value: str) -> None:
    """What cannot be a header's value is refused where it is given, and starts no header of its own."""
    with pytest.raises(errors.InvalidRequestError) as caught:
        EnvoyClient(KEY, organization_id=value)
    assert "organization_id" in str(clean(caught.value))
    with pytest.raises(errors.InvalidRequestError) as caught:
        EnvoyClient(KEY).with_options(organization_id=value)
    assert "organization_id" in str(clean(caught.value))


WRONG_ADDRESSES = [
    "",
    "tryenvoy.ai/api/v1",
    "http://tryenvoy.ai/api/v1",
    "http://169.254.169.254/latest/meta-data",
    "http://[fd00:ec2::254]/",
    "http://metadata.google.internal/",
    "http://10.0.0.1/v1",
    "http://localhost.example.com/v1",
    "http://127.0.0.1.example.com/v1",
    "http://2130706433/v1",
    "http://0.0.0.0/v1",
    f"https://user:{KEY}@tryenvoy.ai/v1",
    f"https://{KEY}@tryenvoy.ai/v1",
    f"https://tryenvoy.ai/v1?key={KEY}",
    f"https://tryenvoy.ai/v1#{KEY}",
    "https://",
    "https://[::1",
    "https://[]@",
    "ftp://tryenvoy.ai",
    "file:///etc/passwd",
    "https://tryenvoy.ai/a b",
    "https://tryenvoy.ai/\r\nX: 1",
    "https://tryenvoy.ai:99999/v1",
    "https://tryenvoy.ai:x/v1",
]


@pytest.mark.parametrize("address", WRONG_ADDRESSES, ids=ascii)
def test_fault_095_base_urls_that_are_none(address: str) -> None:
    """Only `https`, or plain `http` to this machine, without anything but a path behind: no key goes out in clear."""
    with pytest.raises(errors.ConfigurationError) as caught:
        EnvoyClient("another-key", base_url=address)
    assert leaks(caught.value, "another-key") == []
    # the frames of the caller's own call hold what the caller gave it
    assert [place for place in leaks(caught.value, KEY) if " local " not in place] == []
    assert "base_url" in str(caught.value)


@pytest.mark.parametrize("slashes", ["", "/", "///"])
async def test_fault_095_base_url_with_or_without_a_slash(slashes: str) -> None:
    """A slash at the end makes no difference, and the path of the base URL is kept."""
    async with MisbehavingServer(good) as server, make_client(server.url + slashes) as envoy:
        await READ(envoy)
        assert server.executed[0].target == f"/v1/calls/{UUID}"


OUT_OF_BOUNDS: list[tuple[str, object]] = [
    *(("page", value) for value in (0, -1, 2**53 + 1, True, 1.0, 1.5, "1", None, float("nan"))),
    *(("page_size", value) for value in (0, -1, 101, 10**9, True, 50.0, "50", None)),
    *(("limit", value) for value in (0, -1, True, 1.0, "1", float("inf"))),
]


@pytest.mark.parametrize(("name", "value"), OUT_OF_BOUNDS, ids=str)
async def test_fault_096_page_and_page_size_out_of_bounds(name: str, value: object, nobody: str) -> None:
    """A page, a page size, or a limit that cannot be meant is refused before sending."""

    async def listed(envoy: EnvoyClient) -> object:
        return await envoy.calls.list(**{name: value}).collect()  # type: ignore[arg-type]

    await refused(nobody, listed, name)


UNSENDABLE: dict[str, object] = {
    "NaN": float("nan"),
    "infinity": float("inf"),
    "surrogate": "a\ud800",
    "set": {1, 2},
    "bytes": b"abc",
    "naive datetime": datetime(2026, 1, 1),  # noqa: DTZ001 - that is the fault
    "object": object(),
    "complex": 1j,
    "key that is no text": {5: "x"},
}


@pytest.mark.parametrize("name", UNSENDABLE)
async def test_fault_097_bodies_that_json_cannot_hold(name: str, nobody: str) -> None:
    """What JSON cannot hold is refused with its place before anything is sent, however deep it stands."""
    body = {"notes": [{"a": 1}, {"b": UNSENDABLE[name]}]}
    ways: list[Operation] = [
        lambda envoy: envoy.calls.create(extra=body),
        lambda envoy: envoy.loads.create(NEW_LOAD, extra=body),
        lambda envoy: envoy.request("POST", "/calls", body=body),
    ]
    for operation in ways:
        error = await refused(nobody, operation)
        assert "notes[1].b" in f"{error.param} {error.message}"


async def test_fault_097_a_body_that_contains_itself(nobody: str) -> None:
    """A value that contains itself is refused like any other."""
    circle: list[object] = []
    circle.append(circle)
    await refused(nobody, lambda envoy: envoy.calls.create(extra={"notes": circle}))


async def test_fault_097_more_than_a_thousand_items() -> None:
    """1,001 items go out in two requests, since one may hold no more than 1,000."""
    loads = [NewLoad(load_number=f"LD{number}", equipment_type="VAN", stops=STOPS) for number in range(1_001)]
    async with MisbehavingServer(answer(400, {})) as server, make_client(server.url) as envoy:
        await fails(envoy.loads.create_batch(loads), errors.ValidationError)
        assert [sent.body.count(b"load_number") for sent in server.executed] == [1_000]


KEYS = ["", " ", "canary-key\n", "canary\r\nX-Admin: 1", " canary-key", '"canary-key"', "'canary-key'", "canary\x00key"]


@pytest.mark.parametrize("kind", [str, ApiKey, BearerToken], ids=["text", "ApiKey", "BearerToken"])
@pytest.mark.parametrize("key", [*KEYS, "canary-ké", "canary" * 2_000], ids=lambda key: ascii(key)[:20])
def test_fault_098_api_keys_that_are_none(key: str, kind: Callable[[str], str]) -> None:
    """A key with blanks, quotes, or line breaks was copied wrongly; the error does not show it."""
    with pytest.raises(errors.ConfigurationError) as caught:
        EnvoyClient(kind(key), base_url="https://api.example")
    assert leaks(clean(caught.value), *(["canary"] if "canary" in key else [])) == []


STATUSES = [answer(status, {"error": {"code": "x", "message": f"{KEY} is no key"}}) for status in (400, 401, 429, 503)]
STEPS = [
    *LOST,
    *CUT,
    *UNREADABLE,
    *NOT_HTTP,
    *STATUSES,
    half_body(404),
    hang,
    trickle,
    redirect(f"https://{KEY}.example/"),
]


@pytest.mark.parametrize("operation", [READ, UNSAFE], ids=["read", "unsafe"])
@pytest.mark.parametrize("step", STEPS, ids=str)
async def test_fault_099_secrets_in_what_a_failure_leaves_behind(step: Step, operation: Operation) -> None:
    """No failure shows the key: no text, frame, pickle, log, or warning, even when a server repeats it."""
    once, patience = RetryPolicy(max_attempts=1), attrs.evolve(IMPATIENT, deadline=0.2, attempt=0.1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with (
            MisbehavingServer(step) as server,
            make_client(server.url, retry=once, timeouts=patience) as envoy,
        ):
            await fails(operation(envoy))
            assert leaks(envoy, KEY) == []
            assert leaks(envoy._transport.settings, KEY) == []
    assert [str(warning.message) for warning in caught if KEY in str(warning.message)] == []


@pytest.mark.parametrize(
    "credentials", [ApiKey(KEY), BearerToken(KEY), Login("a@example.com", KEY)], ids=lambda c: type(c).__name__
)
def test_fault_099_secrets_in_what_holds_them(credentials: ApiKey | BearerToken | Login) -> None:
    """Credentials and client show no secret by any of the common means; an ordinary `asdict` is one of them."""
    envoy = EnvoyClient(credentials, base_url="https://api.example")
    assert leaks(envoy, KEY) == []
    assert KEY not in f"{credentials!r}{credentials}{[credentials]}"
    with pytest.raises(Exception, match="pickle") as caught:
        pickle.dumps(envoy)
    assert KEY not in str(caught.value)


@pytest.fixture
def netrc(tmp_path: Path, environ: MutableMapping[str, str]) -> str:
    """Have a netrc file with a password for this machine."""
    password = "netrc-canary-41"
    file = tmp_path / "netrc"
    file.write_text(f"machine 127.0.0.1 login me password {password}\ndefault login me password {password}\n")
    file.chmod(0o600)
    environ["NETRC"] = str(file)
    environ["HOME"] = str(tmp_path)
    return password


@every_operation
@pytest.mark.parametrize("kind", [ApiKey, BearerToken], ids=["api key", "bearer token"])
async def test_fault_100_netrc(
    kind: type[ApiKey | BearerToken], operation: Operation, netrc: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A netrc file is not read: no password of another program goes out beside the key, or makes a call fail."""
    if operation is ONE_EACH["idempotent"]:
        operation = lambda envoy: envoy.calls.end(UUID)  # noqa: E731 - one that takes both kinds of credential
    async with MisbehavingServer(good) as server, make_client(server.url, credentials=kind(KEY)) as envoy:
        await operation(envoy)
        (sent,) = server.executed
    assert sent.values("Authorization") == ([f"Bearer {KEY}"] if kind is BearerToken else [])
    assert sent.values("X-API-Key") == ([KEY] if kind is ApiKey else [])
    assert not any("Basic" in value for _, value in sent.headers)


async def test_fault_100_netrc_of_a_given_session(netrc: str) -> None:
    """A session of the user's own that reads netrc ends in an error of the SDK at worst, which shows neither secret."""
    async with MisbehavingServer(good) as server, aiohttp.ClientSession(trust_env=True) as session:
        async with make_client(server.url, credentials=BearerToken(KEY), session=session) as envoy:
            error = await fails(UNSAFE(envoy), errors.InvalidRequestError)
        assert server.executed == []
    assert leaks(error, netrc) == []


INSIDE = ["http://127.0.0.1:{port}/hooks", "http://localhost:{port}/hooks", "https://127.0.0.1:{port}/hooks"]


@pytest.mark.parametrize("address", INSIDE)
async def test_fault_102_webhook_address_that_points_inside(address: str) -> None:
    """The address of a webhook is handed to the API as it is: the SDK itself never goes there, not even to check it."""
    async with MisbehavingServer(good) as inside, MisbehavingServer(answer(400, {})) as server:
        url = address.format(port=inside.port)
        async with make_client(server.url) as envoy:
            create = envoy.webhook_endpoints.create(url=url, event_types=["call.completed"])
            await fails(create, errors.ValidationError)
        assert url.encode() in server.executed[0].body
        assert (inside.connections, inside.executed) == (0, [])


@pytest.mark.parametrize(
    "address", ["", "hooks", "ftp://x.example", "javascript:alert(1)", "https://x y", "https://x\r\n"], ids=ascii
)
async def test_fault_102_webhook_address_that_is_none(address: str, nobody: str) -> None:
    """What is no address is refused before anything is sent."""
    create: Operation = lambda envoy: envoy.webhook_endpoints.create(url=address, event_types=["a"])  # noqa: E731
    await refused(nobody, create, "url")
