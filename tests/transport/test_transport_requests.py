"""What goes out: to the base origin alone, with these headers, over these connections."""

from __future__ import annotations

import json

import aiohttp
import pytest

from envoy_async import ApiKey, BearerToken, __version__, errors
from tests.transport.conftest import (
    KEY,
    NEW_LOAD,
    STOPS,
    UNSAFE,
    UUID,
    MisbehavingServer,
    Operation,
    answer,
    drop,
    drop_unread,
    failure_of,
    make_client,
    redirect,
    reset,
)

REDIRECTED: dict[str, Operation] = {
    "GET": lambda envoy: envoy.calls.get(UUID),
    "POST": lambda envoy: envoy.calls.end(UUID),
    "PATCH": lambda envoy: envoy.loads.update(UUID, is_posted=True),
    "unsafe POST": UNSAFE["calls.create"],
}


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize("operation", REDIRECTED.values(), ids=list(REDIRECTED))
async def test_redirects_are_not_followed(operation: Operation, status: int) -> None:
    """Whatever the redirect, the second host sees nothing, and the error names the host alone."""
    async with MisbehavingServer(answer()) as second:
        away = f"http://user:secret@localhost:{second.port}/v1/steal?token=secret"
        async with MisbehavingServer(redirect(away, status)) as first, make_client(first.url) as envoy:
            error = await failure_of(operation(envoy))
            assert len(first.executed) == 1
        assert second.connections == 0
    assert type(error) is errors.RedirectError
    assert error.status == status
    assert "localhost" in str(error)
    assert not any(word in str(error) for word in ("secret", "steal", "token"))


@pytest.mark.parametrize("location", ["/v1/elsewhere", "", "http://[broken", "//", "mailto:x", "http://a b/"])
async def test_redirects_to_nowhere(location: str) -> None:
    """A redirect without a readable host is a `RedirectError` like any other."""
    async with MisbehavingServer(redirect(location)) as server, make_client(server.url) as envoy:
        assert type(await failure_of(envoy.calls.get(UUID))) is errors.RedirectError


async def test_redirect_without_location() -> None:
    """A redirect that does not say where to is one too."""
    async with MisbehavingServer(answer(302, b"")) as server, make_client(server.url) as envoy:
        error = await failure_of(envoy.calls.get(UUID))
        assert type(error) is errors.RedirectError
        assert "an unnamed place" in str(error)


async def test_headers_of_a_read() -> None:
    """A read shows the key, what it accepts, and who it is; it has no content type, for it has no body."""
    async with MisbehavingServer(answer()) as server, make_client(server.url) as envoy:
        await envoy.calls.get(UUID)
        (sent,) = server.executed
    assert sent.values("X-API-Key") == [KEY]
    assert sent.values("Accept") == ["application/json"]
    assert sent.values("Accept-Encoding") == ["gzip"]
    assert sent.values("User-Agent") == [f"envoy-async/{__version__}"]
    assert sent.values("Host") == [f"127.0.0.1:{server.port}"]
    absent = ("Authorization", "X-Organization-ID", "Content-Type", "Cookie")
    assert [sent.values(name) for name in absent] == [[]] * len(absent)
    assert sent.body == b""


async def test_headers_of_a_write() -> None:
    """A body is JSON and says so, once."""
    async with MisbehavingServer(answer()) as server, make_client(server.url) as envoy:
        await envoy.loads.create(NEW_LOAD)
        (sent,) = server.executed
    assert (sent.method, sent.target) == ("POST", "/v1/loads")
    assert sent.values("Content-Type") == ["application/json"]
    assert sent.values("Content-Length") == [str(len(sent.body))]
    assert json.loads(sent.body) == {"load_number": "LD1", "equipment_type": "VAN", "stops": STOPS}


async def test_no_content_type_without_a_body() -> None:
    """A POST without a body says nothing about one."""
    async with MisbehavingServer(answer()) as server, make_client(server.url) as envoy:
        await envoy.calls.end(UUID)
        (sent,) = server.executed
    assert sent.values("Content-Type") == []
    assert sent.body == b""


@pytest.mark.parametrize(
    ("credentials", "header", "value"),
    [
        (KEY, "X-API-Key", KEY),
        (ApiKey(KEY), "X-API-Key", KEY),
        (BearerToken("aaa.bbb.ccc"), "Authorization", "Bearer aaa.bbb.ccc"),
    ],
    ids=["text", "key", "bearer"],
)
async def test_one_credential(credentials: str | ApiKey | BearerToken, header: str, value: str) -> None:
    """Exactly one credential goes out: the key or the token, never both."""
    async with MisbehavingServer(answer()) as server, make_client(server.url, credentials=credentials) as envoy:
        await envoy.calls.get(UUID)
        (sent,) = server.executed
    assert sent.values(header) == [value]
    assert len(sent.values("X-API-Key") + sent.values("Authorization")) == 1


async def test_organization_of_the_view() -> None:
    """The organization goes with every call of its view, and with no other."""
    async with MisbehavingServer(answer()) as server, make_client(server.url, organization_id="org_1") as envoy:
        await envoy.calls.get(UUID)
        await envoy.with_options(organization_id="org_2").calls.get(UUID)
        await envoy.with_options(deadline=3).calls.get(UUID)
        sent = [request.values("X-Organization-ID") for request in server.executed]
    assert sent == [["org_1"], ["org_2"], ["org_1"]]


