"""The one manifest: complete and proven only when it is, no id twice, and as large as a fleet needs it."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import attrs
import pytest
from hypothesis import given, strategies as st

from envoy_async import EnvoyClient
from envoy_async.errors import ConfigurationError
from envoy_async.export import Manifest, export
from envoy_async.export._manifest import id_digest
from envoy_async.export._threads import Stop, StoppedError
from envoy_async.fleet import FleetManifest, Plan, ShardResult, _manifest, _places, plan
from envoy_async.fleet._manifest import claim, sum_up

MAY = date(2025, 5, 1)
DAY = timedelta(days=1)


def fetched(part: str, organization: str, **more: object) -> ShardResult:
    """Give what came of a shard that went well."""
    given: dict[str, object] = {"outcome": "fetched", "records": 1, "proven": True, "id_digest": id_digest([part])}
    return ShardResult(part=part, organization=organization, **{**given, **more})  # type: ignore[arg-type]


def of_plan(planned: Plan, **more: object) -> list[ShardResult]:
    """Give what came of every shard of a plan, if all went well."""
    return [fetched(shard.part, str(shard.organization), **more) for shard in planned]


def summed(planned: Plan, results: list[ShardResult]) -> FleetManifest:
    """Make the manifest."""
    return sum_up(_places.place_of(planned.to), planned, results, Stop())


def test_whole_listings_that_are_proven_prove_the_whole(tmp_path: Path) -> None:
    """A plan of whole listings is proven when each part is; the digest is the sum, and the file holds it all."""
    planned = plan("loads", ["org_b", "org_a"], tmp_path)
    results = [fetched(shard.part, str(shard.organization), id_digest=f"{9:032x}") for shard in planned]
    results[1] = attrs.evolve(results[1], id_digest=f"{2**128 - 2:x}", outcome="kept")
    manifest = summed(planned, results)
    assert (manifest.complete, manifest.proven, manifest.doubts) == (True, True, ())
    assert (manifest.parts, manifest.fetched, manifest.kept, manifest.failed) == (2, 1, 1, 0)
    assert (manifest.id_digest, manifest.records) == (f"{7:032x}", 2)
    assert [shard.organization for shard in manifest.shards] == ["org_a", "org_b"]
    assert FleetManifest.load(tmp_path) == manifest
    assert json.loads((tmp_path / "manifest.json").read_text())["shards"][0]["part"].startswith("organization=org_a/")


def test_a_shard_that_failed_or_is_missing_is_not_complete(tmp_path: Path) -> None:
    """One failed shard, or one that nothing is known of, and the whole is neither complete nor proven."""
    planned = plan("loads", ["org_a", "org_b"], tmp_path)
    good, bad = of_plan(planned)
    bad = ShardResult(part=bad.part, organization="org_b", outcome="failed", error="ServerError", message="no")
    manifest = summed(planned, [good, bad])
    assert (manifest.complete, manifest.proven, manifest.failures) == (False, False, (bad,))
    assert manifest.doubts == ("some shards failed",)
    assert not summed(planned, [good]).complete


def test_a_part_that_is_not_proven_is_told(tmp_path: Path) -> None:
    """What is doubted of any part is doubted of the whole, each doubt once, and no more than 20 of them."""
    planned = plan("loads", [f"org_{number}" for number in range(60)], tmp_path)
    results = [attrs.evolve(it, doubts=(f"doubt {n % 30}",), proven=False) for n, it in enumerate(of_plan(planned))]
    manifest = summed(planned, results)
    assert (manifest.complete, manifest.proven) == (True, False)
    assert len(manifest.doubts) == len(set(manifest.doubts)) == 20


def test_parts_cut_by_days_are_never_proven(tmp_path: Path) -> None:
    """Days are the server's, and what they mean is not documented: the manifest says so."""
    planned = plan("recordings", ["org_a"], tmp_path, since=MAY, until=MAY)
    manifest = summed(planned, of_plan(planned))
    assert (manifest.complete, manifest.proven) == (True, False)
    assert "not documented" in manifest.doubts[0]


def test_two_organizations_with_the_same_records(tmp_path: Path) -> None:
    """When the key sees one organization only, whatever is asked for, the same ids come for all: that is told."""
    planned = plan("loads", ["org_a", "org_b", "org_c", "org_d"], tmp_path)
    results = of_plan(planned, id_digest="ab")
    results[2] = attrs.evolve(results[2], id_digest="cd")
    manifest = summed(planned, results)
    assert (manifest.complete, manifest.proven) == (True, False)
    assert manifest.doubts[0] == "org_a and org_b have the same records: is the key for one only?"
    empty = [attrs.evolve(result, records=0) for result in results]
    assert summed(planned, empty).proven


