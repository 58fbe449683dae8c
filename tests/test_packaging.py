"""What is installed: the built wheel, its metadata, its public names, and how little an import loads."""

import os
import subprocess
import sys
from importlib import metadata, resources
from pathlib import Path

import pytest

import envoy_async

HEAVY = {"aiohttp", "cattrs", "tenacity", "msgspec"}


def test_package_under_test_is_the_installed_wheel() -> None:
    """Under nox and in CI the wheel is tested, never the checkout; elsewhere the checkout may be."""
    automated = "NOX_CURRENT_SESSION" in os.environ or "CI" in os.environ
    wheel = os.environ.get("ENVOY_TEST_WHEEL") == "1"
    assert wheel or not automated, "run `nox -s tests`: it installs the wheel and sets ENVOY_TEST_WHEEL=1"

    checkout = Path(__file__).parents[1]
    installed = "site-packages" in Path(envoy_async.__file__).parts
    assert installed or not wheel, envoy_async.__file__
    assert not wheel or str(checkout) not in sys.path


def test_wheel_marks_itself_as_typed() -> None:
    """Type checkers find the marker file beside the package."""
    assert (resources.files("envoy_async") / "py.typed").is_file()


def test_version_equals_the_metadata() -> None:
    """The version a program can ask for is the one that pip shows."""
    assert envoy_async.__version__ == metadata.version("envoy-async")


def test_public_names_are_few_and_sorted() -> None:
    """The top level holds at most 14 names: constants, classes, and modules, each in order."""
    in_order = sorted(envoy_async.__all__, key=lambda name: (not name.isupper(), name.islower(), name))
    assert in_order == envoy_async.__all__
    assert len(envoy_async.__all__) <= 14


@pytest.mark.parametrize("name", envoy_async.__all__)
def test_public_name_resolves(name: str) -> None:
    """Each public name is there, and dir() shows it."""
    assert getattr(envoy_async, name) is not None
    assert name in dir(envoy_async)


def loaded_by(statement: str) -> set[str]:
    """Give the top-level modules that a fresh interpreter has loaded after one statement."""
    program = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_import_loads_no_heavy_library() -> None:
    """Importing the package alone costs none of the libraries that only a client needs."""
    loaded = loaded_by("import envoy_async")
    assert "envoy_async" in loaded
    assert HEAVY & loaded == set()


def test_webhooks_load_no_framework() -> None:
    """A receiver pays for its own framework and store only: no other is loaded, nor the client."""
    loaded = loaded_by("from envoy_async import webhooks")
    assert {"aiohttp", "fastapi", "redis", "starlette", "tenacity"} & loaded == set()
