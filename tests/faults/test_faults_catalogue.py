"""The catalogue of faults: each has its test, or is due with a numbered piece of work.

A test belongs to a fault by its name: `test_fault_007_…` for fault 7. The tests are found in the files of this folder,
not in a list kept by hand.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

FAULTS = {
    1: "DNS failure",
    2: "connection refused",
    3: "connecting hangs",
    4: "no free place in the pool",
    5: "TLS certificate invalid, or for another host",
    6: "TLS handshake cut",
    7: "reset at accept",
    8: "the server drops the connection after reading the request",
    9: "pooled connection gone stale",
    10: "resend by the HTTP library itself",
    11: "half a status line, half the headers",
    12: "half a body of known length",
    13: "half a body in consistent framing",
    14: "the body trickles in",
    15: "the headers trickle in, or informational answers never end",
    16: "writing stalls",
    17: "black hole after sending",
    18: "half-open connection",
    19: "a proxy in the environment that refuses",
    20: "IPv6 broken, IPv4 fine",
    21: "all connections reset in the middle of a bulk run",
    22: "429 with seconds",
    23: "429 with a date",
    24: "Retry-After that makes no sense",
    25: "Retry-After beyond the deadline",
    26: "429 without Retry-After",
    27: "429 of another making on an unsafe operation",
    28: "500, 502, 504 on an unsafe operation",
    29: "500, 502, 503, 504 on a read or an idempotent write",
    30: "408, 425",
    31: "409 on the first try",
    32: "409, or 404 on a DELETE, after a first try that may have run",
    33: "401",
    34: "403, 404, 422",
    35: "3xx",
    36: "2xx with HTML",
    37: "2xx with nothing, null, or another shape",
    38: "JSON under another content type",
    39: "nonsense charset, byte order mark",
    40: "NaN, Infinity, 1e999, 5,000 digits",
    41: "depth bomb",
    42: "decompression bomb",
    43: "endless body, huge page",
    44: "unknown field, unknown enum value",
    45: "required field missing or null",
    46: "number as text, 5.9 for a whole number, boolean for a number",
    47: "dates in all forms",
    48: "lone surrogates, NUL in text",
    49: "error body of another shape",
    50: "strange status",
    51: "framing conflict, oversized or many headers",
    52: "answer to a batch that does not match",
    53: "insert between pages",
    54: "delete between pages",
    55: "equal sort keys",
    56: "sort key that changes",
    57: "has_next for ever, the same page again",
    58: "inserts outrun the reader",
    59: "has_next and total_count contradict each other",
    60: "counts missing, negative, or text",
    61: "page size capped by the server",
    62: "a page fails for ever",
    63: "the reader breaks off or is cancelled",
    64: "422 on a page past the end",
    65: "resumed with other filters, another key, another version",
    66: "killed between delivery and checkpoint",
    67: "1,000 workers start at once",
    68: "an outage ends",
    69: "others use the key",
    70: "the quota changes while running",
    71: "categories of quota",
    72: "Redis down at the start",
    73: "Redis frozen",
    74: "Redis restarted, scripts flushed, data lost",
    75: "clocks of machines differ",
    76: "a process dies holding leases",
    77: "a waiter is cancelled in the line",
    78: "bulk work starves interactive calls",
    79: "quotas of different keys in one Redis",
    80: "cancelled at any await",
    81: "an unsafe call is cancelled after sending",
    82: "the user's own timeout around a call",
    83: "close() with calls under way",
    84: "used after close, in another loop or thread, after fork",
    85: "never closed",
    86: "break, an error in the loop's body, two readers of one listing",
    87: "a timed-out step of a listing is taken again",
    88: "one task of a bulk run fails",
    89: "SIGTERM in a worker",
    90: "the event loop is blocked for seconds",
    91: "the wall clock jumps",
    92: "ids that are none",
    93: "phone numbers that are none",
    94: "header values that cannot be sent",
    95: "base URLs that are none",
    96: "page and page size out of bounds",
    97: "bodies that JSON cannot hold",
    98: "API keys that are none",
    99: "secrets in whatever a failure leaves behind",
    100: "a netrc file",
    101: "the signed address of a recording",
    102: "a webhook address that points inside",
    103: "webhook: malformed, repeated, huge headers",
    104: "webhook: body changed, empty, not UTF-8",
    105: "webhook: timestamps in all forms",
    106: "webhook: rotation of secrets",
    107: "webhook: the same delivery many times",
    108: "webhook: signed but unreadable",
    109: "webhook: events out of order",
    110: "webhook: replay store down",
    111: "the answer that holds a secret is lost",
}
DUE: dict[int, int] = {}
"""Faults without a test yet, and the number of the issue that brings it."""


def numbers() -> set[int]:
    """Give the numbers of the faults that tests in this folder are named after."""
    names = [
        node.name
        for file in Path(__file__).parent.glob("test_*.py")
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return {int(found[1]) for found in map(re.compile(r"test_fault_(\d{3})_\w+").fullmatch, names) if found}


def test_the_catalogue_is_whole() -> None:
    """The catalogue numbers 111 faults without a gap."""
    assert list(FAULTS) == list(range(1, 112))


def test_every_fault_has_a_test_or_is_due() -> None:
    """No fault of the catalogue is forgotten, and no test is named after one that does not exist."""
    assert FAULTS.keys() - numbers() - DUE.keys() == set()
    assert numbers() - FAULTS.keys() == set()


def test_what_has_a_test_is_no_longer_due() -> None:
    """A fault is marked as due only while nothing tests it, and is one of the catalogue."""
    assert numbers() & DUE.keys() == set()
    assert DUE.keys() <= FAULTS.keys()
