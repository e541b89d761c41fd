"""``dbre demo``: the whole cycle on throw-away databases, start to report."""

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dbre.core.errors import ExitCode
from dbre.core.units import parse_duration
from dbre.core.view import Column, View

if TYPE_CHECKING:  # imported at run time by the command itself: they bring drivers and a web client
    from dbre.demo.run import Stage
    from dbre.demo.story import Story

__all__ = ["app"]

app = typer.Typer()


@app.command()
async def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running, pages too, until Ctrl-C.")] = False,
    report_file: Annotated[Path, typer.Option("--report", help="Where the HTML report goes.")] = Path("dbre-demo.html"),
    directory: Annotated[Path | None, typer.Option(help="Where the databases live meanwhile; removed at the end.")] = None,
    version: Annotated[int | None, typer.Option("--postgresql", help="Major version; default the newest there is.")] = None,
    bindir: Annotated[Path | None, typer.Option(help="Directory of PostgreSQL's programs.")] = None,
    freeze: Annotated[str, typer.Option(help="How long the primary is frozen.")] = "8s",
    away: Annotated[str, typer.Option(help="How long the killed primary stays away.")] = "3500ms",
) -> View:
    """Run the whole cycle on throw-away databases, start to report.

    A primary with a streaming replica is probed under load, frozen, killed and brought back. Exit code 0 means that the
    error budget was spent exactly as long as clients suffered, that one page arrived, and that no acknowledged write was
    lost.
    """
    from dbre.demo.live import telling
    from dbre.demo.report import require_writable, write_report
    from dbre.demo.run import Timing, play, stage

    timing = Timing(freeze=parse_duration(freeze).total_seconds(), away=parse_duration(away).total_seconds())
    require_writable(report_file)
    with telling() as teller:
        async with stage(directory=directory, version=version, bindir=bindir, teller=teller) as on:
            story = await play(on, timing)
            write_report(story, report_file)
            if keep:
                await _hold(on, story, report_file)
    return _view(story, report_file)


async def _hold(on: "Stage", story: "Story", report_file: Path) -> None:
    for check in story.checks:
        on.teller.tell(f"{'kept' if check.is_kept else 'NOT KEPT'}: {check.promise}: {check.evidence}")
    on.teller.tell(f"report: {report_file}")
    on.teller.tell(f"pages: {on.plane.url}, token in {on.plane.token_file}")
    on.teller.tell(f"commands: dbre --config {on.plane.config_file} slo list")
    on.teller.tell("everything stays until Ctrl-C")
    on.teller.now("running; Ctrl-C ends it")
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, told.set)
    await told.wait()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.remove_signal_handler(one)


def _view(story: "Story", report_file: Path) -> View:
    rows = [{"is_kept": check.is_kept, "promise": check.promise, "evidence": check.evidence} for check in story.checks]
    return View(
        kind="DemoResult",
        items=rows,
        columns=[
            Column(key="is_kept", title="KEPT"),
            Column(key="promise", title="PROMISE"),
            Column(key="evidence", title="EVIDENCE"),
        ],
        notes=[
            f"report: {report_file}",
            "next: dbre demo --keep, dbre lab up, dbre slo explain",
        ],
        exit_code=ExitCode.OK if story.is_proved else ExitCode.FAILED,
    )
