"""500 requests from 100 tasks against a server that takes 50 per second and never says so: the figures.

The rule: real sockets and real time, one fixed window of a second after another. A refusal is a 429 with the
documented code, once with and once without `Retry-After`; no header tells the quota. Run it with
``nox -s simulations``. It ends with 1 when a request failed, more than 20 were refused, or it took more than 12 s.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import attrs

from envoy_async import EnvoyClient, EnvoyError

sys.path.append(str(Path(__file__).parents[2]))  # at the end: the SDK is the installed one

from tests.transport.conftest import KEY, UUID, MisbehavingServer, answer, refuse

REQUESTS, TASKS, PER_SECOND = 500, 100, 50
MOST_REFUSED, LONGEST = 20, 12.0


class SilentServer(MisbehavingServer):
    """Takes so many requests in each second, and refuses the others."""

    def __init__(self, per_second: int, retry_after: str | None) -> None:
        super().__init__(answer())
        self.refused = 0
        self._per_second, self._retry_after = per_second, retry_after
        self._second, self._count = 0, 0

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            second = int(asyncio.get_running_loop().time())
            self._count = 1 if second != self._second else self._count + 1
            self._second = second
            taken = self._count <= self._per_second
            self.refused += not taken
            await (answer() if taken else refuse(self._retry_after)).run(writer)


@attrs.frozen
class Figures:
    """What came of it."""

    seconds: float
    refused: int
    failed: int

    @property
    def good(self) -> bool:
        """Whether all of it is within its limits."""
        return self.failed == 0 and self.refused <= MOST_REFUSED and self.seconds <= LONGEST


async def measure(retry_after: str | None) -> Figures:
    """Send all requests, each task one after the other."""
    left, failures, loop = iter(range(REQUESTS)), list[EnvoyError](), asyncio.get_running_loop()

    async def work(envoy: EnvoyClient) -> None:
        for _ in left:
            try:
                await envoy.calls.get(UUID)
            except EnvoyError as error:
                failures.append(error)

    async with SilentServer(PER_SECOND, retry_after) as server:
        async with EnvoyClient(KEY, base_url=server.url) as envoy:
            began = loop.time()
            await asyncio.gather(*(work(envoy) for _ in range(TASKS)))
            seconds = loop.time() - began
        return Figures(seconds, server.refused, len(failures))


def main() -> int:
    """Measure and print; returns the exit code."""
    print(f"{REQUESTS} requests, {TASKS} tasks, {PER_SECOND} per second, of which no header tells")
    good = True
    for retry_after in ("1", None):
        found = asyncio.run(measure(retry_after))
        good = good and found.good
        counts = f"failed {found.failed} (0), refused {found.refused} (at most {MOST_REFUSED})"
        print(f"Retry-After {retry_after}: {counts}, {found.seconds:.1f} s (at most {LONGEST:g})")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
