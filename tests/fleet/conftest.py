"""Dask that is missing, and a run that does not wait for it."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture
def without_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Dask not be installed."""
    monkeypatch.setitem(sys.modules, "distributed", None)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait next to nothing for a scheduler, and for a worker."""
    monkeypatch.setattr("envoy_async.fleet._dask._TIMEOUT", 0.2)
