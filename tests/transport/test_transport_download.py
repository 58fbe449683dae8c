"""Files from a storage: no credential goes there, every byte is in its place, and no address comes back out."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from functools import partial

import aiohttp
import attrs
import pytest

from envoy_async import BearerToken, EnvoyClient, EnvoyError, RetryPolicy, Timeouts
from envoy_async._credentials import Secret
from envoy_async._download import LARGEST, Download
from envoy_async._transport import Transport
from envoy_async._transport._addresses import checked
from envoy_async._wire import Request, Response, Send
from envoy_async.errors import (
    AttemptTimeoutError,
    ClientClosedError,
    ConnectError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RedirectError,
    ServerError,
)
from envoy_async.events import Retry
from tests.faults._canary import CanaryLog, chain, leaks
from tests.transport.conftest import (
    KEY,
    UUID,
    MisbehavingServer,
    Received,
    SkippingClock,
    Step,
    answer,
    drop,
    failure_of,
    hang,
    make_client,
    packed,
    raw,
    redirect,
    settled,
    slow,
)
from tests.transport.test_transport_quota import SkippingLoop

FILE = bytes(range(256)) * 2
SIGNATURE = "sig-canary-91d7c04e"
THREE = RetryPolicy(max_attempts=3, base=0.01)
QUICK = Timeouts(deadline=5.0, attempt=0.1)
AUDIO = {"Content-Type": "audio/mp4"}


@attrs.define
class Memory:
    """Takes the bytes; a disk of so much space."""

    data: bytearray = attrs.field(factory=bytearray)
    space: int = 1 << 30
    cleared: int = 0

    def write(self, data: bytes) -> None:
        """Add these bytes, or say that the disk is full."""
        if len(self.data) + len(data) > self.space:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.data += data

    def clear(self) -> None:
        """Drop all bytes."""
        self.data.clear()
        self.cleared += 1


def begun(have: bytes = b"", expected: int | None = len(FILE)) -> tuple[Memory, Download]:
    """Make a download of which so much is there."""
    memory = Memory(bytearray(have))
    return memory, Download(sink=memory, size=len(have), expected=expected)


def address_at(server: MisbehavingServer) -> Secret:
    """Give the signed address of the file on a server."""
    return Secret(f"{server.url}/files/talk.mp4?expires=1&signature={SIGNATURE}%2B")


async def fetched(
    server: MisbehavingServer, download: Download, client: Callable[[str], EnvoyClient] | None = None
) -> None:
    """Fetch the file from a server, with a client that tries three times in a row."""
    async with client(server.url) if client else make_client(server.url, retry=THREE) as envoy:
        await envoy._transport.fetch(address_at(server), download)


async def refusal(step: Step, have: bytes = b"", expected: int | None = len(FILE)) -> tuple[EnvoyError, bytes, int]:
    """Return the error that a misbehaving storage ends in, what is there then, and how often it was asked."""
    memory, download = begun(have, expected)
    async with MisbehavingServer(step) as server:
        client = partial(make_client, retry=THREE, timeouts=QUICK if step is hang else Timeouts())
        error = await failure_of(fetched(server, download, client))
        assert leaks(error, SIGNATURE, KEY) == []
        return error, bytes(memory.data), len(server.executed)


def part(first: int, end: int | None = None, *, total: object = len(FILE), **headers: str) -> Step:
    """Answer 206 with the bytes from *first* on."""
    last = len(FILE) if end is None else end
    told = {**AUDIO, "Content-Range": f"bytes {first}-{last - 1}/{total}", **headers}
    return answer(206, FILE[first:last], headers=told)


def cut(first: int, count: int, tag: str | None = None, *, stay: bool = False) -> Step:
    """Promise everything from *first* on, send so many bytes, and hang up, or say nothing more."""
    status = 206 if first else 200
    told = {**AUDIO, "Content-Length": str(len(FILE) - first)} | ({"ETag": tag} if tag else {})
    if first:
        told["Content-Range"] = f"bytes {first}-{len(FILE) - 1}/{len(FILE)}"
    head = f"HTTP/1.1 {status} Scripted\r\n" + "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return raw(f"cut at {first + count}", f"{head}\r\n".encode() + FILE[first : first + count], stay=stay)


def virtual(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Run a test in a loop whose time passes only where nothing happens; sockets are real."""

    def run() -> None:
        with asyncio.Runner(loop_factory=SkippingLoop) as runner:
            runner.run(test())

    run.__doc__ = test.__doc__
    return run


