"""What is more than a word: JSON text, files, and stdin become what methods take, or one readable line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Optional

import attrs
import pytest

from envoy_async.cli.inputs import InputError, read
from envoy_async.models import UNSET, Location, NewLoad, Stop, Timestamp, Unset

LOAD = '{"load_number": "LD1", "equipment_type": "VAN", "stops": [{"location": {"city": "Gary", "state": "IN"}}]}'


class Name(StrEnum):
    """A closed list of texts."""

    ANN = "Ann"


@attrs.frozen
class Plan:
    """A model with what the present ones do not hold."""

    day: date
    at: Timestamp
    hot: bool | None | Unset = UNSET
    names: tuple[Name, ...] = ()
    note: Optional[str] = None  # noqa: UP045 - the old spelling is understood as well


def test_an_object_becomes_a_model() -> None:
    """Fields that are given are set, all others stay unset, and nested models are built."""
    load = read(LOAD, NewLoad, "--load")
    assert load == NewLoad(
        load_number="LD1", equipment_type="VAN", stops=[Stop(location=Location(city="Gary", state="IN"))]
    )
    assert isinstance(load, NewLoad)
    assert load.weight is UNSET


def test_null_is_sent_as_null() -> None:
    """JSON null is not the same as a field left out."""
    load = read(LOAD.replace("{", '{"weight": null, "distance": 3, "commodity": "Corn", ', 1), NewLoad, "--load")
    assert isinstance(load, NewLoad)
    assert (load.weight, load.distance, load.commodity) == (None, 3, "Corn")


def test_what_is_no_stop_stays_a_mapping() -> None:
    """A stop with fields the SDK does not know passes as it is, because the method takes mappings too."""
    stop = '{"location": {"city": "Gary", "state": "IN"}, "dock": 4}'
    load = read(f'{{"load_number": "LD1", "equipment_type": "VAN", "stops": [{stop}]}}', NewLoad, "--load")
    assert isinstance(load, NewLoad)
    assert list(load.stops) == [{"location": {"city": "Gary", "state": "IN"}, "dock": 4}]


def test_an_array_becomes_models() -> None:
    """An iterable of models is given as a JSON array."""
    loads = read(f"[{LOAD}, {LOAD}]", Iterable[NewLoad], "--loads")
    assert loads == [read(LOAD, NewLoad, "--load")] * 2


def test_days_moments_and_truths_are_read() -> None:
    """Dates and moments come as ISO 8601, booleans as true and false."""
    plan = read('{"day": "2025-11-21", "at": "2025-11-21T16:00:00Z", "hot": true, "names": ["Ann"]}', Plan, "--plan")
    assert plan == Plan(date(2025, 11, 21), datetime(2025, 11, 21, 16, tzinfo=UTC), hot=True, names=[Name.ANN])  # type: ignore[arg-type]


def test_a_file_is_read(tmp_path: Path) -> None:
    """`@file` means the content of the file, with or without a byte order mark."""
    path = tmp_path / "extra.json"
    path.write_text('{"né": 1.5}', encoding="utf-8-sig")
    assert read(f"@{path}", Mapping[str, object], "--extra") == {"né": 1.5}


@pytest.mark.parametrize(
    ("text", "type_", "said"),
    [
        ("{", dict[str, object], "not JSON: Expecting property name"),
        ("[" * 100_000, dict[str, object], "not JSON: "),
        ("[1]", Mapping[str, object], "expected a JSON object @ $"),
        ('{"a": NaN}', dict[str, object], "expected a number, not NaN"),
        ('{"a": 1e999}', dict[str, object], "expected a number, not 1e999"),
        ("{}", Sequence[NewLoad], "expected a JSON array @ $"),
        ("[1]", Iterable[NewLoad], "expected a JSON object @ $[0]"),
        ("{}", Location, "required field city missing @ $.city; required field state missing @ $.state"),
        ('{"city": "a", "state": "b", "zip": 1, "at": 2}', Location, "unknown field at, zip @ $"),
        ('{"city": "a", "state": true}', Location, "expected a string @ $.state"),
        ('{"city": "a", "state": null}', Location, "expected a string @ $.state"),
        (LOAD.replace("{", '{"posted_rate": 1.5, ', 1), NewLoad, "expected a whole number @ $.posted_rate"),
        (LOAD.replace("{", '{"weight": true, ', 1), NewLoad, "expected a number @ $.weight"),
        ('{"day": "x", "at": "2025-11-21T16:00:00"}', Plan, "@ $.at"),
        ('{"day": "2025-11-21", "at": "2025-11-21T16:00:00Z", "hot": 1}', Plan, "expected true or false @ $.hot"),
        ('{"day": "2025-11-21", "at": "2025-11-21T16:00:00Z", "names": ["x"]}', Plan, "a value of Name @ $.names[0]"),
        ("1", complex, "not a value of this kind"),
        ("@/nowhere/x.json", dict[str, object], "cannot read /nowhere/x.json: No such file"),
    ],
)
def test_wrong_input_is_one_readable_line(text: str, type_: object, said: str) -> None:
    """What is wrong is named with its place, after the name of the option."""
    with pytest.raises(InputError) as refused:
        read(text, type_, "--load")
    assert str(refused.value).startswith("--load: ")
    assert said in str(refused.value)


def test_a_file_of_bytes_is_refused(tmp_path: Path) -> None:
    """A file that is no text is named as such."""
    path = tmp_path / "load.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="--load: not UTF-8 text"):
        read(f"@{path}", NewLoad, "--load")
