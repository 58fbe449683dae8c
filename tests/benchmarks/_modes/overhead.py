"""What gate and retries cost where nobody has to wait and nothing fails."""

from __future__ import annotations

from tests.benchmarks._figures import Found, Table, column
from tests.benchmarks._running import Run, ask


def measure(run: Run) -> Found:
    """Compare with a bare request, and a short job with one that has no gate."""
    url = run.site.url(records=100)
    calls, jobs = list[dict[str, float]](), list[dict[str, float]]()
    for _ in range(run.repetitions):
        calls.append(ask("success", url))
        jobs.append(ask("short_job"))
        print(".", end="", flush=True)
    goals = {
        "Success: CPU of gate and retries / of a bare aiohttp request": column(calls, "share", "share", most=0.03),
        "Short job: 25 pages through the gate / without it": column(jobs, "ratio", most=1.3),
    }
    extra = {"gate and retries": (column(calls, "us", "us"),)}
    return Found(goals, (Table("A call that succeeds at once", ("CPU",), extra),))
