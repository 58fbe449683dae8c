"""Records that cannot be read: the good ones of their page come anyway, and of the bad ones all is known."""

from __future__ import annotations

import inspect
import json
import random
import traceback
from typing import Any, Literal

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from envoy_async import EnvoyClient, Pages, resources
from envoy_async._converter import OnInvalid, structure, structure_page
from envoy_async._wire import Request, Response
from envoy_async.errors import InvalidRequestError, InvalidResponseError
from envoy_async.models import Call, InvalidItem, Load, Page
from envoy_async.sandbox import Fault, Sandbox

BOM = b"\xef\xbb\xbf"
CANARY = "canary-7f3a"
NOON = "2025-11-21T12:00:00Z"
UUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
CALL: dict[str, Any] = {"id": "call_1", "status": "NEW", "call_time": NOON, "created_at": NOON, "updated_at": NOON}
LOAD: dict[str, Any] = {
    "id": "load_1",
    "load_number": "LD1",
    "organization_id": "org_1",
    "equipment_type": "NEW",
    "created_at": NOON,
    "updated_at": NOON,
}
PAGINATION: dict[str, Any] = {"page": 4, "page_size": 50, "total_count": 200, "total_pages": 5, "has_next": True}
MODES: tuple[OnInvalid, ...] = ("raise", "skip", "collect")
LENIENT: tuple[Literal["skip", "collect"], ...] = ("skip", "collect")


def without(record: dict[str, Any], name: str) -> dict[str, Any]:
    """Leave a field out."""
    return {key: value for key, value in record.items() if key != name}


# What is wrong with a record, as JSON, and how the reason ends behind the record's own place.
BROKEN: dict[str, tuple[str, str]] = {
    "no id": (json.dumps(without(CALL, "id")), "required field missing @ {}.id"),
    "id null": (json.dumps(CALL | {"id": None}), "expected string @ {}.id"),
    "id a number": (json.dumps(CALL | {"id": 7316}), "expected string @ {}.id"),
    "no zone": (json.dumps(CALL | {"call_time": NOON[:-1]}), "expected datetime with a time zone @ {}.call_time"),
    "deep": (
        json.dumps(CALL | {"context": 5, "updated_at": None}),
        "expected datetime with a time zone @ {}.updated_at",
    ),
    "two reasons": (
        json.dumps(without(CALL, "id") | {"status": [CANARY]}),
        "required field missing @ {0}.id; expected string @ {0}.status",
    ),
    "null": ("null", "expected object @ {}"),
    "text": (f'"{CANARY}"', "expected object @ {}"),
    "number": ("-7.31", "expected object @ {}"),
    "array": (f'[{{"id": "{CANARY}"}}]', "expected object @ {}"),
    "empty": ("{}", "required field missing @ {0}.id; required field missing @ {0}.status"),
}


def page_of(texts: list[str], *, bare: bool = False, form: bytes = b"", gap: str = " ") -> bytes:
    """Write a page of records given as JSON text, as an envelope or as a bare array."""
    array = f"[{gap}" + f"{gap},{gap}".join(texts) + f"{gap}]"
    whole = array if bare else f'{{"pagination":{gap}{json.dumps(PAGINATION)},{gap}"data": {array}}}'
    return form + whole.encode()


def good(number: int) -> str:
    """Write a good call."""
    return json.dumps(CALL | {"id": f"call_{number}", "load_number": "é"}, ensure_ascii=number % 2 == 0)


RECORDS = st.lists(st.integers(0, 99) | st.sampled_from(sorted(BROKEN)), max_size=12)


