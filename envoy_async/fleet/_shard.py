"""One shard into its part.

The rule: nothing is sent for a part that is there, and no file is replaced that this shard did not write. What is there
counts when its manifest tells of the same listing and of as many bytes; anything else under its name is an outcome
that a person has to look at.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import cast

import attrs
import msgspec

from .._paging import Pages, Record
from ..bulk import Outcome
from ..client import EnvoyClient
from ..errors import ConfigurationError
from ..export import Manifest
from ..export._manifest import id_digest
from ..export._threads import in_thread
from ..export.recordings import StoredRecording, recordings, store_of
from ..models import Call
from ._clients import Clients
from ._places import Place, manifest_name, place_of
from ._plan import RECORDINGS, Shard
from ._results import FINAL, ShardResult, of_error, of_part, told

_MOMENT = 0.1  # seconds between two looks at a part that another process writes


async def run_shard(shard: Shard, envoy: EnvoyClient, to: str | Path) -> ShardResult:
    """Fetch a shard into its part below a target, unless it is there.

    Run it as often as you like, and anywhere: a part that is whole is kept, and nothing is sent. In a folder, a part
    that was begun is gone on with, and while another process writes it, this one waits and then keeps it.

    Args:
        shard: one of a plan.
        envoy: a client of its organization.
        to: the folder or URL of the plan.

    Returns:
        What came of it. Failures that another try would not mend are told there, too, such as a key that is refused, a
        file under the part's name that is not this shard's, or settings that cannot work.

    Raises:
        EnvoyError: what may pass, such as a lost connection; try again.
        OSError: the disk is full, or the storage does not answer; what was fetched into a folder is kept.
    """
    try:
        _check(shard, envoy)
        place = await in_thread(partial(place_of, str(to)))
        if shard.resource == RECORDINGS:
            return await _recordings(shard, envoy, place)
        return await _listing(shard, envoy, place)
    except FINAL as error:
        return of_error(shard, error)


def _check(shard: Shard, envoy: EnvoyClient) -> None:
    """Refuse a client that asks for another organization."""
    transport = envoy._transport  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - nobody else has to know
    named = transport.settings.organization_id
    if None not in {named, shard.organization} and named != shard.organization:
        msg = f"the client is one of {named}, and the shard of {shard.organization}"
        raise ConfigurationError(msg)


async def attempt(shard: Shard, clients: Clients, to: str) -> ShardResult:
    """Run a shard with the client of its organization; as `run_shard`."""
    try:
        async with clients.of(shard.organization) as envoy:
            result = await run_shard(shard, envoy, to)
            return attrs.evolve(result, quota_trouble=clients.trouble)
    except FINAL as error:  # there is no client
        return of_error(shard, error)


async def _listing(shard: Shard, envoy: EnvoyClient, place: Place) -> ShardResult:
    while True:
        pages = shard.listing(envoy)
        there = await in_thread(partial(_whole, place, shard.part, pages))
        if there is not None:
            return of_part(shard, there, kept=True)
        try:
            return of_part(shard, await place.fetch(pages, shard.part))
        except ConfigurationError:
            if not await in_thread(partial(_taken, place, shard.part)):
                raise
        await asyncio.sleep(_MOMENT)


def _taken(place: Place, part: str) -> bool:
    """Whether another process writes the part, or just did."""
    return place.busy(part) or (place.size(part) is not None and place.read(manifest_name(part)) is not None)


def _whole(place: Place, part: str, pages: Pages[Record]) -> Manifest | None:
    """Give the manifest of a part that is there; `None` when it is to be fetched."""
    begun = place.begun(part)  # asked first: whoever ends it meanwhile has written the other two by then
    size, told = place.size(part), place.read(manifest_name(part))
    if size is None or (told is None and begun):
        return None
    why = "has no manifest"
    if told is not None:
        found = _read(told)
        if found is not None and (found.operation, dict(found.filters)) == (pages.operation, dict(pages.filters)):
            if found.bytes == size:
                return found
            why = f"has {size} bytes, and its manifest tells of {found.bytes}"
        else:
            why = "is of another listing, or of another version"
    msg = f"{place.path(part)} {why}: it was not written by this plan, or was changed; move it away, and run it again"
    raise ConfigurationError(msg)


def _read(content: bytes) -> Manifest | None:
    try:
        return msgspec.json.decode(content, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


@attrs.frozen(kw_only=True)
class _Fetched:
    """What is written when all recordings of a shard are there."""

    filters: dict[str, str]
    """Of the listing of the calls."""
    names: tuple[str, ...]
    """Of the files."""
    result: ShardResult


async def _recordings(shard: Shard, envoy: EnvoyClient, place: Place) -> ShardResult:
    pages, beside = shard.listing(envoy), manifest_name(shard.part)
    folder = await in_thread(partial(place.make, "/".join(filter(None, (shard.folder, RECORDINGS)))))
    there = await in_thread(partial(place.read, beside))
    if there is not None:
        kept = await in_thread(partial(_all_there, there, pages, place.path(beside), folder))
        if kept is not None:
            return kept
    result, names = await _download(shard, envoy, pages, folder)
    if not result.failed:
        done = _Fetched(filters=dict(pages.filters), names=names, result=result)
        await in_thread(partial(place.write, beside, msgspec.json.encode(done)))
    return result


def _all_there(told: bytes, pages: Pages[Record], path: str, folder: str) -> ShardResult | None:
    """Give what was told when all was fetched; `None` when a file is gone since."""
    try:
        done = msgspec.json.decode(told, type=_Fetched)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        done = None
    if done is None or done.filters != dict(pages.filters):
        msg = f"{path} is of other calls, or of another version: move it away, and run it again"
        raise ConfigurationError(msg)
    if not store_of(folder).look().keys() >= set(done.names):
        return None
    it = done.result
    return attrs.evolve(
        it, outcome="kept", requests=0, rate_limited=0, waited=0.0, fetched=0, there=it.fetched + it.there
    )


async def _download(
    shard: Shard, envoy: EnvoyClient, pages: Pages[Record], folder: str
) -> tuple[ShardResult, tuple[str, ...]]:
    names: list[str] = []
    result = ShardResult(part=shard.part, organization=shard.organization, outcome="fetched")
    found = recordings(envoy, cast("Pages[Call]", pages), folder, verify=False)
    async with aclosing(found) as outcomes:
        async for outcome in outcomes:
            result = _counted(result, outcome)
            if outcome.error is None:
                names.append(outcome.result().where.replace(os.sep, "/").rpartition("/")[2])
    report = pages.report
    whole = attrs.evolve(
        result,
        requests=report.requests,
        rate_limited=report.rate_limited,
        waited=round(report.waited, 3),
        proven=report.proven and not result.failed,
        doubts=report.doubts,
    )
    return whole, tuple(names)


def _counted(result: ShardResult, outcome: Outcome[Call, StoredRecording]) -> ShardResult:
    if outcome.error is not None:
        error, message = told(outcome.error) if result.error is None else (result.error, result.message)
        return attrs.evolve(result, outcome="failed", failed=result.failed + 1, error=error, message=message)
    stored = outcome.result()
    return attrs.evolve(
        result,
        records=result.records + 1,
        id_digest=id_digest([outcome.key.id], result.id_digest),
        bytes=result.bytes + stored.size,
        fetched=result.fetched + stored.fetched,
        there=result.there + (not stored.fetched),
    )
