"""Options of every command that brings an instance back."""

from typing import Annotated

import typer

__all__ = ["Clone", "ClusterName", "WithoutEvidence", "Work"]

ClusterName = Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster of the inventory.")]
Clone = Annotated[bool, typer.Option("--clone", help="Copy it anew, whatever its history is.")]
WithoutEvidence = Annotated[
    bool, typer.Option("--without-evidence", help="Do not write what only this instance committed to a file first.")
]
Work = Annotated[
    str | None, typer.Option("--work", metavar="DIR", help="Room for a copy of its data; default: the temporary directory.")
]
