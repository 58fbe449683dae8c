"""What type checkers see of the public surface. Read by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Literal, assert_type

import envoy_async
from envoy_async import (
    UNSET,
    ApiKey,
    BearerToken,
    EnvoyClient,
    EnvoyError,
    Login,
    Page,
    Pages,
    RetryPolicy,
    Timeouts,
    errors,
    models,
)
from envoy_async.models import (
    Call,
    CallDirection,
    CallRecording,
    CallStatus,
    CarrierVerification,
    EndCallResult,
    Escalation,
    Load,
    LoadBatchItem,
    LoadBatchResult,
    LoadIngestResult,
    NewLoad,
    Stop,
    Unset,
)


async def vault() -> ApiKey | BearerToken:
    """Give a credential."""
    return ApiKey("1")


async def no_vault() -> str:
    """Give what is no credential."""
    return "1"


def clients() -> None:
    """Every way to make a client gives one; a view has the same type."""
    assert_type(EnvoyClient(), EnvoyClient)
    assert_type(EnvoyClient("envai_live_1", organization_id="org_1", base_url="https://h"), EnvoyClient)
    assert_type(EnvoyClient(ApiKey("1"), retry=RetryPolicy(max_attempts=2)), EnvoyClient)
    assert_type(EnvoyClient(BearerToken("1"), timeouts=Timeouts(deadline=5)), EnvoyClient)
    assert_type(EnvoyClient().with_options(deadline=5), EnvoyClient)
    assert_type(EnvoyClient(Login("dana@example.com", "secret")), EnvoyClient)
    assert_type(EnvoyClient(vault), EnvoyClient)
    EnvoyClient(no_vault)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    EnvoyClient(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    EnvoyClient("1", "org_1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


class Client(EnvoyClient):
    """A client of the user's own."""


async def own_clients() -> None:
    """A subclass stays one, entered or seen with other options."""
    assert_type(Client().with_options(), Client)
    async with Client() as client:
        assert_type(client, Client)


async def listings(envoy: EnvoyClient) -> None:
    """A listing needs no await and knows its record type in every way of reading it."""
    pages = envoy.calls.list(status="COMPLETED", limit=5, strategy="backward", on_invalid="collect")
    assert_type(pages, Pages[Call])
    async for call in pages:
        assert_type(call, Call)
    async for page in envoy.calls.list().by_page():
        assert_type(page, Page[Call])
        assert_type(page.items, tuple[Call, ...])
        assert_type(page.total_count, int | None)
        assert_type(page.has_next, bool)
        assert_type(page.invalid, tuple[models.InvalidItem, ...])
    assert_type(envoy.calls.list().by_page(), AsyncGenerator[Page[Call], None])
    assert_type(await envoy.calls.list().collect(), list[Call])
    assert_type(await envoy.calls.list().collect(limit=5), list[Call])
    assert_type(await envoy.calls.list().first(), Call | None)
    assert_type([load.id async for load in envoy.loads.list()], list[str])
    assert_type(pages.report.proven, bool)
    assert_type(pages.report.total_at_start, int | None)


def listings_of_a_load(envoy: EnvoyClient) -> None:
    """Bare arrays are listings too."""
    assert_type(envoy.loads.list(), Pages[Load])
    assert_type(envoy.loads.calls("load_1"), Pages[Call])
    assert_type(envoy.loads.verifications("load_1"), Pages[CarrierVerification])
    assert_type(envoy.loads.escalations("load_1"), Pages[Escalation])


