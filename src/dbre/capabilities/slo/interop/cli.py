"""``dbre slo import``, ``export`` and ``validate``: SLO files of other tools."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dbre.core.errors import ExitCode
from dbre.core.view import Column, View
from dbre.ports.runtime import runtime

if TYPE_CHECKING:
    from dbre.capabilities.slo.interop.importing import Imported

__all__ = ["app"]

app = typer.Typer()

Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="OpenSLO, Sloth, Pyrra, slo.yaml; many documents each.")]
Selected = Annotated[
    list[str] | None,
    typer.Option("--selector", metavar="LABEL=VALUE", help="Clusters that the SLOs are for: cluster=orders; may be repeated."),
]
Server = Annotated[
    str, typer.Option("--prometheus", metavar="NAME", help="The server of section prometheus where a file names none.")
]
_COLUMNS = (
    Column(key="name", title="SLO"),
    Column(key="indicator", title="INDICATOR"),
    Column(key="target", title="TARGET", right=True),
    Column(key="window", title="WINDOW"),
    Column(key="place", title="FROM"),
)


@app.command("import")
def import_slos(files: Files, selector: Selected = None, prometheus: Server = "prometheus") -> View:
    """SLOs of other tools as a file for `include`; exit code 3 where an SLO had to be left out."""
    from dbre.core.errors import UsageError
    from dbre.core.text import counted

    imported = _imported(files, selector, prometheus)
    homeless = [str(one.document.get("name")) for one in imported.slos if not one.document.get("selector")]
    if homeless:
        raise UsageError(
            f"{counted(len(homeless), 'SLO')} of these files say of no cluster that they are for it: {', '.join(homeless[:5])}",
            hint="say which clusters they are for: --selector cluster=NAME, or --selector environment=prod",
        )
    return _view("SloImport", imported, imported.text() if imported.slos else "")


@app.command("validate")
def validate_slos(files: Files) -> View:
    """Check SLO files, ours and those of other tools: everything wrong with all of them at once."""
    return _view("SloValidation", _imported(files, None, "prometheus"), None)


@app.command("export")
def export_slos(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[SLO]...", help="Only these; default all.")] = None,
    service: Annotated[str, typer.Option("--service", help="What OpenSLO calls the service.")] = "database",
) -> View:
    """The SLOs of the configuration as OpenSLO v1, one document each."""
    from dbre.capabilities.slo.documents import SLOS
    from dbre.capabilities.slo.errors import UnknownSlo
    from dbre.capabilities.slo.interop.exporting import openslo_objects, openslo_text
    from dbre.core.text import closest, printable

    documents = runtime(ctx).config.get(SLOS)
    known = {one.name: one for one in documents}
    for name in names or ():
        if name not in known:
            near = closest(name, list(known))
            hint = f"did you mean {near}?" if near else "dbre slo list shows every SLO"
            raise UnknownSlo(f"no SLO is named {printable(name, limit=150)}", hint=hint)
    chosen = [known[name] for name in names] if names else list(documents)
    return View(
        kind="OpenSloList",
        items=openslo_objects(chosen, service=service),
        columns=(Column(key="kind", title="KIND"),),
        text=openslo_text(chosen, service=service),
        empty="no SLO is configured",
    )


def _imported(files: list[Path], selector: list[str] | None, prometheus: str) -> "Imported":
    from dbre.capabilities.slo.interop.importing import import_files
    from dbre.capabilities.slo.interop.model import Defaults

    return import_files(files, Defaults(selector=_selector(selector or []), server=prometheus))


def _selector(terms: list[str]) -> dict[str, str | list[str]]:
    from dbre.core.errors import UsageError
    from dbre.core.selector import Selector

    found: dict[str, list[str]] = {}
    for term in terms:
        label, mark, value = term.partition("=")
        if not (label and mark and value):
            raise UsageError("a selector is LABEL=VALUE", hint="write --selector cluster=orders")
        found.setdefault(label, []).append(value)
    selector: dict[str, str | list[str]] = {label: given[0] if len(given) == 1 else given for label, given in found.items()}
    if selector:
        Selector.of(selector)
    return selector


def _view(kind: str, imported: "Imported", text: str | None) -> View:
    rows = [
        {
            "name": document.name,
            "indicator": str(document.sli.sli()),
            "target": f"{(document.target * 100).normalize():f} %",
            "window": str(document.window.window()),
            "place": str(one.place),
            "document": dict(one.document),
        }
        for one, document in zip(imported.slos, imported.documents, strict=True)
    ]
    return View(
        kind=kind,
        items=rows,
        columns=_COLUMNS,
        text=text,
        notes=[str(one) for one in imported.lost],
        empty="no SLO could be carried over" if imported.left_out else "the files hold no SLO",
        exit_code=ExitCode.FINDINGS if imported.left_out else ExitCode.OK,
    )
