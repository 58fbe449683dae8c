"""Fault 101: the signed address of a recording: another's word for where to go, and a secret of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from envoy_async import EnvoyClient, errors
from tests.faults._canary import leaks
from tests.faults.conftest import fails
from tests.transport.conftest import KEY, UUID, MisbehavingServer, Step, answer, drop, half_body, make_client, redirect

AUDIO = bytes(range(256))
SIGNED = "recording-canary-c0ffee81"
PLACES = {
    "plain http": "http://files.example/talk.mp4",
    "user info": "https://key@files.example/talk.mp4",
    "the metadata of a cloud": "http://169.254.169.254/latest/meta-data/",
    "a file": "file:///etc/passwd",
    "nothing": "",
}


def recording(url: str, size: int | None = len(AUDIO)) -> Step:
    """Answer with the link to a recording."""
    when = "2026-11-21T10:00:00Z"
    kind = {"content_type": "audio/mp4", "recording_status": "AVAILABLE", "expires_at": when}
    return answer(200, {"call_id": f"call_{UUID}", "url": url, "file_size_bytes": size, **kind})


def signed(server: MisbehavingServer) -> str:
    """Give a signed address on a server."""
    return f"{server.url}/talk.mp4?X-Signature={SIGNED}"


async def download(api: MisbehavingServer, folder: Path) -> Path:
    """Download a recording with a client that has all that could be sent along."""
    async with make_client(api.url, organization_id="org_canary_77") as envoy:
        return await envoy.calls.download_recording(UUID, folder / "talk.mp4")


def nothing_in(folder: Path) -> bool:
    """Tell whether no file is in a folder."""
    return list(folder.iterdir()) == []


async def test_fault_101_no_credential(tmp_path: Path) -> None:
    """The file is fetched without key, organization, or cookie, from the very host the API names."""
    async with MisbehavingServer(answer(200, AUDIO, headers={"Content-Type": "audio/mp4"})) as storage:
        async with MisbehavingServer(recording(signed(storage))) as api:
            path = await download(api, tmp_path)
        (sent,) = storage.executed
    assert path.read_bytes() == AUDIO
    assert {name.lower() for name, _ in sent.headers} == {"host", "accept", "accept-encoding", "user-agent"}
    assert KEY not in str(sent)
    assert "org_canary_77" not in str(sent)


@pytest.mark.parametrize("place", PLACES.values(), ids=list(PLACES))
async def test_fault_101_where_it_leads(place: str, tmp_path: Path) -> None:
    """An address that is neither https nor this machine is not asked, and no file appears."""
    async with MisbehavingServer(recording(place)) as api:
        error = await fails(download(api, tmp_path), errors.InvalidResponseError)
    assert "address is not used" in str(error)
    assert nothing_in(tmp_path)


@pytest.mark.parametrize("step", [drop, half_body(), answer(403, b""), redirect("https://x.example/")], ids=str)
async def test_fault_101_it_shows_nowhere(step: Step, tmp_path: Path) -> None:
    """The address is in no error, whatever the storage does, and nothing half-fetched has the file's name."""
    async with MisbehavingServer(step) as storage, MisbehavingServer(recording(signed(storage), None)) as api:
        error = await fails(download(api, tmp_path))
    assert leaks(error, SIGNED) == []
    assert not (tmp_path / "talk.mp4").exists()


@pytest.mark.parametrize("told", [1, 255, 257, 2**40, 2**62])
async def test_fault_101_its_size(told: int, tmp_path: Path) -> None:
    """A file is never larger than the API says, nor smaller, nor absurd."""
    async with (
        MisbehavingServer(answer(200, AUDIO)) as storage,
        MisbehavingServer(recording(signed(storage), told)) as api,
    ):
        await fails(download(api, tmp_path), errors.InvalidResponseError)
    assert nothing_in(tmp_path)


async def test_fault_101_the_link_itself_does_not_print() -> None:
    """Nor does the link show when a program prints what the API answered."""
    link = recording(f"https://files.example/?X-Signature={SIGNED}")
    async with MisbehavingServer(link) as api, EnvoyClient(KEY, base_url=api.url) as envoy:
        found = await envoy.calls.recording(UUID)
    assert SIGNED in found.url
    assert SIGNED not in f"{found!r} {found} {json.dumps(found, default=str)}"