whole = answer(200, FILE, headers=AUDIO)
unsized = raw("cut chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100\r\n" + FILE[:256] + b"\r\n")


def assert_bare(sent: Received) -> None:
    """Check that a request has nothing in it but what asks for the file."""
    usual = {"host", "accept", "accept-encoding", "user-agent", "range", "if-range"}
    assert {name.lower() for name, _ in sent.headers} <= usual
    assert (sent.method, sent.body) == ("GET", b"")
    assert sent.target.endswith(f"signature={SIGNATURE}%2B")  # as signed: not decoded, not encoded once more
    assert KEY not in str(sent)


async def middleware(request: Request, call_next: Send) -> Response:
    """Add a header that is meant for the API."""
    return await call_next(request.with_header("X-Tenant", "north"))


@pytest.mark.parametrize("credentials", [KEY, BearerToken(KEY)], ids=["key", "token"])
async def test_the_storage_gets_no_credential(credentials: str | BearerToken) -> None:
    """No key, token, organization, cookie, or middleware's header goes there, though it is the API's own host."""
    async with MisbehavingServer(whole) as server:

        def client(url: str) -> EnvoyClient:
            return EnvoyClient(credentials, base_url=url, organization_id="org_1", middleware=[middleware])

        memory, download = begun()
        await fetched(server, download, client)
        assert_bare(server.executed[0])
        assert bytes(memory.data) == FILE


async def test_a_given_session_lends_its_connections_only() -> None:
    """Headers, cookies, and login of the caller's own session stay with the API; the session stays open."""
    async with (
        MisbehavingServer(answer(200, FILE, headers={"Set-Cookie": "a=b"})) as server,
        aiohttp.ClientSession(headers={"X-Own": KEY, "Authorization": KEY}, cookies={"own": KEY}) as session,
    ):
        for _ in range(2):
            memory, download = begun()
            await fetched(server, download, lambda url: make_client(url, session=session))
            assert bytes(memory.data) == FILE
        assert not session.closed
        assert [cookie.key for cookie in session.cookie_jar] == ["own"]
        for sent in server.executed:
            assert_bare(sent)
        assert server.connections == 1


@pytest.mark.parametrize("connector", [False, True], ids=["session", "its connector"])
async def test_a_closed_session_is_said(connector: bool) -> None:
    """A session that its owner has closed is an error of the SDK, and nothing is sent."""
    session = aiohttp.ClientSession()
    assert session.connector is not None
    await (session.connector if connector else session).close()
    async with MisbehavingServer(whole) as server:
        running = fetched(server, begun()[1], lambda url: make_client(url, session=session))
        assert type(await failure_of(running)) is ClientClosedError
        assert server.connections == 0
    await session.close()


@pytest.mark.parametrize(("step", "expected"), [(13, len(FILE)), (64, None), (511, None), (511, len(FILE))])
async def test_it_goes_on_wherever_it_was_cut(step: int, expected: int | None) -> None:
    """A connection that breaks after every few bytes costs no byte twice, and the file is whole."""
    places = range(0, len(FILE), step)
    async with MisbehavingServer(*(cut(place, step, '"v1"') for place in places), drop) as server:
        memory, download = begun(expected=expected)
        await fetched(server, download)
        assert bytes(memory.data) == FILE
        assert memory.cleared == 0
        asked = [(sent.values("Range"), sent.values("If-Range")) for sent in server.executed]
        assert asked == [([], []), *(([f"bytes={place}-"], ['"v1"']) for place in places[1:])]


