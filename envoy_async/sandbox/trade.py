"""The vocabulary of freight the seeded records are written in; all companies and people are invented."""

from __future__ import annotations

import attrs


@attrs.frozen
class Equipment:
    """A trailer: the API's name (VAN and REEFER were read, the rest are assumptions), feet, dollars, and pounds."""

    name: str
    share: int
    length_feet: int
    rate_per_mile: float
    heaviest: int
    commodities: tuple[str, ...]


EQUIPMENT = (
    Equipment("VAN", 52, 53, 2.05, 44_500, ("Paper Products", "Consumer Electronics", "Packaged Beverages", "Tires")),
    Equipment("REEFER", 26, 53, 2.45, 43_000, ("Frozen Poultry", "Fresh Produce", "Dairy", "Ice Cream", "Berries")),
    Equipment("FLATBED", 14, 48, 2.60, 47_500, ("Steel Coils", "Lumber", "Roofing Shingles", "Concrete Pipe")),
    Equipment("STEP_DECK", 5, 53, 2.75, 46_000, ("Farm Machinery", "Forklifts", "Palletized Machinery")),
    Equipment("POWER_ONLY", 3, 53, 1.85, 42_000, ("Preloaded Trailer", "Retail Store Freight")),
)

CUSTOMERS = (
    "Blue Mesa Foods",
    "Cedar Ridge Building Supply",
    "Great Basin Beverage Co.",
    "Harborline Retail Group",
    "Ironwood Steel Works",
    "Lakeshore Paper Company",
    "Magnolia Poultry Farms",
    "Northern Prairie Dairy",
    "Orchard Valley Growers",
    "Pinecrest Home Goods",
    "Red Canyon Tire Distributors",
    "Tidewater Consumer Products",
)

CARRIERS = (
    "Bluegrass Hauling LLC",
    "Copper State Transport",
    "Delta Crossing Freight",
    "Eagle Pass Trucking Inc.",
    "Four Corners Logistics",
    "Granite Peak Carriers",
    "High Plains Express",
    "Longleaf Transport LLC",
    "Mesa Verde Trucking",
    "River Bend Freight Lines",
    "Sandhill Carriers Inc.",
    "Two Rivers Transportation",
)

FIRST_NAMES = ("Andre", "Brenda", "Carlos", "Dana", "Earl", "Gloria", "Hector", "Jolene", "Marcus", "Priya", "Tom")
LAST_NAMES = (
    "Alvarez",
    "Brooks",
    "Chen",
    "Dawson",
    "Foster",
    "Grant",
    "Hughes",
    "Kowalski",
    "Nguyen",
    "Reyes",
    "Singh",
)

INSTRUCTIONS = (
    "Driver must call one hour before arrival",
    "No touch freight",
    "Appointment required at delivery",
    "Two load straps required",
    "Trailer must be clean, dry and odor free",
    "Lumper receipt needed for reimbursement",
)

CALL_TYPES = (
    "Carrier Inquiry",
    "Load Offer",
    "Rate Negotiation",
    "Track and Trace",
    "Appointment Scheduling",
    "Customer Support",
)

VERIFICATION_REASONS = (
    "Insurance expired",
    "Authority not active",
    "Authority younger than 90 days",
    "Safety rating conditional",
    "Cargo coverage below requirement",
)

ESCALATIONS = (
    ("RATE_APPROVAL", "Carrier asks for {amount} dollars, above the maximum buy rate."),
    ("QUESTION", "Carrier asks whether the pickup appointment can move by two hours."),
    ("CALLBACK_REQUESTED", "Carrier wants to talk to a person about detention pay."),
    ("FRAUD_SUSPICION", "The caller's number does not match the carrier's file."),
)
AGENT_TYPES = ("INBOUND_SALES", "OUTBOUND_SALES", "TRACK_AND_TRACE")
