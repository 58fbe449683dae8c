"""What came of a shard.

The rule: a failure is told by its class and its message, and by nothing a server or a record said beyond that. Errors
that another try would not mend are outcomes at once; all others are raised, for whoever runs the shard to try again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import attrs

from .._masking import without_phones
from ..errors import (
    CheckpointMismatchError,
    ConfigurationError,
    InvalidRequestError,
    LoopError,
    NotAuthenticatedError,
    NotFoundError,
    PermissionDeniedError,
    RedirectError,
    ValidationError,
)
from ..export import Manifest
from ..export._manifest import id_digest
from ..export.recordings import without_user_info
from ._plan import Shard

FINAL = (
    CheckpointMismatchError,
    ConfigurationError,
    InvalidRequestError,
    LoopError,
    NotAuthenticatedError,
    NotFoundError,
    PermissionDeniedError,
    RedirectError,
    ValidationError,
)
"""What another try would not mend."""
_LONGEST = 500  # characters of a message


class EndedError(Exception):
    """What ran the shards is gone; inside only."""


@attrs.frozen(kw_only=True)
class ShardResult:
    """What came of a shard, this time."""

    part: str
    """Path of its file below the target."""
    organization: str | None
    outcome: Literal["fetched", "kept", "failed"]
    """`kept`: the part was there and whole, so nothing was sent."""
    records: int = 0
    """Records in the part; of recordings, those that are where they should be."""
    id_digest: str = id_digest(())
    """Sum of the BLAKE2b hashes of their ids; of recordings, of the ids of their calls."""
    bytes: int = 0
    sha256: str = ""
    """Of the part; empty for recordings."""
    window_start: datetime | None = None
    window_end: datetime | None = None
    """The earliest and the latest `created_at`."""
    requests: int = 0
    """Requests of the listing, this time; a part that was gone on with adds up."""
    rate_limited: int = 0
    waited: float = 0.0
    """Requests refused for quota, and seconds spent waiting."""
    fetched: int = 0
    there: int = 0
    failed: int = 0
    """Of recordings: how many were fetched, were there already, and failed."""
    quota_trouble: str | None = None
    """Why the Redis at `ENVOY_REDIS_URL` was out of reach, such as `AuthenticationError`; then each process kept to its
    part of the quota."""
    proven: bool = False
    doubts: tuple[str, ...] = ()
    error: str | None = None
    """Class of the error of a shard that failed."""
    message: str | None = None


def of_part(shard: Shard, manifest: Manifest, *, kept: bool = False) -> ShardResult:
    """Say what there is to say of a part that is whole."""
    return ShardResult(
        part=shard.part,
        organization=shard.organization,
        outcome="kept" if kept else "fetched",
        records=manifest.records,
        id_digest=manifest.id_digest,
        bytes=manifest.bytes,
        sha256=manifest.sha256,
        window_start=manifest.window_start,
        window_end=manifest.window_end,
        requests=0 if kept else manifest.requests,
        rate_limited=0 if kept else manifest.rate_limited,
        waited=0.0 if kept else manifest.waited,
        proven=manifest.proven,
        doubts=manifest.doubts,
    )


def of_error(shard: Shard, error: Exception) -> ShardResult:
    """Say why there is no part."""
    name, message = told(error)
    return ShardResult(part=shard.part, organization=shard.organization, outcome="failed", error=name, message=message)


def told(error: Exception) -> tuple[str, str]:
    """Give the class of an error, and what it says, without phone numbers and user info."""
    return type(error).__name__, without_phones(without_user_info(str(error)))[:_LONGEST]
