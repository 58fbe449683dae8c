"""Events printed as they come: the endpoint, the deliveries, and the end."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TextIO
from urllib.parse import urlsplit

import attrs
import pytest

from envoy_async import EnvoyClient, webhooks
from envoy_async.cli import listening, main
from envoy_async.sandbox import Fault, Sandbox, routes_webhooks
from envoy_async.sandbox.endpoints import shown_with_secret
from tests.test_cli_operations import running

PATIENCE = 10.0  # seconds within which a line must have come
BODY = b'{"type": "offer.created", "data": {}}'
STOPS = [{"location": {"city": "Gary", "state": "IN"}}, {"location": {"city": "Erie", "state": "PA"}}]
DELETING = "/webhooks/endpoints/{endpoint_id}"


class Heard(io.StringIO):
    """A stream whose lines can be waited for in another thread."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: SimpleQueue[str] = SimpleQueue()

    def write(self, text: str) -> int:
        """Take text; it comes in whole lines."""
        for line in text.splitlines():
            self._lines.put(line)
        return super().write(text)

    def line(self) -> str:
        """Wait for the next line."""
        return self._lines.get(timeout=PATIENCE)


@attrs.frozen(kw_only=True)
class Listening:
    """The command on a sandbox, both within this process; what happens meanwhile runs in a thread of its own."""

    sandbox: Sandbox
    out: Heard
    err: Heard
    stdout: TextIO | None = None

    def __call__(self, meanwhile: Callable[[str], object], *options: str, end: int | None = signal.SIGINT) -> int:
        """Listen, do something once the address is told, and end with a signal; give the exit code."""
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(self._run, meanwhile, end)
            code = self.run(*options)
            done.result(timeout=PATIENCE)
        return code

    def run(self, *options: str) -> int:
        """Run the command to its end; give the exit code."""
        with contextlib.redirect_stdout(self.stdout or self.out), contextlib.redirect_stderr(self.err):
            return main(["webhooks", "listen", *options])

    def _run(self, meanwhile: Callable[[str], object], end: int | None) -> None:
        address = self.err.line().split()[1]
        assert self.err.line().startswith("endpoint ")
        try:
            meanwhile(address)
        finally:
            if end is not None:
                os.kill(os.getpid(), end)


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Run a small sandbox in another thread, by the clock on the wall, since the command goes by it."""
    with running(Sandbox(calls=1, loads=1, quota=None)) as sandbox:
        monkeypatch.setenv("ENVOY_BASE_URL", sandbox.base_url)
        monkeypatch.setenv("ENVOY_API_KEY", sandbox.api_key)
        yield sandbox


@pytest.fixture
def listen(sandbox: Sandbox) -> Listening:
    """Give the command, with streams that can be waited for."""
    return Listening(sandbox=sandbox, out=Heard(), err=Heard())


def make_load(sandbox: Sandbox) -> None:
    """Let something happen that endpoints are told of."""

    async def make() -> None:
        async with EnvoyClient(sandbox.api_key, base_url=sandbox.base_url) as envoy:
            load = {"load_number": f"LD{time.monotonic_ns()}", "equipment_type": "VAN", "stops": STOPS}
            await envoy.request("POST", "/loads", body=load)

    asyncio.run(make())


def post(address: str, headers: dict[str, str], body: bytes = BODY) -> int:
    """Send a delivery, and give the status of the answer."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("POST", parts.path, body, headers)
        return connection.getresponse().status


@attrs.frozen(kw_only=True, eq=False)
class Slow(Fault):
    """A request that takes a while, and says when it has come in."""

    asked: threading.Event = attrs.field(factory=threading.Event)
    delay: float = 0.5

    def applies(self, ordinal: int) -> bool:
        """Say that the request is there."""
        self.asked.set()
        return super().applies(ordinal)

    def interrupt(self) -> None:
        """Press Ctrl-C once the request is there."""
        assert self.asked.wait(PATIENCE)
        os.kill(os.getpid(), signal.SIGINT)


