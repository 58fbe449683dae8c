"""Task runner: plain ``nox`` checks everything; ``nox -s tests`` tests the built wheel on every Python at hand."""

import atexit
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
SUPPORTED = nox.project.python_versions(PROJECT)
AT_HAND = f"{sys.version_info.major}.{sys.version_info.minor}"
EXTRAS = "cli,dask,fsspec,otel,parquet,redis"
# What reads exports or loads a warehouse installs 500 MB of libraries that are not ours, and a cluster whose processes
# are killed takes a minute: once is enough.
ONCE = (
    "tests/fleet/test_fleet_dask.py",
    "tests/test_warehouse.py",
    "tests/export/test_export_readers.py",
    "docs/how-to/export.md",
    "docs/how-to/export-many-organizations.md",
    "docs/tutorial-warehouse.md",
)
BUILT: list[Path] = []  # the one wheel of this run of nox

nox.needs_version = ">=2026.4"
nox.options.default_venv_backend = "virtualenv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False  # also where CI is set: PRESENT is what was found
nox.options.reuse_venv = "yes"  # the wheel itself is always installed anew
nox.options.sessions = ["lint", "typing", "tests", "docs"]


def unlock_pyenv() -> None:
    """Let pyenv's shims reach every installed version of the supported Pythons, unless the user chose one."""
    if "PYENV_VERSION" in os.environ or (pyenv := shutil.which("pyenv")) is None:
        return
    said = subprocess.run([pyenv, "versions", "--bare"], capture_output=True, text=True, check=False).stdout
    supported = re.compile(rf"({'|'.join(map(re.escape, SUPPORTED))})\.\d+")
    usable = [name for name in reversed(said.split()) if supported.fullmatch(name)]  # newest first
    if usable:
        os.environ["PYENV_VERSION"] = ":".join(usable)


def runs(version: str) -> bool:
    """Tell whether ``pythonX.Y`` is on PATH and really starts as that version; a dead shim is no interpreter."""
    found = sys.executable if version == AT_HAND else shutil.which(f"python{version}")
    check = f"import sys; sys.exit('%d.%d' % sys.version_info[:2] != '{version}')"
    return found is not None and subprocess.run([found, "-c", check], capture_output=True, check=False).returncode == 0


unlock_pyenv()
PRESENT = [version for version in dict.fromkeys([*SUPPORTED, AT_HAND]) if runs(version)]
MISSING = [version for version in SUPPORTED if version not in PRESENT]


def wheel(session: nox.Session) -> Path:
    """Build the wheel, once per run of nox."""
    if not BUILT:
        folder = session.cache_dir.resolve() / "wheel"
        shutil.rmtree(folder, ignore_errors=True)
        session.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
        BUILT.extend(folder.glob("*.whl"))
    return BUILT[0]


def install(session: nox.Session, *groups: str, extras: str = EXTRAS) -> None:
    """Install dependency groups and the wheel, never the checkout, into the session's environment."""
    extras = f"{extras},dlt" if "readers" in groups else extras
    built = f"envoy-async[{extras}] @ {wheel(session).as_uri()}"
    session.run("python", "-m", "pip", "uninstall", "--quiet", "--yes", "envoy-async", silent=True)
    session.install(built, *nox.project.dependency_groups(PROJECT, *groups))


@nox.session(python=PRESENT)
def tests(session: nox.Session) -> None:
    """Run the suite against the installed wheel; without arguments, the first Python also asks for full coverage."""
    if MISSING and session.python == PRESENT[0]:
        atexit.register(session.warn, f"tests not run on Python {', '.join(MISSING)}: no such interpreter here")
    first = session.python == PRESENT[0]
    install(session, "tests", *(["readers"] if first else []))
    # -I keeps the checkout off sys.path; with importlib mode, pytest does not put it back.
    left_out = [] if first else [f"--ignore={ROOT / path}" for path in ONCE]
    pytest = ["-m", "pytest", "--import-mode=importlib", *left_out, *session.posargs]
    data = session.cache_dir.resolve() / f"coverage-{session.python}"
    session.env.update(ENVOY_TEST_WHEEL="1", COVERAGE_FILE=str(data))
    omitted: list[str] = []
    if shutil.which("redis-server") is None and "CI" not in os.environ:  # there it fails
        atexit.register(session.warn, "tests with Redis not run: no redis-server here")
        omitted.append("--omit=*/webhooks/_redis.py,*/fleet/_redis.py,*/fleet/_throttled.py")
    if session.posargs or not first:  # no line depends on the version, and it takes twice the time
        session.run("python", "-I", *pytest)
        return
    for step in ["erase"], ["run", *pytest], ["combine", "--quiet"], ["report", "--fail-under=100", *omitted]:
        session.run("python", "-Im", "coverage", *step)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style (docstrings of tests included), spelling, and pyproject.toml."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("codespell")
    session.run("validate-pyproject", "pyproject.toml")


@nox.session
def typing(session: nox.Session) -> None:
    """Check types with mypy and pyright, both strict."""
    install(session, "typing", extras="cli,otel,redis")
    session.run("mypy", "--strict")
    session.run("pyright")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; every warning is an error."""
    install(session, "docs", extras="cli,otel,redis")
    session.run("sphinx-build", "-W", "--keep-going", "-n", "-b", "html", "docs", "docs/_build/html")


@nox.session(name="simulations")
@nox.session(name="contract")
@nox.session(name="benchmarks")
def programs(session: nox.Session) -> None:
    """Run every program in the folder of tests/ that is named like the session; a group of this name is installed."""
    found = sorted(path for path in (ROOT / "tests" / session.name).glob("*.py") if not path.name.startswith("_"))
    if not found:
        session.skip(f"there are no programs in tests/{session.name}/ yet")
    extras = {"simulations": EXTRAS, "benchmarks": "parquet"}.get(session.name, "cli,otel")  # which export files
    install(session, "tests", *({session.name} & PROJECT["dependency-groups"].keys()), extras=extras)
    session.env["ENVOY_TEST_CACHE"] = str(session.cache_dir.resolve())
    for program in found:
        session.run("python", str(program), *session.posargs)
