"""Sharing a quota between clients: the store of one process, and the protocol for stores of one's own."""

from __future__ import annotations

from ._gate import Lease, LocalQuotaStore, QuotaStore, Standing

__all__ = ["Lease", "LocalQuotaStore", "QuotaStore", "Standing"]
