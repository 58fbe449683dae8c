"""What a look found after the outcome of an operation stayed unknown, and how that is judged.

The rule: everything here is a function of values; nothing sends, waits, or reads a clock. A verdict never says more
than the records do. A record is *near* when it may be ours, and *ours* when besides it says all that was sent and
was made while the operation could run. Only one near record that is ours is found; only none at all is not found.

The server's times are compared with ours through the `Date` of its answers, so a wrong clock here does no harm.
Assumed: `created_at` and `Date` come from clocks within a second or so of each other; a change moves `updated_at`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

import attrs

from ..errors import Reconciliation

_EXACT = timedelta(seconds=2)  # what two clocks of the vendor may differ by, and a time that is cut to whole seconds
_NEAR = timedelta(seconds=30)  # … and in the worst case: such a record is never found, but stands in the way
_SLOW = timedelta(seconds=60)  # how long a server may still be at work when we have stopped waiting
_SLOWEST = timedelta(minutes=5)  # … and in the worst case; also how far a clock of ours may be off without a `Date`
_CENT = 0.01
_NUMBERS = frozenset({"phone", "phone_number", "to_number", "from_number"})
_NONE = object()


@attrs.frozen
class Window:
    """The time in which a record of ours was made, by the server's clock."""

    first: datetime
    """What was made before it is not ours."""
    last: datetime
    """What was made after it is not ours."""
    sure: tuple[datetime, datetime] | None
    """The narrower time in which it was most likely made; `None` when the two clocks could not be compared."""

    def near(self, moment: datetime) -> bool:
        """Whether something made then may be ours."""
        return self.first <= moment <= self.last

    def within(self, moment: datetime) -> bool:
        """Whether something made then was made while the operation could run."""
        return self.sure is not None and self.sure[0] <= moment <= self.sure[1]

    def before(self, moment: datetime) -> bool:
        """Whether something made then was there before."""
        return moment < (self.first if self.sure is None else self.sure[0])

    def __str__(self) -> str:
        first, last = (moment.isoformat(" ", "seconds") for moment in (self.first, self.last))
        return f"between {first} and {last}"


def window(began: datetime, ended: datetime, ahead: tuple[timedelta, timedelta] | None) -> Window:
    """Give the window of an operation that may have run between two times of our clock.

    Args:
        began: when it was sent.
        ended: when we stopped waiting.
        ahead: by how much the server's clock is ahead of ours, at least and at most; `None` when that is not known.
    """
    if ahead is None:
        return Window(began - _SLOWEST, ended + _SLOWEST * 2, None)
    first, last = began + ahead[0], ended + ahead[1]
    return Window(first - _NEAR, last + _SLOWEST, (first - _EXACT, last + _SLOW))


def judge_new(
    noun: str, candidates: Sequence[object], *, ours: bool, whole: bool, looked_at: str, then: str = ""
) -> Reconciliation:
    """Judge a look for a record that the operation may have made.

    Args:
        noun: what it is called.
        candidates: the near ones.
        ours: whether the first of them is.
        whole: whether nothing can have been missed.
        looked_at: what was read.
        then: what to do about a record that is found.
    """
    near = tuple(candidates)
    if len(near) == 1 and ours:
        why = f"there is one {noun} with all that was sent, made while the operation could run{then}"
        return Reconciliation(outcome="found", candidates=near, looked_at=looked_at, why=why)
    if not near and whole:
        why = f"there is no such {noun}; a slow server may still be at work: look again a little later before you act"
        return Reconciliation(outcome="not_found", looked_at=looked_at, why=why)
    if not near:
        why = "records came or went while the listing was read, so that one may have been missed: look again"
    elif len(near) == 1:
        why = f"there is one {noun} like it, but it differs in part, or in its time, and may be another's"
    else:
        why = f"there are {len(near)} records like this {noun}, and nothing tells which is yours"
    return Reconciliation(outcome="ambiguous", candidates=near, looked_at=looked_at, why=why + then)


def judge_changed(
    noun: str, record: object, when: Window, *, same: bool, looked_at: str, then: str = ""
) -> Reconciliation:
    """Judge a look at a record that the operation may have changed; *same* says that it stands as was sent."""
    changed = cast("Any", record).updated_at
    if same and when.within(changed):
        why = f"the {noun} stands as was asked, and was changed while the operation could run{then}"
        return Reconciliation(outcome="found", candidates=(record,), looked_at=looked_at, why=why)
    if not same and when.before(changed):
        why = f"the {noun} does not stand as was asked, and was last changed before; a slow server may still be at work"
        return Reconciliation(outcome="not_found", looked_at=looked_at, why=why)
    if same:
        why = f"the {noun} shows no change while the operation could run, which is no proof that there was none{then}"
    else:
        why = f"the {noun} does not stand as was asked, but was changed since: by whom, and from what, is not told"
    return Reconciliation(outcome="ambiguous", candidates=(record,), looked_at=looked_at, why=why)


def alike(record: object, sent: Mapping[str, object], by: Sequence[str], *, any_of: bool = False) -> bool:
    """Whether a record may be the one sent, going by these fields; what it does not tell is no objection.

    With *any_of* one field that agrees is enough, whatever the others say.
    """
    said = [_agreement(record, name, sent[name]) for name in by if name in sent]
    return False not in said or (any_of and True in said)


def identical(record: object, sent: Mapping[str, object]) -> bool:
    """Whether a record says all that was sent, as far as it has such fields."""
    claims = {name: value for name, value in sent.items() if value is not None and not isinstance(value, dict)}
    return all(
        _agreement(record, name, value) is True for name, value in claims.items() if _told(record, name) is not _NONE
    )


def _told(record: object, name: str) -> object:
    """Give a record's field; `carrier_id` may also stand as the id of its `carrier`."""
    told = getattr(record, name, _NONE)
    return getattr(getattr(record, name.removesuffix("_id"), None), "id", _NONE) if told is _NONE else told


def _agreement(record: object, name: str, sent: object) -> bool | None:
    """Whether a record says what was sent; `None` when there is nothing to compare."""
    told = _told(record, name)
    if told is None or told is _NONE or sent is None:
        return None
    if isinstance(told, datetime):
        return _same_moment(told, str(sent))
    if isinstance(told, int | float) and isinstance(sent, int | float):
        return abs(told - sent) < _CENT
    return _plain(name, told) == _plain(name, sent)


def _same_moment(told: datetime, sent: str) -> bool:
    try:
        return abs(told - datetime.fromisoformat(sent)) < _EXACT
    except (ValueError, TypeError):  # no date, or one without a zone
        return False


def _plain(name: str, value: object) -> str:
    """Give a text without what a server may write in another way: case, order, an id's prefix, a number's signs."""
    if isinstance(value, list | tuple):
        return "\n".join(sorted({_plain(name, one) for one in cast("Sequence[object]", value)}))
    text = str(value).strip().casefold()
    if name.endswith("_id"):
        return text.rpartition("_")[2]
    if name in _NUMBERS:
        return "".join(sign for sign in text if sign.isdigit())
    return text.rstrip("/")
