"""Other programs read what was exported, with the right types. They are large: one Python runs this, see noxfile.py."""

from __future__ import annotations

from pathlib import Path

from envoy_async import EnvoyClient
from envoy_async.export import export
from tests.export.conftest import library


async def test_parquet_is_read_by_pandas_polars_and_duckdb(tmp_path: Path, envoy: EnvoyClient) -> None:
    """The three agree on the number of calls, on times with a zone, and on text, also for statuses not known here."""
    file = tmp_path / "calls.parquet"
    manifest = await export(envoy.calls.list(), file)

    frame = library("pandas").read_parquet(file)
    assert len(frame) == manifest.records == 250
    assert str(frame["created_at"].dtype) == "datetime64[us, UTC]"
    assert str(frame["status"].dtype) == "category"
    polars = library("polars")
    frame = polars.read_parquet(file)
    assert frame.height == 250
    assert frame.schema["created_at"] == polars.Datetime("us", "UTC")
    assert frame.schema["status"] == polars.Categorical
    assert frame["status"].cast(polars.String).n_unique() > 2
    with library("duckdb").connect() as connection:
        calls = connection.from_parquet(str(file))
        told = dict(zip(calls.columns, map(str, calls.types), strict=True))
        counted = calls.filter("status IS NOT NULL").aggregate("count(DISTINCT id)").fetchall()
    assert (told["id"], told["created_at"]) == ("VARCHAR", "TIMESTAMP WITH TIME ZONE")
    assert counted == [(250,)]
