"""``dbre ha clients``: whether clients will survive a change of primary."""

from typing import TYPE_CHECKING, Annotated

import typer

from dbre.core.view import View
from dbre.ports.runtime import runtime

if TYPE_CHECKING:
    from dbre.capabilities.ha.route.config_document import ClientDocument
    from dbre.capabilities.ha.route.stragglers import Straggler

__all__ = ["app"]

app = typer.Typer()


@app.command()
async def clients(
    ctx: typer.Context,
    cluster: Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster of the inventory.")],
    *,
    dsn: Annotated[
        list[str] | None,
        typer.Option(
            "--dsn", metavar="REFERENCE", help="Where a connection string is kept: env:NAME, file:/path. Besides those written."
        ),
    ] = None,
    rto: Annotated[str, typer.Option("--rto", metavar="TIME", help="How long clients may be without the primary.")] = "10s",
    sessions: Annotated[bool, typer.Option("--sessions/--no-sessions", help="Look at live sessions, too.")] = True,
) -> View:
    """Settings of clients judged, and how long each waits when the primary is gone; ends with 3 from warning on."""
    from dbre.capabilities.ha.client_settings.reviewing import review_clients, review_sessions, surroundings_of
    from dbre.capabilities.ha.client_settings.view import review_document, review_text
    from dbre.capabilities.ha.config_document import HA
    from dbre.core.checks import Severity, exit_code_of, worst_first
    from dbre.core.errors import ExitCode
    from dbre.core.units import parse_duration

    parts = runtime(ctx)
    found = parts.fleet.cluster(cluster)
    document = parts.config.get(HA).of(found.name)
    around = surroundings_of(document, found, rto_seconds=parse_duration(rto).total_seconds())
    asked = (*document.clients, *(_given(one) for one in dsn or ()))
    reviews, findings, errors = await review_clients(document, asked, around)
    live: list[Straggler] = []
    if sessions:
        live, more, failed = await review_sessions(parts.engines, found, around)
        findings, errors = [*findings, *more], [*errors, *failed]
    findings = worst_first(findings)
    code = exit_code_of(findings, fail_on=Severity.WARNING)
    if errors and code is ExitCode.OK:  # of what could not be looked at nothing is known
        code = errors[0].exit_code
    return View(
        kind="ClientReview",
        items=[review_document(reviews, findings, live)],
        single=True,
        text=review_text(reviews, findings, live, rto_seconds=around.rto_seconds, are_all=not errors),
        errors=errors,
        exit_code=code,
    )


def _given(text: str) -> "ClientDocument":
    from dbre.capabilities.ha.route.config_document import ClientDocument
    from dbre.core.secrets import SecretReference

    reference = SecretReference.parse(text)
    name = "".join(one if one.isalnum() or one in "._-" else "-" for one in reference.target)[-63:].strip("._-") or "dsn"
    return ClientDocument(name=name, dsn=reference)
