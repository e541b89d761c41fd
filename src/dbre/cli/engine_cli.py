"""``dbre engine``: the kinds of database server that dbre knows, what they support, and all SQL that it ever sends."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from dbre.core.errors import DbreError, ExitCode, Unsupported, UsageError
from dbre.core.text import closest
from dbre.core.view import Column, Row, View
from dbre.ports.runtime import Runtime, runtime

if TYPE_CHECKING:
    from dbre.core.fleet import Cluster, Instance
    from dbre.ports.engine import Engine, EngineRegistry, NamedQuery
    from dbre.ports.support import Support

__all__ = ["app"]

app = typer.Typer(help="Engines, what they support, the SQL they send.", no_args_is_help=True)

OptionalEngine = Annotated[str | None, typer.Argument(metavar="[ENGINE]", help="One engine: postgresql, mysql, redis.")]


@app.command("list")
def list_engines(context: typer.Context) -> View:
    """The engines, and whether their drivers are installed."""
    registry = runtime(context).engines
    return View(
        kind="EngineList",
        items=[_engine_row(name, runtime(context)) for name in registry.names()],
        columns=[
            Column(key="name", title="ENGINE"),
            Column(key="products", title="PRODUCTS", format=_joined),
            Column(key="default_port", title="PORT", right=True),
            Column(key="facets", title="FACETS", format=_joined),
            Column(key="is_installed", title="DRIVER", format=lambda value: "installed" if value else "missing"),
            Column(key="hint", title="NEXT"),
        ],
    )


def _engine_row(name: str, parts: Runtime) -> Row:
    try:
        engine = parts.engines.get(name)
    except Unsupported as error:
        empty: Row = {"name": name, "products": None, "default_port": None, "facets": None}
        return {**empty, "is_installed": False, "hint": error.hint}
    facets = list(dict.fromkeys(str(feature.facet) for feature in engine.features()))
    return {
        "name": name,
        "products": list(engine.products),
        "default_port": engine.default_port,
        "facets": facets,
        "is_installed": True,
        "hint": None,
    }


@app.command()
async def support(
    context: typer.Context,
    engine: OptionalEngine = None,
    *,
    version: Annotated[str | None, typer.Option(help="For this version of the server: 16, 10.11.")] = None,
    product: Annotated[str | None, typer.Option(help="For this product: postgresql, mariadb, mysql, redis.")] = None,
    cluster: Annotated[str | None, typer.Option(help="Ask the instances of this cluster, as its configured login.")] = None,
) -> View:
    """What works: on any version, on one version, or on the instances of a cluster."""
    parts = runtime(context)
    if cluster is not None:
        if version is not None or product is not None:
            raise UsageError(
                "--cluster asks the instances for their version", hint="leave out --version and --product, or --cluster"
            )
        return await _live(parts, parts.fleet.cluster(cluster), engine)
    chosen = _chosen(parts, engine)
    if version is None:
        return _declared(chosen, product)
    return _computed(chosen, product, version)


def _chosen(parts: Runtime, name: str | None) -> "list[Engine]":
    """One engine by name, or all whose driver is installed."""
    if name is not None:
        return [parts.engines.get(name)]
    found = []
    for each in parts.engines.names():
        try:
            found.append(parts.engines.get(each))
        except Unsupported:
            continue
    return found


def _declared(engines: "Iterable[Engine]", product: str | None) -> View:
    rows = [
        {
            "engine": engine.name,
            "facet": str(feature.facet),
            "feature": feature.name,
            "products": list(feature.products),
            "versions": feature.versions,
            "privilege": feature.privilege,
            "note": feature.note or None,
        }
        for engine in engines
        for feature in engine.features()
        if product is None or product in feature.products
    ]
    columns = [
        Column(key="engine", title="ENGINE"),
        Column(key="facet", title="FACET"),
        Column(key="feature", title="FEATURE"),
        Column(key="products", title="PRODUCTS", format=_joined),
        Column(key="versions", title="VERSIONS"),
        Column(key="privilege", title="NEEDS"),
        Column(key="note", title="NOTE", wide=True),
    ]
    return View(kind="FeatureList", items=rows, columns=columns)


def _computed(engines: "Sequence[Engine]", product: str | None, version: str) -> View:
    from dbre.ports.support import support_matrix
    from dbre.ports.versions import parse_version

    parsed = parse_version(version)
    having = [engine for engine in engines if product is None or product in engine.products]
    if len(having) != 1:
        raise UsageError(
            f"version {version} of which server?",
            hint=f"name one engine: {', '.join(engine.name for engine in having or engines)}",
        )
    found = support_matrix(having[0], product=product, version=parsed)
    return _support_view([_support_row(having[0].name, None, one) for one in found])


async def _live(parts: Runtime, cluster: "Cluster", engine: str | None) -> View:
    if engine is not None and engine != cluster.engine:
        raise UsageError(f"cluster {cluster.name} runs {cluster.engine}, not {engine}", hint="leave out the engine")
    answers = await asyncio.gather(*(_ask(parts.engines, cluster, instance) for instance in cluster.instances))
    rows = [row for answer in answers if not isinstance(answer, DbreError) for row in answer]
    errors = [answer for answer in answers if isinstance(answer, DbreError)]
    return _support_view(rows, errors=errors)


async def _ask(engines: "EngineRegistry", cluster: "Cluster", instance: "Instance") -> list[Row] | DbreError:
    from dbre.ports.contact import contact
    from dbre.ports.support import support_matrix

    try:
        async with contact(engines, cluster, instance.address, purpose="engine-support") as server:
            identity = await server.session.identify()
            privileges = await server.session.privileges()
    except DbreError as error:
        return error
    driver = engines.get(cluster.engine)
    found = support_matrix(driver, product=identity.product, version=identity.version, privileges=privileges)
    return [_support_row(driver.name, instance.name, one) for one in found]


def _support_row(engine: str, instance: str | None, support: "Support") -> Row:
    return {
        "engine": engine,
        "instance": instance,
        "facet": str(support.feature.facet),
        "feature": support.feature.name,
        "state": str(support.state),
        "reason": support.reason,
        "privilege": support.feature.privilege,
        "note": support.feature.note or None,
    }


def _support_view(rows: Sequence[Row], *, errors: Sequence[DbreError] = ()) -> View:
    live = any(row["instance"] is not None for row in rows)
    columns = [
        Column(key="instance" if live else "engine", title="INSTANCE" if live else "ENGINE"),
        Column(key="facet", title="FACET"),
        Column(key="feature", title="FEATURE"),
        Column(key="state", title="STATE", format=lambda state: str(state).replace("_", " ")),
        Column(key="reason", title="REASON"),
        Column(key="privilege", title="NEEDS", wide=True),
        Column(key="note", title="NOTE", wide=True),
    ]
    exit_code = errors[0].exit_code if errors and not rows else ExitCode.OK
    return View(kind="SupportList", items=rows, columns=columns, errors=errors, exit_code=exit_code)


@app.command()
def sql(
    context: typer.Context,
    engine: OptionalEngine = None,
    *,
    name: Annotated[str | None, typer.Option(help="Only the statement of this name.")] = None,
    grants: Annotated[bool, typer.Option("--grants", help="The script that gives a login what the features need.")] = False,
    user: Annotated[str | None, typer.Option(metavar="NAME", help="The login that the grants are for.")] = None,
) -> View:
    """Every statement that dbre may send, or the grants that a login needs."""
    parts = runtime(context)
    if grants != (user is not None):
        missing = "--user NAME" if grants else "--grants"
        raise UsageError(f"--grants and --user go together; {missing} is missing", hint="--grants --user dbre")
    if grants and user is not None:
        return _grants(_chosen(parts, engine), user, name)
    return _statements(_chosen(parts, engine), name)


def _grants(engines: "Sequence[Engine]", user: str, name: str | None) -> View:
    if len(engines) != 1:
        raise UsageError("grants of which engine?", hint=f"name one: {', '.join(each.name for each in engines)}")
    if name is not None:
        raise UsageError("--name picks a statement, and --grants asks for a script", hint="leave out one of them")
    script = engines[0].grants(user)
    return View(
        kind="GrantScript",
        items=[{"engine": engines[0].name, "user": user, "script": script}],
        single=True,
        text=script.rstrip("\n"),
    )


def _statements(engines: "Sequence[Engine]", name: str | None) -> View:
    every = [(engine.name, query) for engine in engines for query in engine.queries()]
    found = [(engine, query) for engine, query in every if name is None or query.name == name]
    if name is not None and not found:
        near = closest(name, [query.name for _, query in every])
        raise UsageError(f"no statement is named {name!r}", hint=f"did you mean {near}?" if near else "dbre engine sql -o name")
    return View(
        kind="NamedQueryList",
        items=[_query_row(engine, query) for engine, query in found],
        text="\n\n".join(_query_text(query) for _, query in found),
    )


def _query_row(engine: str, query: "NamedQuery") -> Row:
    return {
        "name": query.name,
        "engine": engine,
        "facet": str(query.facet),
        "products": list(query.products) or None,
        "versions": query.versions,
        "privilege": query.privilege,
        "parameters": [f"{parameter.name} {parameter.type}" for parameter in query.parameters],
        "text": query.text,
        "source": query.source,
    }


def _query_text(query: "NamedQuery") -> str:
    products = f" {', '.join(query.products)}" if query.products else ""
    return f"-- {query.name} ({query.source}):{products} versions {query.versions}, needs {query.privilege}\n{query.text};"


def _joined(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else "-"
