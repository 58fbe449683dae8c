"""Every method of `envoy.offers` against a sandbox over a real socket: what it answers, what runs, what is refused."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from envoy_async import UNSET, EnvoyClient
from envoy_async.errors import InvalidRequestError, ValidationError
from envoy_async.models import Carrier, Offer, OfferStatus
from envoy_async.sandbox import Sandbox
from tests.resources.conftest import (
    NOBODY,
    UUID,
    assert_bad_numbers_refused,
    assert_lost_is_unknown,
    assert_not_found,
    assert_paged,
    assert_refused_here,
    assert_shows,
    assert_wrong_ids_refused,
    newest,
    wrong_ids,
)


def shown(sandbox: Sandbox, offer: dict[str, Any]) -> dict[str, Any]:
    """Give a record of the store as it is answered: with its carrier, and with the numbers of its load."""
    load = sandbox.store.loads[offer["load_id"]]
    carrier = sandbox.store.carriers.get(offer["carrier_id"])
    return {**offer, "tms_load_id": load["tms_load_id"], "load_number": load["load_number"], "carrier": carrier}


def open_load(sandbox: Sandbox) -> dict[str, Any]:
    """Give a load nobody hauls yet."""
    return next(load for load in sandbox.store.loads.values() if load["load_status"] == "Open")


async def test_get_returns_the_offer(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Every field of every status met, the carrier included, known enum values and others alike."""
    for status in ("pending", "accepted", "declined"):
        record: Any = next(offer for offer in sandbox.store.offers.values() if offer["status"] == status)
        offer = await envoy.offers.get(record["id"])
        assert (type(offer), type(offer.carrier), type(offer.status)) == (Offer, Carrier, OfferStatus)
        assert offer.status.is_known == (status != "declined")
        assert_shows(offer, shown(sandbox, record))


