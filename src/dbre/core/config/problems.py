"""Places in files, and everything that is wrong there, reported at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dbre.core.errors import UsageError
from dbre.core.text import printable

__all__ = ["ConfigInvalid", "Place", "Problem"]

SHOWN_PROBLEMS = 50


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was written: a file with line and column (from 1), or a source without lines."""

    source: str  # path as shown, "environment variable X", "flag --x", "default"
    line: int | None = None
    column: int | None = None
    directory: Path | None = None  # where relative paths in the value start

    def __str__(self) -> str:
        return ":".join(str(part) for part in (printable(self.source), self.line, self.column) if part is not None)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. Neither text repeats a value that may be a secret."""

    place: Place
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        hint = f" ({printable(self.hint)})" if self.hint else ""
        return f"{self.place}: {printable(self.message)}{hint}"

    @property
    def order(self) -> tuple[str, int, int, str]:
        """Sorts by file and position."""
        return (self.place.source, self.place.line or 0, self.place.column or 0, self.message)


class ConfigInvalid(UsageError):
    """The configuration cannot be used; ``problems`` holds everything that is wrong with it, sorted by place."""

    code = "config.invalid"

    subject = "the configuration has"
    advice: str | None = "dbre config schema prints every key, its type and what it means"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(dict.fromkeys(problems), key=lambda problem: problem.order))
        count = len(self.problems)
        lines = [str(problem) for problem in self.problems[:SHOWN_PROBLEMS]]
        if count > SHOWN_PROBLEMS:
            lines.append(f"... and {count - SHOWN_PROBLEMS} more")
        title = f"{self.subject} {count} problem{'' if count == 1 else 's'}:"
        super().__init__(
            "\n  ".join([title, *lines]),
            hint=self.advice,
            context={
                "problems": [
                    {
                        "source": problem.place.source,
                        "line": problem.place.line,
                        "column": problem.place.column,
                        "message": problem.message,
                        "hint": problem.hint,
                    }
                    for problem in self.problems
                ]
            },
        )
