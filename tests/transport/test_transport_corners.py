"""What no server can be made to cause on demand."""

from __future__ import annotations

import asyncio

import pytest
from yarl import URL

from envoy_async import errors
from envoy_async._transport import Pool
from envoy_async._transport._body import Body
from envoy_async._transport._failures import translate


def test_what_aiohttp_refuses_to_send_is_bad_input() -> None:
    """A request that aiohttp itself refuses never left, and the message does not quote it."""
    found = translate(ValueError("envai_live_canary"), None, URL("https://api.test"))
    assert type(found) is errors.InvalidRequestError
    assert "canary" not in str(found)


async def test_closing_beside_an_attempt_that_just_ran_out() -> None:
    """Closing the client leaves alone what has timed out in the same moment."""
    pool = Pool()
    lane = await pool.open(asyncio.get_running_loop().time)
    limit = lane.begin(0)
    with pytest.raises(TimeoutError):
        async with limit:
            await asyncio.sleep(10)
    await pool.close()
    assert not lane.open


def test_what_follows_a_gzip_body_is_not_kept() -> None:
    """Bytes behind the end of the gzip stream are damage, not something to collect."""
    body = Body("gzip")
    with pytest.raises(errors.InvalidResponseError, match="damaged"):
        body.feed(bytes.fromhex("1f8b08000000000000034b040043beb7e801000000") + b"junk")
