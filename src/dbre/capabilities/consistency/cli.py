"""``dbre check``: a history of what clients did and saw, judged."""

from pathlib import Path
from typing import Annotated

import typer

from dbre.core.view import View

__all__ = ["app"]

app = typer.Typer()


@app.command(name="check")
def check(
    history: Annotated[str, typer.Argument(metavar="HISTORY", help="A file of JSON Lines or EDN; - is standard input.")],
    *,
    workload: Annotated[
        str | None,
        typer.Option(
            "--workload",
            metavar="NAME",
            help="Such as list-append, register, bank, ledger; default: what it looks like.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help="What was promised, such as snapshot-isolation; default: serializable, or the workload's own.",
        ),
    ] = None,
    time_limit: Annotated[
        str, typer.Option("--time-limit", metavar="TIME", help="Of the search; what is not searched is UNKNOWN, never ok.")
    ] = "60s",
    max_ops: Annotated[int, typer.Option("--max-ops", min=1, help="Refuse histories of more ops.")] = 5_000_000,
    total: Annotated[int | None, typer.Option("--total", help="Bank: all money; default: as the first read.")] = None,
    negative: Annotated[bool, typer.Option("--negative-balances", help="Bank: accounts may be overdrawn.")] = False,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Also write the history there: .jsonl, or .edn for Elle.")
    ] = None,
) -> View:
    """Judge a history of what clients did and saw: 0 ok, 3 anomalies, 9 unknown."""
    from dbre.capabilities.consistency.checking import check_history
    from dbre.capabilities.consistency.files import exported, opened
    from dbre.capabilities.consistency.reading import read_history
    from dbre.capabilities.consistency.report import Limits
    from dbre.capabilities.consistency.views import report_view
    from dbre.capabilities.consistency.workloads import BankTerms
    from dbre.core.units import parse_duration

    limits = Limits(seconds=parse_duration(time_limit).total_seconds(), ops=max_ops)
    terms = BankTerms(total=total, may_be_negative=negative)
    with opened(history) as file, exported(read_history(file), export) as ops:
        report = check_history(ops, workload=workload, model=model, limits=limits, terms=terms)
    return report_view(report, history)
