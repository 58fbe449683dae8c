"""Writes loads whose facts fit together: lane, miles, equipment, weight, money, and progress.

Statuses besides ``Dispatched`` and ``In Transit``, equipment besides VAN and REEFER, and everything of a stop
except its city and state are assumptions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from . import trade
from .answers import Record, timestamp
from .geography import CITIES, City, nearest_city, road_miles
from .seed_people import CarrierWriter, contact

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

HOUR = 3_600.0
MILES_PER_HOUR = 25.0  # rest included
CANCELLED_SHARE = 0.04
COVERED = ("Covered", "Dispatched", "In Transit", "Delivered")


@attrs.frozen(kw_only=True)
class Trip:
    """One load's way, in Unix seconds and miles; ``status`` is how far it came and ``progress`` the part driven."""

    origin: City
    destination: City
    miles: float
    created: float
    pickup: float
    delivery: float
    status: str
    progress: float
    updated: float


class LoadWriter:
    """Writes one load after the other."""

    def __init__(
        self, rng: Random, ids: Callable[[str], str], organization_id: str, carriers: CarrierWriter, *, count: int
    ) -> None:
        """Write for one organization, at most `count` loads (their numbers are drawn beforehand: no two alike)."""
        self._rng = rng
        self._ids = ids
        self._organization_id = organization_id
        self._carriers = carriers
        self._numbers = iter(rng.sample(range(100_000_000, 999_999_999), count))

    def write(self, created: float, now: float) -> Record:
        """Write the load that was created at `created` as it stands at `now` (both Unix seconds)."""
        rng, number = self._rng, next(self._numbers)
        trip = self._trip(created, now)
        equipment = rng.choices(trade.EQUIPMENT, [item.share for item in trade.EQUIPMENT])[0]
        return {
            "id": self._ids("load_"),
            "load_number": f"LD{number}",
            "organization_id": self._organization_id,
            "equipment_type": equipment.name,
            "created_at": timestamp(trip.created),
            "updated_at": timestamp(trip.updated),
            "tms_load_id": f"TMS{number:015d}",
            "external_id": f"EXT{rng.randint(100_000_000, 999_999_999)}",
            "mode": "FTL",
            "load_status": trip.status,
            "tms_status": trip.status,
            **self._cargo(equipment),
            **self._money(trip, equipment),
            **_tracking(trip),
            **self._people(trip),
            "stops": [
                _stop("PICKUP", 1, trip.origin, trip.pickup),
                _stop("DROPOFF", 2, trip.destination, trip.delivery),
            ],
            "context": None,
            "custom_fields": {},
        }

    def _trip(self, created: float, now: float) -> Trip:
        """Draw a lane and see how far the truck came."""
        rng = self._rng
        origin, destination = rng.sample(CITIES, 2)
        miles = road_miles(origin, destination)
        covered = created + rng.uniform(1, 30) * HOUR
        pickup = covered + rng.uniform(6, 60) * HOUR
        delivery = pickup + (3.0 + miles / MILES_PER_HOUR) * HOUR
        dispatched = (covered + pickup) / 2
        steps = [("Open", created), ("Covered", covered), ("Dispatched", dispatched), ("In Transit", pickup)]
        steps.append(("Cancelled", covered) if rng.random() < CANCELLED_SHARE else ("Delivered", delivery))
        status, updated = [step for step in steps if step[1] <= now][-1]
        return Trip(
            origin=origin,
            destination=destination,
            miles=miles,
            created=created,
            pickup=pickup,
            delivery=delivery,
            status=status,
            progress=min(1.0, max(0.0, (now - pickup) / (delivery - pickup))),
            updated=updated,
        )

    def _cargo(self, equipment: trade.Equipment) -> Record:
        """Draw what is in the trailer; only a reefer has a temperature (degrees Fahrenheit)."""
        rng, commodity = self._rng, self._rng.choice(equipment.commodities)
        cold = equipment.name == "REEFER"
        lowest = -10 if commodity in {"Frozen Poultry", "Ice Cream"} else 34
        return {
            "weight": float(rng.randrange(equipment.heaviest // 3, equipment.heaviest, 50)),
            "commodity": commodity,
            "po_numbers": [f"PO{rng.randint(1_000_000, 9_999_999)}" for _ in range(rng.randint(1, 3))],
            "length_feet": equipment.length_feet,
            "special_instructions": rng.sample(trade.INSTRUCTIONS, rng.randint(0, 2)),
            "temperature_setting_minimum": lowest if cold else None,
            "temperature_setting_maximum": lowest + 6 if cold else None,
            "temperature_run_type": rng.choice(("continuous", "cycle")) if cold else None,
        }

    def _money(self, trip: Trip, equipment: trade.Equipment) -> Record:
        """Price the load by mile; short hauls cost more per mile."""
        rng = self._rng
        market = 180.0 + trip.miles * equipment.rate_per_mile * rng.uniform(0.92, 1.1)
        posted, most = round(market * rng.uniform(0.9, 0.97)), round(market * rng.uniform(1.02, 1.12))
        offers = rng.randint(0, 6) if trip.status == "Open" else rng.randint(1, 9)
        return {
            "distance": trip.miles,
            "posted_rate": posted,
            "max_buy_rate": most,
            "suggested_market_rate": round(market),
            "is_posted": trip.status == "Open",
            "offer_count": offers,
            "max_offer_amount": round(rng.uniform(posted, most * 1.1), 2) if offers else None,
        }

    def _people(self, trip: Trip) -> Record:
        """Name the customer and, once the load is covered, who hauls it."""
        rng, carrier = self._rng, self._rng.choice(self._carriers.carriers)
        covered = trip.status in COVERED
        return {
            "tms_carrier_id": f"CARR{str(carrier['mc_number'])[2:]}" if covered else None,
            "carrier_name": carrier["name"] if covered else None,
            "customer_name": rng.choice(trade.CUSTOMERS),
            "carrier_rep": contact(rng, "CarrierSalesRep") if covered else None,
            "driver": contact(rng, "Driver") if covered else None,
            "carrier_rep_user_id": carrier["carrier_rep_user_id"] if covered else None,
        }


def _tracking(trip: Trip) -> Record:
    """Tell where the truck was last seen; nothing before the pickup."""
    if trip.status not in {"In Transit", "Delivered"}:
        return {
            "last_reported_state": None,
            "last_reported_city": None,
            "last_reported_long": None,
            "last_reported_lat": None,
        }
    origin, destination = trip.origin, trip.destination
    latitude = round(origin.latitude + trip.progress * (destination.latitude - origin.latitude), 4)
    longitude = round(origin.longitude + trip.progress * (destination.longitude - origin.longitude), 4)
    city = destination if trip.status == "Delivered" else nearest_city(latitude, longitude)
    return {
        "last_reported_state": city.state,
        "last_reported_city": city.name,
        "last_reported_long": longitude,
        "last_reported_lat": latitude,
    }


def _stop(kind: str, sequence: int, city: City, moment: float) -> Record:
    """Write one stop of a load."""
    return {"type": kind, "sequence": sequence, "location": city.location, "scheduled_at": timestamp(moment)}
