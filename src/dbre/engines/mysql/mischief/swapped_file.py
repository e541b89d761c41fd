"""A file of the server's that another one stands in for: the old one is kept beside it, and is put back."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dbre.core.errors import PrecheckFailed
from dbre.core.text import printable

__all__ = ["SwappedFile"]


@dataclass(frozen=True, slots=True)
class SwappedFile:
    """One such file. Each act can be cut off anywhere: ``put_back`` knows by the numbers of the files what is whose."""

    path: Path
    tag: str

    @classmethod
    def at(cls, path: Path, tag: str) -> Self:
        """Where a link leads, so that the link itself stays. Raises: PrecheckFailed where it cannot be swapped."""
        found = cls(path.resolve(), tag)
        where = printable(str(found.path))
        if not found.path.is_file() or not os.access(found.path, os.R_OK):
            raise PrecheckFailed(
                f"{where} is no file that can be read", hint="run it on the server's machine, as its account or root"
            )
        if not os.access(found.path.parent, os.W_OK):
            raise PrecheckFailed(f"nothing can be put beside {where}", hint="run it as the owner of that directory, or as root")
        return found

    @property
    def _kept(self) -> Path:
        return self.path.with_name(f".{self.path.name}.{self.tag}.kept")

    @property
    def _ours(self) -> Path:
        return self.path.with_name(f".{self.path.name}.{self.tag}.ours")

    def swap(self, other: Path) -> None:
        """Let the content of the other one stand there, for whom the old one was."""
        status = self.path.stat()
        with os.fdopen(os.open(self._ours, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            with other.open("rb") as source:
                shutil.copyfileobj(source, file)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), status.st_uid, status.st_gid)
            os.fchmod(file.fileno(), status.st_mode & 0o777)
            file.flush()
            os.fsync(file.fileno())
        os.link(self.path, self._kept)
        self._stand(self._ours)

    def put_back(self) -> None:
        """Unless somebody has put a newer one there meanwhile."""
        if self._kept.exists() and self._is(self._ours):
            self._stand(self._kept)
        for left in (self._kept, self._ours, self._next):
            left.unlink(missing_ok=True)

    @property
    def _next(self) -> Path:
        return self.path.with_name(f".{self.path.name}.{self.tag}.next")

    def _stand(self, file: Path) -> None:
        self._next.unlink(missing_ok=True)
        os.link(file, self._next)
        self._next.replace(self.path)
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _is(self, file: Path) -> bool:
        return file.exists() and self.path.exists() and self.path.samefile(file)