def secret_of(sandbox: Sandbox) -> str:
    """Look up the secret of the only endpoint."""
    endpoint = next(iter(sandbox.store.endpoints.values()))
    return str(shown_with_secret(endpoint)["signing_secret"])


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_events_are_printed_as_they_come(listen: Listening, end: int) -> None:
    """Each delivery of a sandbox is one line of JSON; then the endpoint is deleted, and its secret was nowhere."""
    sandbox, secrets, events = listen.sandbox, list[str](), list[dict[str, object]]()

    def meanwhile(_: str) -> None:
        secrets.append(secret_of(sandbox))
        while len(events) < 2:
            make_load(sandbox)
            events.append(json.loads(listen.out.line()))

    assert listen(meanwhile, end=end) == 0
    messages = [(id, message["payload"]) for id, message in sandbox.store.messages.items()]
    assert [(event["message_id"], event["payload"]) for event in events] == messages
    assert [event["type"] for event in events] == ["load.created"] * 2
    assert sandbox.store.endpoints == {}
    assert secrets[0][6:] not in listen.out.getvalue() + listen.err.getvalue()
    assert re.fullmatch(
        r"listening +http://127\.0\.0\.1:\d+/ until Ctrl-C\nendpoint +ep_\S+, 9 kinds of events\n",
        listen.err.getvalue(),
    )


def test_an_endpoint_can_be_kept(listen: Listening) -> None:
    """With --keep it stays registered, and stderr says how to get a secret for it."""
    assert listen(lambda _: None, "--keep") == 0
    (id,) = listen.sandbox.store.endpoints
    assert f"{id} is kept; `envoy-async webhook-endpoints rotate-secret {id}`" in listen.err.line()


def test_address_path_and_kinds_are_as_they_are_given(listen: Listening) -> None:
    """Another address is registered, only the path is served, and only the named kinds are asked for."""
    endpoints, answers = list[dict[str, object]](), list[object]()

    def meanwhile(address: str) -> None:
        endpoints.extend(listen.sandbox.store.endpoints.values())
        signed = webhooks.sign(secret_of(listen.sandbox), BODY, id="msg_1", timestamp=int(time.time()))
        answers.extend([urlsplit(address).path, post(address, signed), post(address[:-1], signed)])

    kinds = ["--event-types", "offer.created", "--event-types", "offer.updated"]
    assert listen(meanwhile, "--url", "https://tunnel.example/x", "--path", "/in/hooks", *kinds) == 0
    (endpoint,) = endpoints
    assert (endpoint["url"], endpoint["event_types"]) == (
        "https://tunnel.example/x",
        ["offer.created", "offer.updated"],
    )
    assert answers == ["/in/hooks", 200, 404]
    assert listen.err.getvalue().splitlines()[1:] == [
        f"endpoint   {endpoint['id']}, 2 kinds of events",
        "refused: 404: Not Found",
    ]


def test_an_event_that_comes_twice_is_printed_once(listen: Listening) -> None:
    """A delivery that is sent again is answered with 200, and no second line."""
    answers = list[int]()

    def meanwhile(address: str) -> None:
        signed = webhooks.sign(secret_of(listen.sandbox), BODY, id="msg_1", timestamp=int(time.time()))
        answers.extend(post(address, signed) for _ in range(2))

    assert listen(meanwhile) == 0
    assert (answers, listen.out.getvalue().count("\n")) == ([200, 200], 1)


def test_what_is_refused_is_told(listen: Listening) -> None:
    """A forged delivery, and one that breaks off, are a line on stderr each, and nothing on stdout."""
    answers = list[int]()

    def meanwhile(address: str) -> None:
        forged = webhooks.sign("whsec_Zm9yZ2VkIHNlY3JldCBvZiBzb21lYm9keQ==", BODY, id="m", timestamp=int(time.time()))
        answers.append(post(address, forged))
        answers.append(post(address, {"Content-Encoding": "gzip"}))
        parts = urlsplit(address)
        with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as broken:
            broken.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
        lines.extend(listen.err.line() for _ in range(3))

    lines = list[str]()
    assert listen(meanwhile) == 0
    assert (answers, listen.out.getvalue()) == ([401, 401], "")
    assert lines[0] == "refused: no signature is that of a secret in force"
    assert lines[1].startswith("refused: a header is missing")
    assert lines[2].startswith("refused: ")
    assert "Traceback" not in listen.err.getvalue()


def test_secrets_can_be_read_as_text(listen: Listening) -> None:
    """The setting reaches the verifier: what is signed so passes, and what the sandbox signs does not."""
    answers = list[int]()

    def meanwhile(address: str) -> None:
        secret, scheme = secret_of(listen.sandbox), webhooks.Scheme(secret_encoding="text")
        now = int(time.time())
        answers.append(post(address, webhooks.sign(secret, BODY, id="m", timestamp=now, scheme=scheme)))
        answers.append(post(address, webhooks.sign(secret, BODY, id="m", timestamp=now)))

    assert listen(meanwhile, "--secret-encoding", "text") == 0
    assert answers == [200, 401]


