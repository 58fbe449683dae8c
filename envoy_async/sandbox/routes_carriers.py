"""The operations of the group Carriers."""

from __future__ import annotations

from .routing import Operation

OPERATIONS: tuple[Operation, ...] = ()
