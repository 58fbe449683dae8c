"""Export a listing to a file: JSONL, CSV, or Parquet, whole or not at all, with a manifest beside it.

The rule: nothing half-written ever stands under the final name. Records go to small parts in a folder beside it,
each with the listing's checkpoint, so that an export that was killed goes on where it stood; the file is put together
from the parts at the end, and a resumed export gives the same bytes as one that was never disturbed.
"""

from ._estimate import Estimate, estimate
from ._manifest import Drift, LeftOut, Manifest
from ._running import export, update

__all__ = ["Drift", "Estimate", "LeftOut", "Manifest", "estimate", "export", "update"]
