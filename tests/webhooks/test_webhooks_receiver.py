"""What a receiver answers, when, and what becomes of the event: in virtual time, without a socket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from envoy_async import webhooks
from envoy_async.errors import ConfigurationError
from envoy_async.webhooks import Answer, Claim, Event, MemoryReplayStore, Receiver
from envoy_async.webhooks._once import PATIENCE
from tests.webhooks.conftest import NOW, SECRET, delivery, verifier

pytestmark = pytest.mark.looptime
ACCEPTED, BEFORE = Answer(200, "accepted"), Answer(200, "processed before")
BUSY = Answer(409, "being processed")
FAILED, CLOSING = Answer(503, "the handler failed"), Answer(503, "closing")
DOWN, FULL = Answer(503, "the replay store is down"), Answer(503, "too many deliveries at once")


class Work:
    """A handler that notes what it is given, and can be told to take long or to fail."""

    def __init__(self, seconds: float = 0.0, error: BaseException | None = None) -> None:
        self.seconds, self.error = seconds, error
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.cancelled: list[str] = []

    async def __call__(self, event: Event) -> None:
        """Do as told."""
        self.begun.append(event.message_id)
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled.append(event.message_id)
            raise
        if self.error is not None:
            raise self.error
        self.ended.append(event.message_id)


class Faulty(MemoryReplayStore):
    """A store that fails a number of times, or hangs, in one of its methods."""

    def __init__(self, method: str, times: float, *, hangs: bool = False) -> None:
        super().__init__(clock=asyncio.get_running_loop().time)
        self._method, self._left, self._hangs = method, times, hangs
        self.calls: list[str] = []

    async def claim(self, id: str, *, lease: float = 60.0, reprocess: bool = False) -> Claim:
        """Claim an id."""
        await self._fail("claim")
        return await super().claim(id, lease=lease, reprocess=reprocess)

    async def done(self, id: str, *, ttl: float = 60.0) -> None:
        """Note that an id was processed."""
        await self._fail("done")
        await super().done(id, ttl=ttl)

    async def release(self, id: str) -> None:
        """Give back an id."""
        await self._fail("release")
        await super().release(id)

    async def _fail(self, method: str) -> None:
        self.calls.append(method)
        if method == self._method and self._left > 0:
            self._left -= 1
            if self._hangs:
                await asyncio.Event().wait()
            raise OSError("store down")


@pytest.fixture
def store() -> MemoryReplayStore:
    """Give a store that goes by the loop's clock."""
    return MemoryReplayStore(clock=lambda: asyncio.get_running_loop().time())


@pytest.fixture(autouse=True)
async def no_task_left() -> AsyncIterator[None]:
    """Check that a test leaves no task behind."""
    yield
    assert asyncio.all_tasks() == {asyncio.current_task()}


def now() -> float:
    """Tell the seconds that have gone by."""
    return asyncio.get_running_loop().time()


def body_of(content: bytes, *, at: float = NOW, secret: str = SECRET) -> tuple[dict[str, str], bytes]:
    """Sign any body at any time with any secret."""
    return webhooks.sign(secret, content, id="msg_1", timestamp=int(at)), content


