"""The sandbox against the document: Schemathesis sends what it allows and what it forbids, and checks each answer.

The rule: no check is switched off. Where the document says less than the vendor's guides, or than the sandbox had to
decide, the loaded copy is made more exact by ``AMENDMENTS``; what no schema can say is excused by ``EXCUSES``. Each
of both is a function whose docstring is the reason. The same seed sends the same requests, and every operation must
have succeeded at least once. Run it with ``nox -s contract``; with arguments (``nox -s contract -- /calls /loads``)
only the operations below these paths are tried.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import attrs
import schemathesis
import yaml
from schemathesis import HookContext, Response
from schemathesis.core.failures import Failure
from schemathesis.engine import Status, events, from_schema
from schemathesis.engine.recorder import CheckNode, ScenarioRecorder

from envoy_async.sandbox import Sandbox
from envoy_async.sandbox.listing import PERIODS, SORTABLE

DOCUMENT = Path(__file__).parent / "openapi.yaml"
METHODS = ("get", "post", "put", "patch", "delete")
OPERATIONS = 50
NOW = 1_763_740_800.0  # Friday 2025-11-21, 16:00 UTC
SEED = 7
CASES = 10  # generated per operation and kind of data; examples and boundary values come on top
REAL = 0.7  # share of generated ids in paths that name a record
SHOWN = 8  # operations per check whose first failure is printed in full
LONGEST = 700  # characters of a message, or of a body

Document: TypeAlias = dict[str, Any]
Case: TypeAlias = schemathesis.Case[Any]


@attrs.frozen(kw_only=True)
class Known:
    """What the requests may name of the sandbox's records."""

    organization_id: str
    login: Mapping[str, str]
    used_key: str
    """The API key of the run itself: it must not be deactivated."""
    in_paths: Mapping[str, list[str]]
    in_bodies: Mapping[str, list[str]]
    special: Mapping[str, Mapping[str, list[str]]]
    """Ids in paths that only one operation gets, since others would wear them out."""


def one_organization(document: Document, known: Known) -> None:
    """Any text is allowed as organization, but all except the caller's own are a 403, which would hide the rest."""
    document["components"]["parameters"]["OrganizationHeader"]["schema"] = {"enum": [known.organization_id]}


def one_login(document: Document, known: Known) -> None:
    """Two texts are allowed, but only the user's own ones are let in."""
    document["paths"]["/auth/login"]["post"]["requestBody"]["content"]["application/json"]["example"] = known.login


def plain_ids(document: Document, known: Known) -> None:
    """The same patterns, written out: Schemathesis takes real ids only where no reference is in a schema."""
    for parameter in document["components"]["parameters"].values():
        if parameter["in"] == "path" and "anyOf" in parameter["schema"]:
            parameter["schema"]["anyOf"] = [resolved(document, form) for form in parameter["schema"]["anyOf"]]


def plain_moments(document: Document, known: Known) -> None:
    """The same type, written out: Schemathesis sees no format where null is one of several types."""
    said = document["components"]["schemas"]["ApiKeyCreate"]["properties"]
    said["expires_at"] = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}


def linked_records(document: Document, known: Known) -> None:
    """Ids in bodies are typed as any text; the guide says that they are checked, and they must name something."""
    for schema in "OfferCreate", "OutreachCreate", "DisableForLoadRequest", "WebhookReplayRequest":
        said = document["components"]["schemas"][schema]["properties"]
        for name in said.keys() & known.in_bodies.keys():
            said[name] = {"enum": [*known.in_bodies[name], *([None] if "null" in said[name]["type"] else [])]}


def refused_ids(document: Document, known: Known) -> None:
    """The guide on ids says that a wrong prefix is a 400; no reference page lists any 400."""
    for _, said in operations(document):
        said["responses"]["400"] = {"$ref": "#/components/responses/BadRequest"}


def refused_organizations(document: Document, known: Known) -> None:
    """Both take the organization header, and their pages were never read: 403 must be possible as everywhere."""
    for path in "/loads/stats", "/loads/tab-counts":
        document["paths"][path]["get"]["responses"]["403"] = {"$ref": "#/components/responses/Forbidden"}


def items_stand_alone(document: Document, known: Known) -> None:
    """What is wrong with one item of a batch is said in its own result; the request is accepted."""
    for schema, field in ("LoadBatchCreate", "loads"), ("CarrierBatchCreate", "carriers"):
        items = document["components"]["schemas"][schema]["properties"][field]
        items["items"] = {"anyOf": [items["items"], {}]}


