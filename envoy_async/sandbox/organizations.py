"""The organizations of the user, each with records of its own; all but the first are made when first asked for.

The first one has the sizes asked for, the others a tenth of them, at least one of what the first has any of. Whenever
a store is made, its data is as of the start, so it does not depend on who asks when. The user is known in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import TYPE_CHECKING

import attrs

from .seed import Identity, make_identity, make_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from .deliveries import Dispatch
    from .store import Store

SHARE = 10


@attrs.frozen(kw_only=True)
class Sizes:
    """How many records an organization starts with."""

    calls: int
    loads: int

    @property
    def smaller(self) -> Sizes:
        """A tenth, but not nothing of what there is."""
        return Sizes(calls=-(-self.calls // SHARE), loads=-(-self.loads // SHARE))


class Organizations(Mapping[str, "Store"]):
    """The stores by organization id, the first organization first."""

    def __init__(
        self,
        first: Identity,
        rng: Random,
        *,
        seed: int,
        count: int,
        sizes: Sizes,
        clock: Callable[[], float],
        dispatch: Dispatch,
    ) -> None:
        """Fill the first store from `rng`, and name `count` organizations in all."""
        if count < 1:
            raise ValueError(f"organizations must be at least 1, got {count}")
        self._seed = seed
        self._sizes = sizes
        self._clock = clock
        self._dispatch = dispatch
        self.started = clock()
        self.first = self._fill(first, rng, sizes)
        self._stores: dict[str, Store] = {first.organization_id: self.first}
        others = [_another(seed, number, first.user_ids[0]) for number in range(1, count)]
        self._identities = {identity.organization_id: identity for identity in (first, *others)}
        self.ids = tuple(self._identities)

    @property
    def filled(self) -> tuple[Store, ...]:
        """The stores made so far."""
        return tuple(self._stores.values())

    def __getitem__(self, organization_id: str) -> Store:
        """Give the store of an organization; KeyError for one the user does not belong to."""
        if organization_id not in self._stores:
            rng = Random(f"{self._seed}/data of {organization_id}")  # noqa: S311 - repeatable on purpose
            self._stores[organization_id] = self._fill(self._identities[organization_id], rng, self._sizes.smaller)
        return self._stores[organization_id]

    def __contains__(self, organization_id: object) -> bool:
        """Tell whether the user belongs to an organization, without making its store."""
        return organization_id in self._identities

    def __iter__(self) -> Iterator[str]:
        """Go through the ids, without making any store."""
        return iter(self.ids)

    def __len__(self) -> int:
        """Count the organizations."""
        return len(self.ids)

    def _fill(self, identity: Identity, rng: Random, sizes: Sizes) -> Store:
        """Make the store of an organization."""
        clock, as_of = self._clock, self.started
        store = make_store(rng, identity, calls=sizes.calls, loads=sizes.loads, as_of=as_of, clock=clock)
        store.dispatch = self._dispatch
        return store


def _another(seed: int, number: int, user_id: str) -> Identity:
    """Invent a further organization that `user_id` belongs to."""
    identity = make_identity(Random(f"{seed}/organization {number}"))  # noqa: S311
    return attrs.evolve(identity, user_ids=(user_id, *identity.user_ids[1:]))
