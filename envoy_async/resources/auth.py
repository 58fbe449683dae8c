"""Logging in: e-mail and password for a bearer token."""

from __future__ import annotations

from .._credentials import Secret
from ..errors import refused
from ..models import LoginResult
from ._base import Resource


class Auth(Resource):
    """The exchange of e-mail and password for a token. `Login` as credentials does it by itself."""

    async def login(self, email: str, password: str) -> LoginResult:
        """Return a fresh bearer token, which lives for hours. Unsafe: never sent again once it may have run.

        No credential is sent. Source: `POST /auth/login` (partial: known from the authentication guide alone).

        Args:
            email: the user's address.
            password: the user's password.

        Raises:
            NotAuthenticatedError: the two do not fit.
        """
        body = {"email": Secret(email), "password": Secret(password)}
        kinds = {"email": type(email), "password": type(password)}
        del email, password  # a traceback may be printed with its local variables
        for name, kind in kinds.items():
            if not issubclass(kind, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers need not type-check
                raise refused(name, f"{name} must be text")
        return await self._call(LoginResult, "POST", "/auth/login", body=body, secret=body["password"])
