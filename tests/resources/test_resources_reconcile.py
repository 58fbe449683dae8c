"""`OutcomeUnknownError.reconcile` against a sandbox over a real socket: what it finds, and that it only reads."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import attrs
import pytest

from envoy_async import EnvoyClient, errors
from envoy_async._paging import Pages, Position, begin
from envoy_async._wire import Attempt, Request, Response
from envoy_async.errors import ConfigurationError, OutcomeUnknownError, Reconciliation
from envoy_async.models import Call, Page
from envoy_async.resources import Calls
from envoy_async.resources._judging import alike, identical, window
from envoy_async.resources._looking import Look, started
from envoy_async.sandbox import Fault, Sandbox

NUMBER = "+13125550123"
NOON = datetime(2025, 11, 21, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
Step = Callable[[], Awaitable[object]]
Making = Callable[[EnvoyClient, Sandbox], Step]


def new_call(envoy: EnvoyClient, sandbox: Sandbox) -> Step:
    """Place a call about a load."""
    load = next(iter(sandbox.store.loads))
    return partial(envoy.calls.create, extra={"phone_number": NUMBER, "load_id": load})


def new_outreach(envoy: EnvoyClient, sandbox: Sandbox) -> Step:
    """Contact a carrier about a load."""
    carrier, load = next(iter(sandbox.store.carriers)), next(iter(sandbox.store.loads))
    return partial(envoy.outreaches.create, carrier_id=carrier, load_id=load, modality="call")


def new_offer(envoy: EnvoyClient, sandbox: Sandbox) -> Step:
    """Record an offer."""
    load, carrier = next(iter(sandbox.store.loads)), next(iter(sandbox.store.carriers))
    return partial(envoy.offers.create, load_id=load, offer_amount=1_250.75, carrier_id=carrier, notes="by phone")


def new_endpoint(envoy: EnvoyClient, sandbox: Sandbox) -> Step:
    """Register an endpoint."""
    kinds = ["offer.updated", "offer.created"]
    return partial(
        envoy.webhook_endpoints.create, url="https://example.com/hooks", event_types=kinds, headers={"X-Token": "t"}
    )


def new_key(envoy: EnvoyClient, sandbox: Sandbox) -> Step:
    """Create an API key that ends."""
    return partial(envoy.api_keys.create, name="TMS", expires_at=datetime(2030, 1, 1, tzinfo=UTC))


def new_carrier(envoy: EnvoyClient, sandbox: Sandbox) -> Step:
    """Create a carrier without an MC number."""
    return partial(envoy.carriers.create, name="Wind River Freight")


MAKING: dict[str, tuple[str, Making]] = {
    "calls.create": ("/calls", new_call),
    "outreaches.create": ("/outreaches", new_outreach),
    "offers.create": ("/offers", new_offer),
    "webhook_endpoints.create": ("/webhooks/endpoints", new_endpoint),
    "api_keys.create": ("/api-keys", new_key),
    "carriers.create": ("/carriers", new_carrier),
}
making = pytest.mark.parametrize(("path", "make"), MAKING.values(), ids=list(MAKING))


async def lost(sandbox: Sandbox, fault: Fault, step: Step) -> OutcomeUnknownError:
    """Run an operation whose answer does not arrive."""
    sandbox.fail(fault)
    with pytest.raises(OutcomeUnknownError) as caught:
        await step()
    return caught.value


async def reconciled(sandbox: Sandbox, error: OutcomeUnknownError) -> Reconciliation:
    """Look, and insist that nothing but GETs went out."""
    before = len(sandbox.requests)
    found = await error.reconcile()
    assert {request.method for request in sandbox.requests[before:]} == {"GET"}
    assert [request.status for request in sandbox.requests[before:]] == [200] * (len(sandbox.requests) - before)
    return found


@making
async def test_found_when_it_ran(bearer: EnvoyClient, sandbox: Sandbox, path: str, make: Making) -> None:
    """The one record that was made is found, by reading alone, and it is not made again."""
    error = await lost(sandbox, Fault(method="POST", path=path, drop="after"), make(bearer, sandbox))
    made = [ran for ran in sandbox.executions if ran.method == "POST"]

    found = await reconciled(sandbox, error)

    assert (found.outcome, len(found.candidates)) == ("found", 1), found.why
    assert [ran for ran in sandbox.executions if ran.method == "POST"] == made
    assert len(made) == 1
    assert error.began is not None
    assert error.ended is not None
    assert timedelta() <= error.ended - error.began < timedelta(seconds=30)
    assert await reconciled(sandbox, error) == found  # it can be asked again


@making
async def test_not_found_when_it_did_not_run(bearer: EnvoyClient, sandbox: Sandbox, path: str, make: Making) -> None:
    """Where the request never ran, nothing is found, whatever older records there are."""
    error = await lost(sandbox, Fault(method="POST", path=path, drop="before"), make(bearer, sandbox))

    found = await reconciled(sandbox, error)

    assert (found.outcome, found.candidates) == ("not_found", ()), found.why
    assert "slow server" in found.why


@making
async def test_ambiguous_when_there_are_two(bearer: EnvoyClient, sandbox: Sandbox, path: str, make: Making) -> None:
    """Two alike of the same time cannot be told apart: both are shown, none is chosen."""
    step = make(bearer, sandbox)
    twin: Any = await step()
    error = await lost(sandbox, Fault(method="POST", path=path, drop="after"), step)

    found = await reconciled(sandbox, error)

    shown: list[Any] = list(found.candidates)
    assert (found.outcome, len(shown)) == ("ambiguous", 2)
    assert twin.id in [candidate.id for candidate in shown]


@making
async def test_an_answer_cut_off_is_looked_for_too(
    bearer: EnvoyClient, sandbox: Sandbox, path: str, make: Making
) -> None:
    """A success that cannot be read did run, and is found; the status says that it was one."""
    body = Fault(method="POST", path=path, cut=5)
    error = await lost(sandbox, body, make(bearer, sandbox))
    assert error.status == 200
    assert (await reconciled(sandbox, error)).outcome == "found"


async def test_a_success_of_the_wrong_shape_is_looked_for(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """What a portal answers in place of the server leaves no call behind, and none is found."""
    fault = Fault(method="POST", path="/calls", body=b"{}")
    error = await lost(sandbox, fault, new_call(envoy, sandbox))
    assert isinstance(error.last_error, errors.InvalidResponseError)
    assert (await reconciled(sandbox, error)).outcome == "not_found"


@pytest.mark.parametrize("field", ["load_id", "phone_number", "to_number"])
async def test_one_field_is_enough_for_a_call(envoy: EnvoyClient, sandbox: Sandbox, field: str) -> None:
    """A call is found by its load or by a number; calls that came in from there are not taken for it."""
    load = next(iter(sandbox.store.loads))
    extra = {field: load if field == "load_id" else NUMBER}
    error = await lost(
        sandbox, Fault(method="POST", path="/calls", drop="after"), partial(envoy.calls.create, extra=extra)
    )
    record = sandbox.store.insert_call()
    record.update(call_direction="INBOUND", load_id=load, phone_number=NUMBER, to_number=NUMBER)
    assert (await reconciled(sandbox, error)).outcome == "found"


@pytest.mark.parametrize("extra", [None, {}, {"workflow": "tender"}, {"load_id": None}])
async def test_a_call_to_nobody_known_is_ambiguous(
    envoy: EnvoyClient, sandbox: Sandbox, extra: dict[str, object] | None
) -> None:
    """Without anything that tells one call from another nothing is even asked, and it says what would be needed."""
    step = partial(envoy.calls.create, extra=extra)
    error = await lost(sandbox, Fault(method="POST", path="/calls", drop="after"), step)
    before = len(sandbox.requests)
    found = await error.reconcile()
    assert (found.outcome, found.candidates, found.looked_at) == ("ambiguous", (), "nothing")
    assert "load_id, phone_number, or to_number" in found.why
    assert len(sandbox.requests) == before


async def test_a_call_that_differs_in_part_is_ambiguous(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """A call to the same number about another load may be another's: it is shown, not found."""
    error = await lost(sandbox, Fault(method="POST", path="/calls", drop="before"), new_call(envoy, sandbox))
    other = await envoy.calls.create(extra={"phone_number": NUMBER})
    found = await reconciled(sandbox, error)
    assert (found.outcome, found.candidates) == ("ambiguous", (other,))
    assert "may be another's" in found.why