def known_choices(document: Document, known: Known) -> None:
    """The allowed values are collapsed in the stored pages; the sandbox takes those it knows and refuses others."""
    schemas = document["components"]["schemas"]
    schemas["AuditReason"]["enum"] = schemas["AuditReason"]["examples"]
    schemas["OutreachCreate"]["properties"]["modality"]["enum"] = ["call", None]
    choices = {"time_period": [*PERIODS, "custom"], "order_by": sorted(SORTABLE)}
    for parameter in document["paths"]["/calls"]["get"]["parameters"]:
        if parameter.get("name") in choices:
            parameter["schema"]["enum"] = choices[parameter["name"]]


def decided_values(document: Document, known: Known) -> None:
    """The pages with the request fields were cut off; the sandbox wants numbers one can dial, names, and prices."""
    schemas = document["components"]["schemas"]
    schemas["CarrierCreate"]["properties"]["phone"]["pattern"] = r"^\+[1-9][0-9]{6,14}$"
    schemas["ApiKeyCreate"]["properties"]["name"]["minLength"] = 1
    schemas["OfferCreate"]["properties"]["offer_amount"]["exclusiveMinimum"] = 0
    for schema in "WebhookEndpointCreate", "WebhookEndpointUpdate":
        schemas[schema]["properties"]["url"]["pattern"] = "^https?://[a-z0-9.-]+(/[a-zA-Z0-9._~-]*)*$"


def one_field(document: Document, known: Known) -> None:
    """Both pages name one field and no other; the sandbox refuses the rest."""
    for schema in "LoadUpdate", "LanePreferenceUpdate":
        document["components"]["schemas"][schema]["additionalProperties"] = False


AMENDMENTS: tuple[Callable[[Document, Known], None], ...] = (
    one_organization,
    one_login,
    plain_ids,
    plain_moments,
    linked_records,
    refused_ids,
    refused_organizations,
    items_stand_alone,
    known_choices,
    decided_values,
    one_field,
)


def custom_without_days(case: Case, answer: Response) -> bool:
    """The descriptions of the two days say that ``custom`` needs both; the schema of one parameter cannot."""
    missing = not {"start_date", "end_date"} <= {name for name, day in case.query.items() if day is not None}
    return case.operation.label == "GET /calls" and case.query.get("time_period") == "custom" and missing


def call_has_ended(case: Case, answer: Response) -> bool:
    """Whether a call can still be joined depends on its state."""
    return case.operation.label == "POST /calls/{call_id}/join" and b"the call has ended" in answer.content


def empty_is_null(case: Case, answer: Response) -> bool:
    """In a query an empty text is how null is written, and these parameters may be null."""
    asked = [case.query[name] for name in ("start_date", "end_date", "is_active") if name in case.query]
    return case.operation.method == "get" and "" in asked


def not_to_be_called(case: Case, answer: Response) -> bool:
    """Whether a carrier may be called about a load depends on what is settled about the lane of the load."""
    return case.operation.label == "POST /outreaches" and b"is switched off on this lane" in answer.content


EXCUSES: Mapping[str, tuple[Callable[[Case, Response], bool], ...]] = {
    "RejectedPositiveData": (custom_without_days, call_has_ended, not_to_be_called),
    "AcceptedNegativeData": (empty_is_null,),
}


