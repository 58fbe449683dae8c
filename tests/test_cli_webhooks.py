"""Deliveries checked, and messages sent again, from a shell."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from envoy_async import webhooks
from envoy_async.cli import main
from envoy_async.cli.inputs import InputError
from envoy_async.cli.listening import line_of
from envoy_async.cli.webhooks import headers_in, instant
from envoy_async.errors import PayloadError
from envoy_async.sandbox import Fault, Sandbox
from envoy_async.sandbox.events import emit
from tests.test_cli_operations import NOBODY, running

NOW = datetime(2025, 11, 21, 16, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_b3RoZXItc2VjcmV0LW90aGVyLXNlY3JldA=="
TEXT = "whsec_no+base64=but-text,quite-long"
BODY = (
    b'{"type": "offer.created", "id": "evt_1", "timestamp": "2025-11-21T15:59:00Z", "data": {"rate": 1200}, "new": 1}'
)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Give a function that runs a command below `webhooks`: exit code, stdout, stderr."""
    monkeypatch.delenv("ENVOY_WEBHOOK_SECRET", raising=False)

    def command(*arguments: str) -> tuple[int, str, str]:
        code = main(["webhooks", *arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command


Written = Callable[..., list[str]]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Give a function that signs a body, writes both files, and returns the options that name them."""

    def write(
        body: bytes = BODY, secrets: Sequence[str] = (SECRET,), *, reading: webhooks.SecretEncoding = "base64"
    ) -> list[str]:
        scheme = webhooks.Scheme(secret_encoding=reading)
        signed = webhooks.sign(secrets, body, id="msg_1", timestamp=int(NOW.timestamp()), scheme=scheme)
        headers = {"Host": "hooks.example", **signed}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        (tmp_path / "headers").write_bytes(f"{lines}\r\n".encode())
        (tmp_path / "headers.json").write_text(json.dumps(headers), encoding="utf-8")
        (tmp_path / "body").write_bytes(body)
        return ["--headers", str(tmp_path / "headers"), "--body", str(tmp_path / "body")]

    return write


AT = ["--at", "2025-11-21T16:04:00Z"]


def test_a_delivery_that_is_right_is_printed(run: Run, written: Written) -> None:
    """The event is one line of JSON with the whole payload, and stderr says how the secret is read."""
    code, out, err = run("verify", *written(), *AT, "--secret", SECRET)
    assert (code, err, out.count("\n")) == (0, "verified; secrets are read as base64\n", 1)
    assert json.loads(out) == {
        "message_id": "msg_1",
        "sent_at": "2025-11-21T16:00:00+00:00",
        "type": "offer.created",
        "id": "evt_1",
        "occurred_at": "2025-11-21T15:59:00+00:00",
        "data": {"rate": 1200},
        "payload": json.loads(BODY),
    }


def test_headers_may_be_a_json_object(run: Run, written: Written, tmp_path: Path) -> None:
    """An object of names and values is as good as lines."""
    _, *body = written()[1:]
    assert run("verify", "--headers", str(tmp_path / "headers.json"), *body, *AT, "--secret", SECRET)[0] == 0


def test_a_secret_that_is_text_is_found_out(run: Run, written: Written) -> None:
    """A secret that base64 reads wrong, or not at all, is tried as text, and stderr says so."""
    for secret in (SECRET, TEXT):
        code, out, err = run("verify", *written(secrets=[secret], reading="text"), *AT, "--secret", secret)
        assert (code, out.count("\n"), err) == (0, 1, "verified; secrets are read as text\n")


@pytest.mark.parametrize("given", ["options", "environment"])
def test_any_of_several_secrets_will_do(
    run: Run, written: Written, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    """Secrets come as options, or from the environment with spaces between them."""
    options = [part for secret in (TEXT, OTHER, SECRET) for part in ("--secret", secret)]
    monkeypatch.setenv("ENVOY_WEBHOOK_SECRET", "" if given == "options" else f"{TEXT} {OTHER} {SECRET}")
    assert run("verify", *written(), *AT, *(options if given == "options" else []))[0] == 0


@pytest.mark.parametrize("which", ["--headers", "--body"])
def test_one_of_the_files_may_be_standard_input(
    run: Run, written: Written, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    """With `-` the headers, or the bytes of the body, come from stdin."""
    files = written()
    place = files.index(which) + 1
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(Path(files[place]).read_bytes())))
    files[place] = "-"
    assert run("verify", *files, *AT, "--secret", SECRET)[0] == 0


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ([*AT, "--secret", OTHER], 1, "no signature is that of a secret in force"),
        (["--at", "2025-11-21T16:05:01Z", "--secret", SECRET], 1, "signed too long ago"),
        ([*AT, "--tolerance", "239", "--secret", SECRET], 1, "signed too long ago"),
        (["--secret", SECRET], 1, "signed too long ago"),
        ([*AT], 2, "set ENVOY_WEBHOOK_SECRET, or give --secret"),
        ([*AT, "--secret", "whsec_"], 2, "a secret is empty"),
        (["--at", "2025-11-21T16:04:00", "--secret", SECRET], 2, "--at: expected"),
        ([*AT, "--secret", SECRET, "--tolerance", "-1"], 2, "--tolerance"),
        ([*AT, "--secret", SECRET, "--tolerance", "nan"], 2, "tolerance"),
        ([*AT, f"--secrets={TEXT}"], 2, "--secrets"),
        ([*AT, "--secret", SECRET, TEXT, SECRET], 2, "whsec"),
    ],
)
def test_what_is_wrong_is_one_line(run: Run, written: Written, options: list[str], code: int, said: str) -> None:
    """A delivery that is refused ends with 1, wrong usage with 2; neither shows a secret."""
    ended, out, err = run("verify", *written(), *options)
    assert (ended, out, err.count("\n")) == (code, "", 1)
    assert said in err.replace("***", "whsec")
    assert [part for part in (SECRET[6:], OTHER[6:], TEXT[6:], TEXT[6:15]) if part in err] == []


def test_the_time_can_be_left_out(run: Run, written: Written) -> None:
    """With --any-time an old delivery is checked for all but its age."""
    assert run("verify", *written(), "--any-time", "--secret", SECRET)[0] == 0
    assert run("verify", *written(), "--any-time", "--secret", OTHER)[0] == 1


def test_a_body_that_is_no_event_is_one_line(run: Run, written: Written) -> None:
    """It is signed, but no JSON object: exit code 1, with the place."""
    code, out, err = run("verify", *written(b"[]"), *AT, "--secret", SECRET)
    assert (code, out, err) == (1, "", "error: expected object @ $\n")


def test_files_that_cannot_be_read_are_one_line(run: Run, written: Written, tmp_path: Path) -> None:
    """A missing file is named, standard input serves one of them, and headers that are none are refused."""
    files = written()
    missing = str(tmp_path / "none")
    code, _, err = run("verify", "--headers", missing, *files[2:], "--secret", SECRET)
    assert (code, err) == (1, f"error: {missing}: No such file or directory\n")
    assert run("verify", "--headers", "-", "--body", "-", "--secret", SECRET)[::2] == (
        2,
        "error: give - for --headers or --body, not both\n",
    )
    (tmp_path / "headers").write_bytes(BODY[:-1])
    assert run("verify", *files, "--secret", SECRET)[::2] == (
        2,
        "error: --headers: neither lines such as `Name: value` nor a JSON object\n",
    )


def test_headers_are_read_as_they_came() -> None:
    """Lines end as they like, a name that is there twice stays twice, and values may hold colons."""
    assert headers_in(b"\xef\xbb\xbfA: 1\r\n\n b :x: y\nA:2") == [("A", "1"), ("b", "x: y"), ("A", "2")]
    assert headers_in(b' {"A": "1", "a": "2", "A": "3"}') == [("A", "1"), ("a", "2"), ("A", "3")]
    assert headers_in(b"") == []


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"A: 1\nwhsec_x", "line 2 is not"),
        (b"POST /hooks HTTP/1.1\nA: 1", "line 1 is not"),
        (b"\xff: 1", "neither"),
        (b"{whsec_x", "neither"),
        (b'{"a":' * 100_000, "neither"),
    ],
)
def test_what_are_no_headers_is_refused_unquoted(raw: bytes, said: str) -> None:
    """The message names the line, and shows nothing of it."""
    with pytest.raises(InputError, match=said) as caught:
        headers_in(raw)
    assert "whsec_x" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("30s", NOW - timedelta(seconds=30)),
        ("10m", NOW - timedelta(minutes=10)),
        ("2h", NOW - timedelta(hours=2)),
        ("3d", NOW - timedelta(days=3)),
        ("2025-11-01", datetime(2025, 11, 1, tzinfo=UTC)),
        ("2025-11-01T08:00Z", datetime(2025, 11, 1, 8, tzinfo=UTC)),
        ("2025-11-01T08:00:30.5+02:00", datetime(2025, 11, 1, 6, 0, 30, 500_000, tzinfo=UTC)),
    ],
)
def test_a_moment_is_given_in_three_ways(text: str, moment: datetime) -> None:
    """How long ago, a day in UTC, or a moment with its zone."""
    assert instant(text, NOW, "--since") == moment


@pytest.mark.parametrize(
    "text", ["", "2", "2w", "h", "-2h", "999999999d", "2025-13-01", "2025-11-01T08:00", "0001-01-01T00:00+02:00", "now"]
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    """A time without a zone is none either; the message names the option."""
    with pytest.raises(InputError, match="--since: expected 2h, a day"):
        instant(text, NOW, "--since")


def made(data: object) -> webhooks.Event:
    """Make an event."""
    payload = {"data": data}
    return webhooks.Event(
        message_id="m", sent_at=NOW, type=None, id=None, occurred_at=None, data=payload, payload=payload
    )


def test_a_line_holds_whatever_an_event_holds() -> None:
    """Text stays readable, half a surrogate pair is spelled as JSON spells it, and a line break is none."""
    line = line_of(made("Jiménez\ud800\n"))
    assert "Jiménez\\ud800\\n" in line
    assert json.loads(line)["payload"] == {"data": "Jiménez\ud800\n"}


def test_an_event_nested_too_deeply_is_an_error_of_ours() -> None:
    """It ends in PayloadError, and so in one line."""
    deep: object = None
    for _ in range(200_000):
        deep = [deep]
    with pytest.raises(PayloadError, match="nested too deeply"):
        line_of(made(deep))


ENDPOINT = f"ep_{NOBODY}"
STATUSES = ["SUCCEEDED", "DEAD", "FAILED", "PENDING", "DEAD"]


def prepared(status: str, statuses: Sequence[str]) -> Sandbox:
    """Make a sandbox with an endpoint that has messages whose only attempts ended so."""
    sandbox = Sandbox(calls=1, loads=1, quota=None, clock=NOW.timestamp)
    store = sandbox.store
    fields = {"organization_id": sandbox.organization_id, "url": "https://a.example", "event_types": ["load.created"]}
    times = {"created_at": store.stamp(), "updated_at": store.stamp()}
    store.endpoints[ENDPOINT] = {"id": ENDPOINT, "status": "ACTIVE", "headers": None, **fields, **times}
    for end in statuses:
        emit(store, "load.created", {"end": end})
        next(reversed(store.attempts.values()))["status"] = end
    store.endpoints[ENDPOINT]["status"] = status
    return sandbox


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Run a sandbox whose endpoint is paused, so that nothing happens by itself, with five messages."""
    with running(prepared("PAUSED", STATUSES)) as sandbox:
        point_to(sandbox, monkeypatch)
        yield sandbox


def point_to(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put what a sandbox prints into the environment."""
    monkeypatch.setenv("ENVOY_BASE_URL", sandbox.base_url)
    monkeypatch.setenv("ENVOY_API_KEY", sandbox.api_key)


def test_lost_messages_are_sent_again(run: Run, sandbox: Sandbox) -> None:
    """Every message is a line with what became of it, stderr counts, and what was lost has one more attempt."""
    done, dead, lost, pending, gone = list(sandbox.store.messages)
    del sandbox.store.messages[gone]
    code, out, err = run("replay", ENDPOINT, "--since", "2025-11-21")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [(row["id"], row["outcome"]) for row in rows] == [
        (done, "done"),
        (dead, "replayed"),
        (lost, "replayed"),
        (pending, "waiting"),
        (gone, "failed"),
    ]
    assert code == 1
    assert [row["reason"] is None for row in rows] == [True, True, True, True, False]
    assert re.sub(" +", " ", err).splitlines()[1:] == [
        "listed 5 attempts",
        "done 1 message",
        "replayed 2 messages",
        "waiting 1 message",
        "failed 1 message",
        "endpoint PAUSED: presumably nothing is delivered before it is ACTIVE",
    ]
    assert err.startswith(f"{gone}: ")
    assert [row["attempt"] for row in sandbox.store.attempts.values() if row["message_id"] in {dead, lost}].count(
        2
    ) == 2


@pytest.mark.parametrize("format", ["json", "csv", "table"])
def test_the_outcomes_come_in_all_formats(run: Run, sandbox: Sandbox, format: str) -> None:
    """A program and a person are told the same."""
    code, out, _ = run("replay", ENDPOINT, "--since", "2025-11-21", "--output", format)
    if format == "table":
        told = [line.split() for line in out.splitlines() if line.startswith("msg_")]
    elif format == "csv":
        told = [[row["id"], row["outcome"]] for row in csv.DictReader(out.splitlines())]
    else:
        told = [[row["id"], row["outcome"]] for row in json.loads(out)]
    outcomes = {"SUCCEEDED": "done", "PENDING": "waiting"}
    ends = dict(zip(sandbox.store.messages, STATUSES, strict=True))
    assert code == 0
    assert dict(told) == {id: outcomes.get(end, "replayed") for id, end in ends.items()}


def test_only_messages_since_then_count(run: Run, sandbox: Sandbox) -> None:
    """What was sent before is left alone, and a list of nothing is empty."""
    code, out, err = run("replay", ENDPOINT, "--since", "2025-11-22", "--output", "json")
    assert (code, json.loads(out), "replayed  0 messages" in err) == (0, [], True)


def test_an_active_endpoint_is_not_worth_a_line(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """When all is well, only the counts are told; the list may go to a file."""
    file = tmp_path / "list.csv"
    with running(prepared("ACTIVE", ["SUCCEEDED"])) as sandbox:
        point_to(sandbox, monkeypatch)
        code, out, err = run("replay", ENDPOINT, "--since", "2025-11-21", "--to", str(file), "--output", "csv")
    assert (code, out, "endpoint" in err) == (0, "", False)
    assert file.read_text(encoding="utf-8").splitlines()[1:] == [f"{next(iter(sandbox.store.messages))},done,"]


def test_a_list_that_is_not_proven_says_so(run: Run, sandbox: Sandbox) -> None:
    """An answer without a total leaves it open whether the list is whole, and the count says so."""
    page = b'{"data": [], "pagination": {"page": 1, "page_size": 100, "total_items": 9, "total_pages": 0}}'
    path = "/webhooks/endpoints/{endpoint_id}/messages"
    sandbox.fail(Fault(path=path, body=page, times=None))
    code, out, err = run("replay", ENDPOINT, "--since", "2025-11-21")
    assert (code, out) == (0, "")
    assert "0 attempts, not proven to be all" in err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([ENDPOINT], 2),
        ([ENDPOINT, "--since", "yesterday"], 2),
        (["17", "--since", "2h"], 2),
        ([f"ep_1{NOBODY[1:]}", "--since", "2h"], 1),
    ],
)
def test_a_replay_that_cannot_be_is_one_line(run: Run, sandbox: Sandbox, arguments: list[str], code: int) -> None:
    """No moment, no endpoint, or none of this name: one line, and nothing is sent again."""
    ended, out, err = run("replay", *arguments)
    assert (ended, out, err.count("\n")) == (code, "", 1)
    assert len(sandbox.store.attempts) == len(STATUSES)
