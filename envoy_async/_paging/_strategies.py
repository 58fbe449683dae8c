"""Which strategy reads a listing."""

from __future__ import annotations

from datetime import date
from typing import Literal, TypeAlias, TypeVar, cast, get_args

import attrs

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


@attrs.frozen(kw_only=True)
class Order:
    """What is known of the order of a listing; without arguments nothing is."""

    doubt: str | None = "the order of this listing is not documented"
    """Why the order proves nothing; `None` where it is known not to change."""
    newest_first: bool = False
    """Whether it is sorted by `created_at`, downwards."""
    days: tuple[date, date] | None = None
    """The first and the last day it is cut to."""


UNKNOWN = Order()


def begin(
    strategy: Strategy | None,
    *,
    page: int,
    size: int,
    limit: int | None,
    order: Order = UNKNOWN,
    paged: bool = True,
    collect: bool = False,
) -> Position[T]:  # pyright: ignore[reportInvalidTypeVarUse] - the caller says of what
    """Begin a listing.

    Args:
        strategy: how it is to be read; `None` for what fits it best.
        page: page to begin with.
        size: records per page.
        limit: most records to deliver; `None` for all.
        order: what is known of its order.
        paged: whether there are pages.
        collect: whether the report keeps records that could not be read.

    Raises:
        BadInput: the strategy does not fit the listing.
    """
    _check(strategy, page, order)
    most: int | None = REMEMBERED
    route: Route[T]
    if strategy == "backward":
        route = Backward(size)
    elif strategy == "windows":
        route, most = Windows(size, *cast("tuple[date, date]", order.days)), _DAY_MEMORY
    else:
        strict = strategy == "reconcile"
        ordered = True if strategy == "count-guard" or (order.newest_first and not strict) else None
        route = Forward(page=page, size=size, paged=paged, ordered=ordered, strict=strict)
        most = None if strict else REMEMBERED
    return Position(route, limit=limit, doubt=order.doubt, seen=Seen(most), collect=collect)


def _check(strategy: Strategy | None, page: int, order: Order) -> None:
    if strategy is not None and strategy not in get_args(Strategy):
        doubt = f"strategy must be one of {', '.join(get_args(Strategy))}"
    elif strategy in {"backward", "windows"} and (page > 1 or not order.newest_first):
        doubt = f"{strategy} reads a whole listing, newest first: without page, order_by, order_desc"
    elif strategy == "windows" and order.days is None:
        doubt = "windows needs start_date and end_date"
    else:
        return
    raise BadInput(doubt, "strategy")
