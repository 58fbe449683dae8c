"""The operations of the group Outreaches."""

from __future__ import annotations

from .routing import Operation

OPERATIONS: tuple[Operation, ...] = ()