@pytest.mark.parametrize("tag", ['W/"v1"', "v1", '"a b"', '"' + "x" * 300 + '"'])
async def test_only_a_strong_tag_is_compared(tag: str) -> None:
    """A tag that does not promise equal bytes is not sent back."""
    async with MisbehavingServer(cut(0, 100, tag), part(100)) as server:
        await fetched(server, begun()[1])
        assert server.executed[1].values("If-Range") == []


async def test_an_earlier_part_is_gone_on_with() -> None:
    """What an earlier run left is not fetched again; a whole file is not even asked for."""
    async with MisbehavingServer(part(200)) as server:
        memory, download = begun(FILE[:200])
        await fetched(server, download)
        assert bytes(memory.data) == FILE
        assert server.executed[0].values("Range") == ["bytes=200-"]
        await fetched(server, begun(FILE)[1])
        assert len(server.executed) == 1


async def test_more_than_there_should_be_is_dropped() -> None:
    """A part that is larger than the whole is none, and everything is fetched."""
    async with MisbehavingServer(whole) as server:
        memory, download = begun(FILE + b"x")
        await fetched(server, download)
        assert (bytes(memory.data), server.executed[0].values("Range")) == (FILE, [])


@pytest.mark.parametrize("expected", [len(FILE), None], ids=["size told", "size not told"])
async def test_a_storage_without_ranges_begins_anew(expected: int | None) -> None:
    """Who answers 200 to a question for a part sends the whole file, which replaces what was there."""
    async with MisbehavingServer(cut(0, 100), whole) as server:
        memory, download = begun(expected=expected)
        await fetched(server, download)
        assert (bytes(memory.data), memory.cleared) == (FILE, 1)


async def test_beginning_anew_is_no_progress() -> None:
    """A storage without ranges that always breaks off at the same place is not asked for ever."""
    error, kept, asked = await refusal(cut(0, 100), expected=None)
    assert (type(error), kept, asked) == (InvalidResponseError, FILE[:100], 3)
    assert len(error.attempts) == 3
    assert str(error).endswith("(the file): the answer broke off (after 3 attempts)")


@pytest.mark.parametrize(
    "wrong",
    [
        part(99),
        part(101),
        part(0),
        answer(206, FILE[100:], headers=AUDIO),
        answer(206, FILE[100:], headers={"Content-Range": "bytes 100-90/512"}),
        answer(206, FILE[100:], headers={"Content-Range": "bytes 100-600/512"}),
        answer(206, FILE[100:], headers={"Content-Range": "items 100-511/512"}),
        part(100, total=513),
        answer(200, FILE + b"x", headers=AUDIO),
        answer(200, FILE[:-1], headers=AUDIO),
    ],
    ids=[
        "early",
        "late",
        "from_the_start",
        "no_range",
        "backwards",
        "beyond",
        "no_bytes",
        "another_total",
        "one_more",
        "one_less",
    ],
)
async def test_a_wrong_part_is_not_taken(wrong: Step) -> None:
    """Bytes of another place or of a file of another size are an error, and what is there stays as it was."""
    error, kept, asked = await refusal(wrong, FILE[:100])
    assert (type(error), kept, asked) == (InvalidResponseError, FILE[:100], 1)
    assert not isinstance(error, InvalidResponseError) or not error.cut


@pytest.mark.parametrize(
    "other", [part(100, total=900), part(100, ETag='"v2"')], ids=["another total", "another version"]
)
async def test_a_file_that_changed_is_fetched_anew(other: Step) -> None:
    """Two versions of a file are never put together."""
    async with MisbehavingServer(cut(0, 100, '"v1"'), other, whole) as server:
        memory, download = begun(expected=None)
        await fetched(server, download)
        assert (bytes(memory.data), memory.cleared) == (FILE, 1)


async def test_a_file_that_changes_for_ever_is_given_up() -> None:
    """A storage whose parts never fit is an error, not a loop."""
    script = [cut(0, 100, '"v1"'), part(100, ETag='"v2"')] * 3
    memory, download = begun(expected=None)
    async with MisbehavingServer(*script) as server:
        error = await failure_of(fetched(server, download))
        assert len(server.executed) == 3
    assert (type(error), bytes(memory.data)) == (InvalidResponseError, FILE[:100])
    assert [row.cause for row in error.attempts] == ["InvalidResponseError"] * 3