def resolved(document: Document, node: Document) -> Document:
    """Follow a reference inside the document."""
    while "$ref" in node:
        found: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def operations(document: Document) -> Iterator[tuple[str, Document]]:
    """Give every operation as Schemathesis names it, and what is said about it."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield f"{method.upper()} {path}", item[method]


def load(known: Known, prefixes: list[str]) -> Document:
    """Read the document, made more exact, with the operations asked for."""
    document: Document = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    for amend in AMENDMENTS:
        amend(document, known)
    chosen = {path: item for path, item in document["paths"].items() if path.startswith(tuple(prefixes or "/"))}
    return document | {"paths": chosen}


async def furnish(sandbox: Sandbox) -> Known:
    """Make what a new sandbox lacks: API keys, webhook endpoints, messages to them, and live calls."""
    used_key = next(iter(sandbox.store.api_keys))
    headers = {"Authorization": f"Bearer {sandbox.bearer_token}"}
    async with aiohttp.ClientSession(headers=headers, raise_for_status=True) as session:

        async def post(path: str, **body: object) -> str:
            async with session.post(sandbox.base_url + path, json=body) as answer:
                return str((await answer.json())["id"])

        keys = [await post("/api-keys", name=f"Key {number}") for number in range(8)]
        wanted = {"url": "https://example.com/hooks", "event_types": ["offer.created"]}
        endpoints = [await post("/webhooks/endpoints", **wanted) for _ in range(12)]
        for load_id in list(sandbox.store.loads)[:4]:
            await post("/offers", load_id=load_id, offer_amount=1_000)
    live = [str(sandbox.store.insert_call()["id"]) for _ in range(30)]
    return chosen(sandbox, used_key, keys, endpoints, live)


def chosen(sandbox: Sandbox, used_key: str, keys: list[str], endpoints: list[str], live: list[str]) -> Known:
    """Choose the records that requests may name; what one operation uses up, no other gets."""
    store = sandbox.store
    reached = [name for name, row in store.carriers.items() if row["phone"] and row["is_active"]][:10]
    changed = [name for name in store.carriers if name not in reached][:20]
    lanes = {name: f"car_{row['carrier_id']}" for name, row in store.lane_preferences.items()}
    owner = next(carrier_id for carrier_id in lanes.values() if carrier_id in changed)
    lane = {"carrier_id": [owner], "preference_id": [name for name, of in lanes.items() if of == owner]}
    both = {"load_id": list(store.loads)[:20], "call_id": list(store.calls)[:20], "endpoint_id": endpoints[:6]}
    in_paths = {"api_key_id": keys[:4], "carrier_id": changed, "message_id": list(store.messages)}
    in_paths |= {"offer_id": list(store.offers)[-20:], "outreach_id": list(store.outreaches)[:20]}
    return Known(
        organization_id=sandbox.organization_id,
        login={"email": sandbox.email, "password": sandbox.password},
        used_key=used_key,
        in_paths=both | in_paths,
        in_bodies=both | {"carrier_id": reached, "contact_id": ["con_00000000-0000-4000-8000-000000000000"]},
        special={
            "deactivateApiKey": {"api_key_id": keys[4:]},
            "deleteWebhookEndpoint": {"endpoint_id": endpoints[6:]},
            "joinCall": {"call_id": live},
            **dict.fromkeys(("updateLanePreference", "restrictLanePreference", "unrestrictLanePreference"), lane),
        },
    )


@contextmanager
def served(sandbox: Sandbox) -> Generator[Known]:
    """Run the sandbox in the loop of another thread, since Schemathesis blocks its own."""
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, Known]] = Future()

    async def serve() -> None:
        stop = asyncio.Event()
        async with sandbox:
            started.set_result((asyncio.get_running_loop(), stop, await furnish(sandbox)))
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=run, name="sandbox")
    thread.start()
    loop, stop, known = started.result(timeout=30)
    try:
        yield known
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=30)


def settings(sandbox: Sandbox, known: Known) -> schemathesis.Config:
    """Say what to send: with a credential the operation takes, and with real ids in most paths."""
    lists = {"": known.in_paths, **known.special}
    named = {f"{of}_{name}": ids for of, rows in lists.items() for name, ids in rows.items()}

    def parameters(of: str) -> Document:
        return {f"path.{name}": {"dictionary": f"{of}_{name}", "probability": REAL} for name in lists[of]}

    return schemathesis.Config.from_dict(  # pyright: ignore[reportUnknownMemberType] - plain dict in its hints
        {
            "seed": SEED,
            "base-url": sandbox.base_url,
            "continue-on-failure": True,
            "generation": {"max-examples": CASES, "deterministic": True, "database": "none", "no-shrink": True},
            # the document declares no links; Schemathesis would guess some, and pass on null as an id
            "phases": {"stateful": {"enabled": False}},
            "auth": {
                "openapi": {
                    "apiKeyAuth": {"api_key": sandbox.api_key},
                    "bearerAuth": {"bearer": sandbox.bearer_token},
                }
            },
            "dictionaries": {name: {"values": ids} for name, ids in named.items()},
            "parameters": parameters(""),
            "operations": [{"include-operation-id": of, "parameters": parameters(of)} for of in known.special],
        }
    )


@attrs.define
class Tally:
    """What was sent, what was checked, what failed, and what of it was excused."""

    cases: Counter[str] = attrs.field(factory=Counter[str])
    answers: Counter[tuple[str, int]] = attrs.field(factory=Counter[tuple[str, int]])
    checks: Counter[str] = attrs.field(factory=Counter[str])
    excused: Counter[str] = attrs.field(factory=Counter[str])
    failures: dict[tuple[str, str], list[str]] = attrs.field(factory=dict[tuple[str, str], list[str]])
    errors: list[str] = attrs.field(factory=list[str])

    def counts(self, failure: Failure, case: Case, answer: Response) -> bool:
        """Tell whether a failed check is a failure, or excused."""
        for excuse in EXCUSES.get(type(failure).__name__, ()):
            if excuse(case, answer):
                self.excused[excuse.__name__] += 1
                return False
        return True

    def take(self, event: events.EngineEvent) -> None:
        """Count what one event of the run reports."""
        match event:
            case events.ScenarioFinished(recorder=recorder):
                self._take_scenario(recorder)
            case events.NonFatalError(label=label, value=error):
                self.errors.append(f"{label}: {error}")
            case events.FatalError(exception=error):
                self.errors.append(f"the run ended early: {error!r}")
            case _:
                pass

    def _take_scenario(self, recorder: ScenarioRecorder) -> None:
        self.cases[recorder.label] += len(recorder.cases)
        for exchange in recorder.interactions.values():
            self.answers[recorder.label, exchange.response.status_code if exchange.response else 0] += 1
        for case_id, checks in recorder.checks.items():
            for check in checks:
                self.checks[check.name] += 1
                if check.status is not Status.SUCCESS:
                    said = self.failures.setdefault((recorder.label, check.name), [])
                    said.append(described(recorder, case_id, check))

    def wrong(self, document: Document) -> list[str]:
        """Say what speaks against the sandbox, or against the run itself."""
        labels = [label for label, _ in operations(document)]
        lazy = [label for label in labels if not any(self.answers[label, status] for status in range(200, 300))]
        wrong = [f"{label}: no request succeeded" for label in lazy]
        wrong += [f"{label}: {name} failed {len(said)} times" for (label, name), said in self.failures.items()]
        return self.errors + wrong


def described(recorder: ScenarioRecorder, case_id: str, check: CheckNode) -> str:
    """Write down a failed check: what is wrong, what was sent, and what came back."""
    failure = check.failure_info and check.failure_info.failure
    exchange = recorder.interactions.get((failure and failure.case_id) or case_id)
    lines = [str(failure)[:LONGEST]]
    if exchange is not None:
        lines.append(f"> {exchange.request.method} {exchange.request.uri} {exchange.request.body!r:.{LONGEST}}")
        if exchange.response is not None:
            lines.append(f"< {exchange.response.status_code} {exchange.response.content!r:.{LONGEST}}")
    return "\n".join(lines)


def report(tally: Tally, document: Document, seconds: float) -> None:
    """Print the figures, operation by operation."""
    for label, said in operations(document):
        statuses = sorted((status, count) for (of, status), count in tally.answers.items() if of == label)
        told = "  ".join(f"{status}: {count}" for status, count in statuses)
        print(f"{label:72} {said['x-evidence']:9} {tally.cases[label]:5}   {told}")
    for name, count in sorted(tally.checks.items()):
        failed = sum(len(said) for (_, of), said in tally.failures.items() if of == name)
        print(f"check {name:34} {count:7} times, {failed} failures")
    for name, count in sorted(tally.excused.items()):
        print(f"excused {name:32} {count:7} times")
    for name in sorted({name for _, name in tally.failures}):
        found = [(label, said) for (label, of), said in tally.failures.items() if of == name]
        print(*(f"\n{label}: {name}\n{said[0]}" for label, said in found[:SHOWN]), sep="\n")
    covered = sum(tally.cases[label] > 0 for label, _ in operations(document))
    print(
        f"\n{covered} operations, {sum(tally.cases.values())} cases, {sum(tally.checks.values())} checks, "
        f"{sum(map(len, tally.failures.values()))} failures in {seconds:.0f} s"
    )


def main(prefixes: list[str]) -> int:
    """Run everything; gives the exit status."""
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # the first request asks for a refusal
    sandbox, tally, began = Sandbox(calls=150, loads=60, quota=None, clock=lambda: NOW), Tally(), time.monotonic()
    with served(sandbox) as known:
        document = load(known, prefixes)
        schema = schemathesis.openapi.from_dict(document, config=settings(sandbox, known))

        @schema.hook  # pyright: ignore[reportUnknownMemberType] - plain Callable in its hints
        def filter_case(_: HookContext, case: Case) -> bool:
            named = str(case.path_parameters.get("api_key_id", "")).lower()
            return case.method != "DELETE" or not named.endswith(known.used_key.removeprefix("key_"))

        @schema.hook  # pyright: ignore[reportUnknownMemberType] - plain Callable in its hints
        def filter_failure(_: HookContext, failure: Failure, case: Case, response: Response) -> bool:
            return tally.counts(failure, case, response)

        for event in from_schema(schema).execute():
            tally.take(event)
    report(tally, document, time.monotonic() - began)
    wrong = tally.wrong(document)
    count = len(list(operations(document)))
    if not prefixes and count != OPERATIONS:
        wrong.append(f"{count} operations instead of {OPERATIONS}")
    print(*wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