async def test_headers_are_the_same_on_each_attempt() -> None:
    """A retry shows the same headers as the first attempt, none of them twice."""
    async with MisbehavingServer(drop, drop, answer()) as server, make_client(server.url) as envoy:
        await envoy.loads.create(NEW_LOAD)
        assert len({request.headers for request in server.executed}) == 1


async def test_large_bodies_arrive_whole_on_each_attempt() -> None:
    """A body of megabytes is sent from its beginning by every attempt, with its length and type."""
    note = "x" * 3_000_000
    async with MisbehavingServer(drop, reset, answer()) as server, make_client(server.url) as envoy:
        await envoy.loads.create(NEW_LOAD, extra={"note": note})
        assert len(server.executed) == 3
        assert {len(request.body) for request in server.executed} == {len(server.executed[0].body)}
        assert json.loads(server.executed[2].body)["note"] == note
        assert server.executed[2].values("Content-Type") == ["application/json"]


async def test_queries_arrive_as_quoted() -> None:
    """The query is sent as it was quoted, byte for byte: nothing is decoded or quoted twice on the way."""
    async with MisbehavingServer(answer()) as server, make_client(server.url) as envoy:
        await envoy.calls.list(search="LD 1/2&x=+%41é#").collect()
        (sent,) = server.executed
    assert sent.target == "/v1/calls?search=LD%201%2F2%26x%3D%2B%2541%C3%A9%23&page=1&page_size=100"


async def test_the_base_path_is_kept() -> None:
    """Operations are appended to the base URL, whatever its path; its closing slash does not double."""
    async with MisbehavingServer(answer()) as server:
        for base in ("", "/", "/api/v1", "/api/v1/"):
            async with make_client(f"http://127.0.0.1:{server.port}{base}") as envoy:
                await envoy.loads.tab_counts()
        targets = [request.target for request in server.executed]
    assert targets == ["/loads/tab-counts"] * 2 + ["/api/v1/loads/tab-counts"] * 2


async def test_reads_reuse_their_connection() -> None:
    """Reads, and writes that may run twice, share one kept connection."""
    async with MisbehavingServer(answer()) as server, make_client(server.url) as envoy:
        for _ in range(3):
            await envoy.calls.get(UUID)
            await envoy.calls.end(UUID)
        assert server.connections == 1
        assert server.executed[0].values("Connection") in ([], ["keep-alive"])


async def test_views_share_connections() -> None:
    """A view is no second client: it uses the same connections."""
    async with MisbehavingServer(answer()) as server, make_client(server.url) as envoy:
        await envoy.calls.get(UUID)
        await envoy.with_options(deadline=3).calls.get(UUID)
        assert server.connections == 1


async def test_cookies_are_not_kept() -> None:
    """A cookie the server sets is not sent back."""
    tempting = answer(headers={"Set-Cookie": "session=abc; Path=/"})
    async with MisbehavingServer(tempting) as server, make_client(server.url) as envoy:
        await envoy.calls.get(UUID)
        await envoy.calls.get(UUID)
        assert [request.values("Cookie") for request in server.executed] == [[], []]


async def test_a_given_session_sends_and_stays_open() -> None:
    """A session passed in is used, with its own headers, and is not closed with the client."""
    async with MisbehavingServer(answer()) as server, aiohttp.ClientSession(headers={"X-Mine": "1"}) as session:
        async with make_client(server.url, session=session) as envoy:
            await envoy.calls.get(UUID)
        assert not session.closed
        (sent,) = server.executed
        assert (sent.values("X-Mine"), sent.values("X-API-Key")) == (["1"], [KEY])


async def test_a_given_session_brings_no_redirects_and_no_resends() -> None:
    """The rules hold in a session passed in: one execution per attempt, no redirect followed, no raising on status."""
    async with MisbehavingServer(answer()) as second:
        script = (drop, redirect(second.url), answer(404, {}))
        async with MisbehavingServer(*script) as server, aiohttp.ClientSession(raise_for_status=True) as session:
            envoy = make_client(server.url, session=session)
            assert type(await failure_of(envoy.calls.get(UUID))) is errors.RedirectError
            assert type(await failure_of(envoy.calls.get(UUID))) is errors.NotFoundError
            await envoy.close()
            assert len(server.executed) == 3
        assert second.connections == 0


@pytest.mark.parametrize("name", ["calls.create", "calls.join"])
async def test_unsafe_operations_in_a_given_session(name: str) -> None:
    """A session passed in keeps its connections; an unsafe operation lost on one is unknown, and not sent again."""
    script = (answer(), drop_unread, answer())
    async with MisbehavingServer(*script) as server, aiohttp.ClientSession() as session:
        envoy = make_client(server.url, session=session)
        await envoy.calls.get(UUID)
        assert type(await failure_of(UNSAFE[name](envoy))) is errors.OutcomeUnknownError
        await envoy.close()
        assert len(server.executed) == 1
