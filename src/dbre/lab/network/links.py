"""Latency between the sites of a lab: the process that keeps the slow lines, and how it is started."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from dbre.core.programs.run import clean_environment
from dbre.lab.errors import ServerFailed
from dbre.lab.network.names import prefix_of

__all__ = ["LINKS", "READY", "LineSpec", "lines_between", "read_lines", "start_links"]

LINKS, READY = "links.json", "links.ready"
_LOG = "links.log"
_START_SECONDS = 30.0
_POLL_SECONDS = 0.02
_TABLES = 0x20000000


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSpec:
    """The slow line out of one host to the hosts of other sites."""

    namespace: str
    device: str
    table: int
    source: str
    targets: tuple[str, ...]  # addresses
    delay_seconds: float
    jitter_seconds: float

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """Back from the note."""
        return cls(**{**given, "targets": tuple(given["targets"])})

    def document(self) -> dict[str, Any]:
        """For the note."""
        return {name: getattr(self, name) for name in self.__slots__}


def lines_between(
    directory: Path, sites: Mapping[str, Mapping[str, str]], *, round_trip_seconds: float, jitter_seconds: float = 0.0
) -> list[LineSpec]:
    """One line a host that has hosts of another site. ``sites``: by name of the site, addresses by namespace."""
    found = []
    for site, hosts in sites.items():
        targets = tuple(one for other, there in sites.items() if other != site for one in there.values())
        for namespace, address in hosts.items() if targets else ():
            tag = hashlib.sha256(namespace.encode()).hexdigest()[:7]
            found.append(
                LineSpec(
                    namespace=namespace,
                    device=f"dbs{tag}",
                    table=_TABLES | int(tag, 16),
                    source=address,
                    targets=targets,
                    delay_seconds=round_trip_seconds / 2,  # each way
                    jitter_seconds=jitter_seconds / 2,
                )
            )
    assert all(one.namespace.startswith(prefix_of(directory)) for one in found)  # noqa: S101 - else nobody would remove it
    return found


def read_lines(directory: Path) -> list[LineSpec]:
    """What the note in a lab's directory asks for. Raises: OSError where it is gone."""
    return [LineSpec.read(one) for one in json.loads((directory / LINKS).read_text())]


def start_links(directory: Path, lines: list[LineSpec]) -> None:
    """Start the process that keeps these lines, and wait until they are there; it ends when the directory goes. It blocks.

    Raises: ServerFailed with the end of its log.
    """
    (directory / READY).unlink(missing_ok=True)
    _write(directory / LINKS, json.dumps([one.document() for one in lines]))
    log = os.open(directory / _LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        process = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
            [sys.executable, "-P", "-m", "dbre.lab.network.link_process", os.fspath(directory)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=clean_environment(Path("/")) | {one: os.environ[one] for one in ("PYTHONPATH",) if one in os.environ},
            cwd="/",
            start_new_session=True,
        )
    finally:
        os.close(log)
    deadline = time.monotonic() + _START_SECONDS
    while not (directory / READY).exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            said = (directory / _LOG).read_text(errors="replace").splitlines()[-5:]
            raise ServerFailed("the slow lines between the sites did not come up\n" + "\n".join(said))
        time.sleep(_POLL_SECONDS)


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
