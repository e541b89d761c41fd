"""The flags of every command that acts."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer

__all__ = ["ActingFlags", "acting_flags"]


def acting_flags(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and end; nothing is changed or stored.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before a moderate act.")] = False,
    confirm: Annotated[
        str | None, typer.Option("--confirm", metavar="NAME", help="The target's name: confirms a severe act.")
    ] = None,
    plan_hash: Annotated[
        str | None, typer.Option("--plan-hash", metavar="HASH", help="Run the plan with this hash only, without asking.")
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; kept with the operation.")] = None,
    ticket: Annotated[str | None, typer.Option("--ticket", metavar="ID", help="Where an override was agreed.")] = None,
    bypass: Annotated[
        list[str] | None,
        typer.Option("--override", metavar="GATE", help="Bypass a gate; needs --reason. May be given again."),
    ] = None,
    no_input: Annotated[bool, typer.Option("--no-input", help="Never ask; end with 2 where an answer is needed.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="End as soon as the operation is stored.")] = False,
    fail_pending: Annotated[bool, typer.Option("--fail-pending", help="With --no-wait: end with 8 instead of 0.")] = False,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="TIME", help="Wait no longer than this: 10m. Then end with 8.")
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option("--idempotency-key", metavar="KEY", help="The same key again finds the same operation.")
    ] = None,
    not_before: Annotated[
        str | None, typer.Option("--not-before", metavar="WHEN", help="Start then or later: 2h, or 2026-11-21T04:00:00Z.")
    ] = None,
    deadline: Annotated[
        str | None, typer.Option("--deadline", metavar="WHEN", help="Past it, what still runs is stopped and undone.")
    ] = None,
    zone: Annotated[str | None, typer.Option("--zone", help="Workers of this network zone run it.")] = None,
    priority: Annotated[int, typer.Option("--priority", min=0, max=9, help="9 first.")] = 4,
    fail_if_busy: Annotated[bool, typer.Option("--fail-if-busy", help="End with 7 if the target is held.")] = False,
) -> None:
    """Carries the declarations only; its parameters are copied to every command that acts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActingFlags:
    """What was given."""

    dry_run: bool = False
    yes: bool = False
    confirm: str | None = None
    plan_hash: str | None = None
    reason: str | None = None
    ticket: str | None = None
    bypass: tuple[str, ...] = ()
    no_input: bool = False
    no_wait: bool = False
    fail_pending: bool = False
    timeout: str | None = None
    idempotency_key: str | None = None
    not_before: str | None = None
    deadline: str | None = None
    zone: str | None = None
    priority: int = 4
    fail_if_busy: bool = False

    @classmethod
    def of(cls, given: dict[str, Any]) -> "ActingFlags":
        """From the parameters of the command."""
        return cls(**given | {"bypass": tuple(given.get("bypass") or ())})
