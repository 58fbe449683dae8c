"""What an export tells about itself: the manifest beside the file.

The rule: a manifest holds counts, names, and times, and never a record, a credential, or a raw answer. What it
says of the ids can be checked with the file alone, in any order and in any format.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Literal

import attrs
import msgspec

from ..errors import ConfigurationError

_BITS = 128


def id_digest(ids: Iterable[str], start: str = "") -> str:
    """Sum the BLAKE2b hashes of the ids, 128 bits each, modulo 2**128, in hex; the order has no say.

    Args:
        ids: the ids to add.
        start: the digest of those added before.
    """
    return in_hex(int(start or "0", 16) + sum(map(id_hash, ids)))


def id_hash(name: str) -> int:
    """Give the BLAKE2b hash of an id as a number."""
    text = name.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=_BITS // 8).digest(), "big")


def in_hex(total: int) -> str:
    """Write a sum of hashes as a digest."""
    return f"{total % 2**_BITS:0{_BITS // 4}x}"


@attrs.frozen(kw_only=True)
class Drift:
    """How the listing moved while it was read."""

    repeated: int = 0
    """Records that came again and were left out."""
    stepped_back: int = 0
    """Times the listing went back because `total_count` had fallen."""
    total_at_start: int | None = None
    total_at_end: int | None = None


@attrs.frozen(kw_only=True)
class LeftOut:
    """A record that could not be read and is not in the file: where it was, and never what it held."""

    page: int
    index: int
    """Its place in the page, counted from 0."""
    path: str
    """JSON path of what was wrong."""


@attrs.frozen(kw_only=True)
class Manifest:
    """What is in an exported file, and what it took to get it. Written beside the file as `<name>.manifest.json`."""

    operation: str
    """Such as `GET /calls`."""
    filters: Mapping[str, str]
    """The query of the listing, without page numbers; of an updated file, without a last day."""
    item: str
    """The model of the records, such as `Call`."""
    format: Literal["jsonl", "csv", "parquet"]
    file: str
    """Name of the file; `-` for standard output."""
    bytes: int
    sha256: str
    """Of the whole file, as `sha256sum` prints it."""
    records: int
    """Records in the file."""
    id_digest: str
    """Sum of the BLAKE2b hashes (128 bits) of all ids in the file, modulo 2**128."""
    since: date | None = None
    """First day that the last update asked for; `None` for a whole listing."""
    window_start: datetime | None = None
    """The earliest `created_at` in the file."""
    window_end: datetime | None = None
    """The latest `created_at` in the file: the server's time, not this machine's."""
    pages: int
    """Pages fetched for the last run, as are the counts that follow."""
    requests: int
    retries: int
    """Requests beyond one per page."""
    rate_limited: int
    """Requests refused for quota (429)."""
    waited: float
    """Seconds spent waiting for quota and back-offs."""
    drift: Drift
    skipped: int
    """Records that could not be read and are left out; an update adds its own to those of earlier runs."""
    invalid: tuple[LeftOut, ...] = ()
    """Where those were, when the listing was asked to collect them."""
    strategy: str
    proven: bool
    """Whether every record that was there at the start and was not deleted meanwhile is in the file."""
    doubts: tuple[str, ...] = ()
    """Why that is not proven."""
    version: str
    """Version of envoy-async that wrote the file."""

    @classmethod
    def beside(cls, to: str | Path) -> Manifest | None:
        """Read the manifest of an exported file; `None` when there is none.

        Raises:
            ConfigurationError: the manifest cannot be read; the message names it.
        """
        path = manifest_path(Path(to))
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except FileNotFoundError:
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            msg = f"{path} is no manifest of this version; remove it, or export again with overwrite=True"
        raise ConfigurationError(msg)


def to_json(manifest: Manifest) -> bytes:
    """Write a manifest as JSON that people can read, too."""
    return msgspec.json.format(msgspec.json.encode(attrs.asdict(manifest)), indent=2) + b"\n"


def manifest_path(to: Path) -> Path:
    """Name the manifest of a file; behind a symbolic link, that of the file it leads to."""
    file = to.resolve()
    return file.with_name(f"{file.name}.manifest.json")
