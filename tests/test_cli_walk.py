"""All 50 operations from a shell, as a new user would go through them, against a sandbox over a real socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, TypeAlias

import pytest

from envoy_async.cli import main
from envoy_async.sandbox import Fault, Sandbox
from tests.test_cli_operations import NOBODY, STOPS, running

NOON = 1_763_740_800.0  # Unix seconds, 2025-11-21T16:00:00Z
Shell: TypeAlias = Callable[..., Any]


class Clock:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        """Give Unix seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Make a clock."""
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    """Run a small sandbox in another thread."""
    with running(Sandbox(calls=40, loads=12, quota=None, clock=clock)) as sandbox:
        yield sandbox


@pytest.fixture
def shell(sandbox: Sandbox, capsys: pytest.CaptureFixture[str], environ: MutableMapping[str, str]) -> Shell:
    """Give a function that runs a command with what the sandbox prints for the environment, and reads its JSON."""
    environ["ENVOY_BASE_URL"] = sandbox.base_url
    environ["ENVOY_API_KEY"] = sandbox.api_key
    environ["ENVOY_BEARER_TOKEN"] = sandbox.bearer_token

    def run(*command: str, code: int = 0) -> Any:
        ended = main([*command, "--output", "json"])
        out, err = capsys.readouterr()
        assert (ended, bool(err)) == (code, code != 0), err
        return json.loads(out) if out else err

    return run


def test_from_a_load_to_an_accepted_offer(shell: Shell, clock: Clock) -> None:
    """Create a load, find a carrier, start an outreach, watch the call, end it, hear it, make an offer, accept it."""
    new = {"load_number": "LD-1", "equipment_type": "VAN", "stops": STOPS}
    load_id = shell("loads", "create", "--load", json.dumps(new))["load_id"]
    carrier = next(found for found in shell("carriers", "list", "--limit", "5") if found["is_active"])
    outreach = shell("outreaches", "create", "--carrier-id", carrier["id"], "--load-id", load_id)
    call_id = outreach["call_id"]
    assert shell("calls", "get", call_id)["status"] == "SCHEDULED"
    clock.now += 30
    assert shell("calls", "get", call_id)["status"] == "IN_PROGRESS"
    assert shell("outreaches", "get", outreach["id"])["carrier_engaged"]
    assert shell("calls", "end", call_id)["previous_status"] == "IN_PROGRESS"
    recording = shell("calls", "recording", call_id)
    assert (recording["recording_status"], recording["content_type"]) == ("AVAILABLE", "audio/mp4")
    given = {"--load-id": load_id, "--carrier-id": carrier["id"], "--offer-amount": "1850.5", "--call-id": call_id}
    offer = shell("offers", "create", *[word for pair in given.items() for word in pair])
    assert (offer["status"], offer["offer_amount"], offer["carrier"]["name"]) == ("pending", 1850.5, carrier["name"])
    assert shell("offers", "update", offer["id"], "--status", "accepted")["status"] == "accepted"
    load = shell("loads", "get", load_id)
    assert (load["carrier_name"], load["offer_count"], load["max_offer_amount"]) == (carrier["name"], 1, 1850.5)


def run_accounts(shell: Shell, sandbox: Sandbox) -> None:
    """Run the operations on logins and keys."""
    shell("auth", "login", sandbox.email, sandbox.password)
    key_id = shell("api-keys", "create", "--name", "TMS", "--expires-at", "2030-01-01T00:00:00+00:00")["id"]
    shell("api-keys", "list")
    shell("api-keys", "get", key_id)
    shell("api-keys", "deactivate", key_id)


def run_loads(shell: Shell, load_id: str) -> None:
    """Run the operations on loads."""
    new = {"load_number": "LD-2", "equipment_type": "REEFER", "stops": STOPS, "tms_load_id": "T" * 18}
    shell("loads", "create", "--load", json.dumps(new))
    assert shell("loads", "create-batch", "--loads", json.dumps([new, new]))["updated"] == 2
    for name in ("list", "statistics", "tab-counts"):
        shell("loads", name)
    for name in ("get", "calls", "verifications", "escalations"):
        shell("loads", name, load_id)
    assert shell("loads", "update", load_id, "--is-posted")["is_posted"]


def run_carriers(shell: Shell, load_id: str) -> None:
    """Run the operations on carriers, their lanes, and outreaches to them."""
    carrier_id = shell("carriers", "create", "--name", "Two Rivers", "--phone", "+14155550100")["id"]
    batch: list[dict[str, object]] = [{"name": "A", "mc_number": "MC1"}, {"carrier": {"name": "B"}, "lanes": 0}]
    assert shell("carriers", "create-batch", "--carriers", json.dumps(batch))["created"] == 2
    shell("carriers", "list")
    shell("carriers", "get", carrier_id)
    shell("carriers", "update", carrier_id, "--extra", '{"email": "dispatch@example.com"}')
    assert shell("lane-preferences", "disable-for-load", carrier_id, "--load-id", load_id)["created"]
    (preference,) = shell("lane-preferences", "list", carrier_id)
    lane = (carrier_id, preference["id"])
    assert shell("lane-preferences", "unrestrict", *lane)["is_active"]
    assert not shell("lane-preferences", "restrict", *lane, "--reason", "other")["is_active"]
    assert shell("lane-preferences", "update", *lane, "--is-active")["is_active"]
    outreach_id = shell("outreaches", "create", "--carrier-id", carrier_id, "--load-id", load_id)["id"]
    shell("outreaches", "list")
    shell("outreaches", "get", outreach_id)
    shell("carriers", "disable", carrier_id, "--reason", "other", "--reason-note", "late")
    shell("carriers", "enable", carrier_id)


def run_webhooks_and_offers(shell: Shell, load_id: str) -> None:
    """Run the operations on webhooks, with offers as what happens."""
    shell("webhook-endpoints", "event-types")
    types = ["--event-types", "offer.created", "--event-types", "offer.updated"]
    endpoint = shell("webhook-endpoints", "create", "--url", "https://example.com/hooks", *types)
    assert endpoint["event_types"] == ["offer.created", "offer.updated"]
    shell("webhook-endpoints", "list")
    shell("webhook-endpoints", "get", endpoint["id"])
    offer_id = shell("offers", "create", "--load-id", load_id, "--offer-amount", "900", "--extra", '{"x": 1}')["id"]
    shell("offers", "list")
    shell("offers", "get", offer_id)
    shell("offers", "update", offer_id, "--status", "declined")
    message_id = shell("webhook-endpoints", "messages", endpoint["id"])[0]["message_id"]
    shell("webhook-messages", "attempts", message_id)
    shell("webhook-messages", "replay", message_id, "--endpoint-id", endpoint["id"])
    shell("webhook-endpoints", "update", endpoint["id"], "--status", "PAUSED", "--event-types", "load.created")
    shell("webhook-endpoints", "rotate-secret", endpoint["id"])
    shell("webhook-endpoints", "delete", endpoint["id"])


def test_every_operation_has_a_command_that_works(shell: Shell, sandbox: Sandbox) -> None:
    """Each of the 50 is run and really ran; what takes a token finds it in the environment by itself."""
    load_id, call_id = next(iter(sandbox.store.loads)), next(iter(sandbox.store.calls))
    run_accounts(shell, sandbox)
    run_loads(shell, load_id)
    run_carriers(shell, load_id)
    run_webhooks_and_offers(shell, load_id)
    new_call = shell("calls", "create", "--extra", '{"phone_number": "+14155550100"}')["id"]
    shell("calls", "list", "--limit", "3")
    shell("calls", "get", call_id)
    shell("calls", "join", new_call)
    shell("calls", "end", new_call)
    shell("calls", "recording", new_call)
    assert len({ran.operation for ran in sandbox.executions}) == 50


def test_a_token_is_taken_only_where_nothing_else_is(shell: Shell, sandbox: Sandbox) -> None:
    """With both in the environment the key goes first; a flag beats both; the error says what is needed."""
    assert "needs a bearer token" in shell("api-keys", "list", "--api-key", sandbox.api_key, code=2)
    assert "GET /api-keys" in shell("api-keys", "list", "--bearer-token", "wrong", code=1)
    load = json.dumps([{"load_number": "LD-1", "equipment_type": "VAN", "stops": STOPS}])
    assert "needs an API key" in shell("loads", "create-batch", "--loads", load, "--bearer-token", "t", code=2)
    assert [request.status for request in sandbox.requests] == [401]
    assert shell("loads", "create-batch", "--loads", load)["created"] == 1


def test_a_token_missing_is_said(shell: Shell, environ: MutableMapping[str, str]) -> None:
    """What needs a token and finds none names the variable, and sends nothing."""
    del environ["ENVOY_BEARER_TOKEN"]
    assert "ENVOY_BEARER_TOKEN" in shell("api-keys", "get", NOBODY, code=2)


def test_a_batch_that_failed_in_part_ends_with_1(
    shell: Shell, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """The results are printed all the same, and a line says how many failed, so that a script can tell."""
    load = {"load_number": "LD-1", "equipment_type": "VAN", "stops": STOPS}
    loads = json.dumps([load, load | {"weight": -1}])
    assert main(["loads", "create-batch", "--loads", loads]) == 1
    out, err = capsys.readouterr()
    assert [row["success"] for row in json.loads(out)["results"]] == [True, False]
    assert err == "1 failed; the results say why\n"
    sandbox.fail(Fault(method="POST", path="/loads", body=b'{"success": false, "load_id": "load_1"}'))
    assert main(["loads", "create", "--load", json.dumps(load)]) == 1


def test_the_options_for_a_credential_are_named(shell: Shell, environ: MutableMapping[str, str]) -> None:
    """An error about credentials says which options there are."""
    del environ["ENVOY_BEARER_TOKEN"]
    assert "--bearer-token" in shell("api-keys", "list", code=2)
    del environ["ENVOY_API_KEY"]
    assert "--api-key" in shell("calls", "list", code=2)
