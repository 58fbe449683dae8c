"""What most teams write by hand: httpx and pydantic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import Enum

import httpx
import pydantic

from tests.benchmarks._peers import Last, told


class Status(str, Enum):  # noqa: UP042 - as the models of generated clients are
    """State of a call."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    NO_ANSWER = "NO_ANSWER"
    CANCELLED = "CANCELLED"


class Direction(str, Enum):  # noqa: UP042
    """Who called whom."""

    INBOUND = "INBOUND"
    OUTBOUND = "OUTBOUND"


class Call(pydantic.BaseModel):
    """The 17 fields of a call."""

    id: str
    status: Status
    call_time: datetime
    created_at: datetime
    updated_at: datetime
    call_direction: Direction | None = None
    phone_number: str | None = None
    to_number: str | None = None
    from_number: str | None = None
    call_start_time: datetime | None = None
    call_end_time: datetime | None = None
    call_type: str | None = None
    load_id: str | None = None
    organization_id: str | None = None
    created_by_id: str | None = None
    recording_status: str | None = None
    load_number: str | None = None


class Pagination(pydantic.BaseModel):
    """What a page says of itself."""

    page: int
    page_size: int
    total_count: int
    total_pages: int
    has_next: bool
    has_prev: bool


class CallPage(pydantic.BaseModel):
    """A page of calls."""

    data: list[Call]
    pagination: Pagination


class Client:
    """`httpx.AsyncClient`, and models."""

    client: httpx.AsyncClient

    def reader(self) -> Callable[[bytes], Sequence[object]]:
        """Read a page from its bytes, pydantic's fastest way."""
        return lambda body: CallPage.model_validate_json(body).data

    async def open(self, url: str) -> None:
        """Make the client."""
        self.url = url
        self.client = httpx.AsyncClient(headers={"X-API-Key": "envai_live_1", "Accept-Encoding": "gzip"})

    async def list(self) -> Last:
        """Read all calls."""
        number, count, items, more = 0, 0, list[Call](), True
        while more:
            number += 1
            answer = await self.client.get(f"{self.url}/calls", params={"page": number, "page_size": 100})
            page = CallPage.model_validate_json(answer.content)
            items, more = page.data, page.pagination.has_next
            for _ in items:
                count += 1
        return told(items, count)

    async def get(self, id: str) -> object:
        """Read one call."""
        return Call.model_validate_json((await self.client.get(f"{self.url}/calls/{id}")).content)

    async def close(self) -> None:
        """Close the client."""
        await self.client.aclose()
