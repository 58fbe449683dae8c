"""The method signature is the source: every operation has its command, every parameter its option."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import attrs
import pytest
from cyclopts import App

from envoy_async import EnvoyClient
from envoy_async._paging import Pages
from envoy_async.cli import main, operations
from envoy_async.cli.app import make_app
from envoy_async.models import UNSET, Call, CallStatus, Unset
from envoy_async.resources._base import Resource

COMMON = {field.name for field in attrs.fields(operations.Flags)}


class Robots:
    """A group that is not there yet."""

    async def send_all(
        self,
        robot_id: str,
        size: Literal["big", "small"] = "big",
        *,
        status: CallStatus | None = None,
        tags: Mapping[str, object] | None | Unset = UNSET,
    ) -> dict[str, object]:
        """Send all robots.

        Source: nowhere.

        Args:
            robot_id: the robot.

        Raises:
            OSError: never.
        """
        return {"robot_id": robot_id, "size": size, "status": status, "tags": tags}

    def list(self) -> Pages[Call]:
        """List robots."""
        raise NotImplementedError

    def helper(self) -> int:
        """Answer without the API."""
        raise NotImplementedError


def methods() -> Iterator[tuple[str, str, Callable[..., object]]]:
    """Walk the public methods of the client's groups without the code under test."""
    envoy = EnvoyClient("k", base_url="https://example.com", organization_id="o")
    for group in dir(envoy):
        resource = getattr(envoy, group)
        for name in dir(resource) if isinstance(resource, Resource) else ():
            if not name.startswith("_"):
                yield group, name, getattr(resource, name)


def options(app: App) -> set[str]:
    """Name the parameters a command parses, as Python spells them."""
    names = (argument.names[0] for argument in app.assemble_argument_collection(parse_docstring=True))
    names = (name for name in names if name != "*")
    return {name.removeprefix("--").replace("-", "_").lower() for name in names}


@pytest.fixture(scope="module")
def program() -> App:
    """Build the program."""
    return make_app()


@pytest.mark.parametrize(("group", "name", "method"), list(methods()), ids=lambda value: str(value)[:30])
def test_every_operation_has_a_command_with_its_parameters(
    program: App, group: str, name: str, method: Callable[..., object]
) -> None:
    """The command's options are the method's parameters and the common flags, no less and no more."""
    command = program[group.replace("_", "-")][name.replace("_", "-")]
    found = options(command)
    assert found - COMMON == set(inspect.signature(method).parameters)
    assert found >= COMMON


def test_there_are_no_other_commands() -> None:
    """Nothing but the two programs, the exports, the webhooks, and the groups."""
    groups = {group.replace("_", "-") for group, _, _ in methods()}
    programs = {"demo", "export", "sandbox", "webhooks"}
    assert {name for name in make_app() if not name.startswith("-")} == {*programs, *groups}


def test_a_new_method_appears_by_itself() -> None:
    """Operations are the public methods that are awaited or list something."""
    found = {operation.name: operation for operation in operations.operations("robots", Robots)}
    assert set(found) == {"send_all", "list"}
    assert found["list"].item is Call
    assert found["send_all"].item is None


def test_a_parameter_keeps_its_kind_and_default() -> None:
    """Plain parameters stay as they are, richer ones are named options of JSON text, help is the docstring's."""
    sending = next(found for found in operations.operations("robots", Robots) if found.name == "send_all")
    app = App(result_action="return_value")
    app.default(operations.command(sending))
    arguments = app.assemble_argument_collection(parse_docstring=True)
    named = {argument.names[0]: argument for argument in arguments}
    assert named["--robot-id"].parameter.help == "the robot."
    assert named["--status"].hint in {str, str | None}
    assert named["--tags"].parameter.metavar == "JSON|@FILE|-"
    assert named["--size"].field_info.default == "big"
    assert (app.help or "").splitlines()[0] == "Send all robots."


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["calls", "list"], ["--status", "keep calls in this status.", "--no-order-desc", "[default: 100]"]),
        (["calls", "list"], ["--strategy CHOICE", "backward", "--on-invalid CHOICE", "collect"]),
        (["api-keys", "list"], ["--on-invalid CHOICE", "collect"]),
        (["calls", "get"], ["CALL-ID", "Return one call."]),
        (["loads", "create-batch"], ["--loads JSON|@FILE|-", "Create or update any number of loads"]),
        (["loads", "update"], ["--is-posted --no-is-posted"]),
        (["webhook-endpoints", "create"], ["--event-types STR", "at least one name"]),
        (["calls", "join"], ["--api-key", "ENVOY_API_KEY", "--output", "--to"]),
    ],
)
def test_help_comes_from_docstrings(command: list[str], said: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The first paragraph describes the command, `Args:` describes the options."""
    assert main([*command, "--help"]) == 0
    printed = capsys.readouterr().out
    assert [text for text in said if text not in printed] == []
    assert "Raises" not in printed
    assert "UNSET" not in printed
