"""The tree of errors: what each carries, how it travels, and what it never shows."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import traceback
from collections.abc import Callable, Iterator

import pytest
from hypothesis import example, given, settings, strategies as st

from envoy_async import errors
from envoy_async._transport._statuses import status_error
from envoy_async._wire import Attempt, Request, Response
from envoy_async.errors import EnvoyError, StatusError, at

CANARY = "canary-7f3a"
ATTRIBUTES = ("status", "code", "param", "request_id", "retry_after", "method", "route")
CODES = {
    "validation_error": errors.ValidationError,
    "invalid_id_format": errors.InvalidIdFormatError,
    "not_authenticated": errors.NotAuthenticatedError,
    "insufficient_permissions": errors.PermissionDeniedError,
    "not_found": errors.NotFoundError,
    "already_exists": errors.AlreadyExistsError,
    "rate_limit_exceeded": errors.RateLimitedError,
    "internal_error": errors.ServerError,
}
STATUSES = {
    400: errors.ValidationError,
    401: errors.NotAuthenticatedError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    409: errors.AlreadyExistsError,
    422: errors.ValidationError,
    429: errors.RateLimitedError,
    **dict.fromkeys((500, 501, 502, 503, 504, 520, 599, 600, 999), errors.ServerError),
    **dict.fromkeys((402, 405, 408, 410, 418, 425, 451, 499), errors.StatusError),
}


def classes() -> Iterator[type[EnvoyError]]:
    """Give every public class of the module that is an error."""
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, EnvoyError):
            yield value


def drawn() -> dict[str, str | None]:
    """Read the tree out of the docstring: each class with its parent."""
    parents: dict[str, str | None] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        name = line.strip(" │├└─").split(" ")[0]
        if name.endswith("Error"):
            depth = (len(line) - len(line.lstrip(" │├└─"))) // 4 - 1
            path[depth:] = [name]
            parents[name] = path[depth - 1] if depth else None
    return parents


def answer(status: int, body: bytes = b"", **headers: str) -> Response:
    """Make an answer."""
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def envelope(code: object, message: object = "field required", **more: object) -> bytes:
    """Write the documented error body."""
    return json.dumps({"error": {"code": code, "message": message, **more}}).encode()


def filled(kind: type[EnvoyError]) -> EnvoyError:
    """Make an error with every attribute set and a ledger of two attempts."""
    error = kind("the message")
    request = Request(method="GET", template="/calls/{call_id}", path="/calls/1")
    error.status, error.code, error.param, error.request_id, error.retry_after = 429, "code", "a.b[0]", "req", 1.5
    ledger = (Attempt(0.0, 0.0, 503, "ServerError"), Attempt(1.5, 1.25, None, "ConnectError"))
    return at(error, request, ledger)


def test_the_drawn_tree_is_the_tree() -> None:
    """The docstring shows every class below the class it derives from, and none that is not there."""
    real = {kind.__name__: None if kind is EnvoyError else kind.__bases__[0].__name__ for kind in classes()}
    assert drawn() == real
    assert all(len(kind.__bases__) == 1 for kind in classes())


def test_an_error_is_caught_by_its_root_alone() -> None:
    """No class derives from a built-in that a broad handler of the user would mistake it for."""
    assert EnvoyError.__bases__ == (Exception,)
    assert not any(issubclass(kind, OSError | ValueError | RuntimeError | LookupError) for kind in classes())


@pytest.mark.parametrize("kind", [*classes()])
def test_every_class_says_what_happened(kind: type[EnvoyError]) -> None:
    """Each has a docstring of its own."""
    assert kind.__dict__["__doc__"]
    assert inspect.getmodule(kind) is errors


@pytest.mark.parametrize("kind", [*classes()])
def test_what_does_not_apply_is_none(kind: type[EnvoyError]) -> None:
    """A handler may read every attribute of every error."""
    error = kind("the message")
    assert [getattr(error, name) for name in ATTRIBUTES] == [None] * len(ATTRIBUTES)
    assert (error.message, error.attempts) == ("the message", ())
    assert str(error) == "the message"
    assert error.args == ("the message",)


@pytest.mark.parametrize("kind", [*classes()])
def test_every_error_travels_whole(kind: type[EnvoyError]) -> None:
    """Pickled or copied it is the same class with the same message, attributes, ledger, and notes."""
    error = filled(kind)
    error.add_note("while listing")
    error.checkpoint = "{}"
    copies: list[EnvoyError] = [copy.copy(error), copy.deepcopy(error)]
    copies += [pickle.loads(pickle.dumps(error, i)) for i in range(pickle.HIGHEST_PROTOCOL + 1)]  # noqa: S301 - our own
    for other in copies:
        assert type(other) is kind
        assert vars(other) == vars(error)
        assert (other.args, str(other), repr(other)) == (error.args, str(error), repr(error))
        assert other.attempts[1] == Attempt(1.5, 1.25, None, "ConnectError")


@pytest.mark.parametrize("kind", [errors.DeadlineExceededError, errors.OutcomeUnknownError])
def test_the_last_error_travels_along(kind: type[errors.DeadlineExceededError | errors.OutcomeUnknownError]) -> None:
    """What came last is part of what happened, also in another process."""
    error = kind("not done within 5 s")
    assert error.last_error is None
    error.last_error = filled(errors.ServerError)
    other = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert isinstance(other.last_error, errors.ServerError)
    assert vars(other.last_error) == vars(error.last_error)


def test_a_cut_answer_stays_cut() -> None:
    """Whether the body broke off decides about a retry; it is false unless said."""
    error = errors.InvalidResponseError("the answer broke off")
    assert not error.cut
    error.cut = True
    assert copy.copy(error).cut


def test_the_text_names_operation_and_attempts() -> None:
    """Operation first, then the message, then how often it was tried when that was more than once."""
    error = filled(errors.ServerError)
    assert str(error) == "GET /calls/{call_id}: the message (after 2 attempts)"
    assert repr(error) == "ServerError('GET /calls/{call_id}: the message (after 2 attempts)')"
    error.attempts = error.attempts[:1]
    assert str(error) == "GET /calls/{call_id}: the message"


@pytest.mark.parametrize(("code", "kind"), CODES.items())
@pytest.mark.parametrize("status", [400, 404, 418, 429, 500])
def test_the_code_decides_first(code: str, kind: type[StatusError], status: int) -> None:
    """The error guide asks to branch on `error.code`; the status is kept beside it."""
    error = status_error(answer(status, envelope(code, param="stops[0].address.city")))
    assert type(error) is kind
    assert (error.status, error.code, error.param) == (status, code, "stops[0].address.city")
    assert error.message == "field required"


@pytest.mark.parametrize(("status", "kind"), STATUSES.items())
@pytest.mark.parametrize("body", [b"", envelope("brand_new_code"), envelope(None), envelope(["not_found"])], ids=repr)
def test_else_the_status_decides(status: int, kind: type[StatusError], body: bytes) -> None:
    """An unknown code leaves it to the status: 5xx and beyond is the server's, an unknown 4xx is a plain one."""
    error = status_error(answer(status, body))
    assert type(error) is kind
    assert error.status == status
    assert error.code == ("brand_new_code" if b"brand" in body else None)


