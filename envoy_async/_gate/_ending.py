"""How an attempt ended, as far as the gate is concerned."""

from __future__ import annotations

from enum import Enum


class Ending(Enum):
    """How an attempt ended, as far as the gate is concerned."""

    ANSWERED = "answered"
    REFUSED = "refused"  # 429
    FAILED = "failed"  # 5xx
    LOST = "lost"  # no connection, no answer, too late, or 503
    ABANDONED = "abandoned"  # cancelled, or never sent: says nothing
