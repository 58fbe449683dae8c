"""How far a listing is, and what an export did, as people see it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

import attrs
import pytest

from envoy_async._paging import Report
from envoy_async.cli import progress, summary
from envoy_async.cli.progress import Meter, Pace
from envoy_async.export import Drift, Estimate, Manifest

HALF = Report(records=1_000, pages=10, total_at_start=2_500, quota_limit=100, quota_left=57)
MANIFEST = Manifest(
    operation="GET /calls",
    filters={},
    item="Call",
    format="jsonl",
    file="calls.jsonl",
    bytes=1_234_567,
    sha256="",
    records=2_500,
    id_digest="",
    pages=27,
    requests=28,
    retries=1,
    rate_limited=1,
    waited=3.25,
    drift=Drift(repeated=40, stepped_back=1, total_at_start=2_500, total_at_end=2_499),
    skipped=0,
    strategy="backward",
    proven=True,
    version="1",
)


class Clock:
    """A clock that is put forward by hand."""

    now = 0.0

    def __call__(self) -> float:
        """Give seconds."""
        return self.now


@pytest.mark.parametrize(
    ("report", "rate", "said"),
    [
        (HALF, 500.0, "1,000/2,500 · 10 pages · 500/s · quota 57/100 · 3 s left"),
        (attrs.evolve(HALF, quota_left=5), 500.0, "1,000/2,500 · 10 pages · 500/s · quota 5/100 · 6 s left"),
        (attrs.evolve(HALF, quota_left=5), None, "1,000/2,500 · 10 pages · quota 5/100 · 6 s left"),
        (attrs.evolve(HALF, quota_left=5, records=0), None, "0/2,500 · 10 pages · quota 5/100"),
        (HALF, None, "1,000/2,500 · 10 pages · quota 57/100"),
        (HALF, 0.5, "1,000/2,500 · 10 pages · 30/min · quota 57/100 · 50 min left"),
        (attrs.evolve(HALF, finished=True), 500.0, "1,000/2,500 · 10 pages · 500/s · quota 57/100"),
        (attrs.evolve(HALF, quota_left=None, records=2_600), 500.0, "2,600/2,500 · 10 pages · 500/s · 0 s left"),
        (attrs.evolve(HALF, quota_limit=None, total_at_start=None), 9.0, "1,000 · 10 pages · 9/s"),
        (Report(records=1, pages=1, waited=2.0, rate_limited=3), None, "1 · 1 page · 2.0 s quota wait · 3 refused"),
    ],
)
def test_what_is_known_is_told(report: Report, rate: float | None, said: str) -> None:
    """Records of the total, pages, rate, quota left, time left, waits; and nothing that is not known.

    What the quota does not allow at once takes longer than the rate says.
    """
    assert progress.fitting(progress.told(report, rate), 200) == said


@pytest.mark.parametrize(
    ("room", "said"),
    [
        (57, "1,000/2,500 · 10 pages · 500/s · quota 57/100 · 3 s left"),
        (50, "1,000/2,500 · 500/s · quota 57/100 · 3 s left"),
        (30, "1,000/2,500 · 3 s left"),
        (5, "1,000/2,500"),
    ],
)
def test_a_narrow_screen_gets_what_tells_most(room: int, said: str) -> None:
    """No figure is cut; the waits go first, the records stay."""
    busy = attrs.evolve(HALF, waited=2.0, rate_limited=1)
    assert progress.fitting(progress.told(busy, 500.0), room) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "0 s"), (59.4, "59 s"), (60.0, "1 min"), (3_540.0, "59 min"), (9_000.0, "2 h 30 min")]
)
def test_spans_are_as_exact_as_people_need_them(seconds: float, said: str) -> None:
    """Seconds, minutes, or hours and minutes."""
    assert progress.span(seconds) == said


def test_the_rate_is_that_of_this_run() -> None:
    """It is told after a second; what an earlier run left behind does not make it faster."""
    clock = Clock()
    fresh, resumed = Pace(clock), Pace(clock)
    clock.now = 0.5
    assert fresh.of(attrs.evolve(HALF, records=100, pages=1)) is None
    assert resumed.of(HALF) is None
    clock.now = 2.0
    assert fresh.of(attrs.evolve(HALF, records=200, pages=2)) == 100.0
    assert resumed.of(HALF) is None
    assert resumed.of(attrs.evolve(HALF, records=1_100)) == 50.0


def drawn(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Read what was drawn on stderr, line by line, without colours."""
    out, err = capsys.readouterr()
    assert out == ""
    return [line for line in re.split(r"[\r\n]", re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", err)) if line]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Give a function that makes stderr a terminal of so many columns."""

    def make(columns: int) -> None:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    return make


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (81, "✓ calls ━━━━━━━━ 2,500/2,500 · 25 pages · 750/s · quota 57/100 · 2.0 s quota wait"),
        (80, "✓ calls ━━━━━━━━ 2,500/2,500 · 25 pages · 750/s · quota 57/100"),
        (120, f"✓ calls {24 * '━'} 2,500/2,500 · 25 pages · 750/s · quota 57/100 · 2.0 s quota wait 0:00:00"),
    ],
)
def test_the_line_fits_the_screen(
    columns: int, said: str, screen: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is cut off: a narrow screen has a short bar, no clock, and only as many figures as fit."""
    screen(columns)
    clock = Clock()
    with Meter("calls", clock=clock) as meter:
        clock.now = 2.0
        meter.show(HALF)
        meter.show(attrs.evolve(HALF, records=2_500, pages=25, waited=2.0, finished=True))
    assert drawn(capsys)[-1].rstrip() == said


def test_an_empty_bar_does_not_stay(screen: Callable[[int], None], capsys: pytest.CaptureFixture[str]) -> None:
    """When nothing came, the line is wiped; and without a terminal nothing is drawn at all."""
    with Meter("calls") as meter:
        meter.show(HALF)
    assert capsys.readouterr().err == ""
    screen(80)
    with Meter("calls"):
        pass
    assert capsys.readouterr().err.endswith("\x1b[1A\x1b[2K")


def lines(text: str) -> dict[str, str]:
    """Read a table of two columns."""
    return {name: told.strip() for name, told in (re.split("  +", line, maxsplit=1) for line in text.splitlines())}


def test_the_end_is_told_as_the_manifest_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    """What was fetched, waited, drifted, and written, and what is proven."""
    summary.tell("out/calls.jsonl", MANIFEST)
    out, err = capsys.readouterr()
    assert out == ""
    assert lines(err) == {
        "fetched": "27 pages, 28 requests, 1 refused for quota (429)",
        "waited": "3.2 s, for quota",
        "drifted": "1 step back, 40 repeated; 2,500 records at the start, 2,499 at the end",
        "written": "2,500 records, 1.2 MB, to out/calls.jsonl",
        "proven": "complete, by the listing itself",
    }


@pytest.mark.parametrize(
    ("doubts", "said"),
    [(("the order is not known", "two sweeps differ"), "no: the order is not known; two sweeps differ"), ((), "no")],
)
def test_doubts_and_gaps_are_told(doubts: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not proven is not claimed, and records left out are counted."""
    summary.tell("-", attrs.evolve(MANIFEST, proven=False, doubts=doubts, skipped=2, bytes=12, drift=Drift()))
    found = lines(capsys.readouterr().err)
    assert found["proven"].startswith(said)
    assert found["left out"] == "2 records that could not be read"
    assert found["written"] == "2,500 records, 12 B, to stdout"
    assert found["drifted"] == "0 steps back, 0 repeated"


def test_an_estimate_says_what_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    """A server that tells no total leaves all but the quota open."""
    summary.tell_estimate(Estimate(records=None, pages=None, requests=None, minutes=None, quota_limit=100))
    assert capsys.readouterr().out.count("not known") == 4
    summary.tell_estimate(Estimate(records=9_000, pages=90, requests=90, minutes=0.25, quota_limit=600))
    out = capsys.readouterr().out
    assert "0.2, at 600 requests a minute" in out
    assert "9,000" in out
