"""The operations of the group Webhooks."""

from __future__ import annotations

from .routing import Operation

OPERATIONS: tuple[Operation, ...] = ()
