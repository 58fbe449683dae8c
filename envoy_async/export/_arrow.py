"""Parquet: a schema from the model, rows in groups, and the one door to pyarrow.

The rule: pyarrow loads when a file asks for it, and is untyped, so its objects stay in this module. Row groups are cut
by counting rows, and the words of a dictionary are numbered within their group: the bytes depend on the rows alone,
not on the parts they came in.

Timestamps are kept as UTC in microseconds. A value that no column can hold is an error, never rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

from .._columns import Column, Kind
from ..errors import ConfigurationError
from ._cells import json_text, whole_text

ROWS = 50_000
"""Rows of a group."""
_AT_ONCE = 1_000  # rows that are Python objects at the same time
_INT64 = range(-(2**63), 2**63)


def pyarrow(why: str) -> Any:
    """Load pyarrow, or say how to install it."""
    try:
        return import_module("pyarrow")
    except ModuleNotFoundError:
        msg = f'{why} needs one more package: pip install "envoy-async[parquet]"'
    raise ConfigurationError(msg)


def zstd_out(path: Path) -> BinaryIO:
    """Open a file that is compressed while it is written."""
    return cast("BinaryIO", pyarrow(".zst").output_stream(str(path), compression="zstd"))


def zstd_in(path: Path) -> BinaryIO:
    """Open a file that is decompressed while it is read."""
    return cast("BinaryIO", pyarrow(".zst").input_stream(str(path), compression="zstd"))


def schema_of(columns: Sequence[Column], *, dictionaries: bool = True) -> Any:
    """Give the schema of these columns; without *dictionaries*, enums are plain strings."""
    pa = pyarrow(".parquet")
    choice = pa.dictionary(pa.int32(), pa.string()) if dictionaries else pa.string()
    leaves = {
        Kind.TEXT: pa.string(),
        Kind.CHOICE: choice,
        Kind.TRUTH: pa.bool_(),
        Kind.WHOLE: pa.int64(),
        Kind.NUMBER: pa.float64(),
        Kind.INSTANT: pa.timestamp("us", tz="UTC"),
        Kind.DAY: pa.date32(),
        Kind.JSON: pa.string(),
    }

    def field(column: Column) -> Any:
        inside = [field(each) for each in column.inside]
        if inside:
            kind = pa.struct(inside) if column.kind is Kind.OBJECT else pa.list_(inside[0])
        else:
            kind = leaves[column.kind]
        return pa.field(column.name, kind, nullable=column.nullable)

    return pa.schema([field(column) for column in columns])


def _cell(column: Column, value: Any) -> object:
    """Turn a value of a model into what pyarrow takes."""
    if value is None:
        return None
    match column.kind:
        case Kind.TEXT | Kind.CHOICE:
            return whole_text(str(getattr(value, "value", value)))
        case Kind.JSON:
            return whole_text(json_text(value))
        case Kind.OBJECT:
            return {each.name: _cell(each, getattr(value, each.name)) for each in column.inside}
        case Kind.ARRAY:
            return [_cell(column.inside[0], item) for item in value]
        case Kind.WHOLE if value not in _INT64:
            msg = f"{column.name} holds a number of more than 64 bits, which Parquet cannot: export to .jsonl or .csv"
            raise ConfigurationError(msg)
        case _:
            return cast("object", value)


class ParquetFile:
    """A Parquet file that is being written: takes rows, writes a group whenever one is full."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._pa = pyarrow(".parquet")
        self._columns = columns
        self._schema, self._bare = schema_of(columns), schema_of(columns, dictionaries=False)
        self._writer: Any = import_module("pyarrow.parquet").ParquetWriter(str(path), self._schema, compression="zstd")
        self._group: list[Any] = []
        self._rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is None and self._rows:
            self._flush(self._rows)
        self._writer.close()

    def add(self, records: Iterable[object]) -> None:
        """Add records of the model."""
        rows: list[dict[str, object]] = []
        for record in records:
            rows.append({column.name: _cell(column, getattr(record, column.name)) for column in self._columns})
            if len(rows) == _AT_ONCE:
                self._take(self._pa.Table.from_pylist(rows, schema=self._bare))
                rows = []
        self._take(self._pa.Table.from_pylist(rows, schema=self._bare))

    def copy(self, old: Path, stays: Callable[[str], bool]) -> None:
        """Add the rows of another file that stay, which *stays* tells by their ids."""
        for table in self._read(old):
            chosen = [stays(name) for name in table.column("id").to_pylist()]
            self._take(table.filter(self._pa.array(chosen, self._pa.bool_())))

    def _read(self, old: Path) -> Iterator[Any]:
        parquet = import_module("pyarrow.parquet")
        try:
            with parquet.ParquetFile(str(old)) as file:
                if not file.schema_arrow.equals(self._schema):
                    raise self._pa.ArrowInvalid("other columns")
                for batch in file.iter_batches(batch_size=_AT_ONCE):
                    yield self._pa.Table.from_batches([batch]).cast(self._bare)
        except (self._pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:  # of the disk, not of what is in the file
                raise
            msg = f"{old} cannot be read as an export of this version: export again with overwrite=True"
            raise ConfigurationError(msg) from error

    def _take(self, table: Any) -> None:
        self._group.append(table)
        self._rows += table.num_rows
        while self._rows >= ROWS:
            self._flush(ROWS)

    def _flush(self, rows: int) -> None:
        """Write the first rows that wait as one group."""
        waiting = self._pa.concat_tables(self._group)
        group = waiting.slice(0, rows).combine_chunks().cast(self._schema)
        self._writer.write_table(group, row_group_size=rows)
        self._group, self._rows = [waiting.slice(rows)], self._rows - rows
