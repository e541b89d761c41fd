"""How the server process of an instance is started and stopped on its machine, as the inventory says it."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

__all__ = ["Control", "ControlKind"]


class ControlKind(StrEnum):
    """Who starts the server process."""

    PG_CTL = "pg_ctl"
    SYSTEMD = "systemd"
    COMMANDS = "commands"  # the operator's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """How one server process is started and stopped. Everything happens on the machine on which dbre, or its worker, runs.

    A server on another machine is controlled by ``commands`` that reach it; without ``data_directory`` its processes cannot be
    seen, and so nobody can confirm that none is left.
    """

    kind: ControlKind
    data_directory: Path | None = None  # pg_ctl has one always
    bindir: Path | None = None  # pg_ctl: where the programs are; None: looked for
    log_file: Path | None = None  # pg_ctl: where the server writes until it opens a log of its own
    settings_file: Path | None = None  # read by the server when it starts, written by dbre
    unit: str | None = None  # systemd
    start: tuple[str, ...] = ()  # commands: program and arguments, no shell
    stop: tuple[str, ...] = ()
