"""``dbre lab``: throw-away databases on this machine."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dbre.cli.lab_server_cli import app as one_server_app
from dbre.core.view import Column, Row, View

if TYPE_CHECKING:  # for annotations only: help must stay cheap
    from dbre.lab import Lab, ServerStatus

__all__ = ["app"]

app = typer.Typer(help="Start and stop throw-away databases on this machine.", no_args_is_help=True)
app.add_typer(one_server_app)

_DEFAULT_NAME = "lab"


class Engine(StrEnum):
    """What a lab can run."""

    POSTGRESQL = "postgresql"
    MARIADB = "mariadb"
    REDIS = "redis"


NameOption = Annotated[str, typer.Option("--name", help="Name of the lab, and of its cluster.")]
DirectoryOption = Annotated[
    Path | None, typer.Option("--directory", help="Where the lab lives. Default: dbre-lab-UID/NAME in the temporary directory.")
]

_COLUMNS = (
    Column(key="lab", title="LAB"),
    Column(key="server", title="SERVER"),
    Column(key="role", title="ROLE"),
    Column(key="state", title="STATE"),
    Column(key="address", title="ADDRESS"),
    Column(key="version", title="VERSION"),
    Column(key="pid", title="PID", right=True),
    Column(key="processes", title="PROCESSES", right=True),
    Column(key="directory", title="DIRECTORY", wide=True),
)


@app.command()
async def up(
    replicas: Annotated[
        int | None, typer.Option(help="Streaming replicas of the primary, 0 to 8. Default: 1; with --patroni 2.")
    ] = None,
    engine: Annotated[Engine, typer.Option(help="Database to run.")] = Engine.POSTGRESQL,
    name: NameOption = _DEFAULT_NAME,
    version: Annotated[
        int | None, typer.Option(help="Major version of PostgreSQL, such as 15, 16 or 18. Default: the newest that is here.")
    ] = None,
    bindir: Annotated[Path | None, typer.Option(help="Directory of the server's programs.")] = None,
    patroni: Annotated[
        str | None,
        typer.Option(metavar="PRESET", help="Let Patroni, over an etcd of three, choose the primary: lan-fast, safe or wan."),
    ] = None,
    sentinels: Annotated[
        int, typer.Option("--sentinels", metavar="N", help="Let so many Sentinels choose the primary of redis: 1, 3, 5 or 7.")
    ] = 0,
    network: Annotated[
        bool,
        typer.Option("--network", help="Each server in a network namespace of its own, for faults of the network. Needs root."),
    ] = False,
    sites: Annotated[
        int, typer.Option(help="Places that take turns: the second server is in the second. More than one: --network.")
    ] = 1,
    round_trip: Annotated[
        str | None, typer.Option("--round-trip", metavar="TIME", help="Between sites, there and back: 20ms.")
    ] = None,
    observers: Annotated[
        int, typer.Option(help="Namespaces for so many dbre ha observe, which the dbre.yaml names. With --network.")
    ] = 0,
    directory: DirectoryOption = None,
) -> View:
    """Start a primary with streaming replicas, and write a dbre.yaml for them.

    Servers listen on 127.0.0.1 on free ports, with generated passwords, and run until dbre lab down. As root they run as the
    user who called sudo, or as postgres. Programs are looked for in --bindir, in the system and in the extra "lab" of dbre.
    """
    from dbre.core.progress import report
    from dbre.core.text import counted
    from dbre.core.units import parse_duration
    from dbre.lab import Lab, LabEngine, LabSpec
    from dbre.lab.observers import observer_commands

    wanted = replicas if replicas is not None else 1 if patroni is None else 2
    spec = LabSpec(
        name=name,
        engine=LabEngine(engine.value),
        replicas=wanted,
        version=version,
        bindir=bindir and bindir.absolute(),
        patroni=patroni,
        sentinels=sentinels,
        network=network,
        sites=sites,
        round_trip_seconds=parse_duration(round_trip).total_seconds() if round_trip is not None else 0.0,
        observers=observers,
    )
    chosen = (
        ", with Patroni and etcd" if patroni is not None else f", with {counted(sentinels, 'Sentinel')}" if sentinels else ""
    )
    report(f"starting {engine.value}: a primary and {wanted} {'replica' if wanted == 1 else 'replicas'}{chosen}")
    lab = await Lab.create(spec, directory)
    servers = [_row(one) for one in await lab.status()]
    where = f" --directory {shlex.quote(str(lab.directory))}" if directory is not None else ""
    commands = {
        "watch": f"dbre -c {shlex.quote(str(lab.config_file))} server",
        **observer_commands(spec, directory=lab.directory, config_file=lab.config_file),
        "load": f"dbre lab load --name {name}{where}",
        "stop": f"dbre lab down --name {name}{where}",
    }
    document = {
        "lab": name,
        "directory": str(lab.directory),
        "config_file": str(lab.config_file),
        "servers": servers,
        "commands": commands,
    }
    return View(kind="Lab", items=[document], single=True, text=_announcement(lab, commands))


def _announcement(lab: "Lab", commands: dict[str, str]) -> str:
    lines = [f"# {lab.config_file}", lab.config_file.read_text().rstrip(), ""]
    lines += [f"# {verb}: {command}" for verb, command in commands.items()]
    return "\n".join(lines) + "\n"


@app.command()
async def status(
    name: Annotated[str | None, typer.Option("--name", help="Only this lab.")] = None, directory: DirectoryOption = None
) -> View:
    """List the servers of labs: what they are, and whether they run, are frozen or stopped."""
    from dbre.core.errors import DbreError
    from dbre.lab import Lab, list_labs

    wanted = [name or _DEFAULT_NAME] if name is not None or directory is not None else list_labs()
    rows: list[Row] = []
    errors: list[DbreError] = []
    for one in wanted:
        try:
            rows += [_row(server) for server in await Lab.open(one, directory).status()]
        except DbreError as error:
            if len(wanted) == 1:
                raise
            errors.append(error)  # one broken lab must not hide the others
    return View(kind="LabServerList", items=rows, columns=_COLUMNS, empty="no lab is up; start one: dbre lab up", errors=errors)


@app.command()
def down(name: NameOption = _DEFAULT_NAME, directory: DirectoryOption = None) -> View:
    """Kill the servers of a lab and remove everything that it wrote; done already is done."""
    from dbre.lab import lab_directory, take_down

    removed = take_down(name, directory)
    where = lab_directory(name, directory)
    text = f"lab {name!r} is gone: {where}\n" if removed else f"there is no lab {name!r} in {where}: nothing to do\n"
    return View(kind="LabRemoval", items=[{"lab": name, "directory": str(where), "removed": removed}], single=True, text=text)


@app.command()
async def load(
    name: NameOption = _DEFAULT_NAME,
    rate: Annotated[float, typer.Option(help="Operations a second, alternately a write and a read.")] = 20.0,
    duration: Annotated[str, typer.Option(help="How long: 30s, 5m.")] = "30s",
    deadline: Annotated[str, typer.Option(help="An operation fails without an answer so long after it was due.")] = "1s",
    clients: Annotated[int, typer.Option(help="Connections at most.")] = 4,
    ledger: Annotated[Path | None, typer.Option(help="Write the fate of each write to this new file, as JSON.")] = None,
    directory: DirectoryOption = None,
) -> View:
    """Load a lab as an application would, on a fixed schedule, and say when its clients suffered.

    Each operation is counted from the moment at which it was due, so an outage is not hidden by waiting for it. Afterwards
    the acknowledged writes are looked for in the database. Ctrl-C ends the load and reports. Exit code 3 if a write is lost.
    """
    from dbre.core.units import parse_duration
    from dbre.lab import Lab, LoadClient, LoadPlan
    from dbre.lab.load.narrator import narrate
    from dbre.lab.load.view import load_view

    plan = LoadPlan(
        rate=rate,
        duration_seconds=parse_duration(duration).total_seconds(),
        deadline_seconds=parse_duration(deadline).total_seconds(),
        connections=clients,
    )
    client = LoadClient(Lab.open(name, directory).load_target(), plan, ledger_file=ledger)
    return load_view(name, *await narrate(client))


def _row(status: "ServerStatus") -> Row:
    return {
        "lab": status.lab,
        "server": status.name,
        "role": None if status.role is None else str(status.role),
        "state": str(status.state),
        "address": None if status.address is None else str(status.address),
        "engine": status.engine,
        "version": status.version,
        "pid": status.pid,
        "processes": status.processes,
        "directory": str(status.directory),
    }
