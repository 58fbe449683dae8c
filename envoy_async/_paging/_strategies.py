"""Which strategy reads a listing."""

from __future__ import annotations

from datetime import date
from typing import Literal, TypeAlias, TypeVar, cast, get_args

from .._wire import BadInput
from ._backward import Backward, Windows
from ._forward import Forward
from ._position import Position
from ._route import Route
from ._seen import REMEMBERED, Record, Seen

T = TypeVar("T", bound=Record)
Sweeping: TypeAlias = Literal["count-guard", "reconcile"]
Strategy: TypeAlias = Literal["count-guard", "backward", "windows", "reconcile"]
_DAY_MEMORY = 100_000  # ids: a day that two spans share has to fit in


def begin(
    strategy: Strategy | None,
    *,
    page: int,
    size: int,
    limit: int | None,
    doubt: str | None,
    paged: bool = True,
    newest_first: bool = False,
    days: tuple[date, date] | None = None,
    collect: bool = False,
) -> Position[T]:
    """Begin a listing.

    Args:
        strategy: how it is to be read; `None` for what fits it best.
        page: page to begin with.
        size: records per page.
        limit: most records to deliver; `None` for all.
        doubt: why the order proves nothing; `None` where it is known not to change.
        paged: whether there are pages.
        newest_first: whether it is sorted by `created_at`, downwards.
        days: the first and the last day it is cut to.
        collect: whether the report keeps records that could not be read.

    Raises:
        BadInput: the strategy does not fit the listing.
    """
    if strategy is not None and strategy not in get_args(Strategy):
        raise BadInput(f"strategy must be one of {', '.join(get_args(Strategy))}", "strategy")
    if strategy in {"backward", "windows"} and (page > 1 or not newest_first):
        raise BadInput(
            f"{strategy} reads a whole listing, newest first: without page, order_by, order_desc", "strategy"
        )
    if strategy == "windows" and days is None:
        raise BadInput("windows needs start_date and end_date", "strategy")
    most: int | None = REMEMBERED
    route: Route[T]
    if strategy == "backward":
        route = Backward(size)
    elif strategy == "windows":
        route, most = Windows(size, *cast("tuple[date, date]", days)), _DAY_MEMORY
    else:
        strict = strategy == "reconcile"
        ordered = True if strategy == "count-guard" or (newest_first and not strict) else None
        route = Forward(page=page, size=size, paged=paged, ordered=ordered, strict=strict)
        most = None if strict else REMEMBERED
    return Position(route, limit=limit, doubt=doubt, seen=Seen(most), collect=collect)
