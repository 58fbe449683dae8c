"""envoy-async: the async Python SDK for Envoy AI, voice AI for freight brokers.

Names load on first use, so that `import envoy_async` costs nothing and leaves aiohttp alone.
"""

from typing import TYPE_CHECKING

from ._names import on_first_use

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

if not TYPE_CHECKING:  # type checkers read the imports above, and find a name that is not there
    __getattr__, __dir__ = on_first_use(
        __name__,
        {
            "_credentials": "ApiKey BearerToken Login",
            "_paging": "Pages",
            "_retry": "RetryPolicy Timeouts",
            "bulk": "bulk",
            "client": "EnvoyClient",
            "errors": "EnvoyError errors",
            "models": "UNSET Page models",
            "webhooks": "webhooks",
        },
    )
