"""The program barman: one command at a time, with JSON as its output. Its exit status is 0 or 1, and says little."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from dbre.core.programs.account import Account
from dbre.core.programs.errors import ProgramFailed
from dbre.core.text import one_line
from dbre.tools.call import Ended, call, find_program

__all__ = ["Answer", "Barman"]

_SHOWN = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command answered. ``data`` may hold connection strings: it is never shown as a whole."""

    status: int
    data: Mapping[str, Any]
    seconds: float

    @property
    def complaints(self) -> str:
        """What it calls errors and exceptions, on one short printable line; empty where it calls nothing so."""
        said = [*self._lines("_ERROR"), *self._lines("_EXCEPTION")]
        return one_line("; ".join(said), limit=_SHOWN)

    @property
    def information(self) -> str:
        """What it says besides."""
        return "\n".join(self._lines("_INFO"))

    def _lines(self, key: str) -> list[str]:
        found = self.data.get(key, [])
        return [str(one) for one in found] if isinstance(found, list) else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Barman:
    """How the program is called. Passwords stay in its configuration and password files, which only it reads."""

    account: Account
    config: Path | None  # None: where the program looks by itself
    server: str

    @property
    def where(self) -> str:
        """The catalogue as messages name it."""
        return f"server {self.server}" + (f" of {self.config}" if self.config is not None else "")

    async def version(self) -> str:
        """The version of the program. Raises: BinariesMissing, ProgramFailed."""
        ended = await call([_program(), "--version"], account=self.account, timeout_seconds=60)
        words = ended.stdout.decode(errors="replace").split()
        if ended.status != 0 or not words:
            raise ProgramFailed(f"barman --version ended with {ended.status}: {ended.said}")
        return words[0]

    async def run(self, command: str, *arguments: str, timeout_seconds: float, may_fail: bool = False) -> Answer:
        """One command to its end. Raises: ProgramFailed unless it ended with 0 and complained of nothing."""
        ended = await self.plain(command, *arguments, timeout_seconds=timeout_seconds, options=("-f", "json"))
        try:
            data = msgspec.json.decode(ended.stdout or b"{}", type=dict[str, Any])
        except (msgspec.MsgspecError, RecursionError) as error:
            raise ProgramFailed(
                f"barman {command} of {self.where} ended with {ended.status} and says something else than JSON: {ended.said}",
                hint="Barman 2.11 and later are understood: barman --version",
            ) from error
        answer = Answer(status=ended.status, data=data, seconds=ended.seconds)
        if (answer.status != 0 or answer.complaints) and not may_fail:
            raise ProgramFailed(
                f"barman {command} of {self.where} ended with {answer.status}: {answer.complaints or ended.said}",
                hint=f"run it by hand as {self.account.name}; its log file tells more",
                context={"program": "barman", "exit_status": answer.status, "command": command},
            )
        return answer

    async def plain(
        self,
        command: str,
        *arguments: str,
        timeout_seconds: float,
        into: Path | None = None,
        options: tuple[str, ...] = ("-q",),
    ) -> Ended:
        """One command as it is, for those that write a file to their output."""
        words: list[str | Path] = [_program()]
        if self.config is not None:
            words += ["-c", self.config]
        return await call(
            [*words, *options, command, *arguments], account=self.account, timeout_seconds=timeout_seconds, into=into
        )


def _program() -> Path:
    return find_program("barman", hint="apt: barman; run dbre on the machine of the Barman server")
