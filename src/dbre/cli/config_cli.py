"""``dbre config``: what is configured, where it was written, and whether it holds."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from dbre.core.errors import ExitCode, UsageError
from dbre.core.text import closest, quoted
from dbre.core.view import Column, View

if TYPE_CHECKING:
    from dbre.capabilities.slo.definition import DefinitionProblem
    from dbre.core.config import Config
    from dbre.core.fleet import Fleet

__all__ = ["app"]

app = typer.Typer(help="Show and check the configuration.", no_args_is_help=True)


@app.command()
def show(
    ctx: typer.Context,
    origin: Annotated[bool, typer.Option("--origin", help="List every setting with the place it comes from.")] = False,
) -> View:
    """The effective configuration; secrets are shown as references."""
    from dbre.core.config import document_text
    from dbre.ports.runtime import runtime

    config = runtime(ctx).config
    if not origin:
        document = {key: _redacted(value) for key, value in config.document().items()}
        return View(kind="Config", items=[document], single=True, text=document_text(document))
    rows = [{"key": one.key, "value": _redacted(one.value), "origin": one.origin} for one in config.origin()]
    columns = [
        Column(key="key", title="KEY"),
        Column(key="value", title="VALUE"),
        Column(key="origin", title="ORIGIN"),
    ]
    return View(kind="SettingList", items=rows, columns=columns)


@app.command()
def validate(ctx: typer.Context) -> View:
    """Check every file, variable and flag; all problems are reported at once.

    SLOs that can measure nothing, or not what they promise, are warnings; with one that measures nothing it ends with 3.
    """
    from dbre.cli.config_references import dangling_references
    from dbre.core.config import ConfigInvalid
    from dbre.ports.runtime import runtime

    wired = runtime(ctx)
    config, fleet = wired.config, wired.fleet
    if dangling := dangling_references(config):
        raise ConfigInvalid(dangling)
    problems = _slo_problems(config, fleet)
    notes = [] if config.files else ["no file was read: there is neither ./dbre.yaml nor ~/.config/dbre/dbre.yaml"]
    row = {
        "is_valid": True,
        "files": [str(path) for path in config.files],
        "sections": [section.key for section in config.sections if config.place(section.key) != "default"],
        "cluster_count": len(fleet.clusters),
        "instance_count": sum(len(cluster.instances) for cluster in fleet.clusters),
        "warnings": [f"{problem.message} ({problem.hint})" for problem in problems],
    }
    code = ExitCode.FINDINGS if any(problem.measures_nothing for problem in problems) else ExitCode.OK
    return View(kind="ConfigValidation", items=[row], single=True, notes=notes, exit_code=code)


def _slo_problems(config: "Config", fleet: "Fleet") -> "tuple[DefinitionProblem, ...]":
    from dbre.capabilities.observe import PROBE
    from dbre.capabilities.slo import SLOS, definitions_from, problems_of

    if not {SLOS.key, PROBE.key} <= {section.key for section in config.sections}:
        return ()
    probe = config.get(PROBE)
    return problems_of(
        definitions_from(config.get(SLOS)), fleet, probe_interval=probe.interval, probe_timeout=probe.total_timeout
    )


@app.command()
def schema(
    ctx: typer.Context,
    section: Annotated[str | None, typer.Argument(help="One section; default: the whole file.")] = None,
) -> View:
    """Print the JSON Schema (draft 2020-12) of dbre.yaml, for editors and checks."""
    from dbre.core.config import file_schema, section_schema
    from dbre.ports.runtime import runtime

    sections = {one.key: one for one in runtime(ctx).sections()}
    if section is None:
        document = file_schema(tuple(sections.values()))
    elif section in sections:
        document = section_schema(sections[section])
    else:
        near = closest(section, sections)
        hint = f"did you mean {near}?" if near else f"the sections are {', '.join(sections)}"
        raise UsageError(f"there is no section {quoted(section, limit=100)}", hint=hint)
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return View(kind="JsonSchema", items=[document], single=True, text=text)


def _redacted(value: object) -> object:
    """References are safe to show; a URL may hold a password all the same."""
    from dbre.core.telemetry import redact_text

    if isinstance(value, dict):
        return {key: _redacted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_redacted(item) for item in value]
    return redact_text(value) if isinstance(value, str) else value
