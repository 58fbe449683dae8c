"""envoy-async: the async Python SDK for Envoy AI, voice AI for freight brokers.

Names load on first use, so that `import envoy_async` costs nothing and leaves aiohttp alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import bulk, errors, models, webhooks
    from ._credentials import ApiKey, BearerToken, Login
    from ._paging import Pages
    from ._retry import RetryPolicy, Timeouts
    from .client import EnvoyClient
    from .errors import EnvoyError
    from .models import UNSET, Page

__version__ = "0.1.0"

__all__ = [
    "UNSET",
    "ApiKey",
    "BearerToken",
    "EnvoyClient",
    "EnvoyError",
    "Login",
    "Page",
    "Pages",
    "RetryPolicy",
    "Timeouts",
    "bulk",
    "errors",
    "models",
    "webhooks",
]

_HOMES = {
    "UNSET": "models",
    "ApiKey": "_credentials",
    "BearerToken": "_credentials",
    "EnvoyClient": "client",
    "EnvoyError": "errors",
    "Login": "_credentials",
    "Page": "models",
    "Pages": "_paging",
    "RetryPolicy": "_retry",
    "Timeouts": "_retry",
}


if not TYPE_CHECKING:  # type checkers read the imports above, and find a name that is not there

    def __getattr__(name: str) -> object:
        if name not in __all__:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        value: object = import_module(f".{_HOMES.get(name, name)}", __name__)
        if name in _HOMES:
            value = getattr(value, name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
