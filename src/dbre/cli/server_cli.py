"""``dbre server``: the control plane in the foreground, as an init system wants it."""

import typer

from dbre.ports.runtime import runtime

__all__ = ["app"]

app = typer.Typer()


@app.command()
async def server(context: typer.Context) -> None:
    """Run the control plane: probes, SLOs, alerts, API and pages."""
    await runtime(context).serve()
