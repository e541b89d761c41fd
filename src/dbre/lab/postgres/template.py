"""A data directory that is made once for each version and then copied: a new cluster costs a copy, not an initdb."""

import asyncio
import hashlib
import secrets
from pathlib import Path

from dbre.core.programs.cache import build_once
from dbre.engines.postgres.binaries import PostgresBinaries
from dbre.lab.postgres.identity import renew_identity
from dbre.lab.site import Site, run_program

__all__ = ["TEMPLATE_SUPERUSER", "copy_template", "template"]

TEMPLATE_SUPERUSER = "postgres"
_LAYOUT = "1"  # count up when the way of making templates changes


async def template(binaries: PostgresBinaries, site: Site) -> Path:
    """The directory with ``data`` and ``password`` for these binaries; made by ``initdb`` at the first call."""
    program = binaries.program("postgres")
    status = program.stat()
    facts = (_LAYOUT, program, status.st_size, status.st_mtime_ns, site.account.uid)
    key = hashlib.sha256(repr(facts).encode()).hexdigest()[:12]

    async def build(target: Path) -> None:
        work = site.make_directory(target / "work")
        password = secrets.token_urlsafe(18)
        note = site.write_file(work / "password", password + "\n")
        await run_program(
            [
                binaries.program("initdb"),
                f"--pgdata={work / 'data'}",
                f"--username={TEMPLATE_SUPERUSER}",
                f"--pwfile={note}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--data-checksums",
                "--no-sync",
                "--no-instructions",
            ],
            account=site.account,
            directory=work,
        )

    return (await build_once(site.cache / "templates" / f"postgresql-{binaries.version}-{key}", build)) / "work"


async def copy_template(source: Path, target: Path, site: Site) -> str:
    """Copy the data directory as the servers' account, sharing blocks where the file system can; returns the password."""
    await run_program(["cp", "-a", "--reflink=auto", source / "data", target], account=site.account, directory=target.parent)
    await asyncio.to_thread(renew_identity, target)
    return (source / "password").read_text().strip()
