"""Plans: every day in one shard, the same shards every time, no secret in them, and what cannot work is refused."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, MutableMapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from envoy_async.errors import ConfigurationError, EnvoyError, InvalidRequestError
from envoy_async.fleet import Plan, plan
from envoy_async.models import CallStatus

MAY = date(2025, 5, 1)
DAY = timedelta(days=1)
LIST: Any = ["COMPLETED"]
Refused = Callable[[], Plan]


@given(
    since=st.dates(date(1990, 1, 1), date(2090, 1, 1)),
    length=st.integers(0, 400),
    days=st.integers(1, 500),
    organizations=st.lists(st.from_regex(r"org_[a-z0-9]{1,8}", fullmatch=True), min_size=1, max_size=4, unique=True),
)
def test_every_day_is_in_one_shard(since: date, length: int, days: int, organizations: list[str]) -> None:
    """Every day of every organization is in one shard and no other, in order; no shard is longer than asked for."""
    until = since + length * DAY
    planned = plan("calls", organizations, "/data", since=since, until=until, days=days)
    shards = list(planned)
    for organization in organizations:
        own = [shard for shard in shards if shard.organization == organization]
        spans = [(shard.since, shard.until) for shard in own if shard.since and shard.until]
        covered = [first + number * DAY for first, last in spans for number in range((last - first).days + 1)]
        assert covered == [since + number * DAY for number in range(length + 1)]
        assert all((last - first).days < days for first, last in spans)
    assert len(planned) == len(shards) == len({shard.part for shard in shards})
    assert list(pickle.loads(pickle.dumps(planned))) == shards  # noqa: S301 - our own
    assert pickle.loads(pickle.dumps(shards)) == shards  # noqa: S301 - our own


def test_without_days_each_organization_is_one_shard(tmp_path: Path) -> None:
    """A whole listing is one shard, named by its organization; that of the key itself lies in the target."""
    shards = list(plan("loads", [None, "org_a"], tmp_path, format="csv.gz"))
    assert [shard.part for shard in shards] == ["loads.csv.gz", "organization=org_a/loads.csv.gz"]
    assert [(shard.since, shard.until) for shard in shards] == [(None, None)] * 2
    assert [shard.folder for shard in shards] == ["", "organization=org_a"]


def test_parts_are_named_by_their_days() -> None:
    """The part of a shard says its organization, what it holds, and the first and the last day."""
    shards = list(plan("recordings", ["org_a"], "memory://x/", since=MAY, until=MAY + 9 * DAY))
    assert [shard.part for shard in shards] == [
        "organization=org_a/recordings-2025-05-01_2025-05-07",
        "organization=org_a/recordings-2025-05-08_2025-05-10",
    ]


def test_a_plan_holds_no_secret(environ: MutableMapping[str, str]) -> None:
    """Neither a plan nor a shard has a key of the environment in it, whatever way they are written."""
    environ["ENVOY_API_KEY"] = "envai_live_secret"
    environ["ENVOY_BEARER_TOKEN"] = "token-secret"
    planned = plan("calls", ["org_a"], "s3://bucket/calls", filters={"status": CallStatus("COMPLETED")})
    written = [pickle.dumps(planned), pickle.dumps(list(planned)), planned.to_json(), repr(list(planned)).encode()]
    assert not [text for text in written if b"secret" in text]


def test_the_target_is_named_in_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A relative folder is that of the one who plans, not of a worker; how it is named is no part of the plan."""
    monkeypatch.chdir(tmp_path)
    planned = plan("calls", [None], "data")
    assert planned.to == str(tmp_path / "data")
    assert planned.to_json() == plan("calls", [None], "/elsewhere").to_json()
    assert plan("calls", [None], "memory://x/y/").to == "memory://x/y"


def test_filters_go_into_every_listing() -> None:
    """Filters are the same whatever their order, and an enum is the text it stands for."""
    one = plan("calls", ["org_a"], "/x", filters={"status": CallStatus("COMPLETED"), "page_size": 50})
    other = plan("calls", ["org_a"], "/x", filters={"page_size": 50, "status": "COMPLETED"})
    assert one == other
    assert next(iter(one)).filters == (("page_size", 50), ("status", "COMPLETED"))


