"""What the tests of several groups share: a client with a token, answers held against the store, and refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from envoy_async import BearerToken, EnvoyClient, Pages, RetryPolicy
from envoy_async.errors import (
    ConnectionLostError,
    InvalidRequestError,
    NotFoundError,
    OutcomeUnknownError,
)
from envoy_async.sandbox import Fault, Sandbox

UUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
NOBODY = "00000000-0000-4000-8000-000000000000"
EAGER = RetryPolicy(base=1e-6)  # sends again without a wait worth mentioning


@pytest.fixture
async def bearer(sandbox: Sandbox) -> AsyncIterator[EnvoyClient]:
    """Give a client of the sandbox that holds a bearer token, closed afterwards."""
    async with EnvoyClient(BearerToken(sandbox.bearer_token), base_url=sandbox.base_url, retry=EAGER) as client:
        yield client


def wrong_ids(prefix: str) -> list[str]:
    """Give texts that are no ids of this kind: empty, leading elsewhere, of another kind, or with more in them."""
    other = "call" if prefix == "load" else "load"
    wrong = ["", "..", f"{prefix}_1", f"{prefix}_", UUID[:-1], f"{other}_{UUID}", f"{prefix.upper()}_{UUID}"]
    return [*wrong, f"{prefix}_{UUID}/x", f"{prefix}_{UUID}\r\nX: 1", f"{UUID}?a=b", f"{prefix}_{UUID}#a"]


def assert_shows(found: Any, kept: Any) -> None:
    """Insist that an answer shows the store's value; fields a model does not know are left alone."""
    kind: Any = found.__class__
    if attrs.has(kind):
        for name in attrs.fields_dict(kind):
            assert_shows(getattr(found, name), kept[name])
    elif kind is datetime:
        assert found == datetime.fromisoformat(kept)
        assert found.tzinfo is UTC
    elif kind is tuple:
        for item, twin in zip(found, kept, strict=True):
            assert_shows(item, twin)
    else:
        assert found == kept


def newest(rows: Any) -> list[dict[str, Any]]:
    """Order records of the store, newest first."""
    return sorted(rows, key=lambda row: (str(row["created_at"]), str(row["id"])), reverse=True)


async def assert_one_page(listing: Pages[Any], kind: type, records: list[dict[str, Any]]) -> None:
    """Insist that a bare array comes as one last page with these records, and is proven."""
    pages = [page async for page in listing.by_page()]
    assert [type(item) for page in pages for item in page.items] == [kind] * len(records)
    for page in pages:  # none when there is no record
        assert (page.number, page.total_pages, page.has_next, page.total_count) == (1, 1, False, len(records))
        assert_shows(page.items, records)
    report = listing.report
    assert (report.pages, report.records, report.finished, report.proven) == (1, len(records), True, True)


async def assert_paged(
    make: Callable[..., Pages[Any]], sandbox: Sandbox, path: str, records: list[dict[str, Any]]
) -> None:
    """Insist that a listing delivers these records over many pages, without claiming that it is whole.

    Over one page it does claim it, since what came in a single answer cannot have drifted.
    """
    assert len(records) > 3
    size, sent = len(records) // 4, len(sandbox.requests)
    listing = make(page_size=size)
    assert_shows(tuple(await listing.collect()), records)
    report = listing.report
    assert (report.pages, report.records, report.proven) == (-(-len(records) // size), len(records), False)
    assert [request.path for request in sandbox.requests[sent : sent + 2]] == [
        f"/api/v1{path}?page=1&page_size={size}",
        f"/api/v1{path}?page=2&page_size={size}",
    ]
    assert_shows(tuple(await make(page=2, page_size=size).collect()), records[size:])
    assert_shows(tuple(await make(page=2, page_size=size, limit=1).collect()), records[size : size + 1])
    sent, whole = len(sandbox.requests), make()
    assert_shows(tuple(await make(limit=3).collect()), records[:3])
    assert len(sandbox.requests) == sent + 1
    assert await whole.collect()
    assert whole.report.proven is (len(records) <= 100)


def assert_bad_numbers_refused(make: Callable[..., Pages[Any]], sandbox: Sandbox) -> None:
    """Insist that page, page_size, and limit are whole numbers from 1 when the listing is made; nothing is sent."""
    values: list[object] = [0, -1, True, 1.5, "5"]
    for name, value in [(name, value) for name in ("page", "page_size", "limit") for value in values]:
        with pytest.raises(InvalidRequestError, match=rf"^{name} must be a whole number from 1 to") as caught:
            make(**{name: value})
        assert caught.value.param == name
    with pytest.raises(InvalidRequestError, match=r"from 1 to 100$"):
        make(page_size=101)
    assert sandbox.requests == []


async def assert_refused_here(sandbox: Sandbox, param: str, step: Callable[[], Awaitable[object]]) -> None:
    """Insist that the step ends in an error that names this field, and that nothing was sent."""
    sent = len(sandbox.requests)
    with pytest.raises(InvalidRequestError) as caught:
        await step()
    assert caught.value.param == param
    assert len(sandbox.requests) == sent


async def assert_wrong_ids_refused(
    sandbox: Sandbox, name: str, prefix: str, call: Callable[[str], Awaitable[object]]
) -> None:
    """Insist that no text of another form goes out as the id of this name; the error says what is expected."""
    for wrong in wrong_ids(prefix):
        with pytest.raises(
            InvalidRequestError, match=f"{name} has the wrong shape: expected {prefix}_<uuid>"
        ) as caught:
            await call(wrong)
        assert caught.value.param == name
    assert sandbox.requests == []


async def assert_not_found(sandbox: Sandbox, message: str, step: Awaitable[object]) -> None:
    """Insist on a typed 404 with its one attempt; nothing ran."""
    ran = len(sandbox.executions)
    with pytest.raises(NotFoundError, match=message) as caught:
        await step
    assert (caught.value.status, caught.value.code, caught.value.param) == (404, "not_found", "id")
    assert [row.status for row in caught.value.attempts] == [404]
    assert len(sandbox.executions) == ran


async def assert_lost_is_unknown(
    sandbox: Sandbox, method: str, path: str, step: Callable[[], Awaitable[object]]
) -> None:
    """Insist that an operation whose answer is lost ran once, is not sent again, and says that it may have run."""
    sandbox.fail(Fault(method=method, path=path, drop="after"))
    before = len(sandbox.executions)
    with pytest.raises(OutcomeUnknownError, match="may have run") as caught:
        await step()
    assert isinstance(caught.value.last_error, ConnectionLostError)
    assert (caught.value.method, caught.value.route, len(caught.value.attempts)) == (method, path, 1)
    assert len(sandbox.executions) == before + 1


async def assert_lost_is_sent_again(
    sandbox: Sandbox, method: str, path: str, step: Callable[[], Awaitable[object]]
) -> None:
    """Insist that an operation that may run twice is sent again when its answer is lost, and then answers."""
    sandbox.fail(Fault(method=method, path=path, drop="after"))
    before = len(sandbox.executions)
    await step()
    assert len(sandbox.executions) == before + 2
