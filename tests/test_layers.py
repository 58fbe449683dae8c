"""How the inside is cut: every room of the package has a row and imports only what lies below it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import envoy_async

PACKAGE = Path(envoy_async.__file__).parent
ROWS = (
    {"_columns", "_credentials", "_headers", "_lock", "_masking", "_names", "_signing"},
    {"_wire", "models", "bulk"},
    {"errors"},
    {"_converter", "events", "middleware"},
    {"_download", "_paging", "_retry", "_gate"},
    {"_transport", "resources", "quota", "webhooks"},
    {"client"},
    {"cli", "export", "fleet", "otel", "warehouse", "sandbox", "testing", "__main__"},
)
RANK = {room: rank for rank, rooms in enumerate(ROWS) for room in rooms}
# The top row holds programs; these start what stands beside them, and nothing else shares a row.
STARTS = {
    "__main__": {"cli"},
    "cli": {"export", "fleet", "sandbox", "warehouse"},
    "fleet": {"export"},
    "testing": {"sandbox"},
}
# The sandbox is an independent witness: it must not share the client's idea of a URL, a page, or a retry.
# How deliveries are signed is nobody's idea of ours: other projects' libraries judge it.
SANDBOX_KNOWS = {"models", "_converter", "_signing"}
AIOHTTP = {"_transport", "client", "sandbox", "webhooks", "testing", "cli"}
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room_of(module: Path) -> str:
    """Name the room a module lies in."""
    return module.parts[0].removesuffix(".py")


def imported(module: Path) -> Iterator[str]:
    """Name every import of a module in full, ``from a import b`` as ``a.b``, whether guarded, nested, or plain."""
    inside = ("envoy_async", *module.parent.parts)
    for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*inside[: len(inside) - node.level + 1]] if node.level else []
            yield from (".".join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names)


def rooms_used(module: Path) -> set[str]:
    """Name the other rooms a module imports; a name of the top level counts as the client, which it may load."""
    ours = [name.split(".") for name in imported(module) if name.split(".")[0] == "envoy_async"]
    second = {parts[1] if len(parts) > 1 else "" for parts in ours}
    return {name if name in RANK else "client" for name in second} - {room_of(module)}


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_only_lower_rows(module: Path) -> None:
    """A module belongs to a room with a row and imports lower rows, or what it is there to start."""
    room = room_of(module)
    assert room in RANK
    assert [used for used in rooms_used(module) if RANK[used] >= RANK[room] and used not in STARTS.get(room, ())] == []


@pytest.mark.parametrize("module", [path for path in MODULES if room_of(path) == "sandbox"], ids=str)
def test_sandbox_is_an_independent_witness(module: Path) -> None:
    """The sandbox shares nothing with the client but models and converter."""
    assert rooms_used(module) <= SANDBOX_KNOWS


def test_aiohttp_stays_at_the_edge() -> None:
    """No module outside the rooms at the edge imports aiohttp."""
    users = {room_of(module) for module in MODULES if any(name.split(".")[0] == "aiohttp" for name in imported(module))}
    assert users <= AIOHTTP
