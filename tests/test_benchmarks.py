"""The benchmark's figures: how limits are judged, and that the documentation shows what was measured."""

from __future__ import annotations

import pytest

from tests.benchmarks import _page
from tests.benchmarks._figures import Figure, Found, Report, Table, load

REPORT = Report(
    "Somewhere",
    {
        "one": Found(
            {"Goal": Figure((1.5, 1.0, 4.0), most=1.2)}, (Table("Some", ("Time",), {"ours": (Figure((2.0,)),)}),)
        )
    },
)


def test_the_page_shows_what_was_measured() -> None:
    """The tables on the page about performance are those that the benchmark makes of the figures kept beside it."""
    report = load(_page.JSON.read_text(encoding="utf-8"))
    page = _page.PAGE.read_text(encoding="utf-8")
    assert _page.filled(page, report) == page


@pytest.mark.parametrize(
    ("figure", "good"),
    [
        (Figure((9.0, 1.0, 1.2), most=1.2), True),
        (Figure((9.0, 1.0, 1.3), most=1.2), False),
        (Figure((0.1, 0.9, 1.0), "share", least=0.9), True),
        (Figure((0.1, 0.8, 1.0), "share", least=0.9), False),
        (Figure((0.96, 0.98, 1.2), least=0.97, most=1.03), True),
        (Figure((0.96, 0.9, 1.2), least=0.97, most=1.03), False),
        (Figure((9.0,)), True),
    ],
)
def test_the_median_is_held_to_the_limits(figure: Figure, good: bool) -> None:
    """The median of the repetitions decides, whatever single ones say; a figure without a limit is always good."""
    assert figure.good is good


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (Figure((0.03333, 0.1, 11.0)), "0.10 (0.033 to 11.0)"),
        (Figure((0.9,), "share"), "90.0 %"),
        (Figure((354_321.0, 300_000.0, 400_000.0), "per second"), "354,000"),
        (Figure((1.0, 2.0), "MiB"), "1.50 MiB (1.00 MiB to 2.00 MiB)"),
    ],
)
def test_figures_read_as_median_least_and_most(figure: Figure, text: str) -> None:
    """A figure shows its median and its range; what only gives the scale is one number of three digits."""
    assert figure.text == text


def test_a_report_survives_its_file() -> None:
    """What is read from the file of figures is what was written to it, so that text made of either is the same."""
    again = load(REPORT.dump())
    assert again == REPORT
    assert again.lines() == REPORT.lines()


def test_a_missed_limit_is_named() -> None:
    """A limit that was missed is named with its figure, and stands in the table as not kept."""
    assert REPORT.missed == ["Goal: 1.50 (1.00 to 4.00), at most 1.2"]
    assert "| Goal | at most 1.2 | 1.50 (1.00 to 4.00) | **no** |" in REPORT.lines()
