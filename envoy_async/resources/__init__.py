"""The operations of the API: one class per group, one method per endpoint."""

from .calls import Calls
from .loads import Loads

__all__ = ["Calls", "Loads"]
