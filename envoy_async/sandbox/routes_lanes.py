"""The operations of the group Lane Preferences."""

from __future__ import annotations

from .routing import Operation

OPERATIONS: tuple[Operation, ...] = ()
