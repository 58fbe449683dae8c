"""Begins a process that measures: the module of `_measured/` that the first argument names, with the others.

The rule: the SDK is the installed one, so the checkout stands last in the path.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

if __name__ == "__main__":
    import_module(f"tests.benchmarks._measured.{sys.argv[1]}").main(*sys.argv[2:])
