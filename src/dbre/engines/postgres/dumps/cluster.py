"""A new, empty cluster made by initdb in a directory that holds a dump."""

import asyncio
import secrets
from pathlib import Path

from dbre.core.errors import UsageError
from dbre.core.programs.account import Account, give
from dbre.core.programs.errors import ProgramFailed
from dbre.core.programs.run import run
from dbre.engines.postgres.backup.private_files import write_private
from dbre.engines.postgres.backup.quoting import setting_line
from dbre.engines.postgres.binaries import PostgresBinaries
from dbre.engines.postgres.dumps.layout import Dump
from dbre.ports.backup.errors import RecoveryFailed

__all__ = ["make_cluster"]

_SECONDS = 600.0
_LARGEST_NAME_BYTES = 63


async def make_cluster(binaries: PostgresBinaries, dump: Dump, directory: Path, account: Account) -> None:
    """Make the cluster in ``directory`` itself, beside the dump. Its bootstrap role has the name that it had in the source.

    Encoding and locale are plain: pg_restore makes every database anew with its own. Raises: RecoveryFailed, UsageError.
    """
    if (directory / "PG_VERSION").exists():
        raise UsageError(f"{directory} holds a cluster already", hint="assemble the dump anew into an empty directory")
    role = dump.bootstrap_role
    if not role or len(role.encode()) > _LARGEST_NAME_BYTES or role.startswith("pg_"):
        raise RecoveryFailed(f"{directory}: initdb makes no role with the name of the source's first one")
    made = directory / f".dbre-initdb-{secrets.token_hex(4)}"
    words: list[str | Path] = [
        binaries.program("initdb"), f"--pgdata={made}", f"--username={role}", "--encoding=UTF8", "--locale=C",
        "--auth-local=peer", "--auth-host=scram-sha-256", "--data-checksums", "--no-sync",
    ]  # fmt: skip
    try:
        await run(words, account=account, directory=directory, timeout_seconds=_SECONDS)
    except ProgramFailed as error:
        raise RecoveryFailed(f"no new cluster can be made in {directory}: {error.message}", context=error.context) from error
    await asyncio.to_thread(_move_up, made, directory, account, dump.preload)


def _move_up(made: Path, directory: Path, account: Account, preload: tuple[str, ...]) -> None:
    for path in made.iterdir():
        path.rename(directory / path.name)
    made.rmdir()
    settings = directory / "postgresql.conf"
    text = settings.read_text("utf-8")
    if preload:
        text += "\n# as the server had it that was dumped\n" + setting_line("shared_preload_libraries", ",".join(preload))
    unfinished = directory / "postgresql.conf.new"
    unfinished.unlink(missing_ok=True)
    write_private(unfinished, text, account)
    unfinished.replace(settings)
    directory.chmod(0o700)
    give(directory, account)
