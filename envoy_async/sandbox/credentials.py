"""What opens the sandbox, made from the seed: an API key, tokens that look like a JWT, an e-mail address, a password.

None of them opens anything else. They depend on the seed and on how many were made before, never on the clock.
"""

from __future__ import annotations

import base64
import json
import string
from typing import TYPE_CHECKING

import attrs

from . import trade
from .seed import Identity, make_identity

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

PASSWORD_LENGTH = 32


@attrs.frozen(kw_only=True)
class Access(Identity):
    """The first organization, and what opens it; e-mail address and password are those of its first user."""

    email: str
    password: str = attrs.field(repr=False)
    api_key: str = attrs.field(repr=False)
    bearer_token: str = attrs.field(repr=False)


def make_access(rng: Random, own: Random) -> Access:
    """Invent the first organization and its credentials; `own` is for the login, so `rng` gives what it always gave."""
    identity = make_identity(rng)
    return Access(
        organization_id=identity.organization_id,
        user_ids=identity.user_ids,
        api_key=make_key(rng),
        bearer_token=make_token(rng, {"sub": identity.user_ids[0], "org": identity.organization_id}),
        email=f"{own.choice(trade.FIRST_NAMES)}.{own.choice(trade.LAST_NAMES)}@example.com".lower(),
        password="".join(own.choices(string.ascii_letters + string.digits, k=PASSWORD_LENGTH)),
    )


def make_key(rng: Random) -> str:
    """Invent the secret of an API key."""
    return "envai_live_" + rng.randbytes(16).hex()


def make_token(rng: Random, claims: Mapping[str, str]) -> str:
    """Invent a token that looks like a JWT."""
    parts = (b'{"alg":"HS256","typ":"JWT"}', json.dumps(claims).encode(), rng.randbytes(32))
    return ".".join(_base64(part) for part in parts)


def _base64(raw: bytes) -> str:
    """Encode as a JWT does: URL-safe and without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