@pytest.mark.parametrize("total", ["*", str(len(FILE))])
async def test_a_storage_may_give_less_than_asked(total: str) -> None:
    """Parts that end early are followed by the next one, until the end is known to be the end."""
    past = answer(416, b"", headers={"Content-Range": f"bytes */{len(FILE)}"})
    script = [unsized, part(256, 300, total=total), part(300, total=total), past]
    async with MisbehavingServer(*script) as server:
        memory, download = begun(expected=None)
        await fetched(server, download)
        assert bytes(memory.data) == FILE
        assert len(server.executed) == (4 if total == "*" else 3)


@pytest.mark.parametrize("told", [{"Content-Range": "bytes */200"}, {}], ids=["smaller", "not told"])
async def test_a_part_beyond_the_end_is_dropped(told: Mapping[str, str]) -> None:
    """What the storage says cannot be a part of its file is fetched anew."""
    async with MisbehavingServer(unsized, answer(416, b"", headers=told), whole) as server:
        memory, download = begun(expected=None)
        await fetched(server, download)
        assert (bytes(memory.data), memory.cleared) == (FILE, 1)


CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
NO_RECORDINGS = {
    "page": answer(200, FILE, headers={"Content-Type": "text/html; charset=utf-8"}),
    "envelope": answer(200, FILE, headers={"Content-Type": "application/json"}),
    "problem": answer(200, FILE, headers={"Content-Type": "application/problem+json"}),
    "packed": packed(FILE),
    "nothing": answer(204, b""),
    "unasked part": answer(206, FILE, headers={"Content-Range": "bytes 0-511/512"}),
    "unasked 416": answer(416, b""),
    "accepted": answer(202, FILE),
    "empty": answer(200, b"", headers=AUDIO),
    "empty chunks": answer(200, b"", headers=AUDIO, chunked=True),
    "no size": raw("no size", CLOSING + FILE),
    "huge": raw("huge", f"HTTP/1.1 200 OK\r\nContent-Length: {LARGEST + 1}\r\n\r\n".encode() + FILE),
}


@pytest.mark.parametrize("step", NO_RECORDINGS.values(), ids=list(NO_RECORDINGS))
async def test_what_is_no_recording_is_not_kept(step: Step) -> None:
    """The page of a portal, a packed or empty file, or one of unknown or absurd size is an error at once."""
    error, kept, asked = await refusal(step, expected=None)
    assert (kept, asked) == (b"", 1)
    assert type(error) in {InvalidResponseError, EnvoyError} or error.status == 416


async def test_more_bytes_than_announced() -> None:
    """A stream that goes on after the end is an error, and nothing of it is kept."""
    error, kept, asked = await refusal(answer(200, FILE + b"x", headers=AUDIO, chunked=True))
    assert (type(error), kept, asked) == (InvalidResponseError, b"", 1)


async def test_a_stream_ends_with_its_mark() -> None:
    """A file of unknown size is whole when its last chunk came, and only then."""
    async with MisbehavingServer(answer(200, FILE, headers=AUDIO, chunked=True)) as server:
        memory, download = begun(expected=None)
        await fetched(server, download)
        assert bytes(memory.data) == FILE
    error, kept, asked = await refusal(unsized, expected=None)
    assert (type(error), kept, asked) == (InvalidResponseError, FILE[:256], 3)


async def test_a_stream_that_ends_early_is_gone_on_with() -> None:
    """Less than the API says is not the whole, though the stream was closed properly."""
    short = answer(200, FILE[:100], headers=AUDIO, chunked=True)
    async with MisbehavingServer(short, part(100)) as server:
        memory, download = begun()
        await fetched(server, download)
        assert bytes(memory.data) == FILE