@settings(max_examples=60)
@given(
    records=RECORDS,
    bare=st.booleans(),
    form=st.sampled_from([b"", BOM]),
    gap=st.sampled_from(["", " ", "\r\n\t"]),
)
def test_good_records_come_and_bad_ones_are_told(records: list[int | str], bare: bool, form: bytes, gap: str) -> None:
    """Whatever is broken wherever: the good are those read alone, the bad have their place, reason, and bytes."""
    texts = [BROKEN[record][0] if isinstance(record, str) else good(record) for record in records]
    body = page_of(texts, bare=bare, form=form, gap=gap)
    place = "$[{}]" if bare else "$.data[{}]"
    page = structure_page(body, Call, "collect")
    fine = [text for text, record in zip(texts, records, strict=True) if isinstance(record, int)]
    assert page.items == tuple(structure(text.encode(), Call) for text in fine)
    wrong = [(index, record) for index, record in enumerate(records) if isinstance(record, str)]
    assert [(bad.page, bad.index, bad.raw.decode()) for bad in page.invalid] == [
        (1 if bare else 4, index, texts[index]) for index, _ in wrong
    ]
    for bad, (index, record) in zip(page.invalid, wrong, strict=True):
        assert bad.path.startswith(BROKEN[record][1].format(place.format(index)))
    told = (1, len(texts), len(texts), 1, False) if bare else (4, 50, 200, 5, True)
    assert (page.number, page.size, page.total_count, page.total_pages, page.has_next) == told
    assert page.raw == body
    assert structure_page(body, Call, "skip") == page


@pytest.mark.parametrize("bare", [False, True], ids=["envelope", "bare"])
@pytest.mark.parametrize("kind", BROKEN)
def test_unless_told_otherwise_one_bad_record_is_an_error(kind: str, bare: bool) -> None:
    """`raise` names the record by its index, and shows no value of it."""
    text, reason = BROKEN[kind]
    with pytest.raises(InvalidResponseError) as caught:
        structure_page(page_of([good(1), good(2), text], bare=bare), Call, "raise")
    assert str(caught.value).startswith(reason.format("$[2]" if bare else "$.data[2]"))
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@settings(max_examples=30)
@given(numbers=st.lists(st.integers(0, 99), max_size=5), bare=st.booleans(), form=st.sampled_from([b"", BOM]))
def test_a_page_without_bad_records_is_the_same_in_every_mode(numbers: list[int], bare: bool, form: bytes) -> None:
    """Who asks to skip or collect pays nothing for it while all is well."""
    body = page_of([good(number) for number in numbers], bare=bare, form=form)
    whole = structure(body, Page[Call])
    for mode in MODES:
        page = structure_page(body, Call, mode)
        assert page == whole
        assert (page.raw, page.invalid) == (body, ())


@pytest.mark.parametrize("text", ["a\\ud800", "\\udc00", "\\u0000", "\\ud83d\\ude9a", "é"])
@pytest.mark.parametrize("bare", [False, True], ids=["envelope", "bare"])
def test_text_that_is_not_unicode_is_no_bad_record(text: str, bare: bool) -> None:
    """Half a surrogate pair is what the server sent: kept in every mode, beside a bad record too."""
    odd = json.dumps(CALL)[:-1] + f', "load_number": "{text}"}}'
    body = page_of([odd, good(2)], bare=bare)
    assert {mode: structure_page(body, Call, mode) for mode in MODES} == dict.fromkeys(
        MODES, structure(body, Page[Call])
    )
    page = structure_page(page_of([good(1), odd, BROKEN["no id"][0]], bare=bare), Call, "collect")
    assert [call.id for call in page.items] == ["call_1", "call_1"]
    assert page.items[1] == structure(odd.encode(), Call)
    assert [(bad.index, json.loads(bad.raw)) for bad in page.invalid] == [(2, without(CALL, "id"))]


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("bare", [False, True], ids=["envelope", "bare"])
def test_a_record_with_a_number_that_is_none_is_a_bad_record(word: str, bare: bool) -> None:
    """Some servers write NaN, which is no JSON; the other records of the page are read, this one is written anew."""
    odd = json.dumps(LOAD)[:-1] + f', "weight":{word}}}'
    body = page_of([json.dumps(LOAD), odd, json.dumps(LOAD)], bare=bare)
    with pytest.raises(InvalidResponseError, match=r"^not JSON"):
        structure_page(body, Load, "raise")
    page = structure_page(body, Load, "collect")
    assert page.items == (structure(json.dumps(LOAD).encode(), Load),) * 2
    (bad,) = page.invalid
    assert bad.index == 1
    assert bad.path == f"not JSON ({len(bad.raw)} bytes) @ {'$' if bare else '$.data'}[1]"
    assert bad.raw.decode() == json.dumps(json.loads(odd))


