"""The operations of the group Auth.

Read in the guide: the two fields of the body, and the two of the answer. Assumptions of ours, because there is no
reference page: that wrong ones are a 401, with a text of ours, and that other fields are ignored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .answers import ApiError
from .routing import Inquiry, Operation
from .validation import need_record, need_text

if TYPE_CHECKING:
    from .store import Store


def log_in(store: Store, inquiry: Inquiry) -> object:  # noqa: ARG001 - every operation has this signature
    """Answer POST /auth/login with a new bearer token."""
    body = need_record(inquiry.body)
    token = inquiry.accounts.log_in(need_text(body, "email"), need_text(body, "password"))
    if token is None:
        raise ApiError(401, "not_authenticated", "Wrong e-mail address or password.")
    return {"access_token": token, "token_type": "bearer"}


OPERATIONS: tuple[Operation, ...] = (
    Operation(name="auth.login", method="POST", path="/auth/login", run=log_in, credential="none"),
)
