"""A plan that is only made to be shown: what would be done, or why it cannot be."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dbre.core.errors import DbreError, ExitCode
from dbre.core.operation.plan import Plan
from dbre.core.view import View

__all__ = ["Trial", "trial_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Either there is a plan, or a reason."""

    plan: Plan | None
    why_not: DbreError | None

    @property
    def steps(self) -> list[str]:
        """In order; none where it cannot be done."""
        return [one.summary for one in self.plan.steps] if self.plan is not None else []

    @property
    def warnings(self) -> list[str]:
        """Of the plan."""
        return list(self.plan.warnings) if self.plan is not None else []

    def view(self, *, kind: str, verdict: str, document: dict[str, Any], lines: Sequence[str]) -> View:
        """What was seen, then the steps or the reason; ends with 3 where it cannot be done. ``verdict`` names the answer."""
        why = self.why_not
        answer = {verdict: why is None, "reason": why.message if why is not None else None}
        return View(
            kind=kind,
            items=[document | answer | {"steps": self.steps, "warnings": self.warnings}],
            single=True,
            text="\n".join([*lines, *self._lines()]) + "\n",
            exit_code=ExitCode.OK if why is None else ExitCode.FINDINGS,
        )

    def _lines(self) -> Iterator[str]:
        if self.why_not is not None:
            yield f"cannot be done now: {self.why_not.message}"
            if self.why_not.hint:
                yield f"remedy: {self.why_not.hint}"
        yield from (f"  {number}. {one}" for number, one in enumerate(self.steps, start=1))
        yield from (f"note: {one}" for one in self.warnings)


def trial_of(make: Callable[[], Plan]) -> Trial:
    """Make the plan."""
    try:
        return Trial(plan=make(), why_not=None)
    except DbreError as error:
        return Trial(plan=None, why_not=error)
