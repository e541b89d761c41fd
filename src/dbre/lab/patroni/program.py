"""Patroni as a program: where the servers' account can run it. It is started, and never imported."""

import asyncio
import hashlib
import importlib.metadata
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dbre.core.programs.account import Account, first_barrier
from dbre.core.programs.cache import build_once
from dbre.core.programs.errors import BinariesMissing

__all__ = ["PatroniProgram", "find_patroni"]

_ROOTS = ("patroni", "python-etcd", "psycopg", "psycopg-binary")
_NEWEST_KNOWN = (4, 1)
_INTERPRETER = Path(sys.executable).resolve()
_HINT = "pip install 'dbre[patroni]'"
_LEFT_OUT = shutil.ignore_patterns("site-packages", "test", "idlelib", "ensurepip", "__pycache__", "config-*", "*.a")


@dataclass(frozen=True, slots=True, kw_only=True)
class PatroniProgram:
    """How Patroni is started."""

    command: tuple[str, ...]
    version: str


async def find_patroni(*, account: Account, cache: Path) -> PatroniProgram:
    """The Patroni of this environment, or a copy of it where ``account`` cannot reach it. Raises: BinariesMissing."""
    try:
        version = importlib.metadata.version("patroni")
        importlib.metadata.version("python-etcd")
    except importlib.metadata.PackageNotFoundError as error:
        raise BinariesMissing(f"Patroni cannot run here: {error.name} is not installed", hint=_HINT) from error
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) != _NEWEST_KNOWN:
        raise BinariesMissing(f"Patroni {version} is here; the lab knows 4.1", hint=_HINT)
    packages = Path(str(importlib.metadata.distribution("patroni").locate_file("")))
    needed = (_INTERPRETER.parent, Path(sys.executable).parent, Path(sys.prefix), packages)
    if all(first_barrier(path, account) is None for path in needed):
        return PatroniProgram(command=(sys.executable, "-P", "-m", "patroni"), version=version)
    home = await _copied(cache)
    library = f"LD_LIBRARY_PATH={home / 'lib'}"  # an interpreter may know its library by the place where it was built
    interpreter = home / "bin" / _INTERPRETER.name
    return PatroniProgram(command=("/usr/bin/env", library, str(interpreter), "-P", "-m", "patroni"), version=version)


async def _copied(cache: Path) -> Path:
    """This interpreter with Patroni and what it imports, in a place that every account may enter."""
    distributions = {one.metadata["Name"]: one for one in _with_requirements(_ROOTS)}
    facts = (sys.version, sys.base_prefix, sorted((name, one.version) for name, one in distributions.items()))
    key = hashlib.sha256(repr(facts).encode()).hexdigest()[:12]

    async def build(target: Path) -> None:
        def copy() -> None:
            _copy_interpreter(target)
            for one in distributions.values():
                _copy_distribution(one, _packages(target))
            for path in target.rglob("*"):
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
            for path in (target / "bin").iterdir():
                path.chmod(0o755)

        await asyncio.to_thread(copy)

    return await build_once(cache / f"patroni-{distributions['patroni'].version}-{key}", build)


def _packages(home: Path) -> Path:
    return home / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def _copy_interpreter(target: Path) -> None:
    library = _packages(target).parent
    (target / "bin").mkdir()
    shutil.copy(_INTERPRETER, target / "bin" / _INTERPRETER.name)
    shutil.copytree(Path(sys.base_prefix) / "lib" / library.name, library, copy_function=shutil.copy, ignore=_LEFT_OUT)
    for shared in (Path(sys.base_prefix) / "lib").glob("libpython*.so*"):
        shutil.copy(shared, target / "lib" / shared.name)
    _packages(target).mkdir()


def _copy_distribution(one: importlib.metadata.Distribution, packages: Path) -> None:
    for file in one.files or ():
        if ".." in file.parts or file.suffix == ".pyc":
            continue  # scripts, whose first line names another interpreter
        (packages / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(str(one.locate_file(file)), packages / file)


def _with_requirements(names: tuple[str, ...]) -> Iterator[importlib.metadata.Distribution]:
    """The distributions of these names and all that they need here; extras that nobody asked for are not here."""
    waiting, seen = list(names), set[str]()
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another system or another Python
        yield found
        needs = [line for line in found.requires or () if "extra ==" not in line]
        waiting.extend(match[0] for line in needs if (match := re.match(r"[A-Za-z0-9._-]+", line)))
