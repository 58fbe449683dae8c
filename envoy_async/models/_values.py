"""What every model is made of: open enums, aware timestamps, and the mark for "left out".

The rule: models are frozen, slotted attrs classes whose field names equal the JSON keys, without attrs
converters, so that msgspec (fast) and cattrs (tolerant) read them alike.
"""

from datetime import datetime
from enum import Enum, StrEnum
from functools import partial
from typing import Annotated, Literal, Self

import msgspec

_MOST, _LONGEST = 256, 64  # values of an enum that are kept, and the characters of one

Timestamp = Annotated[datetime, msgspec.Meta(tz=True)]
"""A datetime that always carries its zone; an answer with a zoneless one is invalid."""


class Secretive:
    """An answer that holds a secret shown once: it can be used and kept, but not pickled."""

    __slots__ = ()

    def __reduce__(self) -> tuple[object, ...]:
        """Refuse to be pickled: a secret does not travel."""
        msg = "an answer that holds a secret is not pickled; keep the secret where secrets are kept"
        raise TypeError(msg)


class OpenEnum(StrEnum):
    """A string enum that keeps values it does not know.

    The stored documentation collapses the lists of allowed values, so only values met in it are members.
    Any other value becomes a member of the same type with `is_known` false; it compares equal to its text.
    """

    @property
    def is_known(self) -> bool:
        """Whether the value was known when this version was released."""
        return self.value in type(self)._value2member_map_

    def __init_subclass__(cls) -> None:
        """Give the class its memory of values it does not know, unless it has a `_missing_` of its own."""
        super().__init_subclass__()
        inherited = next(vars(kind)["_missing_"] for kind in cls.__mro__ if "_missing_" in vars(kind))
        if inherited is vars(OpenEnum)["_missing_"] or isinstance(getattr(inherited, "__self__", None), _Unknown):
            # a method of C, so that no frame of Python stands between msgspec and a value that came before
            cls._missing_ = _Unknown(cls).__getitem__  # type: ignore[method-assign,assignment]

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        text = str.__str__(value)  # of what is more than a string, its text alone
        member = str.__new__(cls, text)
        member._name_ = text
        member._value_ = text
        return member

    __hash__ = str.__hash__  # Enum hashes the name; a member must be found where its text is found


class _Unknown(dict[object, OpenEnum | None]):
    """The members of one enum that it does not know: listings repeat a few, and making one takes a while."""

    def __init__(self, kind: type[OpenEnum]) -> None:
        super().__init__()
        self._make = partial(vars(OpenEnum)["_missing_"].__func__, kind)

    def __missing__(self, value: object) -> OpenEnum | None:
        member: OpenEnum | None = self._make(value)
        if member is None or len(self) >= _MOST or len(member) > _LONGEST:  # a server can send anything
            return member
        return self.setdefault(member.value, member)


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "UNSET"

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset.UNSET
"""Leave a field out of a request; `None` sends null."""
