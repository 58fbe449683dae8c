"""What has come of a file is always its beginning, whatever a storage answers in whatever order."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import attrs
from hypothesis import given, strategies as st

from envoy_async._download import Download
from envoy_async.errors import InvalidResponseError

FILE = bytes(range(1, 61))
Answer = tuple[int, Mapping[str, str], bytes]


@attrs.define
class Memory:
    """Takes the bytes."""

    data: bytearray = attrs.field(factory=bytearray)

    def write(self, data: bytes) -> None:
        """Add these bytes."""
        self.data += data

    def clear(self) -> None:
        """Drop all bytes."""
        self.data.clear()


@attrs.frozen
class Mood:
    """How a storage answers one question."""

    ranges: bool
    sent: int
    """Bytes of the body that leave before the connection breaks."""
    last: int
    """Where a part ends at the latest."""
    sized: bool
    shifted: int
    """How many bytes a part begins beside the place that was asked for."""
    tagged: bool


moods = st.builds(
    Mood,
    ranges=st.booleans(),
    sent=st.integers(0, 70),
    last=st.integers(1, 60),
    sized=st.booleans(),
    shifted=st.sampled_from([0, 0, 0, -1, 1]),
    tagged=st.booleans(),
)


def answered(mood: Mood, asked: Mapping[str, str]) -> Answer:
    """Answer as a storage in this mood would, and truthfully say what is in the body."""
    tag = {"ETag": '"v1"'} if mood.tagged else {}
    if "Range" not in asked or not mood.ranges:
        size = {"Content-Length": str(len(FILE))} if mood.sized else {"Transfer-Encoding": "chunked"}
        return 200, size | tag, FILE
    first = max(0, int(asked["Range"].removeprefix("bytes=").removesuffix("-")) + mood.shifted)
    if first >= len(FILE):
        return 416, {"Content-Range": f"bytes */{len(FILE)}"} | tag, b""
    end = max(first + 1, mood.last)
    total = str(len(FILE)) if mood.sized else "*"
    return 206, {"Content-Range": f"bytes {first}-{end - 1}/{total}"} | tag, FILE[first:end]


def step(download: Download, mood: Mood) -> None:
    """Let a storage in this mood answer once; a connection that breaks off says nothing more."""
    status, headers, body = answered(mood, download.headers)
    download.begin(status, headers)
    if not download.whole:
        for place in range(0, min(mood.sent, len(body)), 7):
            download.take(body[place : min(place + 7, mood.sent)])
        if mood.sent >= len(body):
            download.end()


@given(
    start=st.integers(0, 60),
    expected=st.sampled_from([None, len(FILE)]),
    script=st.lists(moods, max_size=12),
)
def test_no_byte_is_ever_in_a_wrong_place(start: int, expected: int | None, script: list[Mood]) -> None:
    """With ranges or without, cut anywhere, in parts of any size: what is there is the file's beginning, or all."""
    memory = Memory(bytearray(FILE[:start]))
    download = Download(sink=memory, size=start, expected=expected)
    for mood in script:
        if download.whole:
            break
        with suppress(InvalidResponseError):
            step(download, mood)
        assert download.size == len(memory.data) <= download.reached
        assert FILE.startswith(memory.data)
    assert not download.whole or bytes(memory.data) == FILE


@given(size=st.integers(0, 100), expected=st.none() | st.integers(1, 60))
def test_a_download_knows_when_nothing_is_missing(size: int, expected: int | None) -> None:
    """A part is whole at exactly the size that the API says; a larger one, or one of unknown size, is none of it."""
    memory = Memory(bytearray(size))
    download = Download(sink=memory, size=size, expected=expected)
    assert download.whole == (size == expected)
    assert len(memory.data) == download.size == (0 if size > (expected or 0) else size)
