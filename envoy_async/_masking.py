"""What is taken out of a text before anybody reads it: secrets whole, phone numbers but for their last four digits.

The rule: taken out first, cut afterwards, lest a part of it stays. A phone number in a text is known by its form alone,
so the forms are narrow: what has a letter, an underscore, or a hyphen on it is an id, and what has a decimal point is a
number. Ten digits that read as a number of North America are one: nothing tells them from an id of ten digits.
"""

from __future__ import annotations

import json
import re

_EXCERPT = 200  # characters kept of a body that is not the documented envelope
_LONGEST = 1000  # characters kept of a text
_READ = 4096  # characters looked at for an excerpt
_TELLING = 4  # characters; what is shorter is no secret, and stands in many a word
_SHOWN = 4  # digits shown of a phone number
_AMPLE = 10  # digits of a phone number of which some may be shown
_NUMERIC = "0123456789+()-.\u2010\u2011\u2012\u2013\u2014 \t\r\n\f\v\u00a0"  # what phone numbers are made of
_GAP = r"[-\ \u2010-\u2014]"
_PHONE = rf"""(?aix)
    (?<!\w)(?:\+|%2B|\\u002b)(?:      # a plus, also as addresses and JSON spell it, and eight digits or more behind it
        (?=\d{{1,3}}(?:{_GAP}|\(|\.\d{{1,4}}[-.\ ]))         # in groups: +1 (555) 010-0100
        [1-9](?:(?:{_GAP}|[.()]){{0,2}}\d){{7,14}}(?!\d)
      | [1-9]\d{{7,14}}(?!\d|\.\d)                          # in one: E.164
    )
  | (?<![\w+-])(?<!\d\.)(?:1[-.\ ]?)?                       # as North America writes it: 1-555-010-0100
    (?:(?:\([2-9]\d\d\)\ ?|[2-9]\d\d{_GAP})\d{{3}}(?:{_GAP}|\.)?\d{{4}}|[2-9]\d\d\.\d{{3}}\.\d{{4}})(?![\d_]|-\w|\.\d)
  | (?<![\w+/\#$€£-])(?<!\d\.)                              # the same in one: 15550100100, 4155552671
    (?:1[2-9]\d{{9}}|[2-9]\d\d[2-9]\d{{6}})(?!\w|-\w|\.\d)
"""


def masked(value: object) -> str:
    """Write a field that holds a phone number: of ten digits or more the last four, of fewer none."""
    return repr(_mask(value) if isinstance(value, str) else value)


def without_phones(text: str) -> str:
    """Mask everything in a text that has the form of a phone number."""
    return re.sub(_PHONE, lambda found: _mask(found[0]), text)


def line(value: object, secret: str, longest: int = _LONGEST) -> str | None:
    """Return a text as one line of a log, without the secret; an empty one, and what is no text, is `None`."""
    if not isinstance(value, str):
        return None
    text = _cut(_without(value, secret), longest)
    return "".join(sign if sign.isprintable() else " " for sign in text) or None


def told(value: object, secret: str, longest: int = _LONGEST) -> str | None:
    """Return what a server told as one line, without the secret and without phone numbers."""
    text = line(value, secret, longest)
    return None if text is None else without_phones(text)


def excerpt(body: bytes, secret: str) -> str | None:
    """Return the beginning of a body of any kind as one short line, without the secret and without phone numbers."""
    text = _cut(_without(body.decode("utf-8", "replace"), secret), _READ)
    return told(" ".join(text.split()), secret, _EXCERPT)


def _without(text: str, secret: str) -> str:
    """Take a secret out of a text, also as JSON spells it."""
    if len(secret) < _TELLING:
        return text
    for spelling in (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        text = text.replace(spelling, "***")
    return text


def _cut(text: str, longest: int) -> str:
    """Cut a text that is too long before the number at its end, if there is one: it may be a part of one."""
    return text if len(text) <= longest else text[:longest].rstrip(_NUMERIC)


def _mask(phone: str) -> str:
    digits = re.findall("[0-9]", re.sub(r"^(%2B|\\u002b)", "", phone, flags=re.IGNORECASE))
    return "***" + "".join(digits[-_SHOWN:] if len(digits) >= _AMPLE else ())
