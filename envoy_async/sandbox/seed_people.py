"""Invents carriers, people, and what happened when a carrier was checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import trade
from .answers import Record, seconds_of, timestamp
from .geography import CITIES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

DAY = 86_400.0
BLOCKED_SHARE = 0.08


def phone_number(rng: Random) -> str:
    """Invent an E.164 number from the range reserved for fiction (555-0100 to 555-0199)."""
    return f"+1{rng.choice(CITIES).area_code}55501{rng.randrange(100):02d}"


def raw_uuid(rng: Random) -> str:
    """Invent a uuid without a prefix."""
    text = f"{rng.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def contact(rng: Random, kind: str) -> Record:
    """Invent a person tied to a load; `kind` is Driver or CarrierSalesRep."""
    first, last = rng.choice(trade.FIRST_NAMES), rng.choice(trade.LAST_NAMES)
    return {
        "type": kind,
        "first_name": first,
        "last_name": last,
        "phone": phone_number(rng),
        "email": f"{first}.{last}@example.com".lower(),
    }


class CarrierWriter:
    """Keeps one record for each invented carrier and writes their failed verifications."""

    def __init__(self, rng: Random, user_ids: Sequence[str]) -> None:
        """Invent the carriers at once."""
        self._rng = rng
        self._user_ids = user_ids
        self.carriers = [self._carrier(name) for name in trade.CARRIERS]

    def verifications(self, load: Record, now: float) -> list[Record]:
        """Write the failed carrier checks of a load (most loads have none); ``load_id`` tells whose they are."""
        if self._rng.random() > BLOCKED_SHARE:
            return []
        reasons = self._rng.sample(trade.VERIFICATION_REASONS, self._rng.randint(1, 2))
        carrier = self._rng.choice(self.carriers)
        born = seconds_of(load["created_at"])
        record: Record = {
            "id": raw_uuid(self._rng),
            "load_id": load["id"],
            "source": self._rng.choice(("email_outreach", "call")),
            "created_at": timestamp(self._rng.uniform(born, min(now, born + DAY))),
            "carrier_id": carrier["id"],
            "status": "BLOCKED",
            "reasons": reasons,
            "error_stage": "Verification",
            "error_message": "; ".join(reasons),
            "carrier": carrier,
        }
        return [record]

    def _carrier(self, name: str) -> Record:
        """Invent one carrier."""
        rng, rep = self._rng, contact(self._rng, "CarrierSalesRep")
        return {
            "id": f"car_{raw_uuid(rng)}",
            "name": name,
            "mc_number": f"MC{rng.randint(100_000, 999_999)}",
            "dot_number": f"DOT{rng.randint(1_000_000, 3_999_999)}",
            "email": f"dispatch@{name.split(maxsplit=1)[0].lower()}.example.com",
            "phone": phone_number(rng),
            **self._dispatcher(),
            **self._standing(),
            "carrier_rep_user_id": rng.choice(self._user_ids),
            "carrier_rep_name": f"{rep['first_name']} {rep['last_name']}",
            "carrier_rep_email": rep["email"],
            "is_verified": True,
            "verified_date": timestamp(1_700_000_000.0),
            "created_at": timestamp(1_690_000_000.0),
            "updated_at": timestamp(1_700_000_000.0),
        }

    def _dispatcher(self) -> Record:
        """Invent the person who answers for the trucks."""
        person = contact(self._rng, "Dispatcher")
        return {
            "dispatcher_name": f"{person['first_name']} {person['last_name']}",
            "dispatcher_phone": person["phone"],
            "dispatcher_email": person["email"],
        }

    def _standing(self) -> Record:
        """Invent what is known of a carrier's papers and punctuality."""
        rng = self._rng
        return {
            "is_active": True,
            "provider": rng.choice(("Highway", "EnvoyAI")),
            "ingestion_method": rng.choice(("API", "manual")),
            "equipment_types": sorted(item.name for item in rng.sample(trade.EQUIPMENT, 2)),
            "insurance_expiration": timestamp(1_900_000_000.0),
            "w9_on_file": True,
            "authorized_for_hire": True,
            "on_time_pickup_pct": round(rng.uniform(88, 99.5), 1),
            "on_time_delivery_pct": round(rng.uniform(88, 99.5), 1),
            "tracking_compliance_pct": round(rng.uniform(80, 100), 1),
            "avg_response_time_min": round(rng.uniform(4, 45), 1),
            "total_loads_hauled": rng.randint(20, 2_500),
            "is_onboarded": True,
        }
