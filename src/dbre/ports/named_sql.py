"""SQL files that name their statements, with headers that a machine reads: all that dbre may ever send to a database.

A file holds the statements of one facet and is named after it. Everything before the first ``-- name:`` is a preamble::

    -- name: activity_summary
    -- facet: activity
    -- versions: >=15
    -- privilege: pg_monitor
    -- parameters: limit integer, database text
    SELECT ...

``name``, ``facet``, ``versions`` and ``privilege`` are required; ``parameters`` lists name and type in the order of the
placeholders; ``products`` limits a statement to some products of an engine. A name may be given again for other versions.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources

from dbre.core.errors import DbreError, Unsupported, UsageError
from dbre.ports.engine import Facet, NamedQuery, Parameter
from dbre.ports.versions import VersionRange, format_version

__all__ = ["Catalog", "Placeholder", "SqlFileInvalid", "load_catalog", "parse_sql_file"]

_REQUIRED = ("name", "facet", "versions", "privilege")
_KEYS = (*_REQUIRED, "parameters", "products")
_FACETS = frozenset(str(facet) for facet in Facet)
_HEADER = re.compile(r"--\s*([a-z_]+):\s*(.*?)\s*")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PARAMETER = re.compile(r"([a-z][a-z0-9_]*) ([a-z][a-z0-9_ \[\]]*)")


class SqlFileInvalid(DbreError):
    """A file of named SQL breaks the form; the message begins with ``file:line``."""

    code = "engine.sql_file_invalid"


class Placeholder(StrEnum):
    """How an engine's driver writes parameters."""

    DOLLAR = "dollar"  # $1, $2: PostgreSQL's own
    PERCENT = "percent"  # %s: drivers that interpolate on the client; a literal percent sign is written %%
    QUESTION = "question"  # ?: statements that MySQL prepares on the server

    def count_in(self, text: str) -> int:
        """How many parameters a statement takes."""
        if self is Placeholder.DOLLAR:
            return max((int(number) for number in re.findall(r"\$(\d+)", text)), default=0)
        if self is Placeholder.QUESTION:
            return re.sub(r"'[^']*'|--[^\n]*", "", text).count("?")
        return len(re.findall(r"%s", text.replace("%%", "")))


@dataclass(frozen=True, slots=True)
class _Block:
    """One statement before its header is understood."""

    place: str
    header: dict[str, str]
    body: list[str]


def parse_sql_file(text: str, *, source: str, placeholder: Placeholder = Placeholder.DOLLAR) -> tuple[NamedQuery, ...]:
    """Read the statements of one file; ``source`` is its path for messages, such as ``postgres/sql/activity.sql``.

    Raises: SqlFileInvalid with file and line of the first mistake.
    """
    queries: list[NamedQuery] = []
    for block in _blocks(text, source):
        query = _query(block, placeholder)
        stem = source.rsplit("/", 1)[-1].split(".")[0]
        if stem in _FACETS and query.facet != stem:
            raise SqlFileInvalid(f"{block.place}: facet {str(query.facet)!r} stands in the file of {stem!r}")
        for other in queries:
            if _collide(query, other):
                raise SqlFileInvalid(f"{block.place}: {query.name!r} for {query.versions} is there already: {other.source}")
        queries.append(query)
    return tuple(queries)


def _blocks(text: str, source: str) -> Iterator[_Block]:
    block: _Block | None = None
    in_header = False
    for number, line in enumerate(text.splitlines(), start=1):
        place = f"{source}:{number}"
        match = _HEADER.fullmatch(line)
        key, value = (match[1], match[2]) if match else (None, "")
        if key == "name":
            if block is not None:
                yield block
            block, in_header = _Block(place, {}, []), True
        if block is None:
            _check_preamble(line, key, place)
        elif key is not None and (in_header or key in _KEYS):
            _add_header(block, key, value, place=place, in_header=in_header)
        else:
            in_header = False
            block.body.append(line)
    if block is not None:
        yield block


def _check_preamble(line: str, key: str | None, place: str) -> None:
    if key in _KEYS:
        raise SqlFileInvalid(f"{place}: header line {key!r} before any 'name'", hint="begin each header with '-- name:'")
    if line.strip() and not line.startswith("--"):
        raise SqlFileInvalid(f"{place}: SQL before the first '-- name:'")