def test_headers_that_help_are_kept() -> None:
    """The request's id and the wait the server asked for; nothing else of the headers."""
    error = status_error(answer(429, X_Request_ID="req_1", Retry_After="30", X_API_Key=CANARY))
    assert (error.request_id, error.retry_after) == ("req_1", 30.0)
    assert CANARY not in f"{error} {error!r} {vars(error)}"
    assert status_error(answer(429, Retry_After="soon")).retry_after is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the server answered 502"),
        (b" \n\t ", "the server answered 502"),
        (b"<html>\n  <h1>502   Bad\tGateway</h1>", "<html> <h1>502 Bad Gateway</h1>"),
        (b"upstream is gone", "upstream is gone"),
        (b"null", "null"),
        (b"502", "502"),
        (b'["error"]', '["error"]'),
        (b'{"detail": [{"loc": ["body"]}]}', '{"detail": [{"loc": ["body"]}]}'),
        (b'{"error": "gone"}', '{"error": "gone"}'),
        (b'{"error": {"code": "not_found"}}', '{"error": {"code": "not_found"}}'),
        (b'{"error": null}', '{"error": null}'),
        (b"\xff\xfe\x00", "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} "),
    ],
    ids=lambda part: repr(part[:20]),
)
def test_another_body_gives_an_excerpt(body: bytes, message: str) -> None:
    """Whatever a proxy or framework writes becomes one short line; there is no code to go by."""
    error = status_error(answer(502, body))
    assert type(error) is errors.ServerError
    assert (error.message, error.code, error.param) == (message, None, None)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>" + b"x" * 10_000 + CANARY.encode(),
        b'{"detail":"' + b"x" * 10_000 + CANARY.encode() + b'"}',
        b"[" * 100_000,
        b'{"error":' * 100_000,
        b'{"error":{"code":"not_found","message":' + b"[" * 100_000,
        b'{"error":' + b"7" * 5_000 + b"}",
        "é".encode() * 10_000,
        b"\x80" * 10_000,
    ],
    ids=lambda body: repr(body[:12]),
)
def test_an_excerpt_is_short(body: bytes) -> None:
    """At most 200 characters, however long or deep the body is."""
    error = status_error(answer(500, body))
    assert 0 < len(error.message) <= 200
    assert CANARY not in f"{error} {error!r} {vars(error)}"


