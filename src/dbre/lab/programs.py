"""Where the programs of other servers are, and which version they are."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dbre.core.programs.account import Account, first_barrier
from dbre.core.programs.errors import BinariesMissing

__all__ = ["ServerProgram", "find_program"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerProgram:
    """One installed server program."""

    path: Path
    version: tuple[int, ...]

    @property
    def version_text(self) -> str:
        """``10.11.19``."""
        return ".".join(map(str, self.version))


def find_program(
    names: Sequence[str],
    *,
    account: Account,
    oldest: tuple[int, ...],
    package: str,
    bindir: Path | None = None,
    flag: str = "--version",
) -> ServerProgram:
    """The first of ``names`` in ``bindir``, or else on the path and among the system's programs.

    Raises: BinariesMissing naming the package, or saying why the program that is there cannot be used.
    """
    hint = f"install it: scripts/install-test-servers (apt: {package})"
    path = str(bindir) if bindir else os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
    found = next((where for name in names if (where := shutil.which(name, path=path))), None)
    if found is None:
        place = f"in {bindir}" if bindir else "here"
        raise BinariesMissing(f"no {' or '.join(names)} {place}", hint=hint, context={"package": package})
    try:
        done = subprocess.run(  # noqa: S603 -- the operator's choice or the system's
            [found, flag], capture_output=True, timeout=20, check=True, stdin=subprocess.DEVNULL
        )
        text = done.stdout.decode(errors="replace")
    except (OSError, subprocess.SubprocessError) as error:
        raise BinariesMissing(f"{found} does not run: {error}", hint=hint) from error
    match = re.search(r"(?:Ver |HAProxy version |PgBouncer |BIND |v=|, version |: v|etcd Version: )(\d+)\.(\d+)\.(\d+)", text)
    if match is None:
        raise BinariesMissing(f"{found} is not {names[0]}: it calls itself {text.strip()[:100]!r}", hint=hint)
    version = tuple(int(part) for part in match.groups())
    if version < oldest:
        limit = ".".join(map(str, oldest))
        raise BinariesMissing(f"{found} is version {'.'.join(match.groups())}; the oldest that works is {limit}", hint=hint)
    barrier = first_barrier(Path(found).parent, account)
    if barrier is not None:
        message = f"{found} cannot be used: servers run as {account.name!r}, who may not enter {barrier}"
        raise BinariesMissing(message, hint=hint)
    return ServerProgram(path=Path(found), version=version)
