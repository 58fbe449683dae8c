"""Thirty faults by the numbers, with few seeds; ``nox -s simulations`` runs 200 of them.

Nothing here is about a single fault: what must never happen is counted over all of them.
"""

from __future__ import annotations

from random import Random

import pytest

from envoy_async import errors
from tests.faults._operations import UNSAFE
from tests.faults._statistics import REPEATABLE, Tally, judge, kinds_of, study
from tests.faults._thirty import FaultServer, survivable, thirty

SEEDS = range(2)


@pytest.fixture
def nothing_secret_is_logged() -> None:
    """Leave that to the study, which looks through the logs of each run."""


def assert_nothing_happened(tallies: dict[str, Tally]) -> None:
    """Insist that nothing was counted that must not happen, and show what was."""
    examples = [example for tally in tallies.values() for example in tally.examples]
    assert sum(tally.misses for tally in tallies.values()) == 0, "\n".join(examples)


def test_unsafe_operations_under_all_faults() -> None:
    """None runs twice or is sent again once it may have run; each outcome is told as it is; no secret shows."""
    tallies = study(UNSAFE, SEEDS, unsafe=True)
    counted = kinds_of(tallies)
    assert counted["runs"] == len(UNSAFE) * 30 * len(SEEDS)
    assert 0 < counted["succeeded"] < counted["runs"]
    assert_nothing_happened(tallies)


def test_operations_that_may_run_twice_under_all_faults() -> None:
    """They succeed whenever one of their attempts meets a clean server; no secret shows."""
    tallies = study(REPEATABLE, SEEDS, unsafe=False)
    counted = kinds_of(tallies)
    assert counted["runs"] == len(REPEATABLE) * 30 * len(SEEDS)
    assert counted["succeeded"] >= counted["runs"] // 3
    assert_nothing_happened(tallies)


def test_there_are_thirty_faults() -> None:
    """Thirty different ones."""
    assert len({fault.name for fault in thirty("http://localhost")}) == 30


UNKNOWN = errors.OutcomeUnknownError("?")
FAILED = errors.NotFoundError("?")


@pytest.mark.parametrize(
    ("fault", "ran", "result", "unsafe", "counted"),
    [
        ("drop", 1, UNKNOWN, True, None),
        ("drop", 0, UNKNOWN, True, None),
        ("drop", 1, FAILED, True, "wrong_verdicts"),
        ("drop", 0, FAILED, True, "wrong_verdicts"),
        ("drop", 1, object(), True, "wrong_verdicts"),
        ("drop", 2, UNKNOWN, True, "executed_twice"),
        ("not found", 0, FAILED, True, None),
        ("not found", 0, UNKNOWN, True, "wrong_verdicts"),
        ("not found", 0, LookupError(), True, "foreign"),
        ("not found", 0, FAILED, False, None),
        ("drop", 0, FAILED, False, "not_survived"),
        ("drop", 0, object(), False, None),
    ],
)
def test_the_judge(fault: str, ran: int, result: object, unsafe: bool, counted: str | None) -> None:
    """Each kind of miss is seen as what it is: a count of 0 means something."""
    faults, server, tally = {each.name: each for each in thirty("http://localhost")}, FaultServer(b"{}"), Tally()
    server.ran, server.met = ran, [faults[fault]]
    judge(tally, server, result, unsafe=unsafe, told="a run")
    assert tally.misses == (counted is not None)
    assert [example.split(":")[0] for example in tally.examples] == [each for each in [counted] if each]


def test_the_judge_sees_what_is_sent_again() -> None:
    """Another request after one that may have run is counted, even when that one did not run."""
    faults, server, tally = {each.name: each for each in thirty("http://localhost")}, FaultServer(b"{}"), Tally()
    server.ran, server.met = 1, [faults["drop"], server.clean]
    judge(tally, server, object(), unsafe=True, told="a run")
    assert (tally.sent_again, tally.misses) == (1, 1)


def test_what_can_be_survived() -> None:
    """Three faults that pass and any number of refusals for quota are survived; a fourth, or a lasting one, is not."""
    faults = {each.name: each for each in thirty("http://localhost")}
    assert survivable([faults["drop"], faults["hang"], faults["quota"], faults["status 503"], faults["quota"]])
    assert not survivable([faults["drop"]] * 4)
    assert not survivable([faults["drop"], faults["not found"]])


def test_plans_are_repeatable() -> None:
    """The same seed plans the same faults."""
    faults, plans = thirty("http://localhost"), list[list[str]]()
    for seed in (1, 1, 2, 3, 4, 5, 6, 7, 8):
        server = FaultServer(b"{}")
        server.begin(faults[0], faults, Random(seed))
        plans.append([fault.name for fault in server.plan])
    assert plans[0] == plans[1]
    assert any(plan != plans[0] for plan in plans)
