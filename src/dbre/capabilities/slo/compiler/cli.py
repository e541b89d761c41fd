"""``dbre slo compile`` and ``dbre slo dashboards``."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dbre.core.view import Column, View
from dbre.ports.runtime import Runtime, runtime

if TYPE_CHECKING:
    from dbre.capabilities.slo.compiler.compilation import WrittenFile
    from dbre.capabilities.slo.compiler.subject import Subject

__all__ = ["compile_slos", "write_dashboards"]


class Target(StrEnum):
    """What reads the files."""

    PROMETHEUS = "prometheus"
    ALERTMANAGER = "alertmanager"


class Compat(StrEnum):
    """Whose names the rules have."""

    NATIVE = "native"
    SLOTH = "sloth"


_Slo = Annotated[str | None, typer.Argument(metavar="[SLO]", help="One SLO. Default: all.")]
_To = Annotated[Target, typer.Option("--to", help="What reads the files: prometheus or alertmanager.")]
_Compat = Annotated[Compat, typer.Option("--compat", help="native: exact; sloth: the names and the meaning of Sloth's rules.")]
_Tests = Annotated[bool, typer.Option("--test", help="Write unit tests for promtool beside the rules.")]
_Check = Annotated[bool, typer.Option("--check", help="Ask promtool, vmalert or amtool whether all is right; run the tests.")]
_Out = Annotated[Path | None, typer.Option("--out", metavar="DIRECTORY", help="Where files go. Default: print them.")]
_Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
_PageTo = Annotated[str, typer.Option("--page-receiver", help="Name of the receiver of pages; with --to alertmanager.")]
_TicketTo = Annotated[str, typer.Option("--ticket-receiver", help="Name of the receiver of tickets; with --to alertmanager.")]


async def compile_slos(
    ctx: typer.Context,
    name: _Slo = None,
    *,
    to: _To = Target.PROMETHEUS,
    compat: _Compat = Compat.NATIVE,
    test: _Tests = False,
    check: _Check = False,
    out: _Out = None,
    overwrite: _Overwrite = False,
    page_receiver: _PageTo = "page",
    ticket_receiver: _TicketTo = "ticket",
) -> View:
    """Write SLOs as rules of Prometheus, with unit tests, or as routes of Alertmanager.

    The rules give the numbers of dbre itself from its own counters (scrape /metrics with honor_labels) or from yours. The
    same configuration gives the same text.
    """
    from dbre.capabilities.slo.compiler.compilation import alertmanager_files, check_files, rule_files, save
    from dbre.core.errors import UsageError

    if test and (to is not Target.PROMETHEUS or compat is not Compat.NATIVE):
        raise UsageError("--test writes tests of native rules only", hint="leave --test out, or --compat and --to")
    if to is Target.ALERTMANAGER and compat is not Compat.NATIVE:
        raise UsageError("--to alertmanager routes alerts of native rules only", hint="leave --compat out: Sloth has no routes")
    parts = runtime(ctx)
    subjects = _subjects(parts, name)
    notes: tuple[str, ...] = ()
    if to is Target.ALERTMANAGER:
        files = alertmanager_files(subjects, page_receiver=page_receiver, ticket_receiver=ticket_receiver)
    else:
        files, notes = rule_files(
            subjects,
            is_sloth=compat is Compat.SLOTH,
            with_tests=test,
            probe_interval_ms=_probe_interval_ms(parts),
            is_everything=name is None,
        )
    findings = await check_files(files) if check else []
    told = [f"{one.tool}: {one.output.splitlines()[-1].strip() if one.output else 'good'}" for one in findings]
    if out is not None:
        save(files, out, overwrite=overwrite)
    return _view("SloRules", files, out, notes=[*notes, *told])


async def write_dashboards(
    ctx: typer.Context,
    *,
    out: _Out = None,
    overwrite: _Overwrite = False,
) -> View:
    """Write dashboards of Grafana: fleet, SLO, database of each engine, incidents, dbre itself.

    Each file is a bare dashboard for file provisioning; the data source is chosen in Grafana.
    """
    from dbre.capabilities.slo.compiler.compilation import WrittenFile, save
    from dbre.capabilities.slo.compiler.dashboards import dashboards

    engines = sorted({cluster.engine for cluster in runtime(ctx).fleet.clusters})
    files = [WrittenFile(name=one.file_name, kind="dashboard", text=one.text) for one in dashboards(engines)]
    if out is not None:
        save(files, out, overwrite=overwrite)
    return _view("Dashboards", files, out, notes=[])


def _subjects(parts: Runtime, name: str | None) -> "tuple[Subject, ...]":
    from dbre.capabilities.slo.compiler.subject import subjects_of
    from dbre.capabilities.slo.documents import SLOS, definitions_from
    from dbre.capabilities.slo.reading import select_instances

    definitions = definitions_from(parts.config.get(SLOS))
    if name is not None:
        chosen = {one.definition.name for one in select_instances(definitions, parts.fleet, name=name)}
        definitions = tuple(one for one in definitions if one.name in chosen)
    return subjects_of(definitions, parts.fleet)


def _probe_interval_ms(parts: Runtime) -> int:
    from datetime import timedelta

    probe = next((parts.config.get(one) for one in parts.config.sections if one.key == "probe"), None)  # another's section
    interval: timedelta = getattr(probe, "interval", timedelta(seconds=10))
    return max(interval // timedelta(milliseconds=1), 1)


def _view(kind: str, files: "list[WrittenFile]", out: Path | None, *, notes: list[str]) -> View:
    if out is None:
        items = [{"file": one.name, "kind": one.kind, "text": one.text} for one in files]
        text = "\n".join(f"# {one.name}\n{one.text}" if len(files) > 1 else one.text for one in files)
        return View(kind=kind, items=items, text=text.rstrip("\n"), notes=notes)
    return View(
        kind=kind,
        items=[{"file": str(out / one.name), "kind": one.kind, "size_bytes": len(one.text.encode())} for one in files],
        columns=(
            Column(key="file", title="FILE"),
            Column(key="kind", title="KIND"),
            Column(key="size_bytes", title="BYTES", right=True),
        ),
        notes=notes,
    )
