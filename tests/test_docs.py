"""The documentation: its commands, its links, its pages, and its table of operations."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

from envoy_async import EnvoyClient
from envoy_async.resources import GROUPS
from envoy_async.sandbox.operations import OPERATIONS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)
TEXTS = [*sorted(ROOT.glob("*.md")), *PAGES]
DEMO = 'python3 -m venv .venv && .venv/bin/pip install ".[cli]" && .venv/bin/envoy-async demo'
TESTS = "python3 -m venv .venv && .venv/bin/pip install nox && .venv/bin/nox -s tests"
# These have nothing to run: two include a file of the top level, one is tables made at build time.
WITHOUT_BLOCKS = {"changelog.md", "contributing.md", "reference/endpoints.md"}
EVIDENCE = ("seen", "partial", "inferred")
FENCE = re.compile(r"^(`{3,})([^\n]*)\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def name_of(path: Path) -> str:
    """Name a file as seen from the root."""
    return path.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    """Give the fenced blocks of a language, without what surrounds them."""
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    return [text.strip() for _, info, text in found if info.strip() == language]


def links(page: Path) -> list[str]:
    """Give where the links in a page's prose lead, addresses left out."""
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    return [target for target in LINK.findall(prose) if "://" not in target]


def anchors(page: Path) -> set[str]:
    """Give the names of a page's headings, as links spell them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.fixture(scope="module")
def endpoints() -> list[Any]:
    """The rows of the table of operations, as the documentation's build makes them."""
    rows: list[Any] = runpy.run_path(str(DOCS / "_ext" / "endpoints.py"))["endpoints"]()
    return rows


@pytest.fixture(scope="module")
def contract() -> dict[str, Any]:
    """The operations of the reconstructed description, by HTTP method and path."""
    text = (ROOT / "tests" / "contract" / "openapi.yaml").read_text(encoding="utf-8")
    document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    return {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in {"get", "post", "patch", "delete"}
    }


def test_readme_quotes_the_two_fixed_commands() -> None:
    """What the README tells to paste is the demo and the test command, each alone in its block."""
    shown = blocks(ROOT / "README.md", "bash")
    assert [command for command in shown if command.startswith("python3 -m venv")] == [DEMO, TESTS]


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """CI runs the tests by the very command a reader would paste."""
    assert f"({TESTS})" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", TEXTS, ids=name_of)
def test_relative_links_resolve(page: Path) -> None:
    """Each link to a file of the repository leads to one, and each fragment to a heading in it."""
    here = ROOT if page == DOCS / "contributing.md" else page.parent
    for target in links(page):
        file, _, fragment = target.partition("#")
        there = (here / file).resolve() if file else page
        assert there.is_file(), target
        assert there.is_relative_to(ROOT), target
        assert not fragment or fragment in anchors(there), target


def test_every_page_is_in_one_toctree() -> None:
    """A reader finds every page in the navigation, once."""
    listed = [line for tree in blocks(DOCS / "index.md", "{toctree}") for line in tree.splitlines()]
    entries = sorted(f"{line}.md" for line in listed if line and not line.startswith(":"))
    assert entries == sorted(page.relative_to(DOCS).as_posix() for page in PAGES if page != DOCS / "index.md")


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=name_of)
def test_page_has_a_block_that_runs(page: Path) -> None:
    """What a page says about code is run, except on the few pages that show none."""
    exempt = page.is_relative_to(DOCS) and page.relative_to(DOCS).as_posix() in WITHOUT_BLOCKS
    assert bool(blocks(page, "python")) != exempt


def test_table_has_a_row_for_every_method(endpoints: list[Any]) -> None:
    """Each public method of each group a client carries has one row, 50 in all, under the name users call it by."""
    client = EnvoyClient("none", base_url="https://example.invalid")
    groups: dict[str, type] = {name: type(getattr(client, name)) for name in GROUPS}
    methods = [f"{group}.{name}" for group, cls in groups.items() for name in vars(cls) if not name.startswith("_")]
    assert [f"{row.group}.{row.name}" for row in endpoints] == methods
    assert len(methods) == 50


def test_sandbox_serves_each_row(endpoints: list[Any]) -> None:
    """The sandbox, an independent witness, has each operation under the same name, method, path, and credential."""
    names = {"api key": "API key", "bearer token": "bearer token", "none": "none", "any": "either"}
    served = {
        operation.name: (f"{operation.method} {operation.path}", names[operation.credential])
        for operation in OPERATIONS
    }
    rows = {f"{row.group}.{row.name}": (row.http, row.credential.removesuffix(" (assumed)")) for row in endpoints}
    assert rows == served


def test_docstrings_name_what_is_really_sent(endpoints: list[Any]) -> None:
    """HTTP method and path in a method's docstring are those of the request it makes."""
    assert [row.said for row in endpoints] == [row.http for row in endpoints]


def test_evidence_and_credential_agree_with_the_contract(endpoints: list[Any], contract: dict[str, Any]) -> None:
    """No method claims to be better known than the description says, and what is only assumed is called that."""
    names = {"apiKeyAuth": "API key", "bearerAuth": "bearer token"}
    assert {row.http for row in endpoints} == contract.keys()
    for row in endpoints:
        operation = contract[row.http]
        alone = [names[name] for way in operation.get("security", ()) for name in way]
        credential = "either" if "security" not in operation else " or ".join(alone) or "none"
        guessed = "security" in operation and operation.get("x-security-evidence") == "inferred"
        assert row.evidence == operation["x-evidence"], row.http
        assert row.credential == credential + (" (assumed)" if guessed else ""), row.http


def test_kind_tells_what_a_key_in_the_body_changes(endpoints: list[Any]) -> None:
    """Creating carriers is unsafe, and idempotent with an MC number; every other operation has one kind."""
    kinds = {f"{row.group}.{row.name}": row.kind for row in endpoints}
    twofold = {name: kind for name, kind in kinds.items() if kind not in {"read", "idempotent", "unsafe"}}
    both = "unsafe; idempotent with `mc_number`"
    assert twofold == {"carriers.create": both, "carriers.create_batch": both}


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "index.md"], ids=name_of)
def test_counts_of_evidence_are_those_of_the_table(page: Path, endpoints: list[Any]) -> None:
    """How many operations are seen, partial, and inferred is said as it is."""
    text = " ".join(page.read_text(encoding="utf-8").split())
    seen, partial, inferred = ([row.evidence for row in endpoints].count(mark) for mark in EVIDENCE)
    assert f"of the {len(endpoints)}, {seen} are *seen*, {partial} *partial*, and {inferred} *inferred*" in text


def test_tables_stand_where_the_page_asks_for_them() -> None:
    """The page of operations holds the mark that the build replaces, and no row of its own."""
    mark: str = runpy.run_path(str(DOCS / "_ext" / "endpoints.py"))["MARK"]
    text = (DOCS / "reference" / "endpoints.md").read_text(encoding="utf-8")
    assert text.count(mark) == 1
    assert "\n|" not in text
