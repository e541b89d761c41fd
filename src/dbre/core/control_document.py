"""``control:`` of an instance in ``dbre.yaml``: how its server process is started and stopped."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from dbre.core.config import Document, FilePath
from dbre.core.control import Control, ControlKind
from dbre.core.errors import UsageError

__all__ = ["CommandsDocument", "ControlDocument", "PgCtlDocument", "SystemdDocument", "control_from"]


def _program(words: tuple[str, ...]) -> tuple[str, ...]:
    if any("\0" in word for word in words):
        raise UsageError("an argument cannot hold a NUL byte")
    if not Path(words[0]).is_absolute():
        raise UsageError(
            f"the program must be an absolute path, not {words[0][:100]!r}: who runs dbre may have another PATH",
            hint="see where it is: command -v NAME",
        )
    return words


Argv = Annotated[
    tuple[Annotated[str, StringConstraints(max_length=4_096)], ...],
    Field(min_length=1, max_length=100),
    AfterValidator(_program),
]


class PgCtlDocument(Document):
    """PostgreSQL's own program, run as the owner of the data directory."""

    kind: Literal["pg_ctl"]
    data_directory: FilePath = Field(description="of the server, on the machine where dbre (or its worker) runs")
    bindir: FilePath | None = Field(default=None, description="where pg_ctl is; default: the version of the data directory")
    log_file: FilePath | None = Field(
        default=None, description="what the server prints goes there; default: startup.log in the data directory"
    )


class SystemdDocument(Document):
    """A unit of systemd."""

    kind: Literal["systemd"]
    unit: str = Field(pattern=r"^[A-Za-z0-9:_.@\\][A-Za-z0-9:_.@\\-]{0,254}$", description="postgresql@15-main")
    data_directory: FilePath | None = Field(
        default=None, description="of the server: by it dbre confirms that no process is left"
    )
    settings_file: FilePath | None = Field(
        default=None,
        description="a file of settings that the server reads when it starts, and dbre writes: dbre upgrade parameters of "
        "MariaDB and Redis",
    )


class CommandsDocument(Document):
    """Commands of your own, run without a shell as who runs dbre; they return when it is done."""

    kind: Literal["commands"]
    start: Argv = Field(description="absolute program and arguments: [/usr/bin/ssh, db1, sudo, systemctl, start, mariadb]")
    stop: Argv = Field(description="stops the server in order, and waits until it has")
    data_directory: FilePath | None = Field(
        default=None, description="where it is on this machine: by it dbre confirms that no process is left"
    )
    settings_file: FilePath | None = Field(
        default=None,
        description="a file of settings that the server reads when it starts, and dbre writes: dbre upgrade parameters of "
        "MariaDB and Redis",
    )


ControlDocument = Annotated[PgCtlDocument | SystemdDocument | CommandsDocument, Field(discriminator="kind")]
"""How one server process is started and stopped."""


def control_from(document: PgCtlDocument | SystemdDocument | CommandsDocument) -> Control:
    """What the document says."""
    kind = ControlKind(document.kind)
    if isinstance(document, PgCtlDocument):
        return Control(kind=kind, data_directory=document.data_directory, bindir=document.bindir, log_file=document.log_file)
    if isinstance(document, SystemdDocument):
        return Control(
            kind=kind,
            unit=document.unit,
            data_directory=document.data_directory,
            settings_file=document.settings_file,
        )
    return Control(
        kind=kind,
        start=document.start,
        stop=document.stop,
        data_directory=document.data_directory,
        settings_file=document.settings_file,
    )
