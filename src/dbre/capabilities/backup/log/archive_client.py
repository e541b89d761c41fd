"""The program that a server's ``archive_command`` runs: one file, the standard library only, written where it is wanted."""

import os
import shlex
from pathlib import Path

from dbre.core.errors import UsageError

__all__ = ["archive_setting", "client_text", "write_client"]

_TEXT = '''#!/usr/bin/python3 -ISB
"""Hands a log file to dbre, as the archive_command of a server: THIS-PROGRAM "%p"

Ends with 0 once the file is durable, 1 where another file of that name is there, 75 for everything else: try again.
Written by: dbre backup log archive-client. It holds no secret.
"""
import json
import os
import socket
import sys

SOCKET = {socket!r}
CLUSTER = {cluster!r}
SECONDS = 110
LATER = 75


def main(arguments):
    if len(arguments) != 2:
        sys.stderr.write("usage: " + arguments[0] + " FILE\\n")
        return LATER
    try:
        descriptor = os.open(arguments[1], os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        with os.fdopen(descriptor, "rb") as log, socket.socket(socket.AF_UNIX) as daemon:
            daemon.settimeout(SECONDS)
            daemon.connect(SOCKET)
            size = os.fstat(log.fileno()).st_size
            greeting = {{"cluster": CLUSTER, "name": os.path.basename(arguments[1]), "size": size}}
            try:
                daemon.sendall(json.dumps(greeting).encode() + b"\\n")
                daemon.sendfile(log)
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before the end: the answer says why
            answer = json.loads(daemon.makefile("rb").readline() or b"{{}}")
            code = answer.get("code", LATER)
            if code != 0:
                sys.stderr.write("dbre-archive: " + str(answer.get("message", "no answer")) + "\\n")
            return code if code in (0, 1) else LATER
    except (OSError, ValueError) as error:
        sys.stderr.write("dbre-archive: " + str(error) + "\\n")
        return LATER


sys.exit(main(sys.argv))
'''


def client_text(cluster: str, socket: Path) -> str:
    """The program for one cluster and the socket of the control plane on the same machine."""
    return _TEXT.format(cluster=cluster, socket=str(socket))


def archive_setting(out: Path) -> str:
    """The line of ``postgresql.conf``: a shell's quoting inside of the server's, with ``%`` doubled.

    >>> print(archive_setting(Path("/opt/my dbre/archive")))
    archive_command = '''/opt/my dbre/archive'' "%p"'
    """
    command = shlex.quote(str(out)).replace("%", "%%") + ' "%p"'
    quoted = command.replace("\\", "\\\\").replace("'", "''")
    return f"archive_command = '{quoted}'"


def write_client(out: Path, cluster: str, socket: Path) -> None:
    """Write it, executable by everybody, over an older one of ours. Raises: UsageError for any other file in its place."""
    if out.exists() and b"dbre backup log archive-client" not in out.read_bytes()[:2000]:
        raise UsageError(f"{out} is there, and is no archive client of dbre", hint="choose another --out")
    temporary = out.with_name(f".{out.name}.new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o700)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(client_text(cluster, socket))
        temporary.chmod(0o755)
        temporary.rename(out)
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}", hint="choose another --out") from error
