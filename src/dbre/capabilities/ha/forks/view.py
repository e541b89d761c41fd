"""Lost writes for people and scripts: how many, of which tables, and where the rows are."""

from collections import Counter
from collections.abc import Iterator

from dbre.capabilities.ha.forks.extracting import LostFile
from dbre.core.errors import ExitCode
from dbre.core.text import counted, printable
from dbre.core.view import View
from dbre.ports.forks import LostWrites

__all__ = ["lost_view"]


def lost_view(found: LostWrites, file: LostFile, *, cluster: str) -> View:
    """What ``dbre ha lost-writes`` shows."""
    tables = Counter((one.database, one.schema, one.table, one.kind.value) for one in found.changes)
    document = {
        "cluster": cluster,
        "file": str(file.path),
        "system_id": found.system_id,
        "timeline": found.timeline,
        "fork": found.fork,
        "end": found.end,
        "transactions": found.transactions,
        "changes": file.changes,
        "first_commit_at": found.changes[0].committed_at if found.changes else None,
        "last_commit_at": found.changes[-1].committed_at if found.changes else None,
        "tables": [
            {"database": printable(name), "schema": printable(schema), "table": printable(table), "change": kind, "rows": rows}
            for (name, schema, table, kind), rows in sorted(tables.items())
        ],
        "notes": [printable(one) for one in found.notes],
    }
    return View(
        kind="LostWrites",
        items=[document],
        single=True,
        text="\n".join(_lines(found, tables, file)) + "\n",
        exit_code=ExitCode.FINDINGS if found.transactions else ExitCode.OK,
    )


def _lines(found: LostWrites, tables: Counter[tuple[str, str, str, str]], file: LostFile) -> Iterator[str]:
    span = f"of timeline {found.timeline} from {found.fork} to {found.end}"
    if not found.transactions:
        yield f"nothing was committed after the fork ({span})"
    else:
        rows = f"{counted(file.changes, 'row')} in {file.path}"
        yield f"{counted(found.transactions, 'transaction')} {span} are nowhere else; {rows}"
    for (database, schema, table, kind), count in sorted(tables.items()):
        yield f"  {printable(database)}: {printable(schema)}.{printable(table)}: {kind} {count}"
    for note in found.notes:
        yield f"note: {printable(note)}"
