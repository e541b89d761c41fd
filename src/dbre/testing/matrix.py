"""The support matrix as a page of the documentation: ``python -m dbre.testing.matrix [--check]``."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from dbre.engines.mysql.engine import MySqlEngine
from dbre.engines.mysql.facts import ERRORS as MYSQL_ERRORS
from dbre.engines.mysql.facts import TESTED_VERSIONS as MYSQL_VERSIONS
from dbre.engines.postgres.engine import PostgresEngine
from dbre.engines.postgres.facts import SQLSTATES
from dbre.engines.postgres.facts import TESTED_VERSIONS as POSTGRES_VERSIONS
from dbre.engines.redis.engine import RedisEngine
from dbre.engines.redis.facts import ERRORS as REDIS_ERRORS
from dbre.engines.redis.facts import TESTED_VERSIONS as REDIS_VERSIONS
from dbre.ports.engine import Engine, Feature
from dbre.ports.support import SupportState, support_of
from dbre.ports.versions import format_version

__all__ = ["main", "page"]

_PAGE = Path("docs/reference/engines.md")
_NAMES = {"postgresql": "PostgreSQL", "mysql": "MySQL", "mariadb": "MariaDB", "redis": "Redis", "valkey": "Valkey"}
_INTRODUCTION = """\
# Engines

What dbre can ask of each kind of database server. This page is computed from the engines: `python -m dbre.testing.matrix`
writes it, and a test compares it. Each column is a version on which the conformance suite (`dbre.testing.conformance`) runs
against real servers, where every statement is prepared under a login that has exactly what the grant script gives.

```console
$ dbre engine list
$ dbre engine support postgresql --version 16
$ dbre engine support --cluster orders        # what the configured login may do there, asked of each instance
$ dbre engine sql postgresql                  # every statement that may ever be sent
$ dbre engine sql postgresql --grants --user dbre
```

`yes` means that it works for a login with the privilege in the column "needs". Without the privilege `dbre engine support`
says `needs privilege`, and the facet refuses instead of counting what it cannot see.
"""
_ERRORS = """\
## What an error of PostgreSQL counts as

`bad` spends the error budget, `excluded` is the client's own doing and no valid event. A code of five characters wins over its
class of two; a code that stands nowhere is excluded. A cancel on request has the code of a statement timeout, and is excluded.
Reading facets try again, within their time, after errors that may pass.
"""
_MYSQL_ERRORS = """\

## What an error of MySQL and MariaDB counts as

Of numbers that stand nowhere, 126 to 145 (the storage engine) and SQLSTATE classes 08 and 40 are bad, all others excluded. 1290
is bad where its message names a read-only option. A login of the probe itself that is refused is bad: nobody knows then that
clients can log in.
"""
_REDIS_ERRORS = """\

## What an error of Redis and Valkey counts as

Words that stand nowhere are excluded. A login of the probe itself that is refused is bad, as above.
"""


def page() -> str:
    """The text of ``docs/reference/engines.md``."""
    engines: Sequence[Engine] = (PostgresEngine(), MySqlEngine(), RedisEngine())
    tested: dict[str, Sequence[tuple[int, ...]]] = {**POSTGRES_VERSIONS}
    tested |= {str(product): versions for product, versions in (*MYSQL_VERSIONS.items(), *REDIS_VERSIONS.items())}
    sections = [
        "\n".join(_section(engine, product, tested.get(product, ()))) for engine in engines for product in engine.products
    ]
    errors = [_ERRORS, *_error_table(), _MYSQL_ERRORS, *_mysql_errors(), _REDIS_ERRORS, *_redis_errors()]
    return "\n".join([_INTRODUCTION, *sections, *errors]) + "\n"


def _error_table() -> Iterator[str]:
    yield _row(["SQLSTATE", "meaning", "counts as", "may pass"])
    yield _row(["---"] * 4)
    for meaning in SQLSTATES:
        yield _row([f"`{meaning.prefix}`", meaning.name, str(meaning.blame), "yes" if meaning.retryable else "no"])


def _mysql_errors() -> Iterator[str]:
    yield _row(["number", "meaning", "counts as", "may pass"])
    yield _row(["---"] * 4)
    for meaning in MYSQL_ERRORS:
        yield _row([str(meaning.number), meaning.name, str(meaning.blame), "yes" if meaning.retryable else "no"])


def _redis_errors() -> Iterator[str]:
    yield _row(["word", "meaning", "counts as", "may pass"])
    yield _row(["---"] * 4)
    for meaning in REDIS_ERRORS:
        words = f"`{meaning.word} {meaning.prefix}`" if meaning.prefix else f"`{meaning.word}`"
        yield _row([words, meaning.name, str(meaning.blame), "yes" if meaning.retryable else "no"])


def _section(engine: Engine, product: str, versions: Sequence[tuple[int, ...]]) -> Iterator[str]:
    features = [feature for feature in engine.features() if product in feature.products]
    yield f"## {_NAMES.get(product, product)}"
    yield ""
    yield f"Engine `{engine.name}` in `dbre.yaml`, port {engine.default_port}."
    if not versions:
        yield ""
        yield f"No {_NAMES.get(product, product)} takes part in the conformance suite yet: all this is from its manual."
    yield ""
    has_notes = any(feature.note for feature in features)
    columns = ["facet", "feature", "needs", *(map(format_version, versions) if versions else ["versions"])]
    columns += ["note"] if has_notes else []
    yield _row(columns)
    yield _row(["---"] * len(columns))
    for feature in features:
        cells = [str(feature.facet), feature.name, f"`{feature.privilege}`", *_states(feature, product, versions)]
        yield _row([*cells, feature.note] if has_notes else cells)
    yield ""


def _states(feature: Feature, product: str, versions: Sequence[tuple[int, ...]]) -> Sequence[str]:
    if not versions:
        return [f"`{feature.versions}`"]
    found = [support_of(feature, product=product, version=version) for version in versions]
    return ["yes" if one.state is SupportState.SUPPORTED else "no" for one in found]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or with ``--check`` say whether it is up to date."""
    parser = argparse.ArgumentParser(prog="python -m dbre.testing.matrix", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the page is out of date")
    parser.add_argument("path", nargs="?", type=Path, default=_PAGE)
    options = parser.parse_args(arguments)
    text = page()
    is_current = options.path.exists() and options.path.read_text(encoding="utf-8") == text
    if options.check:
        if not is_current:
            sys.stderr.write(f"{options.path} is out of date; run: python -m dbre.testing.matrix\n")
        return 0 if is_current else 1
    options.path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