@pytest.mark.parametrize(
    "number", ["7.31e999", "-7.31e999", "7" * 5_000, "9" * 400], ids=["huge", "-huge", "endless", "long"]
)
def test_a_record_with_a_number_too_large_is_a_bad_record(number: str) -> None:
    """Its bytes are as they came, and the reason shows none of them."""
    odd = json.dumps(LOAD)[:-1] + f', "weight":{number}}}'
    page = structure_page(page_of([odd, json.dumps(LOAD)]), Load, "collect")
    assert len(page.items) == 1
    assert [(bad.index, bad.raw.decode()) for bad in page.invalid] == [(0, odd)]
    assert page.invalid[0].path.endswith((" @ $.data[0]", " @ $.data[0].weight"))
    assert number[:8] not in repr(page.invalid)


def test_a_record_that_is_not_utf_8_is_a_bad_record() -> None:
    """Its bytes stay as they are; those around it are not lost."""
    odd = json.dumps(CALL)[:-1].encode() + b', "load_number": "\xff\xfe canary-7f3a"}'
    body = page_of([good(1), "HERE", good(3)]).replace(b"HERE", odd)
    page = structure_page(body, Call, "collect")
    assert [call.id for call in page.items] == ["call_1", "call_3"]
    assert page.invalid == (InvalidItem(page=4, index=1, path=f"not JSON ({len(odd)} bytes) @ $.data[1]", raw=odd),)
    assert CANARY not in repr(page.invalid)


@attrs.frozen
class Picky:
    """A model of the caller's that raises what it likes."""

    id: str

    def __attrs_post_init__(self) -> None:
        if self.id == CANARY:
            raise ZeroDivisionError(self.id)


@pytest.mark.parametrize("form", [b"", BOM], ids=["plain", "marked"])
def test_a_record_that_a_class_of_the_callers_refuses_is_a_bad_record(form: bytes) -> None:
    """Whatever it raises, the reason says where and shows nothing."""
    page = structure_page(page_of(['{"id": "a"}', f'{{"id": "{CANARY}"}}'], form=form), Picky, "skip")
    assert page.items == (Picky("a"),)
    refused = f'{{"id": "{CANARY}"}}'.encode()
    assert page.invalid == (InvalidItem(page=4, index=1, path="not what was expected @ $.data[1]", raw=refused),)
    (bad,) = structure_page(form + b'["canary-7f3a"]', complex, "skip").invalid
    assert bad.path == "JSON cannot be read as the type asked for @ $[0]"


