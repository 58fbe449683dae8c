"""Listings: follow `has_next` page by page, and lose nothing while rows come and go.

The rule: a *route* (`_forward`, `_backward`) names the page to ask for and takes in what came, a *position* holds
what was delivered and what that proves, and `Pages` fetches (some pages ahead with `_ahead`) and hands out. Routes and
positions are pure. Nothing is held open between two steps. A short or empty page proves nothing; only `has_next` and
the server's count do. A page is worth a few steps, and a record none, however long the listing.
"""

from ._ahead import MOST_AHEAD
from ._checkpoint import Binding
from ._pages import Pages
from ._position import Position
from ._report import Report
from ._route import LARGEST_PAGE
from ._seen import Record
from ._strategies import UNKNOWN, Order, Strategy, Sweeping, begin

__all__ = [
    "LARGEST_PAGE",
    "MOST_AHEAD",
    "UNKNOWN",
    "Binding",
    "Order",
    "Pages",
    "Position",
    "Record",
    "Report",
    "Strategy",
    "Sweeping",
    "begin",
]
