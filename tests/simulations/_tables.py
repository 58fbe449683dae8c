"""The tables that simulations print, and put into the documentation.

The rule: a row is shown as soon as it is known, and one that misses its limit says so.
"""

from __future__ import annotations


class Table:
    """Rows of tables, some of which have a limit."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.missed = 0

    def head(self, *cells: str) -> None:
        """Begin a table."""
        self.lines += ["", f"| {' | '.join(cells)} |", f"|{'---|' * len(cells)}"]
        print(*self.lines[-3:], sep="\n", flush=True)

    def row(self, *cells: str, good: bool) -> None:
        """Add a row, and remember when its limit is missed."""
        self.missed += not good
        self.lines.append(f"| {' | '.join(cells)} |")
        print(self.lines[-1] + ("" if good else "  <-- MISSED"), flush=True)