@pytest.mark.parametrize(
    ("status", "kind", "asked"),
    [(401, EnvoyError, 1), (403, PermissionDeniedError, 1), (404, NotFoundError, 1), (503, ServerError, 3)],
)
async def test_a_refusal_is_told_without_its_text(status: int, kind: type[EnvoyError], asked: int) -> None:
    """The class of the error says what the storage said; its words may quote the address, and are not read."""
    text = f"<Error><StringToSign>{SIGNATURE}</StringToSign></Error>".encode()
    error, kept, count = await refusal(answer(status, text, headers={"X-Request-ID": SIGNATURE}), FILE[:10])
    assert isinstance(error, kind)
    assert (error.status, error.method, error.route, kept) == (
        status,
        "GET",
        "/calls/{call_id}/recording (the file)",
        FILE[:10],
    )
    assert (count, len(error.attempts), {row.status for row in error.attempts}) == (asked, asked, {status})


async def test_a_redirect_is_not_followed() -> None:
    """Another host named by the storage is never asked, and the error names it alone."""
    async with MisbehavingServer(whole) as elsewhere:
        error, _, asked = await refusal(redirect(f"{elsewhere.url}/talk.mp4?signature={SIGNATURE}"))
        assert (type(error), asked, elsewhere.connections) == (RedirectError, 1, 0)
    assert "127.0.0.1" in str(error)


async def test_a_storage_may_ask_to_wait() -> None:
    """A wait it asks for is kept; one that is too long is an error at once; it is nobody's quota."""
    busy = answer(503, b"", headers={"Retry-After": "7"})
    clock, told = SkippingClock(), list[Retry]()
    async with MisbehavingServer(busy, whole) as server:
        envoy = EnvoyClient(KEY, base_url=server.url, retry=THREE, on_retry=told.append)
        old = envoy._transport
        waiting = Transport(old.settings, old.access, old.pool, clock=clock, sleep=clock.sleep, random=old._random)
        async with envoy:
            await waiting.fetch(address_at(server), begun()[1])
    assert [7.0 <= wait <= 7.5 for wait in clock.waits] == [True]
    assert [(one.attempt, type(one.error), leaks(one, SIGNATURE)) for one in told] == [(1, ServerError, [])]
    error, _, asked = await refusal(answer(429, b"", headers={"Retry-After": "121"}))
    assert (type(error), asked) == (RateLimitedError, 1)


async def test_a_storage_that_is_not_there(closed_port: int) -> None:
    """It is tried as often as the policy says, and the error names the host, not the address."""
    async with make_client("http://127.0.0.1:1/v1", retry=THREE) as envoy:
        address = Secret(f"http://127.0.0.1:{closed_port}/talk.mp4?signature={SIGNATURE}")
        error = await failure_of(envoy._transport.fetch(address, begun()[1]))
    assert (type(error), len(error.attempts), leaks(error, SIGNATURE)) == (ConnectError, 3, [])
    assert f"127.0.0.1:{closed_port}" in str(error)


@virtual
async def test_a_stall_is_gone_on_from() -> None:
    """When no byte comes for as long as an attempt may last, the next one goes on from there."""
    clock = asyncio.get_running_loop().time
    async with MisbehavingServer(cut(0, 300, stay=True), part(300)) as server:
        memory, download = begun()
        client = EnvoyClient(KEY, base_url=server.url, timeouts=Timeouts(deadline=40.0, attempt=30.0))
        await fetched(server, download, lambda _: client)
        assert bytes(memory.data) == FILE
    assert 30.0 <= clock() < 31.0


@virtual
async def test_a_storage_that_says_nothing() -> None:
    """Silence is a timeout of the attempt, as often as the policy says."""
    async with MisbehavingServer(hang) as server:
        client = EnvoyClient(KEY, base_url=server.url, retry=THREE)
        error = await failure_of(fetched(server, begun()[1], lambda _: client))
    assert (type(error), len(error.attempts)) == (AttemptTimeoutError, 3)


