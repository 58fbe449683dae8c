"""What the tests of faults share: each operation once, the checks of whatever fails, and time that is skipped.

The rule: an error that a test of a fault catches goes through `fails`, which insists that it belongs to the SDK with
all that hangs on it, survives pickling, and shows neither the key nor what an answer held. What is logged meanwhile is
looked through as well.
"""

from __future__ import annotations

import asyncio
import functools
import json
import pickle
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import ParamSpec, TypeVar

import pytest

from envoy_async import EnvoyError, RetryPolicy, Timeouts, errors
from tests.faults._canary import CanaryLog, chain, leaks
from tests.transport.conftest import (
    GOOD,
    KEY,
    NEW_LOAD,
    UUID,
    MisbehavingServer,
    Operation,
    SkippingClock,
    Step,
    answer,
    closed_port,
    failure_of,
    make_client,
    no_task_left,
)
from tests.transport.test_transport_quota import SkippingLoop

__all__ = ["closed_port", "no_task_left"]

P = ParamSpec("P")
E = TypeVar("E", bound=EnvoyError)
ANSWERED = "answer-canary-5d20c9"
"""Stands in every good answer, and in no error."""
PHONE = "+14155550137"
"""Stands in the body of every unsafe request, and in no text of an error."""
SHOWN = json.dumps({**json.loads(GOOD), "note": ANSWERED}).encode()
ONE_EACH: dict[str, Operation] = {
    "read": lambda envoy: envoy.calls.get(UUID),
    "listing": lambda envoy: envoy.calls.list().collect(),
    "idempotent": lambda envoy: envoy.loads.create(NEW_LOAD),
    "unsafe": lambda envoy: envoy.calls.create(extra={"phone_number": PHONE}),
}
READ, UNSAFE = ONE_EACH["read"], ONE_EACH["unsafe"]
REPEATABLE = {name: operation for name, operation in ONE_EACH.items() if name != "unsafe"}
every_operation = pytest.mark.parametrize("operation", ONE_EACH.values(), ids=list(ONE_EACH))
repeatable = pytest.mark.parametrize("operation", REPEATABLE.values(), ids=list(REPEATABLE))
IMPATIENT = Timeouts(deadline=20.0, attempt=0.4, connect=5.0)
PATIENT = Timeouts(deadline=20.0, attempt=10.0)
ONCE = RetryPolicy(max_attempts=1)


class Waiting(SkippingClock):
    """A clock that really waits; under `virtual` that costs nothing."""

    def __call__(self) -> float:
        """Return the loop's time."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Wait, and keep how long."""
        self.waits.append(seconds)
        await asyncio.sleep(seconds)


def virtual(test: Callable[P, Coroutine[None, None, None]]) -> Callable[P, None]:
    """Run a test in a loop whose time passes only where nothing happens; sockets are real."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=SkippingLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


def clean(error: BaseException) -> EnvoyError:
    """Check that an error is the SDK's with all that hangs on it, survives pickling, and shows no secret."""
    assert [part for part in chain(error) if not isinstance(part, EnvoyError)] == []
    assert isinstance(error, EnvoyError)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (type(copy), str(copy), repr(copy)) == (type(error), str(error), repr(error))
    assert (copy.attempts, copy.status, copy.code) == (error.attempts, error.status, error.code)
    assert leaks(error, KEY, ANSWERED) == []
    # the frames of the caller's own call hold what the caller gave it
    assert [place for place in leaks(error, PHONE) if " local " not in place] == []
    return error


async def fails(running: Awaitable[object], kind: type[E | EnvoyError] = EnvoyError) -> EnvoyError:
    """Return the error that this ends with, of exactly this kind if one is given, once it has been looked through."""
    error = clean(await failure_of(running))
    assert kind in {EnvoyError, type(error)}
    return error


async def assert_sent_again(operation: Operation, step: Step, timeouts: Timeouts = PATIENT) -> None:
    """Check that an operation survives *step*: one more request, the same one, and the caller sees nothing of it."""
    async with MisbehavingServer(step, answer(200, SHOWN)) as server:
        async with make_client(server.url, timeouts=timeouts) as envoy:
            await operation(envoy)
        assert len(server.executed) == step.counted + 1
        assert len({(sent.method, sent.target, sent.body) for sent in server.executed}) == 1


async def assert_unknown(
    step: Step, cause: type[EnvoyError], status: int | None = None, timeouts: Timeouts = PATIENT
) -> errors.OutcomeUnknownError:
    """Check that a phone call placed against *step* is not placed again, and its outcome is said to be unknown."""
    async with MisbehavingServer(step, answer(200, SHOWN)) as server:
        async with make_client(server.url, timeouts=timeouts) as envoy:
            error = await fails(UNSAFE(envoy), errors.OutcomeUnknownError)
        assert len(server.executed) == int(step.counted)
        assert server.connections == 1
    assert isinstance(error, errors.OutcomeUnknownError)
    assert isinstance(error.last_error, cause)
    assert (error.status, error.method, error.route, len(error.attempts)) == (status, "POST", "/calls", 1)
    return error


async def assert_final(operation: Operation, step: Step, kind: type[EnvoyError], *, executed: int = 1) -> EnvoyError:
    """Check that an operation ends with exactly this error, and was not sent again."""
    async with MisbehavingServer(step, answer(200, SHOWN)) as server:
        async with make_client(server.url, timeouts=PATIENT) as envoy:
            error = await fails(operation(envoy), kind)
        assert len(server.executed) == executed
        assert len(error.attempts) == 1
    return error


@pytest.fixture(autouse=True)
def nothing_secret_is_logged() -> Iterator[None]:
    """Look through all that is logged during a test, by whomever, down to DEBUG."""
    with CanaryLog() as log:
        yield
    assert log.leaks(KEY, ANSWERED, PHONE) == []