def test_a_message_of_the_server_is_short_as_well() -> None:
    """An error stays printable: a stack trace or a whole body inside `message` is cut."""
    error = status_error(answer(500, envelope("internal_error", "x" * 100_000 + CANARY)))
    assert type(error) is errors.ServerError
    assert len(str(error)) < 100_000
    assert CANARY not in f"{error} {error!r}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
ENVELOPES = st.fixed_dictionaries(
    {"error": JSON | st.fixed_dictionaries({"code": JSON, "message": JSON, "param": JSON})}
)
BODIES = st.binary() | JSON.map(json.dumps).map(str.encode) | ENVELOPES.map(json.dumps).map(str.encode)


@settings(max_examples=100)
@given(body=BODIES, status=st.integers(400, 999))
@example(body='{"error":{"code":"not_found","message":"x"}}'.encode("utf-16"), status=404).via("json guesses encodings")
@example(body=b"\xff" * 1_000, status=500).via("no text at all")
def test_no_body_breaks_the_error(body: bytes, status: int) -> None:
    """Building one error never raises another; texts are texts, and nothing is chained."""
    error = status_error(answer(status, body))
    assert error.status == status
    assert error.message
    assert all(value is None or isinstance(value, str) for value in (error.code, error.param, error.message))
    assert error.__context__ is None
    assert str(error) in "".join(traceback.format_exception(error)) or not error.message.isprintable()
    assert vars(copy.copy(error)) == vars(error)


SECRETS = [
    "abcd",
    "pass-12",
    'say "hi"',
    "back\\slash",
    "tab\there",
    "line\nbreak",
    "two  blanks   inside",
    "pässwörd",
    "пароль 42",
    "key\N{KEY}ring",
    "*** stars",
]
SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda secret: secret,
    "in JSON, escaped": lambda secret: json.dumps(secret)[1:-1],
    "in JSON, in its own letters": lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
}


@pytest.mark.parametrize("secret", SECRETS, ids=ascii)
@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=list(SPELLINGS))
@pytest.mark.parametrize("body", ["bad: {}!", '<p title="{}">bad: {}</p>', '{{"detail": ["bad", {{"input": "{}"}}]}}'])
def test_a_secret_is_taken_out_of_a_body_of_any_shape(secret: str, spell: Callable[[str], str], body: str) -> None:
    """What a proxy or framework quotes of the request is not quoted on, however JSON or HTML spells it."""
    text = body.format(*[spell(secret)] * 2)
    error = status_error(answer(422, text.encode()), secret)
    shown = f"{error} {error!r} {vars(error)}"
    for form in (secret, " ".join(secret.split()), json.dumps(secret)[1:-1], repr(secret)[1:-1]):
        assert form not in shown
    assert error.message == " ".join(body.format("***", "***").split())


@pytest.mark.parametrize("secret", SECRETS, ids=ascii)
def test_a_secret_is_taken_out_of_every_part_of_the_envelope(secret: str) -> None:
    """Code, message, and param, and the request's id, which a server may make of what it likes."""
    body = envelope(f"c-{secret}", f"bad: {secret} ({json.dumps(secret)})", param=f"p[{secret}]")
    error = status_error(answer(400, body, X_Request_ID=f"r-{secret}"), secret)
    assert (error.code, error.message, error.param, error.request_id) == (
        "c-***",
        'bad: *** ("***")',
        "p[***]",
        "r-***",
    )


def test_what_is_too_short_to_be_a_secret_stays() -> None:
    """Three characters stand in many a word; a message with holes would help nobody."""
    assert status_error(answer(400, envelope("c", "a bad bag")), "a b").message == "a bad bag"
    assert status_error(answer(400, b"a bad bag"), "").message == "a bad bag"
    assert status_error(answer(400, b"a bad bag"), "bad ").message == "a ***bag"


@pytest.mark.parametrize("start", range(4076, 4100))
def test_a_secret_across_the_end_of_what_is_looked_at_leaves_no_part(start: int) -> None:
    """Blanks are run together, so that what stands far behind comes into the excerpt; no part of a key does."""
    secret = "envai_live_canary_7f3a91c2"
    error = status_error(answer(500, b"oops" + b" " * start + secret.encode() + b"<br>"), secret)
    assert "env" not in f"{error!r} {vars(error)}"
    assert error.message.startswith("oops")


@pytest.mark.parametrize(
    ("message", "param", "text"),
    [
        ("must be one of a, b", "reason", "reason: must be one of a, b"),
        ("reason must be one of a, b", "reason", "reason must be one of a, b"),
        ("field required", None, "field required"),
    ],
)
def test_a_refused_field_is_named_in_the_text(message: str, param: str | None, text: str) -> None:
    """Who reads only the text of an error learns which field it is about, once."""
    error = errors.ValidationError(message)
    error.param = param
    assert str(error) == text
    assert error.message == message