def wrong_calls(envoy: EnvoyClient) -> None:
    """Ids are positional, filters are not, and types are checked."""
    envoy.calls.list("COMPLETED")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    envoy.calls.list(page="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    envoy.calls.list(mood="good")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    envoy.loads.calls(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def calls(envoy: EnvoyClient) -> None:
    """Each operation answers with its model; what is not documented is plain data."""
    call = await envoy.calls.get("call_1")
    assert_type(call, Call)
    assert_type(call.status, CallStatus)
    assert_type(call.status.is_known, bool)
    assert_type(call.call_direction, CallDirection | None)
    assert_type(call.created_at, datetime)
    assert_type(call.call_end_time, datetime | None)
    assert_type(await envoy.calls.create(extra={"phone_number": "+14155552671"}), Call)
    assert_type(await envoy.calls.join("call_1"), dict[str, object])
    assert_type(await envoy.calls.end("call_1"), EndCallResult)
    assert_type(await envoy.calls.recording("call_1"), CallRecording)
    assert_type(await envoy.calls.download_recording("call_1", "talk.m4a"), Path)
    assert_type(await envoy.calls.download_recording("call_1", Path("recordings")), Path)
    call.id = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


async def loads(envoy: EnvoyClient) -> None:
    """Creating, changing, and counting loads."""
    new = NewLoad(load_number="LD1", equipment_type="VAN", stops=[{"location": {"city": "Waco", "state": "TX"}}])
    assert_type(await envoy.loads.create(new, extra={"tier": 1}), LoadIngestResult)
    result = await envoy.loads.create_batch(new for _ in range(2))
    assert_type(result, LoadBatchResult)
    assert_type(result.results, tuple[LoadBatchItem, ...])
    load = await envoy.loads.get("load_1")
    assert_type(load, Load)
    assert_type(load.stops, tuple[Stop, ...] | None)
    assert_type(load.is_posted, bool)
    assert_type(load.context, object)
    assert_type(await envoy.loads.update("load_1", is_posted=None), Load)
    assert_type(await envoy.loads.statistics(), dict[str, object])
    assert_type(await envoy.loads.tab_counts(), dict[str, object])
    NewLoad("LD1", "VAN", [])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def unset(load: NewLoad) -> None:
    """`is UNSET` and `is None` take their type away, until the value is left."""
    assert_type(load.weight, float | Unset | None)
    if load.weight is UNSET:
        assert_type(load.weight, Literal[Unset.UNSET])
    elif load.weight is None:
        assert_type(load.weight, None)
    else:
        assert_type(load.weight, float)


def caught(error: EnvoyError) -> None:
    """Every attribute may be read on every error; leaves add their own."""
    assert_type(error.status, int | None)
    assert_type(error.code, str | None)
    assert_type(error.param, str | None)
    assert_type(error.message, str)
    assert_type(error.request_id, str | None)
    assert_type(error.retry_after, float | None)
    assert_type(error.method, str | None)
    assert_type(error.route, str | None)
    assert_type([row.status for row in error.attempts], list[int | None])
    assert_type([row.waited for row in error.attempts], list[float])


def leaves(late: errors.DeadlineExceededError, unknown: errors.OutcomeUnknownError) -> None:
    """What came before is an error of ours, or nothing."""
    assert_type(late.last_error, EnvoyError | None)
    assert_type(unknown.last_error, EnvoyError | None)
    assert_type(unknown.began, datetime | None)
    assert_type(errors.AlreadyExistsError("").maybe_own, bool)
    status: errors.StatusError = errors.InvalidIdFormatError("")
    root: EnvoyError = status
    assert_type(errors.InvalidResponseError("").cut, bool)
    caught(root)


async def reconciled(unknown: errors.OutcomeUnknownError) -> None:
    """What a look returns has three outcomes, and records of any kind."""
    found = await unknown.reconcile()
    assert_type(found, errors.Reconciliation)
    assert_type(found.outcome, Literal["found", "not_found", "ambiguous"])
    assert_type(found.candidates, tuple[object, ...])
    assert_type(found.why, str)
    if found.outcome == "lost":  # type: ignore[comparison-overlap]  # pyright: ignore[reportUnnecessaryComparison] - a typo is found
        raise unknown


def modules() -> None:
    """Modules of the top level are modules, and lazily loaded names are plain imports to a checker."""
    errors_module: ModuleType = errors
    models_module: ModuleType = envoy_async.models
    assert_type(envoy_async.__version__, str)
    assert_type(models.Page(items=(1,), number=1, size=1, total_count=1, total_pages=1, has_next=False), Page[int])
    assert errors_module is not models_module
    _ = envoy_async.Nothing  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType] - a typo is found


