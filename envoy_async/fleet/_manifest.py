"""The one manifest of a fleet: what came of every shard, and what that proves together.

The rule: complete is what has a whole part for every shard; proven is what is complete, where every part is proven, and
where no id is twice. Within a part an export has seen to that. Two parts of one organization whose records were created
at different times have no record in common, so only parts whose times overlap are read again, one organization at
a time. And two organizations with the very same ids are one organization that was asked for twice.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import attrs
import msgspec

from .. import __version__
from ..errors import ConfigurationError
from ..export._formats import assemble, target_of
from ..export._manifest import id_digest, id_hash
from ..export._threads import Stop
from ._places import Place, place_of
from ._plan import RECORDINGS, Plan
from ._results import ShardResult

MANIFEST, PLAN = "manifest.json", "plan.json"
_DAYS = "the parts are cut by the server's days, and what those mean is not documented"
_MOST = 20  # doubts that are told
_BEFORE, _AFTER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@attrs.frozen(kw_only=True)
class FleetManifest:
    """What an export by a fleet came to. Written into the target as `manifest.json`."""

    resource: str
    organizations: int
    parts: int
    """Shards of the plan."""
    fetched: int
    kept: int
    failed: int
    """How many of them were fetched in this run, were there already, and failed."""
    records: int
    bytes: int
    id_digest: str
    """Sum of the BLAKE2b hashes of all ids, modulo 2**128: that of all parts."""
    requests: int
    """Requests of the listings, in this run; refused ones, and seconds waited, follow."""
    rate_limited: int
    waited: float
    repeated: int
    """Ids that are in more than one part of their organization."""
    complete: bool
    """Whether there is a whole part for every shard."""
    proven: bool
    """Whether it is complete, every part is proven to be, and no id is twice."""
    doubts: tuple[str, ...]
    """Why that is not proven; at most 20."""
    version: str
    shards: tuple[ShardResult, ...]
    """What came of each shard, by its part."""

    @property
    def failures(self) -> tuple[ShardResult, ...]:
        """The shards that failed."""
        return tuple(shard for shard in self.shards if shard.outcome == "failed")

    @classmethod
    def load(cls, to: str | Path) -> FleetManifest | None:
        """Read the manifest of a target; `None` when there is none. Blocks.

        Raises:
            ConfigurationError: the manifest cannot be read, or what reaches the target is not installed.
        """
        place = place_of(str(to))
        content = place.read(MANIFEST)
        try:
            return None if content is None else msgspec.json.decode(content, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            msg = f"{place.path(MANIFEST)} is no manifest of this version; run the plan again to write it anew"
        raise ConfigurationError(msg)


def _written(manifest: FleetManifest) -> bytes:
    """Write a manifest as JSON that people can read, too: one line for each shard."""
    head = msgspec.json.format(msgspec.json.encode(attrs.asdict(attrs.evolve(manifest, shards=()))), indent=2)
    lines = b",\n".join(b"    " + msgspec.json.encode(attrs.asdict(shard, recurse=False)) for shard in manifest.shards)
    return head.removesuffix(b"[]\n}") + b"[\n" + lines + b"\n  ]\n}\n"


def claim(place: Place, plan: Plan) -> None:
    """Write the plan into its target.

    Raises:
        ConfigurationError: another plan is there.
    """
    if place.read(PLAN) is None:
        place.write(PLAN, plan.to_json())
    if place.read(PLAN) != plan.to_json():  # also when another was faster
        msg = f"{place.path(PLAN)} is of another plan: give this one a target of its own"
        raise ConfigurationError(msg)


def sum_up(place: Place, plan: Plan, results: Sequence[ShardResult], stop: Stop) -> FleetManifest:
    """Make the manifest of what was run, and write it."""
    shards = tuple(sorted(results, key=attrgetter("part")))
    repeated = 0 if plan.resource == RECORDINGS else _repeated(place, plan, shards, stop)
    count = Counter(shard.outcome for shard in shards)
    complete = len(shards) == len(plan) and not count["failed"]
    doubts = dict.fromkeys(_doubts(plan, shards, repeated))
    manifest = FleetManifest(
        resource=plan.resource,
        organizations=len(plan.organizations),
        parts=len(plan),
        fetched=count["fetched"],
        kept=count["kept"],
        failed=count["failed"],
        records=sum(shard.records for shard in shards),
        bytes=sum(shard.bytes for shard in shards),
        id_digest=id_digest((), _added(shard.id_digest for shard in shards)),
        requests=sum(shard.requests for shard in shards),
        rate_limited=sum(shard.rate_limited for shard in shards),
        waited=round(sum(shard.waited for shard in shards), 3),
        repeated=repeated,
        complete=complete,
        proven=complete and not doubts and all(shard.proven for shard in shards),
        doubts=tuple(doubts)[:_MOST],
        version=__version__,
        shards=shards,
    )
    place.write(MANIFEST, _written(manifest))
    return manifest


def _added(digests: Iterable[str]) -> str:
    return f"{sum(int(digest, 16) for digest in digests):x}"


def _doubts(plan: Plan, shards: Sequence[ShardResult], repeated: int) -> Iterator[str]:
    if plan.since is not None:
        yield _DAYS
    if any(shard.outcome == "failed" for shard in shards):
        yield "some shards failed"
    if repeated:
        yield f"{repeated} ids are in more than one part of their organization"
    owners: dict[str, str | None] = {}
    for shard in shards:
        if shard.records and owners.setdefault(shard.id_digest, shard.organization) != shard.organization:
            yield f"{owners[shard.id_digest]} and {shard.organization} have the same records: is the key for one only?"
    for shard in shards:
        yield from shard.doubts


def _repeated(place: Place, plan: Plan, shards: Sequence[ShardResult], stop: Stop) -> int:
    """Count the ids that are in more than one part of their organization."""
    count = 0
    for _, own in groupby(shards, key=attrgetter("organization")):
        seen: set[int] = set()
        for shard in _overlapping([shard for shard in own if shard.records]):
            fresh = set(_ids(place, plan, shard, stop))
            count += len(fresh & seen)
            seen |= fresh
    return count


def _overlapping(shards: Sequence[ShardResult]) -> Iterator[ShardResult]:
    """Give the parts that may have a record in common with another one, by the times of their records."""
    group: list[ShardResult] = []
    latest = _BEFORE
    for shard in sorted(shards, key=lambda shard: shard.window_start or _BEFORE):
        if group and (shard.window_start or _BEFORE) > latest:
            yield from group if len(group) > 1 else ()
            group, latest = [], _BEFORE
        group.append(shard)
        latest = max(latest, shard.window_end or _AFTER)
    yield from group if len(group) > 1 else ()


def _ids(place: Place, plan: Plan, shard: ShardResult, stop: Stop) -> list[int]:
    """Read the ids of a part, in whatever format it is, as numbers."""
    found: list[int] = []

    def note(name: str) -> bool:
        stop.check()
        found.append(id_hash(name))
        return False

    with place.local(shard.part) as path, tempfile.TemporaryDirectory(prefix="envoy-fleet-") as folder:
        target = target_of(path, plan.item)
        assemble(target, (), Path(folder, path.name), note)
    return found
