"""Every public operation as a step that can be taken again and again against one sandbox.

The rule: the table is held against the client by `missing`, so that no operation is left out.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping

import attrs

from envoy_async import ApiKey, BearerToken, EnvoyClient, RetryPolicy
from envoy_async.errors import OutcomeUnknownError
from envoy_async.models import NewCarrier, NewLoad, Stop
from envoy_async.resources import GROUPS
from envoy_async.sandbox import Sandbox

EAGER = RetryPolicy(base=1e-6)  # sends again without a wait worth mentioning
KEY_ONLY = frozenset({"loads.create", "loads.create_batch", "carriers.create_batch"})
UNSAFE = (
    "auth.login",
    "api_keys.create",
    "offers.create",
    "offers.update",
    "calls.create",
    "calls.join",
    "outreaches.create",
    "webhook_endpoints.create",
    "webhook_endpoints.rotate_secret",
)
"""The nine operations that harm when run twice (design section 4)."""
STOPS: list[Stop | Mapping[str, object]] = [{"location": {"city": "Waco", "state": "TX"}}] * 2
LOAD = NewLoad(load_number="LD-1", equipment_type="VAN", stops=STOPS)
MORE = NewCarrier(name="Three Rivers", mc_number="MC2")
HOOK = "https://example.com/hooks"
TYPES = ("offer.created", "offer.updated")


@attrs.frozen(kw_only=True)
class Known:
    """Ids of records that are there."""

    email: str
    password: str
    key: str
    load: str
    call: str
    live: str
    carrier: str
    idle: str
    lane: str
    offer: str
    outreach: str
    endpoint: str
    doomed: str
    message: str


Step = Callable[[EnvoyClient, Known], Awaitable[object]]
Hook = Callable[[OutcomeUnknownError], None]
EVERY: Mapping[str, Step] = {
    "auth.login": lambda envoy, known: envoy.auth.login(known.email, known.password),
    "api_keys.create": lambda envoy, known: envoy.api_keys.create(name="TMS"),
    "api_keys.list": lambda envoy, known: envoy.api_keys.list().collect(),
    "api_keys.get": lambda envoy, known: envoy.api_keys.get(known.key),
    "api_keys.deactivate": lambda envoy, known: envoy.api_keys.deactivate(known.key),
    "loads.create": lambda envoy, known: envoy.loads.create(LOAD),
    "loads.create_batch": lambda envoy, known: envoy.loads.create_batch([LOAD]),
    "loads.list": lambda envoy, known: envoy.loads.list(page_size=3).collect(6),
    "loads.get": lambda envoy, known: envoy.loads.get(known.load),
    "loads.update": lambda envoy, known: envoy.loads.update(known.load, is_posted=True),
    "loads.statistics": lambda envoy, known: envoy.loads.statistics(),
    "loads.tab_counts": lambda envoy, known: envoy.loads.tab_counts(),
    "loads.calls": lambda envoy, known: envoy.loads.calls(known.load).collect(),
    "loads.verifications": lambda envoy, known: envoy.loads.verifications(known.load).collect(),
    "loads.escalations": lambda envoy, known: envoy.loads.escalations(known.load).collect(),
    "offers.create": lambda envoy, known: envoy.offers.create(load_id=known.load, offer_amount=900.0),
    "offers.list": lambda envoy, known: envoy.offers.list().first(),
    "offers.get": lambda envoy, known: envoy.offers.get(known.offer),
    "offers.update": lambda envoy, known: envoy.offers.update(known.offer, status="declined"),
    "carriers.create": lambda envoy, known: envoy.carriers.create(name="Two Rivers", mc_number="MC1"),
    "carriers.create_batch": lambda envoy, known: envoy.carriers.create_batch([MORE]),
    "carriers.list": lambda envoy, known: anext(envoy.carriers.list().by_page()),
    "carriers.get": lambda envoy, known: envoy.carriers.get(known.carrier),
    "carriers.update": lambda envoy, known: envoy.carriers.update(known.carrier, extra={"email": "a@example.com"}),
    "carriers.enable": lambda envoy, known: envoy.carriers.enable(known.idle),
    "carriers.disable": lambda envoy, known: envoy.carriers.disable(known.idle, reason="other"),
    "lane_preferences.list": lambda envoy, known: envoy.lane_preferences.list(known.idle).collect(),
    "lane_preferences.update": lambda envoy, known: envoy.lane_preferences.update(
        known.idle, known.lane, is_active=True
    ),
    "lane_preferences.restrict": lambda envoy, known: envoy.lane_preferences.restrict(
        known.idle, known.lane, reason="other"
    ),
    "lane_preferences.unrestrict": lambda envoy, known: envoy.lane_preferences.unrestrict(known.idle, known.lane),
    "lane_preferences.disable_for_load": lambda envoy, known: envoy.lane_preferences.disable_for_load(
        known.idle, load_id=known.load
    ),
    "calls.create": lambda envoy, known: envoy.calls.create(extra={"phone_number": "+14155550100"}),
    "calls.list": lambda envoy, known: envoy.calls.list(page_size=2, limit=4).collect(),
    "calls.get": lambda envoy, known: envoy.calls.get(known.call),
    "calls.join": lambda envoy, known: envoy.calls.join(known.live),
    "calls.end": lambda envoy, known: envoy.calls.end(known.call),
    "calls.recording": lambda envoy, known: envoy.calls.recording(known.call),
    "outreaches.create": lambda envoy, known: envoy.outreaches.create(carrier_id=known.carrier, load_id=known.load),
    "outreaches.list": lambda envoy, known: envoy.outreaches.list().collect(),
    "outreaches.get": lambda envoy, known: envoy.outreaches.get(known.outreach),
    "webhook_endpoints.create": lambda envoy, known: envoy.webhook_endpoints.create(url=HOOK, event_types=TYPES),
    "webhook_endpoints.list": lambda envoy, known: envoy.webhook_endpoints.list().collect(),
    "webhook_endpoints.get": lambda envoy, known: envoy.webhook_endpoints.get(known.endpoint),
    "webhook_endpoints.update": lambda envoy, known: envoy.webhook_endpoints.update(known.endpoint, status="ACTIVE"),
    "webhook_endpoints.delete": lambda envoy, known: envoy.webhook_endpoints.delete(known.doomed),
    "webhook_endpoints.rotate_secret": lambda envoy, known: envoy.webhook_endpoints.rotate_secret(known.endpoint),
    "webhook_endpoints.messages": lambda envoy, known: envoy.webhook_endpoints.messages(known.endpoint).collect(),
    "webhook_endpoints.event_types": lambda envoy, known: envoy.webhook_endpoints.event_types().collect(),
    "webhook_messages.attempts": lambda envoy, known: envoy.webhook_messages.attempts(known.message).collect(),
    "webhook_messages.replay": lambda envoy, known: envoy.webhook_messages.replay(
        known.message, endpoint_id=known.endpoint
    ),
    "request": lambda envoy, known: envoy.request("GET", "/loads/tab-counts", into=dict[str, object]),
}


def missing() -> set[str]:
    """Name the public operations of the client that the table leaves out, and those it makes up."""
    client = EnvoyClient("none")
    groups: dict[str, type] = {name: type(getattr(client, name)) for name in GROUPS}
    known = {
        f"{group}.{name}"
        for group, kind in groups.items()
        for name, member in vars(kind).items()
        if inspect.isfunction(member) and not name.startswith("_")
    }
    return (known | {"request"}) ^ EVERY.keys()


def client_for(operation: str, sandbox: Sandbox, url: str | None = None, unknown: Hook | None = None) -> EnvoyClient:
    """Make a client that holds the credential the operation takes.

    Args:
        operation: its name in the table.
        sandbox: where it is sent.
        url: another way to the sandbox.
        unknown: hears of outcomes that nobody knows.
    """
    key = operation in KEY_ONLY
    credential = ApiKey(sandbox.api_key) if key else BearerToken(sandbox.bearer_token)
    return EnvoyClient(credential, base_url=url or sandbox.base_url, retry=EAGER, on_outcome_unknown=unknown)


async def prepare(sandbox: Sandbox) -> Known:
    """Make one record of every kind."""
    store = sandbox.store
    load = next(iter(store.loads))
    call = next(str(call["id"]) for call in store.calls.values() if call["status"] == "COMPLETED")
    carrier, idle = list(store.carriers)[:2]
    async with client_for("any", sandbox) as envoy:
        endpoint = await envoy.webhook_endpoints.create(url=HOOK, event_types=TYPES)
        doomed = await envoy.webhook_endpoints.create(url=HOOK, event_types=TYPES)
        live = await envoy.calls.create(extra={"phone_number": "+14155550100"})
        outreach = await envoy.outreaches.create(carrier_id=carrier, load_id=load)
        offer = await envoy.offers.create(load_id=load, offer_amount=800.0)
        key = await envoy.api_keys.create(name="first")
        await envoy.lane_preferences.disable_for_load(idle, load_id=load)
        lane = await envoy.lane_preferences.list(idle).collect()
        message = await envoy.webhook_endpoints.messages(endpoint.id).collect()
    return Known(
        email=sandbox.email,
        password=sandbox.password,
        key=key.id,
        load=load,
        call=call,
        live=live.id,
        carrier=carrier,
        idle=idle,
        lane=lane[0].id,
        offer=offer.id,
        outreach=outreach.id,
        endpoint=endpoint.id,
        doomed=doomed.id,
        message=message[0].message_id,
    )
