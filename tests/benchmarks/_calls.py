"""What all know of the calls that are served: how many make a page, and which is the oldest."""

from __future__ import annotations

from datetime import UTC, datetime

SIZE = 100  # records of a full page
FIRST = datetime(2025, 1, 6, tzinfo=UTC)  # when the oldest call was made, …
OLDEST = "call_00000000-0000-4000-8000-000000000000"  # … and its id
