"""The machinery of Stainless: the pager, request path, and base model of the package `openai`.

The rule: annotations are written as in that package, and are no strings.
"""

# ruff: noqa: UP045

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from importlib import import_module
from typing import Any, Generic, Literal, Optional, TypeVar

from tests.benchmarks._peers import Last

_openai: Any = import_module("openai")
_base: Any = import_module("openai._base_client")
_models: Any = import_module("openai._models")
T = TypeVar("T")


class Call(_models.BaseModel):  # type: ignore[misc]
    """The 17 fields of a call; Stainless writes enums as literals."""

    id: str
    status: Literal["SCHEDULED", "IN_PROGRESS", "COMPLETED", "FAILED", "NO_ANSWER", "CANCELLED"]
    call_time: datetime
    created_at: datetime
    updated_at: datetime
    call_direction: Optional[Literal["INBOUND", "OUTBOUND"]] = None
    phone_number: Optional[str] = None
    to_number: Optional[str] = None
    from_number: Optional[str] = None
    call_start_time: Optional[datetime] = None
    call_end_time: Optional[datetime] = None
    call_type: Optional[str] = None
    load_id: Optional[str] = None
    organization_id: Optional[str] = None
    created_by_id: Optional[str] = None
    recording_status: Optional[str] = None
    load_number: Optional[str] = None


class Pagination(_models.BaseModel):  # type: ignore[misc]
    """What a page says of itself."""

    page: int
    page_size: int
    total_count: int
    total_pages: int
    has_next: bool
    has_prev: bool


class CallPage(_base.BaseAsyncPage[T], _base.BasePage[T], Generic[T]):  # type: ignore[misc]
    """A page as Stainless writes one for an API that counts pages."""

    data: list[T]
    pagination: Pagination

    def _get_page_items(self) -> list[T]:
        return self.data

    def next_page_info(self) -> object:
        """Tell what to ask for next."""
        asked = self.pagination
        return _base.PageInfo(params={"page": asked.page + 1}) if asked.has_next else None


class Client:
    """`openai.AsyncOpenAI`, pointed at the server."""

    client: Any

    def reader(self) -> Callable[[bytes], Sequence[object]]:
        """Read a page as its response class does."""
        return lambda body: _models.construct_type(type_=CallPage[Call], value=json.loads(body)).data

    async def open(self, url: str) -> None:
        """Make the client."""
        self.client = _openai.AsyncOpenAI(api_key="envai_live_1", base_url=url)

    async def list(self) -> Last:
        """Read all calls."""
        count, last = 0, None
        options = _base.make_request_options(query={"page": 1, "page_size": 100})
        async for call in self.client.get_api_list("/calls", page=CallPage[Call], model=Call, options=options):
            count += 1
            last = call
        assert last is not None
        return count, last.id, last.created_at

    async def get(self, id: str) -> object:
        """Read one call."""
        return await self.client.get(f"/calls/{id}", cast_to=Call)

    async def close(self) -> None:
        """Close the client."""
        await self.client.close()
