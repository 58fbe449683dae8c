"""The client: settings checked, one attribute per group of operations."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Self, TypeVar, overload

import attrs
from yarl import URL

from . import __version__
from ._credentials import ApiKey, BearerToken, Credentials, Login, Source, fits, quota_line
from ._gate import QuotaStore
from ._retry import RetryPolicy, Timeouts
from ._transport import ADDRESS, Access, Pool, Settings, Transport, is_loopback
from ._wire import BadInput, Send, header_value
from .errors import ConfigurationError, InvalidRequestError, InvalidResponseError, OutcomeUnknownError
from .events import Hooks, RateLimited, Retry
from .middleware import Middleware
from .resources import Groups, raw

if TYPE_CHECKING:
    from types import TracebackType

    import aiohttp

T = TypeVar("T")
BASE_URL = "https://tryenvoy.ai/api/v1"
_GRACE = 5.0  # seconds


class EnvoyClient(Groups):
    """The Envoy AI API, for asyncio.

    Nothing is opened before the first await. Use it with `async with`, or call `close()`; the same client may
    be entered again, also under another `asyncio.run`. All its tasks share one quota gate.

    Args:
        credentials: an API key, an `ApiKey`, a `BearerToken`, a `Login`, or an async callable that gives one of the
            first two; else `ENVOY_API_KEY`, else `ENVOY_BEARER_TOKEN`. A login or callable is asked on first use, once
            for all tasks, and again when the server refuses what it gave (401).
        organization_id: sent as `X-Organization-ID`; else `ENVOY_ORGANIZATION_ID`.
        base_url: what operation paths are appended to; else `ENVOY_BASE_URL`, else the vendor's.
        retry: how often and how patiently a failed operation is sent again.
        timeouts: how long things may take, in seconds.
        quota_store: where several clients with one key share its quota; else each client has a gate of its own.
        middleware: functions around every attempt but logins, the first outermost; see `envoy_async.middleware`.
        on_retry: told of every failed attempt that is followed by another (`envoy_async.events.Retry`).
        on_rate_limited: told of every refusal for quota (`envoy_async.events.RateLimited`).
        on_outcome_unknown: told of every `OutcomeUnknownError`, also when the call was cancelled while it may have run.
        session: an aiohttp session to send with; it is used and never closed. Its middlewares do not run, and
            unsafe operations go over its pooled connections, where more of them end in `OutcomeUnknownError`.

    Raises:
        ConfigurationError: there is no key, or a setting cannot work.
    """

    _wrap: Callable[[Send], Send] | None = None  # what watches the calls of this client and its views

    def __init__(
        self,
        credentials: str | Credentials | Login | Source | None = None,
        *,
        organization_id: str | None = None,
        base_url: str | None = None,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        quota_store: QuotaStore | None = None,
        middleware: Sequence[Middleware] = (),
        on_retry: Callable[[Retry], None] | None = None,
        on_rate_limited: Callable[[RateLimited], None] | None = None,
        on_outcome_unknown: Callable[[OutcomeUnknownError], None] | None = None,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        known = _credentials(credentials, os.environ)
        del credentials  # what fails below may be printed with its local variables
        source = partial(self._log_in, known) if isinstance(known, Login) else known
        organization = os.environ.get("ENVOY_ORGANIZATION_ID") or None if organization_id is None else organization_id
        address = _base_url(os.environ.get("ENVOY_BASE_URL") or BASE_URL if base_url is None else base_url)
        user_agent = f"envoy-async/{__version__}"
        hooks = Hooks(on_retry, on_rate_limited, on_outcome_unknown)
        settings = Settings(address, _organization(organization), retry, timeouts, user_agent, tuple(middleware), hooks)
        random = Random()  # noqa: S311 - jitter
        clock, sleep = _loop_time, asyncio.sleep
        access = Access(source, BearerToken if isinstance(known, Login) else None)
        pool = Pool(session, store=quota_store, line=quota_line(address, known))
        self._use(Transport(settings, access, pool, clock=clock, sleep=sleep, random=random))

    def _use(self, transport: Transport) -> None:
        self._transport = transport
        send = transport.send if self._wrap is None else self._wrap(transport.send)
        self._share(send, _scope(transport.settings, transport.pool.line), transport.fetch)

    async def _log_in(self, login: Login) -> BearerToken:
        found = await self.auth.login(login.email.reveal(), login.password.reveal())
        token = BearerToken(found.access_token)
        if fits(token.value):
            return token
        wrong = InvalidResponseError("the login gave a token that cannot be sent")
        wrong.method, wrong.route = "POST", "/auth/login"
        raise wrong

    def with_options(
        self,
        *,
        organization_id: str | None = None,
        deadline: float | None = None,
        retry: RetryPolicy | None = None,
    ) -> Self:
        """Return a view with other settings: same connections, same quota gate. Closing either closes both.

        Args:
            organization_id: sent as `X-Organization-ID`.
            deadline: seconds for a whole call, with its retries and waits.
            retry: another retry policy.
        """
        old = self._transport.settings
        settings = attrs.evolve(
            old,
            organization_id=old.organization_id if organization_id is None else _organization(organization_id),
            timeouts=old.timeouts if deadline is None else attrs.evolve(old.timeouts, deadline=deadline),
            retry=retry or old.retry,
        )
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__)
        view._use(self._transport.view(settings))
        return view

    @overload
    async def request(
        self,
        method: str,
        path: str,
        *,
        into: None = None,
        query: Mapping[str, object] | None = None,
        body: object = None,
    ) -> None: ...
    @overload
    async def request(
        self, method: str, path: str, *, into: type[T], query: Mapping[str, object] | None = None, body: object = None
    ) -> T: ...
    async def request(
        self,
        method: str,
        path: str,
        *,
        into: type[T] | None = None,
        query: Mapping[str, object] | None = None,
        body: object = None,
    ) -> T | None:
        """Run an operation the SDK has no method for, through the same gate, retries, and errors.

        What is not a GET counts as unsafe, unless it is an operation without ids that the SDK knows: it is sent again
        only when it provably did not run.

        Args:
            method: `GET`, `POST`, `PUT`, `PATCH`, or `DELETE`.
            path: what follows the base URL, quoted, such as `/loads/tab-counts`.
            into: what the answer is read as: `dict`, `list`, `object` for any JSON, a model, `Page[model]`, …;
                `None` ignores its body.
            query: query parameters; those that are `None` are left out.
            body: a model, or anything else JSON can hold; `None` sends no body.

        Raises:
            InvalidRequestError: the input cannot be sent; `param` names it.
        """
        return await raw(self._send, method, path, into=into, query=query, body=body)

    async def __aenter__(self) -> Self:
        self._transport.pool.reopen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cancelled = kind is not None and issubclass(kind, asyncio.CancelledError)
        await self.close(grace=0.0 if cancelled else _GRACE)

    async def close(self, *, grace: float = _GRACE) -> None:
        """Close the connections. Closing twice is harmless.

        Nothing new goes out: calls that wait, for quota or between attempts, end in `ClientClosedError`. Those on the
        wire may end on their own; after the grace they end in `ClientClosedError`, or `OutcomeUnknownError` where they
        may have run.

        Args:
            grace: seconds for the calls on the wire.

        Raises:
            ConfigurationError: the client is in use in another event loop or process.
        """
        await self._transport.pool.close(grace)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._transport.settings.base_url!r})"


def _loop_time() -> float:
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        stray = ConfigurationError("no asyncio event loop runs here: use asyncio.run, in each process after a fork")
    raise stray


def _credentials(
    given: str | Credentials | Login | Source | None, environ: Mapping[str, str]
) -> Credentials | Login | Source:
    match given:
        case None if environ.get("ENVOY_API_KEY"):
            return ApiKey(environ["ENVOY_API_KEY"])
        case None if environ.get("ENVOY_BEARER_TOKEN"):
            return BearerToken(environ["ENVOY_BEARER_TOKEN"])
        case str():
            return ApiKey(given)
        case Login() if not (given.email and given.password):
            msg = "the Login has no e-mail or no password, or one that is not text"
        case ApiKey() | BearerToken() | Login():
            return given
        case _ if callable(given):
            return given
        case _ if given is not None:
            kind = type(given).__name__
            msg = f"credentials must be text, ApiKey, BearerToken, Login, or an async callable, not {kind}"
        case _:
            msg = "no credentials: pass an API key to EnvoyClient, or set ENVOY_API_KEY or ENVOY_BEARER_TOKEN"
    del environ  # it holds secrets, and a traceback may be printed with its local variables
    raise ConfigurationError(msg)


def _organization(value: str | None) -> str | None:
    try:
        return None if value is None else header_value("organization_id", value)
    except BadInput as bad:
        refused = InvalidRequestError(str(bad))
    refused.param = "organization_id"
    raise refused


def _scope(settings: Settings, line: str) -> str:
    """Name whose records a client sees: the organization's that is named, else those its credentials belong to."""
    if settings.organization_id is None:
        return line
    return hashlib.blake2b(f"{settings.base_url}\n{settings.organization_id}".encode(), digest_size=16).hexdigest()


def _base_url(text: str) -> str:
    """Check and normalise the base URL: `https`, or `http` to this machine, and nothing but a path behind."""
    try:
        url = URL(text)
    except (ValueError, IndexError):  # yarl trips over "https://[]@"
        url = URL()
    if url.scheme not in {"https", "http"} or not url.host or not ADDRESS.fullmatch(text):
        msg = f"base_url must be an address like {BASE_URL}"
        raise ConfigurationError(msg)
    if url.scheme == "http" and not is_loopback(url.host):
        msg = "base_url must use https: plain http is for loopback addresses only"
        raise ConfigurationError(msg)
    if url.raw_user is not None or url.raw_password is not None or "?" in text or "#" in text:
        msg = "base_url must not hold user info, a query, or a fragment"
        raise ConfigurationError(msg)
    return str(url).rstrip("/")