@virtual
async def test_a_slow_file_has_no_deadline() -> None:
    """A file that trickles for longer than deadline and attempt may last is fetched in one go."""

    async def run(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 512\r\n\r\n")
        for place in range(0, 512, 16):
            writer.write(FILE[place : place + 16])
            await asyncio.sleep(20)

    async with MisbehavingServer(Step("slow", run)) as server:
        memory, download = begun()
        await fetched(server, download, lambda url: EnvoyClient(KEY, base_url=url))
        assert (bytes(memory.data), len(server.executed)) == (FILE, 1)
    assert asyncio.get_running_loop().time() > 600


@pytest.mark.parametrize("step", [hang, cut(0, 100, stay=True)], ids=["before", "in the middle"])
async def test_closing_ends_a_download(step: Step) -> None:
    """Who waits for bytes when the client is closed gets its word for that, and what came stays."""
    memory, download = begun()
    async with MisbehavingServer(step) as server, make_client(server.url) as envoy:
        running = asyncio.create_task(envoy._transport.fetch(address_at(server), download))
        await server.until(1)
        await settled(lambda: step is hang or memory.data)
        await envoy.close(grace=0.0)
        assert type(await failure_of(running)) is ClientClosedError
        assert type(await failure_of(envoy._transport.fetch(address_at(server), download))) is ClientClosedError


async def test_closing_ends_the_wait_between_two_attempts() -> None:
    """A back-off is not waited to its end when the client is closed."""
    async with MisbehavingServer(answer(503, b"", headers={"Retry-After": "100"})) as server:
        envoy = EnvoyClient(KEY, base_url=server.url)
        async with envoy:
            running = asyncio.create_task(envoy._transport.fetch(address_at(server), begun()[1]))
            await server.until(1)
            lane = envoy._transport.pool.lane()
            await settled(lambda: lane is not None and lane.rests)
            began = time.monotonic()
            await envoy.close()
            assert type(await failure_of(running)) is ClientClosedError
            assert time.monotonic() - began < 50
        assert len(server.executed) == 1


WRONG_ADDRESSES = {
    "plain http": f"http://files.example/talk.mp4?signature={SIGNATURE}",
    "user info": f"https://me:{SIGNATURE}@files.example/talk.mp4",
    "a file": f"file:///etc/passwd?{SIGNATURE}",
    "another scheme": f"ftp://files.example/{SIGNATURE}",
    "no address": SIGNATURE,
    "nothing": "",
    "no host": f"https:///talk.mp4?{SIGNATURE}",
    "unreadable": f"https://[]@{SIGNATURE}",
    "a blank": f"https://files.example/a b?{SIGNATURE}",
    "a line break": f"https://files.example/a\r\nX-Evil: 1?{SIGNATURE}",
    "no ASCII": f"https://files.example/Ä?{SIGNATURE}",
}
INSIDE = [
    "http://127.0.0.1/x",
    "https://localhost/x",
    "https://localhost./x",
    "https://10.0.0.5/x",
    "https://10.0.0.5./x",
    "https://2130706433/x",  # 127.0.0.1, as inet_aton reads it; so are the next two
    "https://127.1/x",
    "https://0x7f000001/x",
    "https://[::ffff:169.254.169.254]/x",
    "https://[::7f00:1]/x",
    "https://[64:ff9b::a00:1]/x",  # 10.0.0.1 behind NAT64
    "https://[2002:a00:1::]/x",  # 10.0.0.1 behind 6to4
]
OUTSIDE = [
    "https://files.example/x",
    "https://files.example./x",
    "https://8.8.8.8/x",
    "https://[2606:4700::1111]/x",
    "https://[::ffff:8.8.8.8]/x",
    "https://[2002:808:808::]/x",
]


@pytest.mark.parametrize("address", WRONG_ADDRESSES.values(), ids=list(WRONG_ADDRESSES))
async def test_an_address_that_is_none_is_not_asked(address: str) -> None:
    """Only https, or plain http to this machine, is fetched from; the error does not quote the address."""
    async with make_client("http://127.0.0.1:1/v1") as envoy:
        error = await failure_of(envoy._transport.fetch(Secret(address), begun()[1]))
    assert (type(error), error.attempts, leaks(error, SIGNATURE)) == (InvalidResponseError, (), [])
    assert "address is not used" in str(error)


@pytest.mark.parametrize("address", INSIDE)
async def test_an_answer_from_outside_leads_nowhere_inside(address: str) -> None:
    """An API on the internet cannot make the client ask a machine of its own network."""
    async with make_client("https://api.example/v1") as envoy:
        error = await failure_of(envoy._transport.fetch(Secret(address), begun()[1]))
    assert (type(error), error.attempts) == (InvalidResponseError, ())


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_answer_may_lead_outside(address: str) -> None:
    """A name, and an address of the internet in any spelling that is usual, is fetched from."""
    checked(Secret(address), "https://api.example/v1")


async def test_an_api_inside_may_lead_inside(closed_port: int) -> None:
    """Where the API itself is inside, so may be its storage."""
    async with make_client("https://10.0.0.5/v1", retry=RetryPolicy(max_attempts=1)) as envoy:
        error = await failure_of(envoy._transport.fetch(Secret(f"https://127.0.0.1:{closed_port}/x"), begun()[1]))
    assert type(error) is ConnectError


@pytest.fixture
async def log() -> AsyncIterator[CanaryLog]:
    """Collect all that is logged."""
    with CanaryLog() as log:
        yield log


LEAKY = [drop, hang, cut(0, 100), answer(403, b""), redirect("https://x.example/"), slow(answer(500, b""), 0.01)]


@pytest.mark.parametrize("step", LEAKY, ids=str)
async def test_the_address_shows_nowhere(step: Step, log: CanaryLog) -> None:
    """Neither error nor log, pickle nor local variable shows the address; aiohttp's errors are in no chain."""
    error, _, _ = await refusal(step)
    assert all(isinstance(one, EnvoyError) for one in chain(error))
    assert log.records
    assert log.leaks(SIGNATURE, KEY) == []


async def test_a_full_disk_passes_as_it_is(log: CanaryLog) -> None:
    """What the disk raises is the caller's own error, shows no address, and is no reason to try again."""
    async with MisbehavingServer(whole) as server:
        full = Download(sink=Memory(space=100), expected=len(FILE))
        with pytest.raises(OSError, match="No space left") as caught:
            await fetched(server, full)
        assert len(server.executed) == 1
    assert (caught.value.errno, leaks(caught.value, SIGNATURE, KEY)) == (errno.ENOSPC, [])
    assert log.leaks(SIGNATURE) == []


async def test_cancelling_passes_and_keeps_what_came(log: CanaryLog) -> None:
    """A cancelled download ends at once, shows no address, and what came stays."""
    memory, download = begun()
    async with MisbehavingServer(cut(0, 100, stay=True)) as server, make_client(server.url) as envoy:
        running = asyncio.create_task(envoy._transport.fetch(address_at(server), download))
        await settled(lambda: memory.data)
        running.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await running
        assert leaks(caught.value, SIGNATURE, KEY) == []
    assert bytes(memory.data) == FILE[:100]
    assert log.leaks(SIGNATURE) == []


async def test_a_view_has_its_own_patience() -> None:
    """`with_options(retry=…)` holds for files too."""
    async with MisbehavingServer(drop) as server, make_client(server.url) as envoy:
        view = envoy.with_options(retry=RetryPolicy(max_attempts=2, base=0.001))
        error = await failure_of(view._transport.fetch(address_at(server), begun()[1]))
        assert (len(error.attempts), len(server.executed)) == (2, 2)


async def test_listening_goes_on_meanwhile() -> None:
    """While a file comes, the API is asked over the same client as ever."""
    async with MisbehavingServer(cut(0, 100, stay=True), answer()) as server, make_client(server.url) as envoy:
        memory, download = begun()
        running = asyncio.create_task(envoy._transport.fetch(address_at(server), download))
        await settled(lambda: memory.data)
        assert (await envoy.calls.get(UUID)).id == f"call_{UUID}"
        running.cancel()
        await asyncio.wait([running])
