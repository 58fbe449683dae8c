"""The server opens, lets the right callers in, answers in the vendor's envelope, and closes without a trace."""

from __future__ import annotations

import ast
import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import pytest

import envoy_async.sandbox
from envoy_async.sandbox import Sandbox

Send: TypeAlias = Callable[..., Awaitable[tuple[int, Mapping[str, str], Any]]]


def test_the_sandbox_is_an_independent_witness() -> None:
    """It imports the standard library, aiohttp, attrs, itself, and how to sign; nothing of the client."""
    for file in Path(envoy_async.sandbox.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                roots = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                roots = {str(node.module).split(".")[0]}
            else:
                assert (
                    not isinstance(node, ast.ImportFrom)
                    or node.level == 1
                    or (node.level, node.module) == (2, "_signing")
                )
                continue
            assert roots <= {*sys.stdlib_module_names, "aiohttp", "attrs"}, file.name


async def test_nothing_is_open_before_the_start_or_after_the_close(send: Send) -> None:
    """There is no address then; closing twice is harmless, starting twice is not; a restart keeps the data."""
    sandbox = Sandbox(calls=3, loads=1)
    with pytest.raises(RuntimeError, match="not running"):
        assert sandbox.base_url
    await sandbox.start()
    with pytest.raises(RuntimeError, match="already running"):
        await sandbox.start()
    url = sandbox.base_url
    before = (await send(sandbox, "GET", "/calls"))[2]
    await sandbox.close()
    await sandbox.close()
    with pytest.raises(aiohttp.ClientConnectorError):
        await send(sandbox, "GET", f"{url}/calls", headers={})
    async with sandbox:
        assert (await send(sandbox, "GET", "/calls"))[2] == before


async def test_a_taken_port_is_an_error_that_leaves_nothing_open(sandbox: Sandbox) -> None:
    """The second sandbox on one port does not start."""
    other = Sandbox(calls=1, loads=1, port=int(sandbox.base_url.split(":")[2].split("/")[0]))
    with pytest.raises(OSError, match="address already in use"):
        await other.start()
    with pytest.raises(RuntimeError):
        assert other.base_url


async def test_the_address_may_be_ipv6(send: Send) -> None:
    """It is written in brackets then."""
    async with Sandbox(calls=1, loads=1, host="::1") as sandbox:
        assert sandbox.base_url.startswith("http://[::1]:")
        assert (await send(sandbox, "GET", "/calls"))[0] == 200


async def test_it_closes_while_connections_are_kept_alive() -> None:
    """An idle connection of a client does not hold it up."""
    async with aiohttp.ClientSession() as session:
        sandbox = Sandbox(calls=1, loads=1)
        await sandbox.start()
        async with session.get(f"{sandbox.base_url}/calls", headers={"X-API-Key": sandbox.api_key}) as answer:
            assert answer.status == 200
        await asyncio.wait_for(sandbox.close(), 5)


@pytest.mark.parametrize(
    "headers", [{}, {"X-API-Key": "envai_live_0"}, {"Authorization": "Bearer x"}, {"Authorization": "Basic eA=="}]
)
async def test_a_caller_without_a_good_credential_is_a_401(
    sandbox: Sandbox, send: Send, headers: dict[str, str]
) -> None:
    """Missing or wrong, by key or by token, on known and unknown paths."""
    for path in ("/calls", "/nowhere"):
        status, _, body = await send(sandbox, "GET", path, headers=headers)
        assert status == 401
        assert body["error"] == {
            "code": "not_authenticated",
            "message": "Missing or invalid authentication credentials.",
            "param": None,
        }
    assert sandbox.executions == []
    assert [received.status for received in sandbox.requests] == [401, 401]


async def test_key_and_token_open_the_first_organization_and_no_unknown_one(sandbox: Sandbox, send: Send) -> None:
    """Naming one's own organization is allowed, naming one nobody knows a 403."""
    for credential in ({"X-API-Key": sandbox.api_key}, {"Authorization": f"Bearer {sandbox.bearer_token}"}):
        own = {**credential, "X-Organization-ID": sandbox.organization_id}
        foreign = {**credential, "X-Organization-ID": "org_00000000-0000-4000-8000-000000000000"}
        assert (await send(sandbox, "GET", "/calls", headers=own))[0] == 200
        status, _, body = await send(sandbox, "GET", "/calls", headers=foreign)
        assert (status, body["error"]["code"]) == (403, "insufficient_permissions")


async def test_an_unknown_path_is_a_404_and_a_wrong_method_a_405(sandbox: Sandbox, send: Send) -> None:
    """Both in the envelope, also outside the base path; a fixed path is never taken for an id."""
    origin = sandbox.base_url.removesuffix("/api/v1")
    assert (await send(sandbox, "GET", "/calls/"))[2]["error"]["code"] == "not_found"
    assert (await send(sandbox, "GET", f"{origin}/recordings/x.mp4"))[0] == 404
    for method, path in (("DELETE", "/calls"), ("PUT", "/loads/load_1"), ("POST", "/loads/stats")):
        status, headers, body = await send(sandbox, method, path)
        assert (status, body["error"]["code"]) == (405, "method_not_allowed")
        assert body["error"]["message"] == f"Allowed: {headers['Allow']}"
    status, headers, _ = await send(sandbox, "PATCH", "/calls")
    assert (status, headers["Allow"]) == (405, "GET, POST")
    for path in ("/nowhere", "/calls"):
        assert "Allow" not in (await send(sandbox, "GET", path))[1]


async def test_a_wrong_method_needs_a_credential_only_where_the_right_one_does(sandbox: Sandbox, send: Send) -> None:
    """The login is open to all, so a caller without a credential learns what it takes; elsewhere that is a 401."""
    for method in ("GET", "PUT", "DELETE"):
        status, headers, body = await send(sandbox, method, "/auth/login", headers={})
        assert (status, body["error"]["code"], headers["Allow"]) == (405, "method_not_allowed", "POST")
    for method, path in (("DELETE", "/calls"), ("GET", "/auth/logout")):
        status, headers, _ = await send(sandbox, method, path, headers={})
        assert (status, "Allow" in headers) == (401, False)
    assert sandbox.executions == []


async def test_requests_and_executions_are_written_down(sandbox: Sandbox, send: Send) -> None:
    """Every request with its query and status; of the operations only those that ran."""
    await send(sandbox, "GET", "/calls?page=2")
    await send(sandbox, "GET", "/calls?page=0")
    assert [(received.method, received.path, received.status) for received in sandbox.requests] == [
        ("GET", "/api/v1/calls?page=2", 200),
        ("GET", "/api/v1/calls?page=0", 422),
    ]
    (ran,) = sandbox.executions
    assert (ran.operation, ran.method, ran.path, ran.body) == ("calls.list", "GET", "/api/v1/calls", None)
    assert ran.at == sandbox.requests[0].at == 1_763_740_800.0


@pytest.mark.parametrize(("host", "reached"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "127.0.0.1")])  # noqa: S104
async def test_a_sandbox_that_listens_everywhere_is_reached_here(host: str, reached: str) -> None:
    """The address it tells is one that clients take: plain http is for loopback addresses only."""
    async with Sandbox(calls=1, loads=1, host=host) as sandbox:
        assert sandbox.base_url.startswith(f"http://{reached}:")
        async with (
            aiohttp.ClientSession(headers={"X-API-Key": sandbox.api_key}) as session,
            session.get(f"{sandbox.base_url}/loads/tab-counts") as answer,
        ):
            assert answer.status == 200
