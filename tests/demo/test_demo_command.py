"""``dbre demo`` as a user types it: on real servers, to the end, and when it is told to stop or killed half-way."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from dbre.core.errors import ExitCode
from dbre.lab.postgres import PostgresServer


async def demo(*arguments: str, directory: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dbre", "demo", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=directory, start_new_session=True,
    )  # fmt: skip


def left_over(directory: Path) -> list[str]:
    """Command lines of processes that still work in ``directory``."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and str((entry / "cwd").readlink()).startswith(str(directory)):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


async def gone(directory: Path) -> bool:
    """Whether the directory and all that runs in it disappear soon."""
    for _ in range(200):
        if not directory.exists() and not left_over(directory):
            return True
        await asyncio.sleep(0.1)
    return False


@pytest.fixture
def place(lab_site, tmp_path: Path) -> Path:
    """A directory that does not exist yet, where servers of another account can run."""
    return lab_site.directory / f"demo-{tmp_path.name}"


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_kept_demo_serves_its_pages_until_told_to_stop(postgres18: PostgresServer, place: Path, tmp_path: Path) -> None:
    child = await demo("--keep", "--directory", str(place), "--freeze", "3s", "--away", "1s", directory=tmp_path)
    assert child.stderr is not None
    url = token_file = ""
    while line := (await child.stderr.readline()).decode():
        if "pages: " in line:
            url, _, token_file = line.partition("pages: ")[2].strip().partition(", token in ")
        if "until Ctrl-C" in line:
            break
    token = Path(token_file).read_text().strip()
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{url}/api/v1/slos", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    child.send_signal(signal.SIGINT)
    await child.communicate()
    assert child.returncode in (ExitCode.OK, ExitCode.FAILED)  # with such short faults a page need not have come
    assert await gone(place)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_demo_killed_half_way_leaves_nothing(postgres18: PostgresServer, place: Path, tmp_path: Path) -> None:
    child = await demo("--directory", str(place), directory=tmp_path)
    assert child.stderr is not None
    while line := (await child.stderr.readline()).decode():
        if "steady" in line:
            break
    os.kill(child.pid, signal.SIGKILL)
    await child.wait()
    assert await gone(place)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--postgresql", "9"], None, "PostgreSQL 9"),
        (["--bindir", "/nonexistent"], None, "/nonexistent"),
        (["--freeze", "soon"], ExitCode.USAGE, "not a duration"),
        (["--report", "/nonexistent/report.html"], ExitCode.USAGE, "cannot be written"),
    ],
)
async def test_what_cannot_begin_says_why_and_begins_nothing(
    arguments: list[str], code: ExitCode | None, said: str, place: Path, tmp_path: Path
) -> None:
    child = await demo(*arguments, "--directory", str(place), directory=tmp_path)
    output, errors = await child.communicate()
    assert child.returncode not in (0, ExitCode.FAILED)
    assert code is None or child.returncode == code
    assert output == b""
    assert said in errors.decode()
    assert "Traceback" not in errors.decode()
    assert await gone(place)
