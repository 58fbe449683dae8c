"""The operations of the group API Keys."""

from __future__ import annotations

from .routing import Operation

OPERATIONS: tuple[Operation, ...] = ()
