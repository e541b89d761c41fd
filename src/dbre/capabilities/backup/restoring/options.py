"""The options that say up to where, shared by all commands that bring a moment back."""

from typing import Annotated

import typer

__all__ = ["At", "AtLatest", "AtName", "AtPosition", "AtTimeline", "AtTransaction", "Before", "ClusterName", "Consistent"]

ClusterName = Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster that is backed up.")]
At = Annotated[str | None, typer.Option("--to", metavar="TIME", help="A moment with its offset: 2026-11-21T04:00:00Z.")]
AtPosition = Annotated[
    str | None, typer.Option("--to-position", metavar="POSITION", help="As the server writes it: 0/3000028.")
]
AtTransaction = Annotated[str | None, typer.Option("--to-transaction", metavar="ID", help="The number of a transaction.")]
AtName = Annotated[str | None, typer.Option("--to-name", metavar="NAME", help="A named restore point.")]
AtLatest = Annotated[bool, typer.Option("--latest", help="All that there is.")]
Consistent = Annotated[bool, typer.Option("--immediate", help="The end of the copy itself.")]
AtTimeline = Annotated[int | None, typer.Option("--timeline", metavar="N", help="Along this timeline; default: found out.")]
Before = Annotated[bool, typer.Option("--before", help="Stop just before the target, not just after it.")]
