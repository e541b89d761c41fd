"""The program of ``restore_command``: asks us for a log file over a socket. Standard library only, and little of that.

PostgreSQL takes status 1 for "there is no such file", which ends recovery, and statuses above 125 for a failure, which
stops the server with an error. Anything but a clear answer is therefore a failure.

Source: PostgreSQL manual, 26.3.5; ``src/backend/access/transam/xlogarchive.c``, RestoreArchivedFile.
"""

import os
import socket
import sys

ABSENT, FAILED = 1, 130


def main(socket_path: str, name: str, target: str) -> int:
    """Have one file put at ``target``."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(socket_path)
    connection.sendall(os.fsencode(name) + b"\n")
    answer = b""
    while not answer.endswith(b"\n"):
        part = connection.recv(4096)
        if not part:
            raise OSError("dbre ended without an answer")
        answer += part
    word, _, rest = answer.rstrip(b"\n").partition(b" ")
    if word == b"absent":
        return ABSENT
    if word != b"here":
        raise OSError(os.fsdecode(rest or b"no answer that makes sense"))
    try:
        os.rename(rest, target)  # noqa: PTH104 -- pathlib takes longer to import than all else here
    except OSError:  # another file system
        take(rest, target)
    return 0


def take(source: bytes, target: str) -> None:
    """Copy a file and remove the original."""
    with open(source, "rb") as given, open(target, "wb") as taken:  # noqa: PTH123
        while part := given.read(1 << 20):
            taken.write(part)
        taken.flush()
        os.fsync(taken.fileno())
    os.unlink(source)  # noqa: PTH108


if __name__ == "__main__":
    try:
        status = main(*sys.argv[1:])
    except BaseException as error:  # noqa: BLE001 -- whatever it is, it must not look like a missing file
        sys.stderr.write("dbre: " + " ".join(str(error).split()) + "\n")
        status = FAILED
    sys.exit(status)