def _add_header(block: _Block, key: str, value: str, *, place: str, in_header: bool) -> None:
    if not in_header:
        raise SqlFileInvalid(f"{place}: header line {key!r} inside the statement {block.header['name']!r}")
    if key not in _KEYS:
        raise SqlFileInvalid(f"{place}: unknown header line {key!r}", hint=f"known are {', '.join(_KEYS)}")
    if key in block.header:
        raise SqlFileInvalid(f"{place}: header line {key!r} is given twice")
    if not value:
        raise SqlFileInvalid(f"{place}: header line {key!r} is empty")
    block.header[key] = value


def _query(block: _Block, placeholder: Placeholder) -> NamedQuery:
    header, place = block.header, block.place
    missing = [key for key in _REQUIRED if key not in header]
    if missing:
        raise SqlFileInvalid(f"{place}: header lacks {', '.join(missing)}")
    if not _NAME.fullmatch(header["name"]):
        raise SqlFileInvalid(f"{place}: name {header['name']!r} is not lower_snake_case")
    if header["facet"] not in _FACETS:
        raise SqlFileInvalid(f"{place}: unknown facet {header['facet']!r}", hint=f"known are {', '.join(Facet)}")
    try:
        VersionRange.parse(header["versions"])
    except UsageError as error:
        raise SqlFileInvalid(f"{place}: {error.message}", hint=error.hint) from error
    text = "\n".join(block.body).strip().removesuffix(";").rstrip()
    if not any(line.strip() and not line.strip().startswith("--") for line in text.splitlines()):
        raise SqlFileInvalid(f"{place}: {header['name']!r} has no statement")
    parameters = tuple(_parameters(header.get("parameters", ""), place))
    used = placeholder.count_in(text)
    if used != len(parameters):
        raise SqlFileInvalid(f"{place}: {header['name']!r} declares {len(parameters)} parameters and uses {used}")
    products = tuple(part.strip() for part in header.get("products", "").split(",") if part.strip())
    return NamedQuery(
        name=header["name"],
        facet=Facet(header["facet"]),
        versions=header["versions"],
        privilege=header["privilege"],
        text=text,
        source=place,
        parameters=parameters,
        products=products,
    )


def _parameters(value: str, place: str) -> Iterator[Parameter]:
    for part in filter(None, (part.strip() for part in value.split(","))):
        match = _PARAMETER.fullmatch(part)
        if match is None:
            raise SqlFileInvalid(f"{place}: parameter {part!r} is not 'name type'")
        yield Parameter(name=match[1], type=match[2])


def _collide(one: NamedQuery, other: NamedQuery) -> bool:
    if one.name != other.name:
        return False
    apart = bool(one.products) and bool(other.products) and not set(one.products) & set(other.products)
    return not apart and VersionRange.parse(one.versions).overlaps(VersionRange.parse(other.versions))


@dataclass(frozen=True, slots=True)
class Catalog:
    """All statements of one engine."""

    queries: tuple[NamedQuery, ...]

    def get(self, name: str, *, version: tuple[int, ...], product: str | None = None) -> NamedQuery:
        """The statement of that name for a server. Raises: Unsupported where it exists for other versions only."""
        named = [query for query in self.queries if query.name == name]
        if not named:
            raise LookupError(f"no SQL file has a statement named {name!r}")
        for query in named:
            if version in VersionRange.parse(query.versions) and (not query.products or product in query.products):
                return query
        known = " or ".join(sorted({query.versions for query in named}))
        server = f"{product or 'the server'} {format_version(version)}"
        raise Unsupported(f"{name.replace('_', ' ')} needs version {known}, and this is {server}")


def load_catalog(package: str, *, placeholder: Placeholder = Placeholder.DOLLAR) -> Catalog:
    """Read ``sql/*.sql`` of an engine's package, in alphabetical order. Raises: SqlFileInvalid."""
    folder = resources.files(package) / "sql"
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name)
    engine = package.rsplit(".", 1)[-1]
    found: list[NamedQuery] = []
    for entry in files:
        text = entry.read_text(encoding="utf-8")
        found.extend(parse_sql_file(text, source=f"{engine}/sql/{entry.name}", placeholder=placeholder))
    for position, query in enumerate(found):
        for other in found[:position]:
            if _collide(query, other):
                raise SqlFileInvalid(f"{query.source}: {query.name!r} for {query.versions} is there already: {other.source}")
    return Catalog(tuple(found))