def test_nobody_reads_any_more(listen: Listening) -> None:
    """`| head -1` ends the program by itself; the event it could not print was not taken, and the endpoint goes."""
    reading, writing = os.pipe()
    os.close(reading)
    answers = list[int]()

    def meanwhile(address: str) -> None:
        signed = webhooks.sign(secret_of(listen.sandbox), BODY, id="m", timestamp=int(time.time()))
        answers.append(post(address, signed))

    with os.fdopen(writing, "w") as nobody:
        assert attrs.evolve(listen, stdout=nobody)(meanwhile, end=None) == 0
    assert answers == [503]
    assert (listen.sandbox.store.endpoints, listen.err.getvalue().count("\n")) == ({}, 3)


async def test_only_the_first_end_counts() -> None:
    """A signal after an error, or an error after a signal, changes nothing."""
    stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    listening._end(stop)
    listening._end(stop, OSError("late"))
    await stop


def test_an_endpoint_that_somebody_else_deleted_is_no_error(listen: Listening) -> None:
    """What should go is gone: exit code 0, and nothing more is said."""
    assert listen(lambda _: listen.sandbox.store.endpoints.clear()) == 0
    assert listen.err.getvalue().count("\n") == 2


def test_an_endpoint_that_cannot_be_deleted_is_told(listen: Listening) -> None:
    """A refusal ends with 1, and stderr says how to delete it later."""
    listen.sandbox.fail(Fault(method="DELETE", path=DELETING, status=403))
    assert listen(lambda _: None) == 1
    (id,) = listen.sandbox.store.endpoints
    assert listen.err.line() == f"{id} is still there: `envoy-async webhook-endpoints delete {id}` ends it"
    assert listen.err.line().startswith("error: ")


def test_the_second_ctrl_c_ends_it_at_once(listen: Listening) -> None:
    """While a slow server is asked to delete the endpoint, one more Ctrl-C leaves it behind, and says so."""
    slow = Slow(method="DELETE", path=DELETING)
    listen.sandbox.fail(slow)

    def meanwhile(_: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        slow.interrupt()

    assert listen(meanwhile, end=None) == 130
    assert "is still there: `envoy-async webhook-endpoints delete " in listen.err.line()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "0.0.0.0 is not this machine alone"),  # noqa: S104 - that is the point
        (["--base-url", "https://api.example"], "api.example is not this machine alone"),
        (["--path", "hooks"], "--path: expected"),
        (["--path", "/{x"], "--path: expected"),
        (["--port", "65536"], "--port"),
        (["--secret-encoding", "hex"], "--secret-encoding"),
        (["--base-url", "http://api.example"], "https"),
        (["--base-url", "http://[", "--url", "https://a.example"], "base_url"),
        (["--bearer-token", "t", "--api-key", "k"], "not both"),
    ],
)
def test_what_could_never_work_is_refused(listen: Listening, options: list[str], said: str) -> None:
    """Wrong usage is one line and exit code 2, and nothing was sent."""
    assert listen.run(*options) == 2
    assert said in listen.err.getvalue()
    assert (listen.err.getvalue().count("\n"), listen.sandbox.requests) == (1, [])


def test_an_address_that_cannot_be_had_is_one_line(listen: Listening) -> None:
    """The socket is opened first: where that fails, no endpoint is registered."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert listen.run("--port", str(taken.getsockname()[1])) == 1
    assert re.fullmatch(r"error: Address already in use.*\n", listen.err.getvalue())
    assert listen.sandbox.requests == []


def test_an_api_without_kinds_of_events_is_told(listen: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to ask for, so the kinds must be named."""
    monkeypatch.setattr(routes_webhooks, "event_catalogue", list)
    assert listen.run() == 2
    assert listen.err.getvalue() == "error: the API names no kinds of events: give --event-types\n"
    assert listen.sandbox.store.endpoints == {}


def test_an_endpoint_that_is_refused_is_one_line(listen: Listening) -> None:
    """What the API does not want to register is an error, and nothing is left behind."""
    listen.sandbox.fail(Fault(method="POST", path="/webhooks/endpoints", status=403))
    assert listen.run() == 1
    assert listen.err.getvalue().count("\n") == 1
    assert listen.sandbox.store.endpoints == {}


def test_ctrl_c_before_it_listens_is_as_everywhere(listen: Listening) -> None:
    """While it still asks for the kinds of events, the exit code is 130."""
    slow = Slow(path="/webhooks/event-types")
    listen.sandbox.fail(slow)
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(slow.interrupt)
        assert listen.run() == 130
        done.result(timeout=PATIENCE)
    assert listen.sandbox.store.endpoints == {}