EMPTY = page_of([])
CUT = page_of([good(1)])[:-1]
WRONG: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "not JSON (0 bytes)"),
    "html": (b"<html>canary-7f3a</html>", "HTML, not JSON"),
    "bad array": (b"[{]", "not JSON (3 bytes)"),
    "cut in the records": (b'{"data": [', "not JSON (10 bytes)"),
    "cut at the end": (CUT, f"not JSON ({len(CUT)} bytes)"),
    "bomb": (b"[" * 100_000, "JSON nested too deeply"),
    "null": (b"null", "expected object @ $"),
    "text": (b'"canary-7f3a"', "expected object @ $"),
    "no numbers": (b'{"data": []}', "required field missing @ $.pagination"),
    "an error": (
        b'{"error": "canary-7f3a"}',
        "required field missing @ $.data; required field missing @ $.pagination",
    ),
    "object of records": (EMPTY.replace(b"[  ]", b'{"a": 5}'), "expected array @ $.data"),
    "null of records": (EMPTY.replace(b"[  ]", b"null"), "expected array @ $.data"),
    "page as text": (EMPTY.replace(b'"page": 4', b'"page": "4"'), "expected int @ $.pagination.page"),
    "page 0": (EMPTY.replace(b'"page": 4', b'"page": 0'), "page and page_size must be positive @ $.pagination"),
    "count as text": (EMPTY.replace(b"200", b'"200"'), "expected int @ $.pagination.total_count"),
    "pages as fraction": (
        EMPTY.replace(b'"total_pages": 5', b'"total_pages": 5.0'),
        "expected int @ $.pagination.total_pages",
    ),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_page_is_an_error_in_every_mode(kind: str, mode: OnInvalid) -> None:
    """Only records are skipped: a wrong envelope, or no JSON at all, is never taken for an empty page."""
    body, message = WRONG[kind]
    with pytest.raises(InvalidResponseError) as caught:
        structure_page(body, Call, mode)
    assert str(caught.value) == message
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bare", [False, True], ids=["envelope", "bare"])
def test_a_page_number_that_is_none_is_an_error_in_every_mode(bare: bool, mode: OnInvalid) -> None:
    """NaN is let pass inside a record only; one that stands for a record is a bad record."""
    if bare and mode != "raise":
        (bad,) = structure_page(b"[NaN]", Call, mode).invalid
        assert bad.path == "not JSON (3 bytes) @ $[0]"
    else:
        with pytest.raises(InvalidResponseError):
            structure_page(b"[NaN]" if bare else EMPTY.replace(b'"page": 4', b'"page": NaN'), Call, mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["total_count", "total_pages"])
@pytest.mark.parametrize("value", [-1, -(2**70)])
def test_a_count_is_never_negative(name: str, value: int, mode: OnInvalid) -> None:
    """A listing that trusted it would end early, or go back for ever."""
    body = json.dumps({"data": [CALL], "pagination": PAGINATION | {name: value}}).encode()
    message = r"^total_count and total_pages must not be negative @ \$\.pagination$"
    with pytest.raises(InvalidResponseError, match=message):
        structure_page(body, Call, mode)


@pytest.mark.parametrize("name", ["total_count", "total_pages"])
@pytest.mark.parametrize("value", [0, None])
def test_a_count_may_be_nought_or_not_said(name: str, value: int | None) -> None:
    """An empty listing has none, and some servers do not count."""
    body = json.dumps({"data": [], "pagination": PAGINATION | {name: value}}).encode()
    page = structure(body, Page[Call])
    assert getattr(page, name) == value


async def broken_page(envoy: EnvoyClient, sandbox: Sandbox, seed: int) -> dict[int, bytes]:
    """Let the sandbox break some records of its second page of 50; returns them by index."""
    rng = random.Random(seed)
    page = await envoy.request("GET", "/calls", query={"page": 2, "page_size": 50}, into=Page[Call])
    body = json.loads(page.raw)
    broken: dict[int, bytes] = {}
    for index in rng.sample(range(50), rng.randrange(1, 50)):
        body["data"][index] = json.loads(BROKEN[rng.choice(["no id", "id null", "null", "no zone"])][0])
        broken[index] = json.dumps(body["data"][index]).encode()
    sandbox.faults.append(Fault(nth=2, body=json.dumps(body).encode()))
    return dict(sorted(broken.items()))


@pytest.mark.parametrize("seed", range(3))
async def test_a_listing_goes_on_after_bad_records(envoy: EnvoyClient, sandbox: Sandbox, seed: int) -> None:
    """All other records come in order; each bad one is on its page, with its bytes when they were asked for."""
    wanted = await envoy.calls.list().collect()
    for mode in LENIENT:
        broken = await broken_page(envoy, sandbox, seed)
        found: list[Call] = []
        invalid: list[InvalidItem] = []
        pages = envoy.calls.list(page_size=50, on_invalid=mode)
        async for page in pages.by_page():
            found += page.items
            invalid += page.invalid
        lost = {50 + index for index in broken}
        assert [call.id for call in found] == [call.id for n, call in enumerate(wanted) if n not in lost]
        assert [(bad.page, bad.index) for bad in invalid] == [(2, index) for index in broken]
        assert [bad.raw for bad in invalid] == list(broken.values())
        assert all(f"$.data[{bad.index}]" in bad.path for bad in invalid)
        assert pages.report.skipped == len(broken)
        assert pages.report.invalid == (tuple(invalid) if mode == "collect" else ())
        assert not pages.report.proven


