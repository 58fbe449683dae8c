"""A client without a gate, to compare with."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import Random

from envoy_async._gate import CATEGORIES, Ending, Gate, Window
from envoy_async._transport import Lane


class Open(Gate):
    """A gate that lets everybody pass and counts nothing."""

    def enter(self, now: float, *, patient: bool = False) -> bool:
        """Let everybody pass."""
        return True

    def leave(self, now: float, headers: Mapping[str, str] | None, ending: Ending, pause: float = 0.0) -> None:
        """Count nothing."""


def ungate(lane: Lane) -> None:
    """Put open gates into the running loop's lane."""
    lane._gates = {name: Open(Window(Random(7)), asyncio.get_running_loop().time) for name in CATEGORIES}
