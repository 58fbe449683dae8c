"""A made-up listing whose records have every kind of field, answered in this process, and a disk that breaks."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import attrs
import pytest

from envoy_async import Pages
from envoy_async._converter import OnInvalid
from envoy_async._paging import Order, Record
from envoy_async._wire import Attempt, Request, Response
from envoy_async.errors import EnvoyError
from envoy_async.export import Manifest
from envoy_async.models import OpenEnum, Timestamp
from envoy_async.resources._base import Resource

CALLS = ((os, "fsync"), (Path, "open"), (Path, "replace"), (Path, "unlink"), (Path, "mkdir"), (Path, "rmdir"))


class Colour(OpenEnum):
    """One value is known."""

    RED = "red"


@attrs.frozen(kw_only=True)
class Box:
    """What is in a thing."""

    size: int
    colour: Colour | None = None


@attrs.frozen(kw_only=True)
class Thing:
    """A record with a field of every kind that a model can have."""

    id: str
    name: str
    created_at: Timestamp
    count: int
    share: float
    good: bool
    colour: Colour
    updated_at: Timestamp | None = None
    day: date | None = None
    note: str | None = None
    colours: tuple[Colour, ...] | None = None
    box: Box | None = None
    boxes: tuple[Box, ...] = ()
    labels: dict[str, str] | None = None
    custom: object = None
    either: int | str | None = None


@attrs.frozen(kw_only=True)
class Plain:
    """What every record of the API has, and two fields that it may fill with anything."""

    id: str
    name: str
    created_at: Timestamp
    count: int
    custom: object = None


Row = dict[str, object]
R = TypeVar("R", bound=Record)


def row(number: int, **other: object) -> Row:
    """Give a record as the server tells it; the larger the number, the newer."""
    at = f"2025-11-{1 + number // 60 // 24:02}T{number // 60 % 24:02}:{number % 60:02}:00.000005"
    return {
        "id": f"thing_{number}",
        "name": f"Ding {number}, „Straße“\n2",
        "created_at": f"{at}Z",
        "count": number,
        "share": number / 4,
        "good": number % 2 == 0,
        "colour": ("red", "blue", "purple")[number % 3],
        "updated_at": f"{at}+02:00",
        "day": "2025-11-21",
        "note": "",
        "colours": ["blue", "red"],
        "box": {"size": number, "colour": "red"},
        "boxes": [{"size": 1, "colour": None}, {"size": 2, "colour": "green"}],
        "labels": {"a": 'say "x"'},
        "custom": {"b": [1, None, True]},
        "either": number,
        **other,
    }


class Server:
    """Answers a listing of things, newest first; can refuse, and counts what it was asked."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = list(rows)
        self.asked: list[Request] = []
        self.refuse: Callable[[int], EnvoyError | None] = lambda _: None
        self.headers: Mapping[str, str] = {}
        self.counts = True

    async def send(self, request: Request) -> Response:
        """Answer one page."""
        self.asked.append(request)
        error = self.refuse(len(self.asked))
        if error is not None:
            raise error
        query = {name: unquote(value) for name, value in request.query}
        page, size, since = int(query["page"]), int(query["page_size"]), query.get("start_date", "")
        rows = sorted((each for each in self.rows if str(each["created_at"]) >= since), key=self._when, reverse=True)
        count = -(-len(rows) // size)
        told = {
            "page": page,
            "page_size": size,
            "total_count": len(rows) if self.counts else None,
            "has_next": page < count,
        }
        body = {"data": rows[(page - 1) * size : page * size], "pagination": told}
        return Response(200, self.headers, json.dumps(body).encode(), (Attempt(0.0, 0.0, 200),))

    @staticmethod
    def _when(each: Row) -> str:
        return str(each["created_at"])

    def list(
        self, since: date | None = None, *, size: int = 10, on_invalid: OnInvalid = "raise", **query: str
    ) -> Pages[Thing]:
        """List the things, as a client would."""
        return self.list_as(Thing, since, size=size, on_invalid=on_invalid, **query)

    def list_as(
        self,
        item: type[R],
        since: date | None = None,
        *,
        size: int = 10,
        path: str = "/things",
        on_invalid: OnInvalid = "raise",
        **query: str,
    ) -> Pages[R]:
        """List the things as records of this model."""
        days = {"start_date": since, **query}
        return Resource(self.send)._pages(
            item, path, query=days, page_size=size, order=Order(doubt=None, newest_first=True), on_invalid=on_invalid
        )


@contextmanager
def breaking(
    monkeypatch: pytest.MonkeyPatch, at: int, error: Exception, *, for_ever: bool = True
) -> Generator[list[int]]:
    """Let the operation on files with this number fail, and by default each one after it; counts them."""
    count = [0]

    def failing(original: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*args: Any, **kwargs: Any) -> Any:
            count[0] += 1
            if count[0] == at or (for_ever and count[0] > at):
                raise error
            return original(*args, **kwargs)

        return operation

    with monkeypatch.context() as patch:
        for owner, name in CALLS:
            patch.setattr(owner, name, failing(getattr(owner, name)))
        yield count


def content(folder: Path) -> dict[str, bytes]:
    """Read all files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def names(folder: Path) -> list[str]:
    """Name what lies in a folder, folders too."""
    return sorted(path.name for path in folder.iterdir())


def manifest_of(folder: Path, name: str) -> Manifest:
    """Read a manifest without what an interruption may change: a resumed listing reads one page again."""
    found = Manifest.beside(folder / name)
    assert found is not None
    return attrs.evolve(found, pages=0, requests=0, retries=0, waited=0, drift=attrs.evolve(found.drift, repeated=0))


async def fails(work: Awaitable[object], *kinds: type[BaseException]) -> bool:
    """Tell whether the work failed in one of these ways."""
    try:
        await work
    except kinds:
        return True
    return False


@pytest.fixture
def server() -> Server:
    """Give a server of 250 things."""
    return Server([row(number) for number in range(250)])


@pytest.fixture
def undisturbed(tmp_path: Path) -> Path:
    """Give a folder of its own for the export that nothing disturbs."""
    folder = tmp_path / "undisturbed"
    folder.mkdir()
    return folder


def library(name: str) -> Any:
    """Import a library that brings no types."""
    return importlib.import_module(name)
