"""From one number to a whole brokerage: the same seed gives the same keys and ids, at the same time the same data.

Everything random comes from ``Random(seed)`` and generators drawn from it; what is not about the first organization
has generators of its own, so that this one's data stays as it is. Ids have a generator of their own, so they stay the
same whatever the clock says. Times are Unix seconds and lie in the six months before `now`.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING
from uuid import UUID

import attrs

from .seed_calls import CallWriter
from .seed_loads import LoadWriter
from .seed_people import CarrierWriter, phone_number
from .store import Contents, Store

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = 86_400.0
SPAN = 182 * DAY
CENTRAL_TIME = -6 * 3_600.0
OFF_HOURS_SHARE = 0.12


@attrs.frozen(kw_only=True)
class Identity:
    """One organization and its people."""

    organization_id: str
    user_ids: tuple[str, ...]


class Ids:
    """Makes prefixed ids (``call_<uuid>``) from a generator of its own."""

    def __init__(self, rng: Random) -> None:
        """Draw from `rng`."""
        self._rng = rng

    def __call__(self, prefix: str) -> str:
        """Make the next id, for example for the prefix ``call_``; no prefix gives the bare uuid."""
        return prefix + str(UUID(int=self._rng.getrandbits(128), version=4))


def make_identity(rng: Random) -> Identity:
    """Invent an organization and its users."""
    ids = Ids(Random(rng.getrandbits(64)))  # noqa: S311
    organization_id = ids("org_")
    return Identity(organization_id=organization_id, user_ids=tuple(ids("usr_") for _ in range(6)))


def make_store(
    rng: Random, identity: Identity, *, calls: int, loads: int, clock: Callable[[], float], as_of: float | None = None
) -> Store:
    """Fill a store with `loads` loads and `calls` calls that happened before now, or before `as_of` (Unix seconds)."""
    now = clock() if as_of is None else as_of
    load_ids, call_ids = Ids(Random(rng.getrandbits(64))), Ids(Random(rng.getrandbits(64)))  # noqa: S311
    later_ids = Ids(Random(rng.getrandbits(64)))  # noqa: S311
    carriers = CarrierWriter(rng, identity.user_ids)
    load_writer = LoadWriter(rng, load_ids, identity.organization_id, carriers, count=loads)
    load_records = [load_writer.write(moment, now) for moment in _recent_moments(rng, loads, now)]
    own_number = phone_number(rng)
    call_writer = CallWriter(rng, call_ids, identity, own_number=own_number, loads=load_records)
    contents = Contents(
        organization_id=identity.organization_id,
        phone_number=own_number,
        loads=load_records,
        calls=[call_writer.write(moment, now) for moment in _call_moments(rng, calls, now)],
        verifications=[row for load in load_records for row in carriers.verifications(load, now)],
        escalations=[],
        carriers=carriers.carriers,
    )
    contents.escalations.extend(row for call in contents.calls for row in call_writer.escalations(call))
    store = Store(contents, clock=lambda: now, new_id=later_ids, compose=call_writer.write_new, ask=call_writer.ask)
    store.clock = clock  # only now: what the store makes of its contents is as of the same instant
    return store


def _recent_moments(rng: Random, count: int, now: float) -> list[float]:
    """Draw moments in rising order, denser towards now, so that many loads are still on the road."""
    return sorted(round(now - SPAN * rng.random() ** 2, 6) for _ in range(count))


def _call_moments(rng: Random, count: int, now: float) -> list[float]:
    """Draw moments in rising order, mostly in business hours; every hundredth is minutes old (calls still live)."""
    live = count // 100
    fresh = [now - rng.uniform(0.001, 600.0) for _ in range(live)]
    return sorted(round(moment, 6) for moment in fresh + [_office_moment(rng, now) for _ in range(count - live)])


def _office_moment(rng: Random, now: float) -> float:
    """Draw one moment; nights and weekends are drawn again most of the time."""
    while True:
        moment = now - rng.uniform(600.0, SPAN)
        days, seconds = divmod(moment + CENTRAL_TIME, DAY)
        weekday = (days + 3) % 7  # the epoch was a Thursday
        if (weekday < 5 and 7.0 <= seconds / 3_600.0 < 18.0) or rng.random() < OFF_HOURS_SHARE:  # noqa: PLR2004
            return moment
