"""Which tables somebody means."""

from collections.abc import Sequence

from dbre.core.errors import UsageError
from dbre.core.text import closest, quoted
from dbre.ports.integrity import TableName

__all__ = ["choose_tables"]


def choose_tables(there: Sequence[TableName], wanted: Sequence[str]) -> list[TableName]:
    """The tables of those names, with or without schema; all, where none is named.

    Raises: UsageError for a name that no table has, or tables of several schemas have.
    """
    return [_choose(there, one) for one in wanted] if wanted else list(there)


def _choose(there: Sequence[TableName], wanted: str) -> TableName:
    found = [one for one in there if wanted in (str(one), one.name)]
    if len(found) == 1:
        return found[0]
    if found:
        schemas = ", ".join(sorted(quoted(one.schema, limit=60) for one in found))
        raise UsageError(f"{quoted(wanted, limit=100)} is a table of several schemas: {schemas}", hint="write SCHEMA.NAME")
    near = closest(wanted, [str(one) for one in there])
    hint = f"did you mean {near}?" if near else "dbre integrity digest lists the tables"
    raise UsageError(f"there is no table {quoted(wanted, limit=100)}", hint=hint)
