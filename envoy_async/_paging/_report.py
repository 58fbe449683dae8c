"""What a listing did so far, and what is proven about it.

The rule: a page is counted in a `Tally`, in place; the `Report` is made of it when somebody asks.
"""

from __future__ import annotations

import attrs

from ..models import InvalidItem


@attrs.frozen(kw_only=True)
class Report:
    """What a listing did so far, and what is proven about it."""

    strategy: str = ""
    """How the listing is read: `count-guard`, `backward`, `windows`, or `reconcile`."""
    pages: int = 0
    """Pages fetched, those read again included."""
    records: int = 0
    """Records delivered."""
    repeated: int = 0
    """Records that came again and were left out."""
    stepped_back: int = 0
    """Times a page was left and read again, because rows had moved before it."""
    sweeps: int = 1
    """Times the listing was read from its beginning."""
    skipped: int = 0
    """Records left out because they could not be read; see `on_invalid`."""
    invalid: tuple[InvalidItem, ...] = ()
    """Those records, when `on_invalid="collect"`."""
    requests: int = 0
    """Requests sent, retries included."""
    rate_limited: int = 0
    """Requests the server refused for quota (429)."""
    waited: float = 0.0
    """Seconds spent waiting for quota and back-offs; those of pages fetched side by side add up."""
    quota_limit: int | None = None
    """`X-RateLimit-Limit` of the latest answer."""
    quota_left: int | None = None
    """`X-RateLimit-Remaining` of the latest answer."""
    total_at_start: int | None = None
    total_at_end: int | None = None
    finished: bool = False
    """Whether the listing ended: its last page was reached, or its limit."""
    proven: bool = False
    """Whether every record that existed at the start and was not deleted meanwhile has been delivered.

    Provable only for a listing with an immutable order: newest first by `created_at`, without filters on
    fields that change, or a listing that came as one answer.
    """
    doubts: tuple[str, ...] = ()
    """What could not be proven, and why; empty as long as nothing speaks against a proof."""


@attrs.define(eq=False, repr=False)
class Tally:
    """The same while it is counted."""

    strategy: str
    pages: int = 0
    records: int = 0
    repeated: int = 0
    stepped_back: int = 0
    sweeps: int = 1
    skipped: int = 0
    invalid: tuple[InvalidItem, ...] = ()
    requests: int = 0
    rate_limited: int = 0
    waited: float = 0.0
    quota_limit: int | None = None
    quota_left: int | None = None
    total_at_start: int | None = None
    total_at_end: int | None = None
    finished: bool = False
    proven: bool = False
    doubts: tuple[str, ...] = ()

    def report(self) -> Report:
        """Make the report."""
        return Report(**attrs.asdict(self, recurse=False))
