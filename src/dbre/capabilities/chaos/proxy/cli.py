"""``dbre chaos proxy``: a fault proxy in this process, and what it can do."""

from pathlib import Path
from typing import Annotated

import typer

from dbre.core.view import Column, View
from dbre.ports.runtime import runtime

__all__ = ["app"]

app = typer.Typer(help="Stand between clients and a server, and delay, cut, corrupt or fail what passes.", no_args_is_help=True)


@app.command()
def run(
    ctx: typer.Context,
    *,
    listen: Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="Where clients come; port 0: any free one.")],
    to: Annotated[str, typer.Option("--to", metavar="HOST:PORT", help="The server.")],
    name: Annotated[str, typer.Option("--name", help="What the proxy is called in the API and in the seed.")] = "proxy",
    engine: Annotated[
        str | None, typer.Option("--engine", help="Whose protocol is spoken: needed for toxics of queries.")
    ] = None,
    tls: Annotated[
        str, typer.Option("--tls", help="To clients that ask for it: refuse, or pass, and then queries are not seen.")
    ] = "refuse",
    toxic: Annotated[
        list[str] | None,
        typer.Option("--toxic", metavar="TYPE[,KEY=VALUE]...", help="On from the start: latency,latency=200,toxicity=0.1"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Chance is repeated with the same one; default: a new one.")
    ] = None,
    api: Annotated[
        str | None, typer.Option("--api", metavar="HOST:PORT", help="Also serve the API of Toxiproxy there, on loopback.")
    ] = None,
    api_token: Annotated[
        Path | None, typer.Option("--api-token", metavar="FILE", help="Its token; the file is made if there is none.")
    ] = None,
    duration: Annotated[str | None, typer.Option("--for", metavar="TIME", help="End by itself after so long.")] = None,
) -> View:
    """Run a fault proxy until Ctrl-C, SIGTERM or the end of its time; toxics end with it."""
    import secrets

    from dbre.capabilities.chaos.proxy.running import Request, serve
    from dbre.core.units import parse_duration

    request = Request(
        document={"name": name, "listen": listen, "upstream": to, "engine": engine, "tls": tls},
        toxics=tuple(toxic or ()),
        seed=secrets.randbits(31) if seed is None else seed,
        api=api,
        token_file=api_token,
        seconds=None if duration is None else parse_duration(duration).total_seconds(),
    )
    counts = serve(request, lambda engine: runtime(ctx).engines.get(engine).wire())
    return View(kind="ChaosProxyRun", items=[counts], single=True)


@app.command()
def toxics() -> View:
    """What a proxy can do to connections and queries, with the attributes of each."""
    from dbre.capabilities.chaos.proxy.catalogue import TYPES

    rows = [
        {
            "type": one.name,
            "units": " ".join(one.units),
            "attributes": ", ".join(f"{each.name} ({each.summary})" for each in one.attributes),
            "summary": one.summary,
        }
        for one in TYPES.values()
    ]
    columns = (
        Column(key="type", title="TYPE"),
        Column(key="units", title="OF"),
        Column(key="summary", title="WHAT IT DOES", below=True),
        Column(key="attributes", title="ATTRIBUTES", below=True),
    )
    return View(kind="ChaosToxicList", items=rows, columns=columns)