async def test_get_takes_a_raw_uuid(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The reference declares ids as plain uuids; the answer carries the prefix."""
    offer_id = next(iter(sandbox.store.offers))
    assert (await envoy.offers.get(offer_id.removeprefix("ofr_"))).id == offer_id


async def test_list_delivers_every_offer(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """All of them, once, in the server's order; completeness is not claimed, since that order is not documented."""
    records = [shown(sandbox, offer) for offer in newest(sandbox.store.offers.values())]
    await assert_paged(envoy.offers.list, sandbox, "/offers", records)
    assert await envoy.offers.list().collect() == await envoy.offers.list(page_size=7).collect()


async def test_a_bad_number_is_refused_here(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """When the listing is made; nothing is sent."""
    assert_bad_numbers_refused(envoy.offers.list, sandbox)


async def test_create_records_one_offer(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """It runs exactly once, and the answer is the new offer; what was left out was not sent."""
    load_id = str(open_load(sandbox)["id"])
    offer = await envoy.offers.create(load_id=load_id, offer_amount=1850)
    assert [(ran.operation, ran.body) for ran in sandbox.executions] == [
        ("offers.create", {"load_id": load_id, "offer_amount": 1850})
    ]
    assert_shows(offer, shown(sandbox, sandbox.store.offers[offer.id]))
    assert (offer.load_id, offer.offer_amount, offer.status) == (load_id, 1850, OfferStatus.PENDING)
    assert (offer.carrier, offer.carrier_id, offer.call_id, offer.notes) == (None, None, None, None)
    assert await envoy.offers.get(offer.id) == offer


async def test_create_with_everything(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Carrier, contact, call, and notes arrive; ids may be plain uuids, and come back with their prefix."""
    load_id, call_id = str(open_load(sandbox)["id"]), next(iter(sandbox.store.calls))
    carrier_id = next(iter(sandbox.store.carriers))
    fields: dict[str, Any] = {
        "carrier_id": carrier_id.removeprefix("car_"),
        "contact_id": f"con_{UUID}",
        "call_id": call_id.removeprefix("call_"),
        "notes": "Can pick up early — señor",
    }
    offer = await envoy.offers.create(load_id=load_id.removeprefix("load_"), offer_amount=1850.5, **fields)
    assert sandbox.executions[0].body == {
        "load_id": load_id.removeprefix("load_"),
        "offer_amount": 1850.5,
        **fields,
    }
    assert (offer.load_id, offer.carrier_id, offer.call_id) == (load_id, carrier_id, call_id)
    assert (offer.contact_id, offer.notes, offer.offer_amount) == (f"con_{UUID}", fields["notes"], 1850.5)
    assert_shows(offer.carrier, sandbox.store.carriers[carrier_id])


async def test_none_is_sent_as_null(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Leaving a field out and emptying it are told apart."""
    load_id = str(open_load(sandbox)["id"])
    await envoy.offers.create(
        load_id=load_id, offer_amount=1, carrier_id=None, contact_id=None, call_id=None, notes=None
    )
    assert sandbox.executions[0].body == {
        "load_id": load_id,
        "offer_amount": 1,
        "carrier_id": None,
        "contact_id": None,
        "call_id": None,
        "notes": None,
    }


async def test_extra_fields_stand_beside_the_known_ones_and_win(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """What the SDK does not know yet can be sent; a known field in `extra` replaces the argument."""
    load_id = str(open_load(sandbox)["id"])
    offer = await envoy.offers.create(
        load_id=load_id, offer_amount=1, notes="a", extra={"offer_amount": 2, "currency": "USD", "tier": UNSET}
    )
    await envoy.offers.update(offer.id, status="accepted", extra={"status": "countered", "counter": 3})
    assert [ran.body for ran in sandbox.executions] == [
        {"load_id": load_id, "offer_amount": 2, "notes": "a", "currency": "USD"},
        {"status": "countered", "counter": 3},
    ]
    assert offer.offer_amount == 2
    assert (await envoy.offers.get(offer.id)).status == OfferStatus("countered")


async def test_an_offer_moves_its_load(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The load counts distinct carriers and knows the highest offer, as a look before and after shows."""
    load_id = str(open_load(sandbox)["id"])
    taken = {offer["carrier_id"] for offer in sandbox.store.offers.values() if offer["load_id"] == load_id}
    carrier_id = next(carrier_id for carrier_id in sandbox.store.carriers if carrier_id not in taken)
    before = await envoy.loads.get(load_id)
    highest = (before.max_offer_amount or 0) + 100
    await envoy.offers.create(load_id=load_id, carrier_id=carrier_id, offer_amount=highest)
    after = await envoy.loads.get(load_id)
    assert (after.offer_count, after.max_offer_amount) == ((before.offer_count or 0) + 1, highest)
    await envoy.offers.create(load_id=load_id, carrier_id=carrier_id, offer_amount=highest - 50)
    again = await envoy.loads.get(load_id)
    assert (again.offer_count, again.max_offer_amount) == (after.offer_count, highest)


async def test_accepting_an_offer_covers_the_load(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The answer is the offer as it now is; the load has its carrier."""
    load_id, (carrier_id, carrier) = str(open_load(sandbox)["id"]), next(iter(sandbox.store.carriers.items()))
    made = await envoy.offers.create(load_id=load_id, carrier_id=carrier_id, offer_amount=1850, notes="Firm")
    offer = await envoy.offers.update(made.id, status=OfferStatus.ACCEPTED)
    assert (offer.status, offer.notes) == (OfferStatus.ACCEPTED, "Firm")
    assert offer.updated_at > made.updated_at
    assert_shows(offer, shown(sandbox, sandbox.store.offers[made.id]))
    load = await envoy.loads.get(load_id)
    assert (load.load_status, load.carrier_name, load.is_posted) == ("Covered", carrier["name"], False)


async def test_update_changes_status_and_notes(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Text or enum, known or not; notes are kept when left out, and emptied by null."""
    offer_id = next(iter(sandbox.store.offers))
    steps: list[tuple[str, dict[str, Any]]] = [
        ("declined", {"notes": "Too late"}),
        (OfferStatus.PENDING, {}),
        (OfferStatus("countered"), {"notes": None}),
    ]
    found = [await envoy.offers.update(offer_id, status=status, **fields) for status, fields in steps]
    assert [(offer.status, offer.notes) for offer in found] == [
        ("declined", "Too late"),
        ("pending", "Too late"),
        ("countered", None),
    ]
    assert [(ran.operation, ran.body) for ran in sandbox.executions] == [
        ("offers.update", {"status": "declined", "notes": "Too late"}),
        ("offers.update", {"status": "pending"}),
        ("offers.update", {"status": "countered", "notes": None}),
    ]


async def test_a_lost_answer_leaves_the_outcome_unknown(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Neither a second offer nor a second acceptance is sent by itself."""
    load_id, offer_id = str(open_load(sandbox)["id"]), next(iter(sandbox.store.offers))
    await assert_lost_is_unknown(
        sandbox, "POST", "/offers", lambda: envoy.offers.create(load_id=load_id, offer_amount=1)
    )
    await assert_lost_is_unknown(
        sandbox, "PATCH", "/offers/{offer_id}", lambda: envoy.offers.update(offer_id, status="accepted")
    )


@pytest.mark.parametrize("amount", [math.nan, math.inf, -math.inf])
async def test_an_amount_that_is_no_number_is_refused_here(envoy: EnvoyClient, sandbox: Sandbox, amount: float) -> None:
    """JSON has no word for it; the error names the field, and nothing is sent."""
    await assert_refused_here(
        sandbox, "offer_amount", lambda: envoy.offers.create(load_id=f"load_{UUID}", offer_amount=amount)
    )


@pytest.mark.parametrize(
    ("name", "prefix"), [("load_id", "load"), ("carrier_id", "car"), ("contact_id", "con"), ("call_id", "call")]
)
@pytest.mark.parametrize("where", ["argument", "extra"])
async def test_a_wrong_id_in_the_body_is_refused_here(
    envoy: EnvoyClient, sandbox: Sandbox, name: str, prefix: str, where: str
) -> None:
    """An id of another kind is caught in every field, also in `extra`; the error names the field."""
    for wrong in wrong_ids(prefix):
        fields: dict[str, Any] = {"load_id": f"load_{UUID}", "offer_amount": 1}
        fields |= {name: wrong} if where == "argument" else {"extra": {name: wrong}}
        with pytest.raises(InvalidRequestError, match=f"^POST /offers: {name} has the wrong shape") as caught:
            await envoy.offers.create(**fields)
        assert caught.value.param == name
    assert sandbox.requests == []


async def test_what_the_server_refuses_is_typed(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """A 422 names the parameter; nothing was recorded."""
    load_id, count = str(open_load(sandbox)["id"]), len(sandbox.store.offers)
    refused: list[tuple[dict[str, Any], str]] = [
        ({"load_id": load_id, "offer_amount": 0}, "offer_amount"),
        ({"load_id": f"load_{NOBODY}", "offer_amount": 1}, "load_id"),
        ({"load_id": load_id, "offer_amount": 1, "carrier_id": f"car_{NOBODY}"}, "carrier_id"),
        ({"load_id": load_id, "offer_amount": 1, "call_id": f"call_{NOBODY}"}, "call_id"),
    ]
    for fields, param in refused:
        with pytest.raises(ValidationError) as caught:
            await envoy.offers.create(**fields)
        error = caught.value
        assert (error.status, error.code, error.param, error.route) == (422, "validation_error", param, "/offers")
    assert (len(sandbox.store.offers), sandbox.executions) == (count, [])


METHODS: dict[str, Callable[[EnvoyClient, str], Awaitable[object]]] = {
    "get": lambda envoy, offer_id: envoy.offers.get(offer_id),
    "update": lambda envoy, offer_id: envoy.offers.update(offer_id, status="accepted"),
}


@pytest.mark.parametrize("name", METHODS)
async def test_an_unknown_offer_is_not_found(envoy: EnvoyClient, sandbox: Sandbox, name: str) -> None:
    """A typed 404; nothing ran."""
    await assert_not_found(sandbox, "Offer not found", METHODS[name](envoy, f"ofr_{NOBODY}"))


@pytest.mark.parametrize("name", METHODS)
async def test_a_wrong_id_is_refused_here(envoy: EnvoyClient, sandbox: Sandbox, name: str) -> None:
    """Nothing is sent: not to another endpoint, and not to find out."""
    await assert_wrong_ids_refused(sandbox, "offer_id", "ofr", lambda wrong: METHODS[name](envoy, wrong))


async def test_extra_fields_are_a_mapping(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """`extra` that is no mapping is refused here, naming the argument."""
    wrong: Any = [("notes", "x")]
    await assert_refused_here(sandbox, "extra", lambda: envoy.offers.update(f"ofr_{UUID}", status="a", extra=wrong))
