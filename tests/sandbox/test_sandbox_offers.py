"""The operations of the group Offers answer as documented."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import pytest

from envoy_async.sandbox import Sandbox

Send: TypeAlias = Callable[..., Awaitable[tuple[int, Mapping[str, str], Any]]]

NOBODY = "00000000-0000-4000-8000-000000000000"
OFFER_FIELDS = {
    *("id", "tms_load_id", "load_id", "offer_amount", "status", "source", "created_at", "updated_at", "carrier_id"),
    *("contact_id", "call_id", "email_message_id", "notes", "created_by_id", "updated_by_id", "load_number", "carrier"),
}


def some_load(sandbox: Sandbox, **wanted: object) -> dict[str, object]:
    """Give a load of the store with these values."""
    return next(load for load in sandbox.store.loads.values() if wanted.items() <= load.items())


async def test_offers_are_listed_newest_first(sandbox: Sandbox, send: Send) -> None:
    """In the envelope, with all fields, the carrier, and the numbers of the load; each one can be read alone."""
    _, _, body = await send(sandbox, "GET", "/offers?page=2&page_size=30")
    rows = body["data"]
    assert body["pagination"]["total_count"] == len(sandbox.store.offers)
    assert [row["id"] for row in rows] == list(sandbox.store.offers)[::-1][30:60]
    for row in rows:
        load = sandbox.store.loads[row["load_id"]]
        assert set(row) == OFFER_FIELDS
        assert (row["load_number"], row["tms_load_id"]) == (load["load_number"], load["tms_load_id"])
        assert row["carrier"] == sandbox.store.carriers[row["carrier_id"]]
    bare = rows[0]["id"].removeprefix("ofr_").upper()
    assert (await send(sandbox, "GET", f"/offers/{bare}"))[2] == rows[0]


async def test_an_offer_moves_the_numbers_of_its_load(sandbox: Sandbox, send: Send) -> None:
    """A carrier counts once however often it offers, each offer without one counts alone; the highest is known."""
    load_id = next(iter(sandbox.store.loads))
    load = sandbox.store.loads[load_id]
    load.update(offer_count=0, max_offer_amount=None)
    sandbox.store.offers.clear()
    one, other = list(sandbox.store.carriers)[:2]
    counts = list[tuple[object, object]]()
    for carrier_id, amount in ((one, 900), (one, 1_000.5), (None, 800), (None, 700), (other, 999)):
        body = {"load_id": load_id, "offer_amount": amount, "carrier_id": carrier_id}
        await send(sandbox, "POST", "/offers", json=body)
        shown = (await send(sandbox, "GET", f"/loads/{load_id}"))[2]
        counts.append((shown["offer_count"], shown["max_offer_amount"]))
    assert counts == [(1, 900), (1, 1_000.5), (2, 1_000.5), (3, 1_000.5), (4, 1_000.5)]


async def test_a_created_offer_is_pending(sandbox: Sandbox, send: Send) -> None:
    """It keeps what it was given, with ids in their full form, and stands first in the list."""
    load_id, call_id = next(iter(sandbox.store.loads)), next(iter(sandbox.store.calls))
    carrier_id, carrier = next(iter(sandbox.store.carriers.items()))
    body = {
        "load_id": load_id.removeprefix("load_").upper(),
        "offer_amount": 1_250.75,
        "carrier_id": carrier_id.removeprefix("car_"),
        "call_id": call_id,
        "contact_id": NOBODY,
        "notes": "With liftgate\u0000",
        "color": "red",
    }
    status, _, offer = await send(sandbox, "POST", "/offers", json=body)
    ids = {"load_id": load_id, "carrier_id": carrier_id, "call_id": call_id, "contact_id": f"con_{NOBODY}"}
    assert (status, set(offer)) == (200, OFFER_FIELDS)
    expected = {**ids, "status": "pending", "source": "internal", "offer_amount": 1_250.75, "carrier": carrier}
    assert expected.items() <= offer.items()
    assert (offer["notes"], offer["email_message_id"]) == ("With liftgate\u0000", None)
    assert (await send(sandbox, "GET", "/offers"))[2]["data"][0] == offer


async def test_the_smallest_body_is_enough(sandbox: Sandbox, send: Send) -> None:
    """Without a carrier there is none to show."""
    load_id = next(iter(sandbox.store.loads))
    nothing = dict.fromkeys(("carrier_id", "contact_id", "call_id", "notes"))
    for rest in ({}, nothing):
        _, _, offer = await send(sandbox, "POST", "/offers", json={"load_id": load_id, "offer_amount": 1, **rest})
        assert (nothing | {"carrier": None}).items() <= offer.items()


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"load_id": f"load_{NOBODY}"}, 422, "load_id"),
        ({"load_id": None}, 400, "load_id"),
        ({"load_id": f"car_{NOBODY}"}, 400, "load_id"),
        ({"carrier_id": NOBODY}, 422, "carrier_id"),
        ({"carrier_id": 5}, 400, "carrier_id"),
        ({"call_id": f"call_{NOBODY}"}, 422, "call_id"),
        ({"contact_id": "con_1"}, 400, "contact_id"),
        ({"offer_amount": 0}, 422, "offer_amount"),
        ({"offer_amount": -1.5}, 422, "offer_amount"),
        ({"offer_amount": None}, 422, "offer_amount"),
        ({"offer_amount": True}, 422, "offer_amount"),
        ({"offer_amount": "900"}, 422, "offer_amount"),
        ({"offer_amount": 10**400}, 422, None),
        ({"notes": 5}, 422, "notes"),
    ],
)
async def test_a_bad_offer_names_its_field(
    sandbox: Sandbox, send: Send, change: dict[str, object], status: int, param: str | None
) -> None:
    """Nothing is created, and the load stays as it is."""
    load_id, load = next(iter(sandbox.store.loads.items()))
    before, count = dict(load), len(sandbox.store.offers)
    answer = await send(sandbox, "POST", "/offers", json={"load_id": load_id, "offer_amount": 900, **change})
    assert (answer[0], answer[2]["error"]["param"]) == (status, param)
    assert (load, len(sandbox.store.offers)) == (before, count)


@pytest.mark.parametrize("missing", ["load_id", "offer_amount"])
async def test_a_missing_field_is_required(sandbox: Sandbox, send: Send, missing: str) -> None:
    """Load and amount both are."""
    body = {"load_id": next(iter(sandbox.store.loads)), "offer_amount": 1}
    del body[missing]
    status, _, answer = await send(sandbox, "POST", "/offers", json=body)
    assert (status, answer["error"]["message"], answer["error"]["param"]) == (422, "field required", missing)


async def test_accepting_an_offer_covers_an_open_load(sandbox: Sandbox, send: Send) -> None:
    """The carrier hauls it, and it is posted no more; accepting another one afterwards does not change that."""
    load = some_load(sandbox, load_status="Open", is_posted=True)
    offers = list[dict[str, Any]]()
    for carrier_id in list(sandbox.store.carriers)[:2]:
        body = {"load_id": load["id"], "offer_amount": 900, "carrier_id": carrier_id, "notes": "Early"}
        offers.append((await send(sandbox, "POST", "/offers", json=body))[2])
    for offer in offers:
        _, _, answer = await send(sandbox, "PATCH", f"/offers/{offer['id']}", json={"status": "accepted"})
        assert answer == {**offer, "status": "accepted", "updated_at": answer["updated_at"]}
        assert answer["updated_at"] > offer["updated_at"]
    shown = (await send(sandbox, "GET", f"/loads/{load['id']}"))[2]
    assert (shown["load_status"], shown["is_posted"]) == ("Covered", False)
    assert shown["carrier_name"] == offers[0]["carrier"]["name"]


async def test_accepting_an_offer_without_a_carrier_names_nobody(sandbox: Sandbox, send: Send) -> None:
    """The load is covered all the same."""
    load = some_load(sandbox, load_status="Open")
    _, _, offer = await send(sandbox, "POST", "/offers", json={"load_id": load["id"], "offer_amount": 900})
    await send(sandbox, "PATCH", f"/offers/{offer['id']}", json={"status": "accepted"})
    assert (load["load_status"], load["carrier_name"]) == ("Covered", None)


async def test_other_statuses_are_kept_as_they_are(sandbox: Sandbox, send: Send) -> None:
    """The load stays as it is; notes change when they are given, also to null."""
    load = some_load(sandbox, load_status="Open")
    _, _, offer = await send(sandbox, "POST", "/offers", json={"load_id": load["id"], "offer_amount": 9, "notes": "A"})
    before = json.dumps(load)
    seen = list[tuple[str, str | None]]()
    for body in ({"status": "Declined \u00e9"}, {"status": "x", "notes": "B"}, {"status": "", "notes": None, "y": 1}):
        _, _, answer = await send(sandbox, "PATCH", f"/offers/{offer['id']}", json=body)
        seen.append((answer["status"], answer["notes"]))
    assert seen == [("Declined \u00e9", "A"), ("x", "B"), ("", None)]
    assert json.dumps(load) == before


@pytest.mark.parametrize(
    ("body", "param"),
    [([], None), ({}, "status"), ({"status": None}, "status"), ({"status": "accepted", "notes": []}, "notes")],
)
async def test_a_bad_change_changes_nothing(sandbox: Sandbox, send: Send, body: object, param: str | None) -> None:
    """The status is a required text."""
    offer_id, offer = next(iter(sandbox.store.offers.items()))
    before = dict(offer)
    status, _, answer = await send(sandbox, "PATCH", f"/offers/{offer_id}", json=body)
    assert (status, answer["error"]["param"]) == (422, param)
    assert offer == before


@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_an_unknown_offer_is_a_404(sandbox: Sandbox, send: Send, method: str) -> None:
    """An id of another kind is a 400."""
    options: dict[str, Any] = {"json": {"status": "accepted"}} if method == "PATCH" else {}
    assert (await send(sandbox, method, f"/offers/ofr_{NOBODY}", **options))[2]["error"]["message"] == "Offer not found"
    assert (await send(sandbox, method, f"/offers/load_{NOBODY}", **options))[0] == 400
