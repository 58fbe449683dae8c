"""How a delivery is signed: the names of its headers, the text that is signed, and how a secret becomes a key.

The rule: the scheme stands here and nowhere else. Of the vendor's documentation only three things are known: secrets
begin with `whsec_`, the header `webhook-id` stays the same over attempts and replays, and for 24 hours after a
rotation each delivery is signed twice (seen). They belong to the public convention Standard Webhooks, so all the rest
is taken from it (inferred), and a `Scheme` can be made otherwise.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Literal, TypeAlias

import attrs

SecretEncoding: TypeAlias = Literal["base64", "text"]
PREFIX = "whsec_"


@attrs.frozen(kw_only=True)
class Scheme:
    """How deliveries are signed. All of it is inferred, but for the name `webhook-id`.

    The text that is signed is the id, the timestamp, and the raw body, joined by dots.
    """

    id_header: str = "webhook-id"
    timestamp_header: str = "webhook-timestamp"
    """Whose value is Unix seconds."""
    signature_header: str = "webhook-signature"
    """Whose value is a list, separated by spaces, of a version, a comma, and the base64 of a digest."""
    version: str = "v1"
    digest: Literal["sha256", "sha384", "sha512"] = "sha256"
    """Of the HMAC."""
    secret_encoding: SecretEncoding = "base64"  # noqa: S105 - not a secret
    """Whether what follows `whsec_` is the `base64` of the key, or as `text` the key itself."""

    def content(self, id: str, timestamp: str, body: bytes) -> bytes:
        """Return the text that is signed."""
        return f"{id}.{timestamp}.".encode() + body

    def key(self, secret: str) -> bytes:
        """Return the key that a secret stands for; `whsec_` may lead or be left out.

        Raises:
            ValueError: it is empty, or cannot be read so. The message shows nothing of it.
        """
        text = secret.removeprefix(PREFIX)
        try:
            if self.secret_encoding == "base64":  # noqa: S105 - the same
                key = b64decode(text + "=" * (-len(text) % 4), validate=True)
            else:
                key = text.encode()
        except ValueError:  # of base64, and of text that has no UTF-8, whose error holds the text
            key = None
        if key is None:
            raise ValueError(f"a secret is not {self.secret_encoding}")
        if not key:
            raise ValueError("a secret is empty")
        return key


STANDARD = Scheme()


def sign(
    secrets: str | Iterable[str], body: bytes, *, id: str, timestamp: int, scheme: Scheme = STANDARD
) -> dict[str, str]:
    """Sign a delivery, as the vendor presumably does (inferred), and return its three headers.

    Args:
        secrets: one secret, or all that sign, such as the new and the old one within 24 hours of a rotation.
        body: the body as it is sent.
        id: the message, which stays the same over attempts and replays.
        timestamp: when the delivery is sent, in Unix seconds.
        scheme: how deliveries are signed.

    Raises:
        ValueError: a secret cannot be read.
    """
    content = scheme.content(id, str(timestamp), body)
    problem = ""
    try:
        keys = [scheme.key(secret) for secret in ([secrets] if isinstance(secrets, str) else secrets)]
    except ValueError as error:
        keys, problem = [], str(error)
    del secrets  # an error may be printed with the local variables of its frames
    if problem:
        raise ValueError(problem)
    seals = (b64encode(hmac.digest(key, content, scheme.digest)).decode() for key in keys)
    return {
        scheme.id_header: id,
        scheme.timestamp_header: str(timestamp),
        scheme.signature_header: " ".join(f"{scheme.version},{seal}" for seal in seals),
    }
