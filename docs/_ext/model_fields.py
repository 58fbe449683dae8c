# ruff: noqa: INP001 - read by Sphinx, never imported as a package
"""Models in the reference: one list of fields with type and meaning, instead of a signature without either.

The meaning is the text under a field in the source. What readers only receive shows no arguments.
"""

from __future__ import annotations

import collections.abc
import enum
from collections.abc import Iterator
from typing import Any, get_type_hints

import attrs
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.typing import stringify_annotation

from envoy_async._paging import Pages, Report
from envoy_async.models import (
    AuditNote,
    DisableForLoad,
    LanePreferenceUpdate,
    LoadUpdate,
    Location,
    NewApiKey,
    NewCarrier,
    NewLoad,
    NewOffer,
    NewOutreach,
    NewWebhookEndpoint,
    OfferUpdate,
    Page,
    Stop,
    Timestamp,
    WebhookEndpointUpdate,
    WebhookReplay,
)
from envoy_async.resources._base import Resource
from envoy_async.sandbox import Fault, Store
from envoy_async.webhooks import Scheme

_RECEIVED = (Resource, Pages, Page, Store, enum.Enum, BaseException)
_SENT = {NewApiKey, NewCarrier, NewLoad, NewOffer, NewOutreach, NewWebhookEndpoint, Location, Stop, WebhookReplay}
_CHANGES = {AuditNote, DisableForLoad, LanePreferenceUpdate, LoadUpdate, OfferUpdate, WebhookEndpointUpdate}
_MADE = {*_SENT, *_CHANGES, Fault, Scheme}
_FOR_CHECKERS = {**vars(collections.abc), "Report": Report}  # names that some annotations have for checkers only
_TIMESTAMP = stringify_annotation(Timestamp)


def _is_record(found: object) -> bool:
    """Tell whether fields are what there is to say: an attrs class that does not list its arguments itself."""
    return isinstance(found, type) and attrs.has(found) and "\nArgs:" not in (found.__doc__ or "").replace("    ", "")


def _docstring(_: Sphinx, what: str, __: str, found: Any, ___: object, lines: list[str]) -> None:
    if what == "attribute" and lines:  # napoleon takes what stands before a colon for the type
        lines[0] = lines[0].replace(": ", ", ", 1)
    elif _is_record(found):
        lines += ["", "Args:", *_fields(found)]


def _fields(found: Any) -> Iterator[str]:
    said = _meanings(found)
    hints = get_type_hints(found, localns=_FOR_CHECKERS, include_extras=True)
    for field in attrs.fields(found):
        if field.init:
            type_ = stringify_annotation(hints[field.name]).replace(_TIMESTAMP, "envoy_async.models.Timestamp")
            type_ = type_.replace("envoy_async.models._page.T", "T")
            yield f"    {field.name} ({type_}): {said.get(field.name, '')}"


def _meanings(found: type) -> dict[str, str]:
    """Collect the texts under the fields of a class and of those it comes from."""
    said: dict[str, str] = {}
    for cls in filter(attrs.has, reversed(found.__mro__)):
        texts = ModuleAnalyzer.for_module(cls.__module__).attr_docs
        said |= {name: " ".join(text).strip() for (owner, name), text in texts.items() if owner == cls.__qualname__}
    return said


def _signature(app: Sphinx, _: str, name: str, found: object, *__: object) -> tuple[str, None] | None:
    if isinstance(found, type) and (issubclass(found, _RECEIVED) or (_is_record(found) and found not in _MADE)):
        app.env.current_document.autodoc_annotations.pop(name, None)
        return "", None
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect before napoleon, which turns `Args:` into a list."""
    app.connect("autodoc-process-docstring", _docstring, priority=400)
    app.connect("autodoc-process-signature", _signature, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
