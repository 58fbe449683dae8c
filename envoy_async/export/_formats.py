r"""The formats: which a file's name asks for, and how a file is put together from the parts.

The rule: a file is written from its first byte to its last, once, beside its final place. Nothing of it depends on when
or in how many parts its records came: gzip gets no time and no name, and lines are passed on one by one.

CSV is UTF-8 with a header, `\n` after each row, and the quoting of RFC 4180. `None` is an empty cell and an empty text
is `""`, so that readers which look can tell them apart. Nested values are JSON text.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, cast

import attrs

from .._columns import Column, columns_of
from .._converter import structure
from ..errors import ConfigurationError
from ._arrow import ParquetFile, pyarrow, zstd_in, zstd_out
from ._cells import json_text, whole_text

Format = Literal["jsonl", "csv", "parquet"]
_ENDINGS: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}
_PACKED = (".gz", ".zst")
_KNOWN = ".jsonl, .ndjson, .csv, each also with .gz or .zst behind it, and .parquet"
_LEVEL = 6  # of gzip: 9 takes twice as long to save one percent


@attrs.frozen
class Target:
    """A file to write: where, in which format, of which model."""

    path: Path
    """Behind a symbolic link, the file it leads to."""
    format: Format
    packing: str
    item: type[object]
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)


def target_of(to: str | Path, item: type[object]) -> Target:
    """Read the format off the file's name.

    Raises:
        ConfigurationError: no format has this ending, or it needs a package that is not installed.
    """
    path = Path(to)
    name = path.name.lower()
    packing = next((ending for ending in _PACKED if name.endswith(ending)), "")
    ending = Path(name.removesuffix(packing)).suffix
    format = _ENDINGS.get(ending)
    if format is None or (packing and format == "parquet"):
        msg = f"{path.name!r} names no format: the known endings are {_KNOWN}"
        raise ConfigurationError(msg)
    if format == "parquet" or packing == ".zst":
        pyarrow(packing or ending)
    return Target(path.resolve(), format, packing, item, columns_of(item))


def assemble(target: Target, lines: Iterable[bytes], to: Path, stays: Callable[[str], bool] | None) -> None:
    """Write the file: what stays of the old one, in its order, then the records of *lines*.

    Args:
        target: the file that is to be.
        lines: the records, each a line of JSON.
        to: where to write it.
        stays: whether the row with this id stays; `None` when there is no old file.
    """
    if target.format == "parquet":
        with ParquetFile(to, target.columns) as file:
            if stays is not None:
                file.copy(target.path, stays)
            file.add(structure(line, target.item) for line in lines)
        return
    with _writing(to, target.packing) as sink:
        if target.format == "csv":
            sink.write(_header(target))
        if stays is not None:
            sink.writelines(row for row, name in _rows(target) if stays(name))
        sink.writelines(lines if target.format == "jsonl" else map(_csv, lines))


def _rows(target: Target) -> Iterator[tuple[bytes, str]]:
    """Give the rows of the old file as they are, each with its id."""
    place = 0
    try:
        with _reading(target.path, target.packing) as file:
            place += 1
            for row in _jsonl_rows(file) if target.format == "jsonl" else _csv_rows(file, target):
                yield row
                place += 1
    except (EOFError, ValueError, LookupError, TypeError, OSError, csv.Error, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk, not of what is in the file
            raise
        msg = f"{target.path}: row {place} is not of an export of this version: export again with overwrite=True"
        raise ConfigurationError(msg) from error


def _jsonl_rows(file: BinaryIO) -> Iterator[tuple[bytes, str]]:
    for line in file:
        yield line.rstrip(b"\r\n") + b"\n", str(json.loads(line)["id"])


def _csv_rows(file: BinaryIO, target: Target) -> Iterator[tuple[bytes, str]]:
    if file.readline() != _header(target):
        raise ValueError
    place = target.names.index("id")
    held = b""
    for line in file:
        held += line
        if held.count(b'"') % 2 == 0:  # else a line break within quotes
            row = held.rstrip(b"\r\n")
            yield row + b"\n", next(csv.reader([row.decode()], strict=True))[place]
            held = b""
    if held:
        raise EOFError


def _header(target: Target) -> bytes:
    return ",".join(target.names).encode() + b"\n"


def _csv(line: bytes) -> bytes:
    values = cast("dict[str, object]", json.loads(line)).values()
    return ",".join(map(_cell, values)).encode() + b"\n"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str | list | dict):
        return json.dumps(value)
    text = whole_text(value if isinstance(value, str) else json_text(cast("object", value)))
    if text and not any(mark in text for mark in '",\r\n'):
        return text
    return '"' + text.replace('"', '""') + '"'


@contextmanager
def _writing(path: Path, packing: str) -> Generator[BinaryIO]:
    if packing == ".zst":
        with zstd_out(path) as sink:
            yield sink
        return
    with path.open("wb") as file:
        if not packing:
            yield file
            return
        with gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as packed:
            yield cast("BinaryIO", packed)


@contextmanager
def _reading(path: Path, packing: str) -> Generator[BinaryIO]:
    with zstd_in(path) if packing == ".zst" else path.open("rb") as source:
        unpacked = gzip.GzipFile(fileobj=source) if packing == ".gz" else source
        with io.BufferedReader(cast("io.RawIOBase", unpacked)) as lines:
            yield lines
