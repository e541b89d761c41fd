"""``dbre chaos runs``, ``report``, ``score``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dbre.core.view import Column, Row, View
from dbre.ports.runtime import Runtime, runtime

__all__ = ["app"]

app = typer.Typer()


def _points(value: object) -> str:
    return f"{value * 100:.0f}" if isinstance(value, float | int) else "-"


def _when(value: object) -> str:
    return str(value)[:16].replace("T", " ") + "Z" if isinstance(value, str) else "-"


@app.command()
async def runs(
    ctx: typer.Context,
    cluster: Annotated[str | None, typer.Option("--cluster", metavar="CLUSTER", help="Only of this cluster.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="How many.")] = 25,
) -> View:
    """Experiments that were run, the newest first."""
    items = await _runs(runtime(ctx), cluster, limit)
    columns = [
        Column(key="id", title="RUN", tail=True),
        Column(key="cluster", title="CLUSTER"),
        Column(key="title", title="EXPERIMENT"),
        Column(key="entry", title="ANSWERS", wide=True),
        Column(key="state", title="STATE"),
        Column(key="score_ratio", title="SCORE", right=True, format=_points),
        Column(key="began_at", title="BEGAN", format=_when),
    ]
    return View(kind="ChaosRunList", items=items, columns=columns, empty="no experiment was run yet")


@app.command()
async def report(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="Its id, or the end of it: dbre chaos runs.")],
    *,
    html: Annotated[bool, typer.Option("--html", help="As one page of HTML instead of Markdown.")] = False,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="Write it there, 0600; never over another.")
    ] = None,
) -> View:
    """The resilience report of one run: what held, what was noticed when, what it cost, what to do."""
    from dbre.capabilities.chaos.runs.writing import as_html, as_markdown

    found = await _report(runtime(ctx), run)
    text = as_html(found) if html else as_markdown(found)
    if file is not None:
        _write(file, text)
        item: Row = {"run": found["id"], "file": str(file), "bytes": len(text.encode())}
        columns = [
            Column(key="run", title="RUN"),
            Column(key="file", title="FILE"),
            Column(key="bytes", title="BYTES", right=True),
        ]
        return View(kind="ChaosReportFile", items=[item], columns=columns, single=True)
    return View(kind="ChaosReport", items=[found], single=True, text=text)


@app.command()
async def score(
    ctx: typer.Context,
    cluster: Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster of the inventory.")],
    *,
    at_least: Annotated[
        float | None, typer.Option("--at-least", min=0, max=100, help="End with 3 where the score is lower.")
    ] = None,
) -> View:
    """How well a cluster stands faults, over the required catalogue; what was never tried counts nothing."""
    from dbre.core.errors import ExitCode
    from dbre.core.units import format_percent

    found = await _score(runtime(ctx), cluster)
    half = found["half_width_points"]
    interval = "" if half is None else f" ± {half:.0f}"
    covered = format_percent(found["coverage_ratio"], digits=0)
    title = f"{found['cluster']}: {found['score_points']:.0f}{interval} of 100, {covered} covered"
    columns = [
        Column(key="entry", title="ENTRY"),
        Column(key="weight", title="WEIGHT", right=True),
        Column(key="value_ratio", title="SCORE", right=True, format=_points),
        Column(key="runs", title="RUNS", right=True),
        Column(key="age_days", title="DAYS OLD", right=True, format=lambda one: "-" if one is None else f"{one:.1f}"),
        Column(key="fade_ratio", title="COUNTS", right=True, format=_points, wide=True),
        Column(key="question", title="QUESTION", below=True),
    ]
    is_low = at_least is not None and found["score_points"] < at_least
    return View(
        kind="ChaosScore",
        items=found["entries"],
        columns=columns,
        title=title,
        exit_code=ExitCode.FINDINGS if is_low else ExitCode.OK,
    )


def _write(file: Path, text: str) -> None:
    import os

    from dbre.core.errors import UsageError
    from dbre.core.text import printable

    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(
            f"{printable(str(file))} cannot be made: {error.strerror}",
            hint="name a file that is not there yet, in a directory that is",
        ) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)


async def _runs(parts: Runtime, cluster: str | None, limit: int) -> list[Row]:
    from dbre.capabilities.chaos.runs.report import run_row
    from dbre.capabilities.chaos.runs.repository import list_runs

    async with parts.open_remote() as remote:
        if remote is not None:
            return list(await remote.items("/chaos/runs", cluster=cluster, limit=limit))
    if cluster is not None:
        parts.fleet.cluster(cluster)
    async with parts.open_store() as store, store.read() as connection:
        return [run_row(one) for one in await list_runs(connection, cluster=cluster, limit=limit)]


async def _report(parts: Runtime, run: str) -> dict[str, Any]:
    from urllib.parse import quote

    from dbre.capabilities.chaos.runs.reading import read_report

    async with parts.open_remote() as remote:
        if remote is not None:
            return await remote.ask("GET", f"/api/v1/chaos/runs/{quote(run, safe='')}")
    async with parts.open_store() as store:
        return await read_report(parts.chaos(store), store, run)


async def _score(parts: Runtime, cluster: str) -> dict[str, Any]:
    from urllib.parse import quote

    from dbre.capabilities.chaos.runs.reading import read_score, score_document

    async with parts.open_remote() as remote:
        if remote is not None:
            return await remote.ask("GET", f"/api/v1/chaos/scores/{quote(cluster, safe='')}")
    parts.fleet.cluster(cluster)
    async with parts.open_store() as store:
        return score_document(await read_score(parts.chaos(store), store, cluster))
