"""Listings under everything at once: rows that come, change, and go, steps that fail or are cancelled, crashes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from contextlib import aclosing
from datetime import timedelta
from random import Random
from typing import TypeAlias
from unittest.mock import patch

import attrs
import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from envoy_async._paging import Pages, _backward
from envoy_async._paging._strategies import Strategy
from envoy_async.errors import ConnectionLostError, DriftError, PaginationError
from envoy_async.models import Call
from envoy_async.resources.calls import Calls
from tests.simulations._calls import DAY, DRIFTS, EPOCH, EPOCH_DAY, CallsServer
from tests.simulations._servers import VirtualLoop

Saved: TypeAlias = tuple[str, tuple[str, ...]]
PLACES = st.integers(0, 10**4)


@attrs.define(eq=False)
class Planned(CallsServer):
    """A server whose rows change also when the test says so: before the next requests are handled, if not at once."""

    plan: list[tuple[int, int, int]] = attrs.field(factory=list[tuple[int, int, int]])
    """For each of the next requests: rows added, rows deleted, and where."""
    losing: int = 0
    """So many of the next requests are lost."""

    def change(self, size: int) -> None:
        """Do what is planned for this request."""
        added, gone, place = self.plan.pop(0) if self.plan else (0, 0, 0)
        self.delete(place % max(1, len(self.rows)), gone)
        self.insert(added)
        super().change(size)
        self.failing = float(self.losing > 0)
        self.losing -= 1


class Listing(RuleBasedStateMachine):
    """One listing of calls, read with one strategy."""

    strategy: Strategy
    longest = 30  # pages
    checkpoints: Bundle[Saved] = Bundle("checkpoints")

    @initialize(
        seed=st.integers(0, 10**6),
        pages=st.sampled_from([0, 1, 2, 5, 12, 30]),
        size=st.integers(3, 8),
        gap=st.sampled_from([60, 30_000, 200_000]),
        prefetch=st.sampled_from([1, 3, 8, 8]),
        drift=st.sampled_from(["heavy", "none", "heavy"]),
    )
    def begin(self, *, seed: int, pages: int, size: int, gap: int, prefetch: int, drift: str) -> None:
        """Fill the server, and begin the listing."""
        pages = min(pages, self.longest)
        self.server = Planned(Random(seed), gap=gap, zone=Random(seed).randrange(-12, 15) * 3_600)
        self.server.insert(pages * size + seed % size)
        self.server.drift = DRIFTS[drift]
        self.size, self.prefetch, self.stopped = size, prefetch, False
        last_day = EPOCH_DAY + timedelta(days=(self.server.now - EPOCH) // DAY + seed % 3)
        self.span = (EPOCH_DAY - timedelta(days=1), last_day) if self.strategy == "windows" else (None, None)
        self.there: tuple[str, ...] | None = None
        self.delivered, self.warned = list[str](), 0
        self.pages = self.listing()
        self.runner = asyncio.Runner(debug=False, loop_factory=VirtualLoop)
        self.spans = patch.multiple(_backward, _PAGES=3, _DAYS=2)  # short listings are worth no spans otherwise
        self.spans.start()

    def listing(self) -> Pages[Call]:
        """Make the listing, new or to be resumed."""
        first, last = self.span
        pages = Calls(self.server.send).list(
            strategy=self.strategy, start_date=first, end_date=last, page_size=self.size
        )
        return pages.prefetch(self.prefetch)

    @property
    def days(self) -> dict[str, str]:
        """Give the days as the server gets them."""
        first, last = self.span
        return {} if first is None else {"start_date": str(first), "end_date": str(last)}

    def run(self, step: Coroutine[None, None, bool]) -> None:
        """Take a step; a lost request leaves a checkpoint, and what is told of rows that outrun the reader is heard."""
        if self.there is None:
            low, high = self.server.chosen(self.days)
            self.there = tuple(row.id for row in reversed(self.server.rows[low:high]))
        left: str | None = ""
        try:
            self.runner.run(step)
        except ConnectionLostError as error:
            left = error.checkpoint
        except DriftError:
            self.stopped = self.strategy == "reconcile"  # the only one that may give up
        except PaginationError:
            self.warned += 1
        assert left in {"", self.pages.checkpoint()}

    @rule(count=st.integers(1, 8))
    def insert(self, count: int) -> None:
        """New calls come in."""
        self.server.insert(count)

    @rule(place=PLACES, count=st.integers(1, 8))
    def delete(self, place: int, count: int) -> None:
        """Calls that lie side by side are deleted."""
        self.server.delete(place % max(1, len(self.server.rows)), count)

    @rule(place=PLACES)
    def update(self, place: int) -> None:
        """A call changes."""
        if self.server.rows:
            self.server.update(place % len(self.server.rows))

    @rule(plan=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), PLACES), min_size=1, max_size=12))
    def plan(self, plan: list[tuple[int, int, int]]) -> None:
        """Rows will come and go while the next requests are under way."""
        self.server.plan = plan

    @rule(count=st.integers(1, 2))
    def fail(self, count: int) -> None:
        """The next requests will be lost."""
        self.server.losing = count

    @rule(prefetch=st.sampled_from([8, 2, 1]))
    def switch(self, prefetch: int) -> None:
        """The reader fetches ahead, or no longer does."""
        self.prefetch = prefetch
        self.pages.prefetch(prefetch)

    @precondition(lambda self: not self.stopped)
    @rule(most=st.integers(1, 20))
    def take(self, most: int) -> None:
        """Take some records in a loop that is left."""

        async def loop() -> bool:
            left = most
            async for call in self.pages:
                self.delivered.append(call.id)
                left -= 1
                if not left:
                    return False
            return True

        self.run(loop())

    @precondition(lambda self: not self.stopped)
    @rule(seconds=st.sampled_from([0.0, 0.3, 0.9, 1.5, 4.0]))
    def cancel(self, seconds: float) -> None:
        """Take one record, unless the time the caller gives it is over before."""

        async def step() -> bool:
            try:
                async with asyncio.timeout(seconds):
                    self.delivered.append((await anext(self.pages)).id)
            except (TimeoutError, StopAsyncIteration):
                return False
            return True

        self.run(step())

    @precondition(lambda self: not self.stopped)
    @rule(most=st.integers(1, 3))
    def take_pages(self, most: int) -> None:
        """Take some pages, with what is left of a page begun."""

        async def loop() -> bool:
            left = most
            async with aclosing(self.pages.by_page()) as pages:
                async for page in pages:
                    self.delivered += [call.id for call in page.items]
                    left -= 1
                    if not left:
                        return False
            return True

        self.run(loop())

    @rule(seconds=st.sampled_from([0.3, 1.0, 3.0]))
    def pass_time(self, seconds: float) -> None:
        """What was asked for ahead may come meanwhile."""
        self.runner.run(asyncio.sleep(seconds))

    @rule(target=checkpoints)
    def checkpoint(self) -> Saved:
        """Note where the listing stands, beside what came until then."""
        state = self.pages.checkpoint()
        assert len(json.dumps(json.loads(state))) < 2**16
        return state, tuple(self.delivered)

    @rule(saved=checkpoints)
    def resume(self, saved: Saved) -> None:
        """Crash, and go on from any earlier checkpoint, with what had come until then."""
        self.runner.run(self.pages.aclose())
        state, delivered = saved
        self.pages, self.delivered, self.stopped = self.listing().resume(state), list(delivered), False

    @invariant()
    def nothing_comes_twice(self) -> None:
        """No id twice, those there were at the start newest first, and the report counts what was handed out."""
        if hasattr(self, "pages"):
            assert len(set(self.delivered)) == len(self.delivered) == self.pages.report.records
            if self.strategy != "reconcile" and self.there is not None:
                came, old = set(self.delivered), set(self.there)
                assert [id for id in self.there if id in came] == [id for id in self.delivered if id in old]

    def teardown(self) -> None:
        """Read to the end: what was there at the start and was not deleted has come."""
        if not hasattr(self, "pages"):
            return
        try:
            while not (self.stopped or self.pages.report.finished):
                self.server.losing = 0
                self.take(10**9)
                assert self.warned < 30
            self.nothing_comes_twice()
            if self.there is not None:
                self.judge(self.there)
            self.runner.run(self.pages.aclose())
            assert not self.server.flying
        finally:
            self.spans.stop()
            self.runner.close()

    def judge(self, there: tuple[str, ...]) -> None:
        """Nothing is lost; a listing that could not be read to its end says so."""
        report = self.pages.report
        if self.stopped:
            assert not report.proven
            return
        assert set(there) - self.server.deleted <= set(self.delivered)


class CountGuard(Listing):
    """Newest first, forwards."""

    strategy: Strategy = "count-guard"


class Backward(Listing):
    """Newest first, from the end of the ascending listing."""

    strategy: Strategy = "backward"


class Windows(Listing):
    """Newest first, in spans of days."""

    strategy: Strategy = "windows"


class Reconcile(Listing):
    """In an order nobody knows."""

    strategy: Strategy = "reconcile"
    longest = 2  # it reads everything several times


MACHINES = (CountGuard, Backward, Windows, Reconcile)


def check(machine: type[Listing], examples: int) -> None:
    """Let Hypothesis look for what breaks the guarantee."""
    options = settings(max_examples=examples, stateful_step_count=25, deadline=None)
    run_state_machine_as_test(machine, settings=options)


@pytest.mark.parametrize("machine", MACHINES)
def test_whatever_happens_nothing_is_lost(machine: type[Listing]) -> None:
    """Rows come and go, steps fail and are cancelled, checkpoints are resumed: what was there comes exactly once."""
    check(machine, 15)