async def market(envoy: EnvoyClient) -> None:
    """Every further operation, its arguments and its answer."""
    assert_type(await envoy.auth.login("dana@example.com", "secret"), models.LoginResult)
    moment = datetime.fromisoformat("2030-01-01T00:00:00+00:00")
    assert_type(await envoy.api_keys.create(name="TMS", expires_at=moment), models.ApiKeyWithSecret)
    assert_type(envoy.api_keys.list(), Pages[models.ApiKeyInfo])
    assert_type(await envoy.api_keys.get("key_1"), models.ApiKeyInfo)
    await envoy.api_keys.deactivate("key_1")
    new = models.NewCarrier(name="A")
    assert_type(await envoy.carriers.create(name="A", phone=None, extra={"x": 1}), models.Carrier)
    assert_type(await envoy.carriers.create_batch([new, {"carrier": {}}]), models.CarrierBatchResult)
    assert_type(await envoy.carriers.create_batch(carriers()), models.CarrierBatchResult)
    assert_type(envoy.carriers.list(limit=3), Pages[models.Carrier])
    assert_type(await envoy.carriers.update("car_1", extra={"email": "a@b"}), models.Carrier)
    assert_type(await envoy.carriers.disable("car_1", reason=models.AuditReason.OTHER), models.Carrier)
    assert_type(await envoy.carriers.enable("car_1"), models.Carrier)
    assert_type(envoy.lane_preferences.list("car_1", is_active=True), Pages[models.LanePreferenceWithLane])
    assert_type(await envoy.lane_preferences.update("car_1", "id", is_active=False), models.LanePreference)
    assert_type(await envoy.lane_preferences.restrict("car_1", "id", reason="other"), models.LanePreference)
    assert_type(await envoy.lane_preferences.unrestrict("car_1", "id"), models.LanePreference)
    disabled = await envoy.lane_preferences.disable_for_load("car_1", load_id="load_1")
    assert_type(disabled.preference, models.LanePreference)
    assert_type(await envoy.offers.create(load_id="load_1", offer_amount=1250), models.Offer)
    assert_type((await envoy.offers.get("ofr_1")).carrier, models.Carrier | None)
    assert_type(await envoy.offers.update("ofr_1", status=models.OfferStatus.ACCEPTED, notes=None), models.Offer)
    assert_type(envoy.offers.list(), Pages[models.Offer])
    assert_type(await envoy.outreaches.create(carrier_id="car_1", load_id="load_1"), models.Outreach)
    assert_type(envoy.outreaches.list(), Pages[models.Outreach])


async def carriers() -> AsyncGenerator[models.NewCarrier, None]:
    """Give carriers."""
    yield models.NewCarrier(name="A")


async def webhooks(envoy: EnvoyClient) -> None:
    """The webhook operations."""
    types = ["offer.created"]
    made = await envoy.webhook_endpoints.create(url="https://example.com", event_types=types, headers={"X-A": "b"})
    assert_type(made, models.WebhookEndpointWithSecret)
    assert_type(made.headers, dict[str, str] | None)
    assert_type(envoy.webhook_endpoints.list(), Pages[models.WebhookEndpoint])
    assert_type(await envoy.webhook_endpoints.update("ep_1", status="PAUSED"), models.WebhookEndpoint)
    await envoy.webhook_endpoints.delete("ep_1")
    assert_type(await envoy.webhook_endpoints.rotate_secret("ep_1"), models.WebhookEndpointWithSecret)
    assert_type(envoy.webhook_endpoints.messages("ep_1"), Pages[models.WebhookAttempt])
    assert_type(envoy.webhook_endpoints.event_types(), Pages[models.WebhookEventType])
    assert_type(envoy.webhook_messages.attempts("msg_1"), Pages[models.WebhookAttempt])
    state = await envoy.webhook_messages.replay("msg_1", endpoint_id="ep_1")
    assert_type(state.payload, dict[str, object] | None)


async def anything_new(envoy: EnvoyClient) -> None:
    """`request` gives what it is asked to read the answer as, and nothing when it is not asked."""
    assert_type(await envoy.request("GET", "/loads/tab-counts", into=dict[str, int]), dict[str, int])
    assert_type(await envoy.request("GET", "/loads", into=Page[Load], query={"page": 2}), Page[Load])
    await envoy.request("DELETE", "/api-keys/key_1", body={"reason": None})
