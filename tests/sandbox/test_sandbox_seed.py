"""The seeded data is repeatable, fictional where it must be, and tells consistent stories."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from envoy_async.sandbox import Sandbox
from envoy_async.sandbox.answers import seconds_of, timestamp
from envoy_async.sandbox.geography import CITIES, road_miles

NOW = 1_763_740_800.0
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


@pytest.fixture(scope="module")
def seeded() -> Sandbox:
    """Give a sandbox of the usual size that is never opened."""
    return Sandbox(clock=lambda: NOW)


def test_the_same_seed_gives_the_same_brokerage(seeded: Sandbox) -> None:
    """Keys, ids, and every record."""
    again = Sandbox(clock=lambda: NOW)
    assert (again.api_key, again.bearer_token, again.organization_id) == (
        seeded.api_key,
        seeded.bearer_token,
        seeded.organization_id,
    )
    assert json.dumps(again.store.calls) == json.dumps(seeded.store.calls)
    assert json.dumps(again.store.loads) == json.dumps(seeded.store.loads)


def test_ids_do_not_depend_on_the_clock(seeded: Sandbox) -> None:
    """Another day gives other times but the same keys and ids; another seed shares nothing."""
    later = Sandbox(clock=lambda: NOW + 1_000_000)
    assert (later.api_key, set(later.store.calls)) == (seeded.api_key, set(seeded.store.calls))
    other = Sandbox(seed=8, clock=lambda: NOW)
    assert other.api_key != seeded.api_key
    assert not set(other.store.calls) & set(seeded.store.calls)


def test_credentials_look_like_the_real_ones(seeded: Sandbox) -> None:
    """A live key, and a token of three parts whose header says JWT; neither is in a repr."""
    assert re.fullmatch(r"envai_live_[0-9a-f]{32}", seeded.api_key)
    assert re.fullmatch(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", seeded.bearer_token)
    shown = repr(seeded._gateway.accounts.access)
    assert seeded.api_key not in shown
    assert seeded.bearer_token not in shown


def test_calls_tell_consistent_stories(seeded: Sandbox) -> None:
    """Status, times, numbers, recording, and load of each call fit together."""
    for call in seeded.store.calls.values():
        assert re.fullmatch(f"call_{UUID}", str(call["id"]))
        start, end = call["call_start_time"], call["call_end_time"]
        expected = {"COMPLETED": (True, True), "FAILED": (True, True), "IN_PROGRESS": (True, False)}
        assert (start is not None, end is not None) == expected.get(str(call["status"]), (False, False))
        times = [text for text in (call["created_at"], start, end) if text is not None]
        assert times == sorted(times, key=str)
        assert seconds_of(times[-1]) <= NOW
        assert all(TIME.fullmatch(str(call[key])) for key in ("created_at", "updated_at", "call_time"))
        assert re.fullmatch(r"\+1\d{3}55501\d\d", str(call["phone_number"]))
        other = "from_number" if call["call_direction"] == "INBOUND" else "to_number"
        assert call["phone_number"] == call[other]
        assert call["recording_status"] is None or call["status"] == "COMPLETED"
        assert (call["status"] == "SCHEDULED") == (seconds_of(call["call_time"]) > NOW)
        load = seeded.store.loads.get(str(call["load_id"]))
        assert call["load_number"] == (load and load["load_number"])
        assert load is None or str(load["created_at"]) <= str(call["created_at"])


def test_calls_spread_over_half_a_year_of_working_days(seeded: Sandbox) -> None:
    """All in order and at different instants, most completed, most about a load, some live and some to come."""
    calls = list(seeded.store.calls.values())
    created = [str(call["created_at"]) for call in calls]
    assert created == sorted(set(created))
    assert (len(calls), len(seeded.store.loads)) == (2_500, 400)
    assert created[0] < "2025-06-01"
    assert created[-1] > "2025-11-21T15:50"
    statuses = Counter(str(call["status"]) for call in calls)
    assert statuses["COMPLETED"] > 2_000
    assert min(statuses[status] for status in ("SCHEDULED", "IN_PROGRESS", "NO_ANSWER", "FAILED", "CANCELLED")) > 0
    assert sum(call["load_id"] is not None for call in calls) > 2_000
    assert sum(int(text[11:13]) >= 13 for text in created) > 0.75 * len(created)


def test_loads_fit_together(seeded: Sandbox) -> None:
    """Miles match the lane, money the miles, temperatures the trailer, and progress the clock."""
    cities = {(city.name, city.state): city for city in CITIES}
    for load in seeded.store.loads.values():
        stops: list[dict[str, dict[str, object]]] = load["stops"]  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
        ends = [cities[str(stop["location"]["city"]), str(stop["location"]["state"])] for stop in stops]
        assert load["distance"] == road_miles(*ends)
        assert len(str(load["tms_load_id"])) == 18
        assert int(str(load["posted_rate"])) < int(str(load["suggested_market_rate"])) < int(str(load["max_buy_rate"]))
        assert (load["temperature_setting_minimum"] is not None) == (load["equipment_type"] == "REEFER")
        assert str(load["created_at"]) <= str(load["updated_at"]) <= timestamp(NOW)
        assert load["is_posted"] == (load["load_status"] == "Open")
        assert (load["last_reported_lat"] is not None) == (load["load_status"] in {"In Transit", "Delivered"})
    statuses = {load["load_status"] for load in seeded.store.loads.values()}
    assert statuses == {"Open", "Covered", "Dispatched", "In Transit", "Delivered", "Cancelled"}


def test_distances_are_those_of_the_map() -> None:
    """Chicago to Dallas is about 950 miles by road."""
    by_name = {city.name: city for city in CITIES}
    assert 900 < road_miles(by_name["Chicago"], by_name["Dallas"]) < 1_000


def test_an_empty_sandbox_is_possible() -> None:
    """No calls and no loads; an inserted call then is the first, and belongs to no load."""
    store = Sandbox(calls=0, loads=0, clock=lambda: NOW).store
    assert store.calls == store.loads == store.offers == store.outreaches == {}
    call = store.insert_call()
    assert (call["created_at"], call["load_id"]) == (timestamp(NOW), None)


def test_the_same_seed_gives_the_same_market(seeded: Sandbox) -> None:
    """Carriers, lanes, preferences, offers, and outreaches; what happens before the first look does not matter."""
    again = Sandbox(clock=lambda: NOW)
    again.store.loads.popitem()
    for name in ("carriers", "lanes", "lane_preferences", "outreaches"):
        assert json.dumps(getattr(again.store, name)) == json.dumps(getattr(seeded.store, name))
    wanted = {key: offer for key, offer in seeded.store.offers.items() if offer["load_id"] in again.store.loads}
    assert again.store.offers == wanted
    assert len(wanted) < len(seeded.store.offers)


def test_offers_fit_their_loads(seeded: Sandbox) -> None:
    """As many distinct carriers as the load counts, the highest as it says, and its own carrier was accepted."""
    by_load: dict[str, list[dict[str, object]]] = {load_id: [] for load_id in seeded.store.loads}
    for offer in seeded.store.offers.values():
        by_load[str(offer["load_id"])].append(offer)
    for load_id, offers in by_load.items():
        load = seeded.store.loads[load_id]
        amounts = [float(str(offer["offer_amount"])) for offer in offers]
        assert len({offer["carrier_id"] for offer in offers}) == len(offers) == load["offer_count"]
        assert max(amounts, default=None) == load["max_offer_amount"]
        times = [str(offer[key]) for offer in offers for key in ("created_at", "updated_at")]
        assert all(str(load["created_at"]) <= text <= timestamp(NOW) for text in times)
        assert all(str(offer["created_at"]) <= str(offer["updated_at"]) for offer in offers)
        accepted = [offer for offer in offers if offer["status"] == "accepted"]
        names = [seeded.store.carriers[str(offer["carrier_id"])]["name"] for offer in accepted]
        assert names == ([] if load["carrier_name"] is None else [load["carrier_name"]])
        assert {offer["status"] for offer in offers} <= (
            {"pending"} if load["load_status"] == "Open" else {"accepted", "declined"}
        )
    created = [str(offer["created_at"]) for offer in seeded.store.offers.values()]
    assert created == sorted(created)


def test_outreaches_belong_to_outbound_calls(seeded: Sandbox) -> None:
    """A hundred of them, in order, about the load of the call; engaged are the carriers that picked up."""
    outreaches = list(seeded.store.outreaches.values())
    assert len(outreaches) == len({row["call_id"] for row in outreaches}) == 100
    for row in outreaches:
        call = seeded.store.calls[str(row["call_id"])]
        assert (call["call_direction"], call["call_type"]) == ("OUTBOUND", "Load Offer")
        assert (row["load_id"], row["created_at"]) == (call["load_id"], call["created_at"])
        assert row["carrier_engaged"] == (call["status"] in {"COMPLETED", "IN_PROGRESS"})
    assert {row["carrier_engaged"] for row in outreaches} == {True, False}
    assert [row["created_at"] for row in outreaches] == sorted(str(row["created_at"]) for row in outreaches)


def test_lanes_lie_on_the_map(seeded: Sandbox) -> None:
    """Each preference has its lane, from one city to another; restricted ones are off, the others in use."""
    cities = {(city.name, city.state) for city in CITIES}
    for lane in seeded.store.lanes.values():
        ends = {(lane["origin_city"], lane["origin_state"]), (lane["destination_city"], lane["destination_state"])}
        assert len(ends & cities) == 2
    for row in seeded.store.lane_preferences.values():
        assert row["lane_id"] in seeded.store.lanes
        assert row["preference_type"] == ("primary" if row["is_active"] else "restricted")
    assert 0 < sum(not row["is_active"] for row in seeded.store.lane_preferences.values()) < 20