async def test_the_look_stops_at_older_calls(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Calls come newest first, so that one page is enough, however many there are."""
    error = await lost(sandbox, Fault(method="POST", path="/calls", drop="before"), new_call(envoy, sandbox))
    before = len(sandbox.requests)
    assert (await error.reconcile()).outcome == "not_found"
    assert len(sandbox.requests) == before + 1
    assert len(sandbox.store.calls) > 200


@pytest.mark.parametrize(
    ("seconds", "outcome"),
    [(-40, "not_found"), (-10, "ambiguous"), (50, "found"), (200, "ambiguous"), (400, "not_found")],
)
async def test_the_time_of_a_record_decides(envoy: EnvoyClient, sandbox: Sandbox, seconds: float, outcome: str) -> None:
    """A record from before is not ours, one made a little late is; between lies what cannot be told."""
    error = await lost(sandbox, Fault(method="POST", path="/offers", drop="after"), new_offer(envoy, sandbox))
    offer: Any = next(reversed(sandbox.store.offers.values()))
    moment = datetime.fromisoformat(offer["created_at"]) + timedelta(seconds=seconds)
    offer["created_at"] = moment.isoformat()
    assert (await reconciled(sandbox, error)).outcome == outcome


async def test_a_wrong_clock_here_does_no_harm(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Times are compared through the server's `Date`: a clock that is years off finds the same record."""
    calls = Calls(envoy._transport.send, lambda: datetime(1999, 12, 31, tzinfo=UTC))
    step = partial(calls.create, extra={"phone_number": NUMBER})
    error = await lost(sandbox, Fault(method="POST", path="/calls", drop="after"), step)
    assert error.began == datetime(1999, 12, 31, tzinfo=UTC)
    assert (await reconciled(sandbox, error)).outcome == "found"


@pytest.mark.parametrize("date", ["soon", "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_without_a_date_nothing_is_found(envoy: EnvoyClient, sandbox: Sandbox, date: str) -> None:
    """When the server does not say what time it is, a record like ours is shown, but not called ours."""
    calls = Calls(envoy._transport.send, lambda: datetime.fromtimestamp(sandbox.requests[0].at, UTC))
    await envoy.calls.list().first()
    step = partial(calls.create, extra={"phone_number": NUMBER})
    error = await lost(sandbox, Fault(method="POST", path="/calls", drop="after"), step)
    sandbox.fail(Fault(method="GET", path="/calls", headers={"Date": date}, times=None))
    found = await reconciled(sandbox, error)
    assert (found.outcome, len(found.candidates)) == ("ambiguous", 1)


async def test_what_is_found_is_typed(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """A candidate is the same record that `get` returns."""
    error = await lost(sandbox, Fault(method="POST", path="/calls", drop="after"), new_call(envoy, sandbox))
    (call,) = (await error.reconcile()).candidates
    assert isinstance(call, Call)
    assert call == await envoy.calls.get(call.id)


@pytest.mark.parametrize(
    ("path", "make", "repair"),
    [
        ("/webhooks/endpoints", new_endpoint, "delete the endpoint, and create another"),
        ("/api-keys", new_key, "deactivate the key, and create another"),
    ],
)
async def test_a_lost_secret_is_said_to_be_lost(
    bearer: EnvoyClient, sandbox: Sandbox, path: str, make: Making, repair: str
) -> None:
    """The secret was in the lost answer alone: the repair is named, and left to the user."""
    error = await lost(sandbox, Fault(method="POST", path=path, drop="after"), make(bearer, sandbox))
    found = await reconciled(sandbox, error)
    assert found.why.endswith(f"Its secret was in the lost answer alone: {repair}")


async def rotated(envoy: EnvoyClient, sandbox: Sandbox, fault: Fault) -> tuple[OutcomeUnknownError, str]:
    """Rotate the secret of an endpoint that was made an hour ago, with the answer lost."""
    endpoint = await envoy.webhook_endpoints.create(url="https://example.com/hooks", event_types=["offer.created"])
    record: Any = sandbox.store.endpoints[endpoint.id]
    for name in ("created_at", "updated_at"):
        record[name] = (endpoint.created_at - timedelta(hours=1)).isoformat()
    return await lost(sandbox, fault, partial(envoy.webhook_endpoints.rotate_secret, endpoint.id)), endpoint.id


ROTATE = "/webhooks/endpoints/{endpoint_id}/rotate-secret"


async def test_a_rotation_that_ran_is_found(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """An endpoint that changed in that time was rotated; what to do is said, and nothing is rotated again."""
    error, endpoint_id = await rotated(envoy, sandbox, Fault(method="POST", path=ROTATE, drop="after"))
    found = await reconciled(sandbox, error)
    (endpoint,) = found.candidates
    assert (found.outcome, endpoint) == ("found", await envoy.webhook_endpoints.get(endpoint_id))
    assert "a rotation before may end the secret still in use" in found.why
    assert [ran.operation for ran in sandbox.executions].count("webhook_endpoints.rotate_secret") == 1


async def test_a_rotation_that_does_not_show_is_ambiguous(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """That nothing shows is no proof, since it is only assumed that a rotation would: one too many costs a secret."""
    error, _ = await rotated(envoy, sandbox, Fault(method="POST", path=ROTATE, drop="before"))
    found = await reconciled(sandbox, error)
    assert (found.outcome, len(found.candidates)) == ("ambiguous", 1)
    assert "two signatures, by which a receiver can tell" in found.why


OFFER = "/offers/{offer_id}"


async def accepted(envoy: EnvoyClient, sandbox: Sandbox, drop: Any) -> tuple[OutcomeUnknownError, dict[str, Any]]:
    """Accept a pending offer, with the answer lost."""
    offer: Any = next(row for row in sandbox.store.offers.values() if row["status"] == "pending")
    offer["updated_at"] = offer["created_at"] = "2025-11-21T15:00:00Z"
    step = partial(envoy.offers.update, offer["id"], status="accepted")
    return await lost(sandbox, Fault(method="PATCH", path=OFFER, drop=drop), step), offer


async def test_a_change_that_ran_is_found(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The offer stands as was asked, and changed in that time."""
    error, offer = await accepted(envoy, sandbox, "after")
    found = await reconciled(sandbox, error)
    assert (found.outcome, found.candidates) == ("found", (await envoy.offers.get(offer["id"]),))


async def test_a_change_that_did_not_run_is_not_found(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The offer does not stand as was asked, and nobody has changed it since."""
    error, _ = await accepted(envoy, sandbox, "before")
    found = await reconciled(sandbox, error)
    assert (found.outcome, found.candidates) == ("not_found", ())


async def test_a_change_that_is_no_change_is_ambiguous(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """An offer that was accepted before cannot tell whether it was accepted again."""
    error, offer = await accepted(envoy, sandbox, "before")
    offer["status"] = "accepted"
    found = await reconciled(sandbox, error)
    assert (found.outcome, len(found.candidates)) == ("ambiguous", 1)
    assert "no proof" in found.why


async def test_a_change_by_another_is_ambiguous(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """An offer that was changed meanwhile to something else may have been accepted in between."""
    error, offer = await accepted(envoy, sandbox, "after")
    await envoy.offers.update(offer["id"], status="declined")
    found = await reconciled(sandbox, error)
    assert (found.outcome, len(found.candidates)) == ("ambiguous", 1)
    assert "by whom" in found.why


async def test_nothing_tells_who_joined_a_call(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """After a lost join the call is shown as it stands; it is never said who is in it."""
    call = await envoy.calls.create(extra={"phone_number": NUMBER})
    fault = Fault(method="POST", path="/calls/{call_id}/join", drop="after")
    error = await lost(sandbox, fault, partial(envoy.calls.join, call.id))
    found = await reconciled(sandbox, error)
    assert (found.outcome, found.candidates) == ("ambiguous", (await envoy.calls.get(call.id),))
    assert "call is IN_PROGRESS; nothing in it tells who has joined it" in found.why


async def test_what_leaves_no_record_is_ambiguous(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """After a lost login, or an operation the SDK does not know, there is nothing to look for, and nothing is sent."""
    steps: dict[str, Step] = {
        "/auth/login": partial(envoy.auth.login, sandbox.email, sandbox.password),
        "/calls": partial(envoy.request, "POST", "/calls", body={"phone_number": NUMBER}),
    }
    for path, step in steps.items():
        error = await lost(sandbox, Fault(method="POST", path=path, drop="after"), step)
        before = len(sandbox.requests)
        found = await error.reconcile()
        assert (found.outcome, found.candidates, error.began, error.ended) == ("ambiguous", (), None, None)
        assert "leaves no record" in found.why
        assert len(sandbox.requests) == before


def posted(error: OutcomeUnknownError) -> OutcomeUnknownError:
    """Send an error to another process."""
    other: OutcomeUnknownError = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    return other


@pytest.mark.parametrize("carry", [copy.copy, posted])
async def test_an_error_that_travelled_has_no_client(
    envoy: EnvoyClient, sandbox: Sandbox, carry: Callable[[OutcomeUnknownError], OutcomeUnknownError]
) -> None:
    """Pickled or copied it tells all it told, but a look is refused in plain words; nothing is sent."""
    error = await lost(sandbox, Fault(method="POST", path="/calls", drop="after"), new_call(envoy, sandbox))
    other = carry(carry(error))
    before = len(sandbox.requests)
    with pytest.raises(ConfigurationError, match="has no client: call reconcile\\(\\) where it was raised"):
        await other.reconcile()
    assert len(sandbox.requests) == before
    assert (str(other), other.began, other.ended) == (str(error), error.began, error.ended)
    assert (await error.reconcile()).outcome == "found"


async def test_a_look_fails_as_any_read_does(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """A look is retried like a read, and its error is the read's; afterwards it can be asked again."""
    error = await lost(sandbox, Fault(method="POST", path="/calls", drop="after"), new_call(bearer, sandbox))
    sandbox.fail(Fault(path="/calls", status=503, headers={"Retry-After": "0"}))
    sandbox.fail(Fault(path="/calls", nth=2, status=404))
    with pytest.raises(errors.NotFoundError) as caught:
        await error.reconcile()
    assert (caught.value.method, [row.status for row in caught.value.attempts]) == ("GET", [503, 404])
    assert (await error.reconcile()).outcome == "found"


async def test_what_was_sent_is_in_no_text_of_the_error(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The way to look holds what was sent; no text, representation, or pickle of the error shows it."""
    error = await lost(
        sandbox,
        Fault(method="POST", path="/webhooks/endpoints", drop="after"),
        partial(
            envoy.webhook_endpoints.create, url="https://example.com", event_types=["a"], headers={"X": "canary-7f3a"}
        ),
    )
    shown = f"{error} {error!r} {vars(error)} {error.args}"
    assert "canary" not in shown
    assert b"canary" not in pickle.dumps(error)


async def nobody(request: Request) -> Response:
    """Answer no request."""
    raise AssertionError(request)


async def test_a_look_lets_nothing_but_a_get_through() -> None:
    """Whatever a look may ever be made to do, what is not a GET does not leave it."""
    look = Look(nobody, lambda: NOON, Request(method="POST", template="/calls", path="/calls"), NOON, NOON)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        with pytest.raises(ConfigurationError, match="GET requests only"):
            await look.send(Request(method=method, template="/calls", path="/calls"))


@attrs.frozen(kw_only=True)
class Row:
    """A record of a listing."""

    id: str
    created_at: datetime = NOON - timedelta(days=1)
    name: str | None = None
    amount: float | None = None
    carrier: Any = None
    tags: tuple[str, ...] = ()
    expires_at: datetime | None = None


async def looked_through(totals: list[int]) -> Reconciliation:
    """Look through a listing of one old record on each page, which says so many records in all."""

    async def send(request: Request) -> Response:
        return Response(200, {"Date": "Fri, 21 Nov 2025 12:00:00 GMT"}, dict(request.query)["page"].encode())

    def read(response: Response) -> Page[Row]:
        number = int(response.body)
        total, more = [*totals, totals[-1]][number - 1], number < len(totals)
        items = (Row(id=str(number)),) if number <= len(totals) else ()
        return Page(items=items, number=number, size=1, total_count=total, total_pages=total, has_next=more)

    look = Look(send, lambda: NOON, Request(method="POST", template="/a", path="/a"), NOON, NOON)
    position: Position[Row] = begin("count-guard", page=1, size=1, limit=None)
    pages = Pages(look.send, Request(method="GET", template="/a", path="/a"), read, position, item=Row)
    return await look.search("row", pages, ())


async def test_not_found_needs_a_listing_that_stood_still() -> None:
    """Nothing is said to be missing when as many records came as there were; else it asks to look again."""
    assert (await looked_through([3, 3, 3])).outcome == "not_found"
    for totals in ([3, 4, 4], [4, 4, 4]):
        found = await looked_through(totals)
        assert (found.outcome, found.candidates) == ("ambiguous", ())
        assert "look again" in found.why
    assert (await looked_through([1])).looked_at == (
        "1 records, for one row made between 2025-11-21 11:59:30+00:00 and 2025-11-21 12:05:01+00:00"
    )


def test_the_window_follows_the_servers_clock() -> None:
    """A server that is ahead makes records later; one whose time is not known may be off by minutes."""
    ahead = window(NOON, NOON + SECOND, (timedelta(hours=1), timedelta(hours=1) + SECOND))
    assert ahead.near(NOON + timedelta(hours=1))
    assert not ahead.near(NOON)
    assert ahead.within(NOON + timedelta(hours=1))
    assert ahead.before(NOON)
    unknown = window(NOON, NOON, None)
    assert unknown.near(NOON - timedelta(minutes=5))
    assert not unknown.within(NOON)
    assert unknown.before(NOON - timedelta(minutes=6))
    assert not unknown.before(NOON)


def test_waits_before_the_last_attempt_are_left_out() -> None:
    """What may have run is the last attempt: the time spent in line before it does not count."""
    rows = [Attempt(0.0, 0.0, 429), Attempt(7.5, 7.0, None)]
    assert started(NOON, NOON + 9 * SECOND, rows) == NOON + timedelta(seconds=7.5)
    assert started(NOON, NOON + 5 * SECOND, rows) == NOON + 5 * SECOND
    assert started(NOON, NOON + SECOND, ()) == NOON


CARRIER = Row(id="car_3F2504E0")
FULL = Row(id="1", name="Tms ", amount=1_250.0, carrier=CARRIER, tags=("b", "a"), expires_at=NOON)


@pytest.mark.parametrize(
    ("sent", "same"),
    [
        ({"name": "TMS", "amount": 1250}, True),
        ({"name": None, "unknown": 1, "tags": ["a", "b", "b"]}, True),
        ({"carrier_id": "3f2504e0"}, True),
        ({"carrier_id": "car_1"}, False),
        ({"amount": 1_250.5}, False),
        ({"amount": "1250 dollars"}, False),
        ({"tags": ["a"]}, False),
        ({"expires_at": "2025-11-21T13:00:00.5+01:00"}, True),
        ({"expires_at": "2025-11-21T12:01:00Z"}, False),
        ({"expires_at": "2025-11-21T12:00:00"}, False),
        ({"expires_at": "noon"}, False),
        ({"headers": {"X": "y"}}, True),
    ],
    ids=str,
)
def test_what_was_sent_is_compared_with_what_is_told(sent: dict[str, object], same: bool) -> None:
    """Spelling, prefixes, and order may differ, values may not; what a record has no field for is not compared."""
    assert identical(FULL, sent) is same
    assert alike(FULL, sent, tuple(sent)) is same


def test_a_record_that_does_not_tell_is_alike_but_not_ours() -> None:
    """An empty field is no objection, and no proof either."""
    empty = Row(id="1")
    assert alike(empty, {"name": "TMS"}, ("name", "amount"))
    assert not identical(empty, {"name": "TMS"})
    assert alike(FULL, {"name": "TMS", "amount": 1}, ("name", "amount"), any_of=True)
    assert not alike(FULL, {"name": "other", "amount": 1}, ("name", "amount"), any_of=True)


def test_a_conflict_is_not_ours_unless_said() -> None:
    """A 409 is somebody else's record, until an earlier attempt of the same call may have made it."""
    conflict = errors.AlreadyExistsError("there is one")
    assert not conflict.maybe_own
    conflict.maybe_own = True
    assert copy.copy(conflict).maybe_own
