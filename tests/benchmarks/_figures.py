"""What the benchmark found: figures, tables of them, and how both read.

The rule: a figure keeps the value of each repetition, and its median is held to its limits. Text and JSON are made of
the same rounded values, so that the one can be made again from the other.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import cattrs

_FORMS = {"MiB": "{:.2f} MiB", "bytes": "{:,.0f} bytes", "ms": "{:.1f} ms", "us": "{:.2f} µs"}


def _number(value: float, unit: str) -> str:
    match unit:
        case "ratio":
            return f"{value:.3f}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"
        case "share":
            return f"{value * 100:.1f} %"
        case "per second":  # three digits that count
            return f"{float(f'{value:.3g}'):,.0f}"
        case _:
            return _FORMS[unit].format(value)


def _rounded(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(f"{value:.4g}") for value in values)


@attrs.frozen
class Figure:
    """One value of each repetition, and the limits of their median."""

    values: tuple[float, ...] = attrs.field(converter=_rounded)
    unit: str = "ratio"
    least: float | None = None
    most: float | None = None

    @property
    def median(self) -> float:
        """What counts."""
        return statistics.median(self.values)

    @property
    def good(self) -> bool:
        """Whether the median keeps the limits."""
        return (self.least is None or self.median >= self.least) and (self.most is None or self.median <= self.most)

    @property
    def text(self) -> str:
        """The median, with the least and the most; of what only gives the scale, the median alone."""
        median, least, most = (_number(value, self.unit) for value in (self.median, min(self.values), max(self.values)))
        return median if self.unit == "per second" or least == most else f"{median} ({least} to {most})"

    @property
    def limit(self) -> str:
        """The limits in words."""
        least, most = ("" if limit is None else self._short(limit) for limit in (self.least, self.most))
        return f"{least} to {most}" if least and most else f"at least {least}" if least else f"at most {most}"

    def _short(self, limit: float) -> str:
        match self.unit:
            case "ratio":
                return f"{limit:g}"
            case "share":
                return f"{limit * 100:g} %"
            case unit:
                return f"{limit:g} {unit}"


@attrs.frozen
class Table:
    """Candidates beside each other: of each a figure for every head."""

    title: str
    heads: tuple[str, ...]
    rows: Mapping[str, tuple[Figure, ...]]

    def lines(self) -> list[str]:
        """Write it."""
        cells = [(name, *(figure.text for figure in row)) for name, row in self.rows.items()]
        return _lines((self.title, *self.heads), cells)


@attrs.frozen
class Found:
    """What one mode found: figures with limits, and tables."""

    goals: dict[str, Figure]
    tables: tuple[Table, ...] = ()


@attrs.frozen
class Report:
    """What a run found, by mode."""

    environment: str
    modes: dict[str, Found]

    @property
    def missed(self) -> list[str]:
        """Name the limits that were not kept."""
        goals = [goal for found in self.modes.values() for goal in found.goals.items()]
        return [f"{name}: {figure.text}, {figure.limit}" for name, figure in goals if not figure.good]

    def lines(self) -> list[str]:
        """Write all of it."""
        cells = [
            (name, figure.limit, figure.text, "yes" if figure.good else "**no**")
            for found in self.modes.values()
            for name, figure in found.goals.items()
        ]
        lines = [self.environment, "", *_lines(("What", "Limit", "Median (least to most)", "Kept"), cells)]
        for table in (table for found in self.modes.values() for table in found.tables):
            lines += ["", *table.lines()]
        return lines

    def dump(self) -> str:
        """Write it as JSON."""
        return json.dumps(cattrs.unstructure(self), indent=1, ensure_ascii=False) + "\n"


def load(text: str) -> Report:
    """Read what `Report.dump` wrote."""
    return cattrs.structure(json.loads(text), Report)


def _lines(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, *rows)]
    lines.insert(1, "|" + "---|" * (lines[0].count("|") - 1))
    return lines


def share(part: Figure, whole: Figure, **limits: Any) -> Figure:
    """Divide two figures, repetition by repetition."""
    return Figure((a / b for a, b in zip(part.values, whole.values, strict=True)), **limits)


def column(rows: Iterable[Mapping[str, float]], name: str, unit: str = "ratio", **limits: Any) -> Figure:
    """Make a figure of what several runs gave under one name."""
    return Figure((row[name] for row in rows), unit, **limits)
