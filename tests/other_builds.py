"""Other minor versions of a server than the installed one: Debian keeps that of its release and that of security updates."""

import asyncio
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from dbre.core.errors import DbreError
from dbre.core.programs.account import Account
from dbre.core.programs.cache import build_once
from dbre.core.programs.errors import BinariesMissing
from dbre.core.programs.run import run
from dbre.engines.postgres.binaries import PostgresBinaries, find_postgres, list_postgres
from dbre.lab.site import Site

_LINE = re.compile(r"^\s*\S+ \| (\S+) \|", re.MULTILINE)
_SELF = Account(name="root", uid=os.geteuid(), gid=os.getegid(), switch=False)


def upstream(version: str) -> tuple[int, ...]:
    """``1:10.11.18-0+deb12u1`` is 10.11.18."""
    text = version.partition(":")[2] or version
    return tuple(int(part) for part in re.findall(r"\d+", text.partition("-")[0]))


async def other_build(
    package: str, installed: tuple[int, ...], cache: Path, *, beside: str | None = None
) -> tuple[Path, tuple[int, ...]]:
    """Where the files of another minor version lie, and which it is; ``beside``: a package without which it is not whole.

    Raises: BinariesMissing where Debian has no other.
    """
    if shutil.which("apt-cache") is None or shutil.which("dpkg-deb") is None:
        raise BinariesMissing("no apt here", hint="other builds come from Debian's archive")
    told = await run(["apt-cache", "madison", package], account=_SELF, directory=Path("/"), timeout_seconds=60)
    fits = [one for one in _LINE.findall(told.stdout) if upstream(one)[:-1] == installed[:-1] and upstream(one) != installed]
    if not fits:
        raise BinariesMissing(f"Debian's archive has no other {package} than {installed}", hint="apt-get update")
    target = cache / "builds" / f"{package}-{fits[0].replace(':', '-')}"
    await asyncio.to_thread(target.parent.mkdir, mode=0o755, parents=True, exist_ok=True)

    async def build(directory: Path) -> None:
        for one in (package, beside):
            if one is not None:
                await _unpack(f"{one}={fits[0]}", directory)
        directory.chmod(0o755)

    return await build_once(target, build) / "files", upstream(fits[0])


@dataclass(frozen=True, kw_only=True)
class Builds:
    """Two trees of one major version of PostgreSQL."""

    older: PostgresBinaries
    newer: PostgresBinaries


async def postgres_builds(site: Site) -> Builds:
    """The installed one of version 15, and another. Raises: Unsupported where there is none."""
    here = await find_postgres(account=site.account, cache=site.cache, version=15)
    files, _ = await other_build("postgresql-15", number_of(here), site.cache, beside="postgresql-client-15")
    (other,) = list_postgres(bindir=files / "usr/lib/postgresql/15/bin")
    older, newer = sorted((here, other), key=number_of)
    return Builds(older=older, newer=newer)


def number_of(binaries: PostgresBinaries) -> tuple[int, ...]:
    """15.18 (Debian 15.18-0+deb12u1) is 15.18."""
    return tuple(int(part) for part in text_of(binaries).split("."))


def text_of(binaries: PostgresBinaries) -> str:
    """As the server itself tells it."""
    return binaries.version_text.split(" ")[0]


async def _unpack(package: str, directory: Path) -> None:
    packed = directory / "packed"
    packed.mkdir()
    try:
        await run(["apt-get", "download", package], account=_SELF, directory=packed, timeout_seconds=300)
    except DbreError as error:
        raise BinariesMissing(f"{package} cannot be had: {error.message}", hint="apt-get update") from error
    (archive,) = packed.glob("*.deb")
    await run(["dpkg-deb", "-x", archive, directory / "files"], account=_SELF, directory=packed, timeout_seconds=300)
    shutil.rmtree(packed)
