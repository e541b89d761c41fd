"""``dbre incident postmortem``: written, reviewed, exported."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from dbre.core.view import Column, View
from dbre.ports.runtime import runtime

if TYPE_CHECKING:
    from dbre.capabilities.incident.postmortem.repository import Revision

__all__ = ["app"]

app = typer.Typer(help="What is learned of an incident: drafted, edited, reviewed, exported.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="INCIDENT", help="INC-12, 12, or the id.")]
RevisionOption = Annotated[int | None, typer.Option("--revision", min=1, help="Which one; default the newest.")]
_LARGEST = 500_000


def _row(name: str, one: "Revision", text: str | None = None) -> dict[str, object]:
    return {
        "incident": name,
        "revision": one.revision,
        "at": one.at.isoformat().replace("+00:00", "Z"),
        "author": one.author,
        "sha256": one.sha256,
        "is_intact": one.is_intact,
        "text": one.text if text is None else text,
    }


@app.command("draft")
async def draft(
    ctx: typer.Context,
    name: Name,
    *,
    show: Annotated[bool, typer.Option("--show", help="Only show what would be written.")] = False,
) -> View:
    """Write what is known as a new revision: impact, timeline, detection, response, measured cost."""
    from dbre.capabilities.incident.incidents_document import INCIDENTS
    from dbre.capabilities.incident.postmortem.draft import TEMPLATE
    from dbre.capabilities.incident.postmortem.draft import draft as text_of
    from dbre.capabilities.incident.wiring import postmortem_desk, postmortem_rules

    parts = runtime(ctx)
    async with postmortem_desk(parts) as desk:
        if show:
            known = await desk.known(name)
            document = parts.config.get(INCIDENTS).postmortem
            text = text_of(known, postmortem_rules(document).template if document.template else TEMPLATE)
            return View(
                kind="PostmortemPreview", items=[{"incident": known.incident.name, "text": text}], single=True, text=text
            )
        one = await desk.draft(name)
    return View(kind="Postmortem", items=[_row(name, one)], single=True, text=one.text)


@app.command("edit")
async def edit(
    ctx: typer.Context,
    name: Name,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The Markdown; - reads it from standard input.")],
) -> View:
    """Write a text of your own as a new revision."""
    from dbre.capabilities.incident.wiring import postmortem_desk

    parts, text = runtime(ctx), _read(file)
    async with postmortem_desk(parts) as desk:
        one = await desk.edit(name, text)
    columns = [Column(key=key, title=key.upper()) for key in ("incident", "revision", "author", "sha256")]
    return View(kind="Postmortem", items=[_row(name, one)], columns=columns)


def _read(file: str) -> str:
    import sys
    from pathlib import Path

    from dbre.core.errors import UsageError
    from dbre.core.text import quoted

    try:
        if file == "-":
            data = sys.stdin.buffer.read(_LARGEST + 1)
        else:
            with Path(file).open("rb") as opened:
                data = opened.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise UsageError(f"{quoted(file)} has more than {_LARGEST} bytes", hint="a postmortem is read by people")
        return data.decode()
    except OSError as error:
        raise UsageError(f"{quoted(file)} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{quoted(file)} is not UTF-8") from error


@app.command("show")
async def show(ctx: typer.Context, name: Name, *, revision: RevisionOption = None) -> View:
    """A revision as it was written."""
    from dbre.capabilities.incident.wiring import postmortem_desk

    async with postmortem_desk(runtime(ctx)) as desk:
        incident, found = await desk.revisions(name)
    one = _chosen(incident.name, found, revision)
    notes = [] if one.is_intact else [f"warning: revision {one.revision} was changed after it was written: its sum differs"]
    return View(kind="Postmortem", items=[_row(incident.name, one)], single=True, text=_shown(one.text), notes=notes)


def _shown(text: str) -> str:
    """Line by line, because a text that somebody wrote must not move the cursor of a terminal."""
    from dbre.core.text import printable

    return "\n".join(printable(line, limit=_LARGEST) for line in text.splitlines())


def _chosen(name: str, found: "Sequence[Revision]", revision: int | None) -> "Revision":
    from dbre.capabilities.incident.errors import NoSuchIncidentItem

    if revision is not None and revision > len(found):
        raise NoSuchIncidentItem(f"{name} has no revision {revision}", hint=f"the newest is {len(found)}")
    return found[-1 if revision is None else revision - 1]


@app.command("list")
async def list_revisions(ctx: typer.Context, name: Name) -> View:
    """Every revision, who wrote it, and whether it is still what was written."""
    from dbre.capabilities.incident.wiring import postmortem_desk

    async with postmortem_desk(runtime(ctx)) as desk:
        incident, found = await desk.revisions(name)
    columns = [Column(key=key, title=key.upper()) for key in ("revision", "at", "author", "sha256")]
    intact = Column(key="is_intact", title="INTACT", format=lambda value: "yes" if value else "CHANGED")
    rows = [_row(incident.name, one) for one in found]
    return View(kind="PostmortemList", items=rows, columns=[*columns, intact])


@app.command("review")
async def review(ctx: typer.Context, name: Name) -> View:
    """Say that the newest revision is right; its author cannot."""
    from dbre.capabilities.incident.rows import incident_row
    from dbre.capabilities.incident.wiring import postmortem_desk

    parts = runtime(ctx)
    async with postmortem_desk(parts) as desk:
        one = await desk.review(name)
    columns = [Column(key=key, title=key.upper()) for key in ("name", "state", "title")]
    return View(kind="Incident", items=[incident_row(one, now=parts.clock.now())], columns=columns)


@app.command("export")
async def export(ctx: typer.Context, name: Name, *, revision: RevisionOption = None) -> View:
    """A revision for others: what looks like a secret or personal data is blackened."""
    from dbre.capabilities.incident.postmortem.redaction import redacted
    from dbre.capabilities.incident.wiring import postmortem_desk
    from dbre.core.text import counted

    async with postmortem_desk(runtime(ctx)) as desk:
        incident, found = await desk.revisions(name)
    one = _chosen(incident.name, found, revision)
    text, places = redacted(one.text)
    notes = [f"{counted(places, 'place')} blackened; read it before you publish it"]
    row = _row(incident.name, one, text) | {"redacted_count": places}
    return View(kind="Postmortem", items=[row], single=True, text=_shown(text), notes=notes)