async def test_a_listing_stops_at_a_bad_record_unless_told_otherwise(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The error says which record of which call, and the pages before it were read."""
    first = min(await broken_page(envoy, sandbox, 1))
    pages = envoy.calls.list(page_size=50)
    with pytest.raises(InvalidResponseError, match=rf"@ \$\.data\[{first}\]") as caught:
        await pages.collect()
    assert (pages.report.pages, pages.report.finished) == (1, False)
    assert (caught.value.status, caught.value.method, caught.value.route) == (200, "GET", "/calls")
    assert [row.status for row in caught.value.attempts] == [200]


@pytest.mark.parametrize("value", ["ignore", "RAISE", "", None, True, ["skip"]], ids=repr)
async def test_a_wrong_way_to_go_on_is_refused(envoy: EnvoyClient, sandbox: Sandbox, value: Any) -> None:
    """Whoever mistypes it hears of it before anything is sent."""
    with pytest.raises(InvalidRequestError, match="on_invalid must be one of raise, skip, collect") as caught:
        envoy.calls.list(on_invalid=value)
    assert caught.value.param == "on_invalid"
    assert sandbox.requests == []


LISTINGS = [
    (kind, name)
    for kind in (getattr(resources, name) for name in resources.__all__)
    if isinstance(kind, type)
    for name, method in vars(kind).items()
    if inspect.isfunction(method) and method.__annotations__["return"].startswith("Pages[")
]


def listing(kind: type[Any], name: str, body: bytes, **more: object) -> Pages[Any]:
    """Make a listing that is answered with *body*."""

    async def send(_: Request) -> Response:
        return Response(200, {}, body)

    method = getattr(kind(send), name)
    ids = [p.name for p in inspect.signature(method).parameters.values() if p.default is p.empty]
    pages: Pages[Any] = method(*[UUID] * len(ids), **more)
    return pages


@pytest.mark.parametrize(("kind", "name"), LISTINGS, ids=lambda part: getattr(part, "__name__", part))
async def test_every_listing_can_go_on(kind: type[Any], name: str) -> None:
    """Each method that lists takes `on_invalid` and does what it says; without it, a bad record raises."""
    body = json.dumps([{"canary-7f3a": 1}]).encode()
    assert await listing(kind, name, body, on_invalid="skip").collect() == []
    assert await listing(kind, name, body, on_invalid="collect").collect() == []
    for more in ({}, {"on_invalid": "raise"}):
        with pytest.raises(InvalidResponseError, match=r"^GET /\S+: required field missing @ \$\[0\]"):
            await listing(kind, name, body, **more).collect()
    with pytest.raises(InvalidRequestError, match="on_invalid must be one of"):
        listing(kind, name, body, on_invalid="ignore")


def test_there_are_fourteen_listings() -> None:
    """None is left out of the check above."""
    assert len(LISTINGS) == 14


PAGED = [(kind, name) for kind, name in LISTINGS if "strategy" in inspect.signature(vars(kind)[name]).parameters]


@pytest.mark.parametrize(("kind", "name"), PAGED, ids=lambda part: getattr(part, "__name__", part))
def test_every_listing_of_pages_heeds_its_strategy(kind: type[Any], name: str) -> None:
    """A name that is none is refused before anything is sent, so it is never dropped in silence."""
    with pytest.raises(InvalidRequestError) as caught:
        listing(kind, name, b"", strategy="ignore")
    assert caught.value.param == "strategy"
