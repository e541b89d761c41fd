"""``dbre ha settings``: how long outages will last by the settings, and what is wrong with these."""

from typing import Annotated

import typer

from dbre.core.view import View
from dbre.ports.runtime import runtime

__all__ = ["app"]

app = typer.Typer()


@app.command()
async def settings(
    ctx: typer.Context,
    cluster: Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster of the inventory that Patroni runs.")],
    *,
    preset: Annotated[
        str | None, typer.Option(metavar="PRESET", help="Compare with lan-fast, safe or wan. Default: the configuration's.")
    ] = None,
    client_timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="tcp_user_timeout of the clients. Default: they have none.")
    ] = None,
    connect_timeout: Annotated[str, typer.Option(metavar="TIME", help="connect_timeout of the clients.")] = "2s",
) -> View:
    """Patroni's settings beside a preset, the outage that each class of fault will cost, and what is wrong.

    Ends with 3 for a finding from warning on.
    """
    from dbre.capabilities.ha.config_document import HA
    from dbre.capabilities.ha.patroni.prediction import ClientTimes
    from dbre.capabilities.ha.patroni.settings_review import review
    from dbre.capabilities.ha.patroni.settings_view import review_view
    from dbre.core.units import parse_duration

    parts = runtime(ctx)
    wanted = parts.fleet.cluster(cluster)
    clients = ClientTimes(
        tcp_user_timeout_seconds=parse_duration(client_timeout).total_seconds() if client_timeout is not None else None,
        connect_timeout_seconds=parse_duration(connect_timeout).total_seconds(),
    )
    found = await review(parts.engines, wanted, parts.config.get(HA).of(cluster).patroni, preset=preset, clients=clients)
    return review_view(found)
