"""How fast and how small the SDK is, beside other clients: the figures.

The rule: every figure is a ratio, or a difference, within one run, where all that are compared take turns; seconds
depend on the machine and only give the scale. Run it with ``nox -s benchmarks``; ``--only NAME…`` measures some modes,
``--repetitions 1`` makes it short, ``--json FILE`` keeps the figures, ``--write`` puts them with tables and plot into
the documentation. It ends with 1 when a limit is missed, or when the reference differs from itself by more than 3 %.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from random import Random

sys.path.append(str(Path(__file__).parents[2]))  # at the end: the SDK is the installed one

from tests.benchmarks import _page, _site
from tests.benchmarks._figures import Found, Report, load
from tests.benchmarks._peers import generated
from tests.benchmarks._running import Run, on_one_core

MODES = ("decode", "listing", "prefetch", "million", "single", "loading", "overhead", "verifier", "export")
PACKAGES = (
    *("envoy-async", "aiohttp", "attrs", "cattrs", "msgspec", "tenacity", "orjson", "uvloop", "httpx", "pydantic"),
    *("openai", "elevenlabs", "githubkit", "openapi-python-client", "pyarrow"),
)


def environment(repetitions: int) -> str:
    """Say what was measured with, and how often."""
    where = f"{platform.python_implementation()} {platform.python_version()} on {platform.system()}"
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    where += f" {platform.machine()}, one of {os.cpu_count()} cores"
    return f"{where}; {packages}. Repetitions: {repetitions}."


def measure(run: Run, names: list[str]) -> dict[str, Found]:
    """Measure modes, and print what each found."""
    modes: dict[str, Found] = {}
    for name in names:
        began = time.perf_counter()
        print(f"{name} ", end="", flush=True)
        found: Found = import_module(f"tests.benchmarks._modes.{name}").measure(run)
        modes[name] = found
        print(f" {time.perf_counter() - began:.0f} s", *Report("", {name: found}).lines()[1:], "", sep="\n", flush=True)
    return modes


def write(report: Report) -> None:
    """Put the report into the documentation; modes that were not measured stay, if all else is the same."""
    if uneven := [line for line in report.missed if "the reference / itself" in line]:
        sys.exit(f"not written, because the machine was not even: {'; '.join(uneven)}")
    earlier = load(_page.JSON.read_text(encoding="utf-8")) if _page.JSON.exists() else report
    if earlier.environment == report.environment:
        modes = {**earlier.modes, **report.modes}
        report = Report(report.environment, {name: modes[name] for name in MODES if name in modes})
    elif len(report.modes) < len(MODES):
        sys.exit("the documentation was measured with something else: measure all modes")
    _page.write(report)


def main() -> int:
    """Measure, print, and on request write; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--only", nargs="+", choices=MODES, default=list(MODES), metavar="NAME", help=", ".join(MODES))
    parser.add_argument("--json", type=Path, help="keep the figures in this file")
    parser.add_argument("--write", action="store_true", help="put figures, tables, and plot into the documentation")
    options = parser.parse_args()
    began = time.perf_counter()
    generated.write()
    with on_one_core(), tempfile.TemporaryDirectory() as folder, _site.running() as site:
        run = Run(site, Path(folder), options.repetitions, Random(7))
        report = Report(environment(options.repetitions), measure(run, options.only))
    if options.json:
        options.json.write_text(report.dump(), encoding="utf-8")
    if options.write:
        write(report)
    missed = report.missed
    print(f"{time.perf_counter() - began:.0f} s; limits missed: {len(missed)}", *missed, sep="\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