@pytest.mark.parametrize("to", ["folder", "memory://bucket/twice"])
@pytest.mark.parametrize("format", ["jsonl", "csv.gz", "parquet"])
async def test_an_id_in_two_parts_is_found(envoy: EnvoyClient, tmp_path: Path, to: str, format: str) -> None:
    """Parts of one organization whose times overlap are read again, in any format: each id twice is counted."""
    place = tmp_path / to if "://" not in to else to
    planned = plan("calls", ["org_a"], place, since=MAY, until=MAY + 2 * DAY, days=1, format=format)
    first, second, third = planned
    whole = await export(envoy.calls.list(limit=30), tmp_path / f"whole.{format}")
    half = await export(envoy.calls.list(limit=10), tmp_path / f"half.{format}")
    put(str(place), first.part, tmp_path / f"whole.{format}")
    put(str(place), second.part, tmp_path / f"half.{format}")
    results = [told(first.part, whole), told(second.part, half), fetched(third.part, "org_a", records=0)]
    manifest = summed(planned, results)
    assert (manifest.repeated, manifest.complete, manifest.proven) == (10, True, False)
    assert "10 ids are in more than one part of their organization" in manifest.doubts


def put(to: str, name: str, path: Path) -> None:
    """Copy a file into a target."""
    _places.place_of(to).write(name, path.read_bytes())


def told(part: str, manifest: Manifest) -> ShardResult:
    """Give what came of a shard that became this export."""
    times = {"window_start": manifest.window_start, "window_end": manifest.window_end}
    return fetched(part, "org_a", records=manifest.records, id_digest=manifest.id_digest, **times)


async def test_reading_again_ends_when_it_is_no_longer_wanted(envoy: EnvoyClient, tmp_path: Path) -> None:
    """Who cancels the export does not wait until all parts were read."""
    planned = plan("calls", ["org_a"], tmp_path, since=MAY, until=MAY + DAY, days=1)
    results: list[ShardResult] = []
    for shard in planned:
        (tmp_path / shard.folder).mkdir(exist_ok=True)
        results.append(told(shard.part, await export(envoy.calls.list(limit=5), tmp_path / shard.part)))
    stop = Stop()
    stop.tell()
    with pytest.raises(StoppedError):
        sum_up(_places.place_of(planned.to), planned, results, stop)
    assert FleetManifest.load(tmp_path) is None


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 6)), max_size=8))
def test_what_may_overlap_is_found(spans: list[tuple[int, int]]) -> None:
    """Two parts whose times overlap, be it in one moment, are both read again, and one that stands alone is not."""
    midnight = datetime(2025, 5, 1, tzinfo=UTC)
    shards = [
        fetched(str(number), "org_a", window_start=midnight + start * DAY, window_end=midnight + (start + length) * DAY)
        for number, (start, length) in enumerate(spans)
    ]
    found = {shard.part for shard in _manifest._overlapping(shards)}
    for number, (start, length) in enumerate(spans):
        others = [span for other, span in enumerate(spans) if other != number]
        meets = any(start <= begin + long and begin <= start + length for begin, long in others)
        assert (str(number) in found) == meets


def test_parts_without_times_are_read_again() -> None:
    """Where no record has a time, nothing tells parts from one another, so all of them are read."""
    shards = [fetched(str(number), "org_a") for number in range(3)]
    assert list(_manifest._overlapping(shards)) == shards


def test_another_plan_in_the_same_target_is_refused(tmp_path: Path) -> None:
    """A target belongs to one plan: the same one may come again, another is refused, and what is there stays."""
    place = _places.place_of(str(tmp_path))
    planned = plan("calls", ["org_a"], tmp_path)
    claim(place, planned)
    claim(place, planned)
    with pytest.raises(ConfigurationError, match="of another plan"):
        claim(place, plan("calls", ["org_a", "org_b"], tmp_path))
    assert (tmp_path / "plan.json").read_bytes() == planned.to_json()


def test_a_manifest_that_cannot_be_read(tmp_path: Path) -> None:
    """Without a manifest there is none; one that cannot be read is an error that names it."""
    assert FleetManifest.load(tmp_path) is None
    (tmp_path / "manifest.json").write_bytes(b"{}")
    with pytest.raises(ConfigurationError, match=r"manifest\.json is no manifest of this version"):
        FleetManifest.load(tmp_path)


def test_many_shards(tmp_path: Path) -> None:
    """The manifest of 20,000 shards takes a moment, and reads no part again when their times differ."""
    planned = plan("calls", [f"org_{n}" for n in range(200)], tmp_path, since=MAY, until=MAY + 99 * DAY, days=1)
    began = time.process_time()
    results: list[ShardResult] = []
    for shard in planned:
        noon = datetime.combine(shard.since or MAY, datetime.min.time(), UTC)
        results.append(fetched(shard.part, str(shard.organization), window_start=noon, window_end=noon))
    manifest = summed(planned, results)
    assert time.process_time() - began < 30
    assert (manifest.parts, manifest.complete, manifest.repeated) == (20_000, True, 0)
    assert (tmp_path / "manifest.json").stat().st_size < 20_000_000