@pytest.mark.parametrize(
    ("param", "refused"),
    [
        ("resource", partial(plan, "calls/../x", ["org_a"], "x")),
        ("resource", partial(plan, "webhook_endpoints", ["org_a"], "x")),
        ("organizations", partial(plan, "calls", [], "x")),
        ("organizations", partial(plan, "calls", ["org_a", "org_a"], "x")),
        ("organizations", partial(plan, "calls", ["../org"], "x")),
        ("organizations", partial(plan, "calls", "org_a", "x")),
        ("since", partial(plan, "calls", ["org_a"], "x", since=MAY)),
        ("since", partial(plan, "loads", ["org_a"], "x", since=MAY, until=MAY)),
        ("since", partial(plan, "calls", ["org_a"], "x", since=datetime(2025, 5, 1, tzinfo=UTC), until=MAY)),
        ("until", partial(plan, "calls", ["org_a"], "x", since=MAY, until=MAY - DAY)),
        ("days", partial(plan, "calls", ["org_a"], "x", since=MAY, until=MAY, days=0)),
        ("format", partial(plan, "recordings", ["org_a"], "x", format="csv")),
        ("limit", partial(plan, "calls", ["org_a"], "x", filters={"limit": 5})),
        ("status", partial(plan, "calls", ["org_a"], "x", filters={"status": LIST})),
        ("page_size", partial(plan, "calls", ["org_a"], "x", filters={"page_size": 5_000})),
    ],
)
def test_what_cannot_work_is_refused(param: str, refused: Refused) -> None:
    """A wrong argument is refused before anything is sent or written, and the error names it."""
    with pytest.raises(InvalidRequestError) as caught:
        refused()
    assert caught.value.param == param


@pytest.mark.parametrize(
    "refused",
    [
        partial(plan, "calls", ["org_a"], "-"),
        partial(plan, "calls", ["org_a"], "s3://user:password@bucket/x"),
        partial(plan, "calls", ["org_a"], "x", format="pdf"),
    ],
)
def test_targets_that_cannot_work_are_refused(refused: Refused) -> None:
    """Standard output, a URL with a password in it, and an unknown format are refused; the password is not told."""
    with pytest.raises(ConfigurationError) as caught:
        refused()
    assert "password" not in str(caught.value)


def test_importing_loads_neither_dask_nor_redis() -> None:
    """The package loads without Dask and Redis, which load where they are used."""
    import subprocess

    program = "import sys, envoy_async.fleet; print({'distributed', 'throttled', 'redis', 'fsspec'} & set(sys.modules))"
    path = {"PYTHONPATH": ":".join([*sys.path, str(Path(__file__).parents[2])])}
    told = subprocess.run([sys.executable, "-c", program], env=path, capture_output=True, text=True, check=True)
    assert told.stdout == "set()\n"


def test_the_quota_store_is_here_too() -> None:
    """`RedisQuotaStore` is found here, and a name that is not there is an `AttributeError`."""
    from envoy_async import fleet

    assert fleet.RedisQuotaStore.__name__ == "RedisQuotaStore"
    assert not hasattr(fleet, "nothing")
    assert issubclass(ConfigurationError, EnvoyError)


@pytest.mark.parametrize("to", ["memory://", "file:///", "", "-"])
def test_a_target_that_names_no_place(to: str) -> None:
    """A URL with nothing behind it would be a folder of that name."""
    with pytest.raises(ConfigurationError, match="to must be a folder or a URL"):
        plan("calls", ["org_a"], to)


@pytest.mark.parametrize("given", [{"org_a", "org_b"}, [5], None])
def test_organizations_that_are_no_list(given: Any) -> None:
    """A set has another order each time, which would be another plan; what is no id is refused, too."""
    with pytest.raises(InvalidRequestError, match="organization"):
        plan("calls", given, "x")


@pytest.mark.parametrize("format", ["../x.jsonl", "a/b.jsonl", "x.csv", ""])
def test_formats_that_are_none(format: str) -> None:
    """A format is an ending, and nothing that would move a part elsewhere."""
    with pytest.raises(InvalidRequestError, match="format must be an ending"):
        plan("calls", ["org_a"], "x", format=format)
