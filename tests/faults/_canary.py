"""Looking for secrets in what a failure leaves behind: the scanner that the tests of faults and of secrets share.

The rule: whatever a tool could write down of an object without asking for its secret is looked through: every text of
it, its parts by name, its pickle, and for an error also its chain, its notes, the errors it holds, and every local
variable of every frame it keeps alive. Frames of tests and of the sandbox do not count: they hold the secret by right.

A canary is a secret that stands nowhere else: `leaks(error, KEY) == []` says that nothing shows it, and what it gives
otherwise names the places.
"""

from __future__ import annotations

import json
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, cast
from urllib.parse import quote

import attrs

import envoy_async

_TESTS = Path(__file__).parents[1]
_SANDBOX = Path(envoy_async.__file__).parent / "sandbox"
_PLAIN = frozenset(vars(logging.makeLogRecord({})))
View = tuple[str, str]


def leaks(thing: object, *canaries: str) -> list[str]:
    """Name every place of an object or error where one of the canaries stands, in whatever case or spelling.

    Args:
        thing: an error, or any object.
        canaries: the secrets, each of four characters or more.
    """
    wanted = {spelling.lower() for canary in canaries for spelling in _spellings(canary)}
    return [place for place, shown in _views(thing) if any(spelling in shown.lower() for spelling in wanted)]


def chain(error: BaseException | None) -> list[BaseException]:
    """Return an error with all that hang on it: causes, contexts, members of groups, and the last error."""
    found: list[BaseException] = []
    left = [error]
    while left:
        part = left.pop(0)
        if isinstance(part, BaseException) and not any(part is other for other in found):
            found.append(part)
            left += [part.__cause__, part.__context__, getattr(part, "last_error", None)]
            left += cast("tuple[BaseException, ...]", getattr(part, "exceptions", ()))
    return found


def _spellings(canary: str) -> set[str]:
    if len(canary) < 4:
        msg = f"{canary!r} is too short to be told from other text"
        raise ValueError(msg)
    return {canary, json.dumps(canary)[1:-1], repr(canary)[1:-1], ascii(canary)[1:-1], quote(canary, safe="")}


def _views(thing: object) -> Iterator[View]:
    if not isinstance(thing, BaseException):
        yield from _views_of_object("", thing)
        return
    for part in chain(thing):
        name = f"{type(part).__name__}: "
        yield from _views_of_object(name, part)
        yield f"{name}args", repr(part.args)
        yield f"{name}notes", repr(getattr(part, "__notes__", ()))
        yield f"{name}last lines", "".join(traceback.format_exception_only(part))
        yield from _views_of_frames(name, part.__traceback__)


def _views_of_object(name: str, thing: object) -> Iterator[View]:
    """Give what can be written of an object by the common means; a means that refuses it writes nothing."""
    ways: dict[str, Callable[[], object]] = {
        "repr": lambda: repr(thing),
        "str": lambda: str(thing),
        "format": lambda: f"{thing}",
        "inside a list": lambda: repr([thing]),
        "vars": lambda: repr(vars(thing)),
        "asdict": lambda: repr(attrs.asdict(cast("attrs.AttrsInstance", thing))),
        "astuple": lambda: repr(attrs.astuple(cast("attrs.AttrsInstance", thing))),
        "json": lambda: json.dumps(thing),
        "json by str": lambda: json.dumps(thing, default=str),
        "json by vars": lambda: json.dumps(thing, default=vars),
        "pickle": lambda: pickle.dumps(thing).decode("latin-1"),
    }
    for way, write in ways.items():
        with suppress(Exception):  # anything may refuse, each in its own way
            yield name + way, str(write())
    attributes: dict[str, object] = getattr(thing, "__dict__", {})
    for attribute, value in attributes.items():
        yield from _views_of_parts(f"{name}{attribute}", value)


def _views_of_parts(name: str, value: object) -> Iterator[View]:
    for part in cast("tuple[object, ...]", value) if isinstance(value, tuple | list) else (value,):
        with suppress(attrs.exceptions.NotAnAttrsClassError):
            yield f"{name} asdict", repr(attrs.asdict(cast("attrs.AttrsInstance", part)))


def _views_of_frames(name: str, trace: TracebackType | None) -> Iterator[View]:
    """Give every local variable as a tool that reports them would, but for tests and sandbox."""
    for frame, _ in traceback.walk_tb(trace):
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(_TESTS) or file.is_relative_to(_SANDBOX):
            continue
        for variable, value in frame.f_locals.items():
            place = f"{name}{file.parent.name}/{file.name} {frame.f_code.co_qualname} local {variable}"
            with suppress(Exception):  # half-made objects may have no repr yet
                yield place, repr(value)


class CanaryLog(logging.Handler):
    """Collects all that is logged, by whomever and down to DEBUG, while it is entered.

    ::

        with CanaryLog() as log:
            ...
        assert log.leaks(KEY) == []

    What the sandbox logs counts as well, as it runs in the same process.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []
        """Every record, in order."""
        self._levels: dict[logging.Logger, int] = {}

    def __enter__(self) -> Self:
        root = logging.getLogger()
        names = [name for name in root.manager.loggerDict if not name.startswith("hypothesis")]
        self._levels = {logger: logger.level for logger in (root, *map(logging.getLogger, names))}
        for logger in self._levels:
            logger.setLevel(logging.DEBUG)
        root.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)
        for logger, level in self._levels.items():
            logger.setLevel(level)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record."""
        self.records.append(record)

    @property
    def text(self) -> str:
        """All messages as they would be written, a line each."""
        return "\n".join(record.getMessage() for record in self.records)

    def leaks(self, *canaries: str) -> list[str]:
        """Name every record where one of the canaries stands: in its text, arguments, extras, stack, or error."""
        found: list[str] = []
        for record in self.records:
            extras = {name: value for name, value in vars(record).items() if name not in _PLAIN}
            parts: list[object] = [record.getMessage(), extras, record.stack_info]
            parts += record.args.items() if isinstance(record.args, dict) else (record.args or ())
            parts += record.exc_info or ()
            places = [place for part in parts for place in leaks(part, *canaries)]
            found += [f"{record.name} {record.levelname} {record.msg!r}: {place}" for place in places]
        return [*dict.fromkeys(found)]