OTHER = "whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3Ro"
REFUSED: dict[str, tuple[tuple[dict[str, str], bytes], int, str]] = {
    "no header": (({}, b"{}"), 401, "a header is missing"),
    "another secret": (body_of(b"{}", secret=OTHER), 401, "no signature is that of a secret in force"),
    "changed": ((body_of(b"{}")[0], b"[]"), 401, "no signature is that of a secret in force"),
    "old": (body_of(b"{}", at=NOW - 301), 401, "it was signed too long ago"),
    "no JSON": (body_of(b"{"), 400, "JSON"),
    "no object": (body_of(b"[]"), 400, "expected object"),
    "large": (body_of(b" " * (1024 * 1024 + 1)), 413, "too large"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_refusals(case: str) -> None:
    """What is no event of this endpoint gets 400, 401, or 413, with the reason, and no handler runs."""
    (headers, body), status, reason = REFUSED[case]
    work = Work()
    async with Receiver(verifier(), work) as receiver:
        answer = await receiver.receive(headers, body)
    assert answer.status == status
    assert reason in answer.text
    assert work.begun == []


async def test_an_event_is_handled_once(store: MemoryReplayStore) -> None:
    """A delivery gets 200 when its handler has ended; the same one gets 409 meanwhile, and 200 afterwards."""
    work = Work(seconds=0.5)
    async with Receiver(verifier(), work, store=store) as receiver:
        answers = await asyncio.gather(*(receiver.receive(*delivery()) for _ in range(20)))
        assert now() == pytest.approx(0.5)
        assert sorted(answers, key=str) == [ACCEPTED] + [BUSY] * 19
        assert await receiver.receive(*delivery()) == BEFORE
        assert await receiver.receive(*delivery("msg_2")) == ACCEPTED
    assert work.ended == ["msg_1", "msg_2"]


async def test_memory_is_the_default() -> None:
    """Without a store, a receiver remembers by itself."""
    async with Receiver(verifier(), Work()) as receiver:
        assert await receiver.receive(*delivery()) == ACCEPTED
        assert await receiver.receive(*delivery()) == BEFORE


async def test_acknowledged_before_the_handler_ends(store: MemoryReplayStore) -> None:
    """The answer to a slow handler comes after `answer_within`, and the handler goes on to its end."""
    work = Work(seconds=30)
    async with Receiver(verifier(), work, store=store, answer_within=0.25) as receiver:
        assert await receiver.receive(*delivery()) == ACCEPTED
        assert now() == pytest.approx(0.25)
        assert (work.begun, work.ended) == (["msg_1"], [])
        await asyncio.sleep(30)
        assert work.ended == ["msg_1"]
        assert await receiver.receive(*delivery()) == BEFORE


async def test_a_failure_in_time(store: MemoryReplayStore) -> None:
    """A handler that fails before the answer makes it a 503, and the sender's next try runs it again."""
    work = Work(error=ValueError("crash"))
    async with Receiver(verifier(), work, store=store) as receiver:
        assert await receiver.receive(*delivery()) == FAILED
        work.error = None
        assert await receiver.receive(*delivery()) == ACCEPTED
    assert (work.begun, work.ended) == (["msg_1"] * 2, ["msg_1"])


async def test_a_failure_after_the_answer(store: MemoryReplayStore, caplog: pytest.LogCaptureFixture) -> None:
    """A handler that fails after the answer leaves a line in the log, and its event free."""
    work = Work(seconds=5, error=ValueError("crash"))
    async with Receiver(verifier(), work, store=store) as receiver:
        assert await receiver.receive(*delivery()) == ACCEPTED
        assert await receiver.receive(*delivery()) == BUSY
        await asyncio.sleep(5)
        assert [record.getMessage() for record in caplog.records] == ["event msg_1 was not processed"]
        assert await store.claim("msg_1") == "new"


async def test_the_lease_ends(store: MemoryReplayStore) -> None:
    """A handler that outlives its lease is cancelled, and the event is free."""
    work = Work(seconds=1_000)
    async with Receiver(verifier(), work, store=store, lease=20.0) as receiver:
        assert await receiver.receive(*delivery()) == ACCEPTED
        await asyncio.sleep(18)
        assert await receiver.receive(*delivery()) == BUSY
        await asyncio.sleep(2)
        assert work.cancelled == ["msg_1"]
        work.seconds = 0
        assert await receiver.receive(*delivery()) == ACCEPTED
    assert work.ended == ["msg_1"]


async def test_a_lease_shorter_than_the_answer(store: MemoryReplayStore) -> None:
    """When the lease ends before the answer is due, the answer says that the handler failed."""
    async with Receiver(verifier(), Work(seconds=9), store=store, answer_within=5.0, lease=2.0) as receiver:
        assert await receiver.receive(*delivery()) == FAILED
        assert now() == pytest.approx(2)


async def test_the_sender_leaves(store: MemoryReplayStore) -> None:
    """When the sender does not wait for the answer, the handler still goes on to its end."""
    work = Work(seconds=0.5)
    async with Receiver(verifier(), work, store=store) as receiver:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(receiver.receive(*delivery()), 0.1)
        await asyncio.sleep(0.5)
        assert await receiver.receive(*delivery()) == BEFORE
    assert work.ended == ["msg_1"]


@pytest.mark.parametrize("error", [asyncio.CancelledError(), ExceptionGroup("two", [ValueError()])], ids=type)
async def test_strange_failures(store: MemoryReplayStore, error: BaseException) -> None:
    """Also a handler that ends in a cancellation of its own making gets the sender a 503, and leaves its event free."""
    async with Receiver(verifier(), Work(error=error), store=store) as receiver:
        assert (await receiver.receive(*delivery())).status == 503
        assert await store.claim("msg_1") == "new"


async def test_closing_waits_for_handlers(store: MemoryReplayStore) -> None:
    """Closing lets handlers end within the grace; whatever comes meanwhile gets 503."""
    work = Work(seconds=5)
    async with Receiver(verifier(), work, store=store, grace=10.0) as receiver:
        assert await receiver.receive(*delivery()) == ACCEPTED
        closing = asyncio.create_task(receiver.aclose())
        await asyncio.sleep(1)
        assert await receiver.receive(*delivery("msg_2")) == CLOSING
        await closing
        assert now() == pytest.approx(5)
    assert work.ended == work.begun == ["msg_1"]
    assert await store.claim("msg_1") == "done"


@pytest.mark.parametrize("grace", [0.0, 2.0])
async def test_closing_cancels_handlers(store: MemoryReplayStore, grace: float) -> None:
    """After the grace handlers are cancelled, and their events are free again."""
    work = Work(seconds=5)
    async with Receiver(verifier(), work, store=store, grace=grace) as receiver:
        assert await receiver.receive(*delivery()) == ACCEPTED
        began = now()
    assert now() - began == pytest.approx(grace)
    assert work.cancelled == ["msg_1"]
    assert await store.claim("msg_1") == "new"


async def test_closing_waits_for_what_is_cancelled(store: MemoryReplayStore) -> None:
    """A handler that needs time to tidy up when it is cancelled gets it before the receiver is closed."""
    tidied: list[str] = []

    async def handle(event: Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(3)
            tidied.append(event.message_id)

    async with Receiver(verifier(), handle, store=store, grace=0.0) as receiver:
        assert await receiver.receive(*delivery()) == ACCEPTED
    assert tidied == ["msg_1"]


async def test_closing_tells_senders_who_wait(store: MemoryReplayStore) -> None:
    """A sender that still waits for its answer when its handler is cancelled, or before it began, gets 503."""
    work = Work(seconds=5)
    receiver = Receiver(verifier(), work, store=store, grace=0.0)
    waiting = asyncio.create_task(receiver.receive(*delivery()))
    await asyncio.sleep(0.1)
    late = asyncio.create_task(receiver.receive(*delivery("msg_2")))
    await asyncio.sleep(0)
    await receiver.aclose()
    assert [await waiting, await late] == [CLOSING, CLOSING]
    assert [await store.claim(id) for id in ("msg_1", "msg_2")] == ["new", "new"]


async def test_closing_is_cancelled(store: MemoryReplayStore) -> None:
    """Whoever cuts closing short still has every handler cancelled."""
    work = Work(seconds=50)
    receiver = Receiver(verifier(), work, store=store, grace=10.0)
    await receiver.receive(*delivery())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(receiver.aclose(), 1)
    await asyncio.sleep(0.1)
    assert work.cancelled == ["msg_1"]
    assert await store.claim("msg_1") == "new"


async def test_opened_again(store: MemoryReplayStore) -> None:
    """A receiver can be closed twice, and opened again; as the lifespan of an application too."""
    receiver = Receiver(verifier(), Work(), store=store)
    async with receiver:
        await receiver.aclose()
    assert await receiver.receive(*delivery()) == CLOSING
    async with receiver.lifespan(object()):
        assert await receiver.receive(*delivery()) == ACCEPTED
    assert await receiver.receive(*delivery("msg_2")) == CLOSING


@pytest.mark.parametrize(("hangs", "seconds"), [(False, 0.0), (True, PATIENCE)])
async def test_the_store_is_down(*, hangs: bool, seconds: float) -> None:
    """While the store is down, or answers nothing for three seconds, a delivery gets 503 and no handler runs."""
    work, store = Work(), Faulty("claim", 1, hangs=hangs)
    async with Receiver(verifier(), work, store=store) as receiver:
        assert await receiver.receive(*delivery()) == DOWN
        assert now() == pytest.approx(seconds)
        assert work.begun == []
        assert await receiver.receive(*delivery()) == ACCEPTED


@pytest.mark.parametrize("hangs", [False, True])
async def test_open_while_the_store_is_down(*, hangs: bool, caplog: pytest.LogCaptureFixture) -> None:
    """With `fail_closed=False` an event is processed while the store is down, also twice; the log warns of it."""
    work, store = Work(), Faulty("claim", 2, hangs=hangs)
    async with Receiver(verifier(), work, store=store, fail_closed=False) as receiver:
        assert [await receiver.receive(*delivery()) for _ in range(4)] == [ACCEPTED, ACCEPTED, ACCEPTED, BEFORE]
    assert work.ended == ["msg_1"] * 3
    told = "the replay store is down; event msg_1 may be processed twice"
    assert [record.getMessage() for record in caplog.records] == [told, told]
    assert store.calls == ["claim", "claim", "claim", "done", "claim"]


async def test_noted_at_the_third_try() -> None:
    """When the store fails twice to note that an event was processed, a third try does; the sender need not wait."""
    store = Faulty("done", 2)
    async with Receiver(verifier(), Work(), store=store) as receiver:
        assert await receiver.receive(*delivery()) == ACCEPTED
        assert now() == pytest.approx(1)
        await asyncio.sleep(2)
        assert await store.claim("msg_1") == "done"
    assert store.calls.count("done") == 3


@pytest.mark.parametrize("hangs", [False, True])
async def test_never_noted(*, hangs: bool, caplog: pytest.LogCaptureFixture) -> None:
    """When it cannot be noted at all, the sender hears 200, the log says it, and the lease holds duplicates off."""
    store, work = Faulty("done", 1_000, hangs=hangs), Work()
    async with Receiver(verifier(), work, store=store) as receiver:
        assert await receiver.receive(*delivery()) == ACCEPTED
        await asyncio.sleep(5)
        assert await receiver.receive(*delivery()) == BUSY
    assert [record.getMessage() for record in caplog.records] == [
        "event msg_1 was processed, but that could not be noted"
    ]
    assert work.ended == ["msg_1"]


@pytest.mark.parametrize("hangs", [False, True])
async def test_not_given_back(*, hangs: bool) -> None:
    """When the event of a failed handler cannot be given back, it is free when its lease ends."""
    store, work = Faulty("release", 1, hangs=hangs), Work(error=ValueError("crash"))
    async with Receiver(verifier(), work, store=store, answer_within=9.0, lease=30.0) as receiver:
        assert await receiver.receive(*delivery()) == FAILED
        assert now() == pytest.approx(PATIENCE * hangs)
        assert await receiver.receive(*delivery()) == BUSY
        await asyncio.sleep(30)
        work.error = None
        assert await receiver.receive(*delivery()) == ACCEPTED


async def test_too_many_at_once(store: MemoryReplayStore) -> None:
    """Deliveries beyond the limit get 503 at once; when handlers have ended there is room again."""
    work = Work(seconds=3)
    async with Receiver(verifier(), work, store=store, concurrency=2) as receiver:
        answers = await asyncio.gather(*(receiver.receive(*delivery(f"msg_{number}")) for number in range(3)))
        assert answers == [ACCEPTED, ACCEPTED, FULL]
        await asyncio.sleep(2.1)
        assert await receiver.receive(*delivery("msg_2")) == ACCEPTED
    assert sorted(work.ended) == ["msg_0", "msg_1", "msg_2"]


async def test_processed_again_on_demand(store: MemoryReplayStore) -> None:
    """With `reprocess=True` events that were processed are processed again, but never two at a time."""
    work = Work(seconds=0.5)
    async with Receiver(verifier(), work, store=store, reprocess=True) as receiver:
        assert await receiver.receive(*delivery()) == ACCEPTED
        again = await asyncio.gather(*(receiver.receive(*delivery()) for _ in range(3)))
        assert again == [ACCEPTED, BUSY, BUSY]
    assert work.ended == ["msg_1"] * 2


async def test_logs_hold_no_secret(store: MemoryReplayStore, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever happens to a delivery, no log holds a secret, a signature, or anything of its body."""
    caplog.set_level(logging.DEBUG)
    work = Work(error=ValueError("crash"))
    headers, body = delivery(note="canary-of-the-body")
    receive: list[Callable[[Receiver], Awaitable[Answer]]] = [
        lambda receiver: receiver.receive(headers, body),
        lambda receiver: receiver.receive(headers, body + b" "),
        lambda receiver: receiver.receive(*body_of(body[:-1])),
    ]
    async with Receiver(verifier(), work, store=store) as receiver:
        assert [(await each(receiver)).status for each in receive] == [503, 401, 400]
    async with Receiver(verifier(), work, store=Faulty("claim", 1)) as receiver:
        assert await receiver.receive(headers, body) == DOWN
    assert len(caplog.records) == 4
    for canary in SECRET, SECRET[6:], headers["webhook-signature"][3:], "canary-of-the-body":
        assert canary not in caplog.text + repr(receiver)


@pytest.mark.parametrize("bounds", [{"answer_within": -1.0}, {"lease": 0.0}, {"grace": -1.0}, {"lease": float("nan")}])
def test_bounds(bounds: dict[str, float]) -> None:
    """Times below zero, a lease of nothing, and no concurrency are refused."""
    with pytest.raises(ConfigurationError, match="answer_within and grace must be 0 or more"):
        Receiver(verifier(), Work(), **bounds)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError):
        Receiver(verifier(), Work(), concurrency=0)
