"""Names of operations as people type them: the whole id, or its first or last characters."""

import re
from uuid import UUID

from dbre.core.errors import UsageError
from dbre.core.operation.desk import OperationDesk, OperationFilter
from dbre.core.operation.errors import NoSuchOperation
from dbre.core.text import quoted

__all__ = ["FEWEST_CHARACTERS", "operation_named"]

FEWEST_CHARACTERS = 8
"""Of an abbreviated id. Operations of one minute begin alike: their last block tells them apart."""

_PART = re.compile(r"[0-9a-f-]{8,36}")


async def operation_named(desk: OperationDesk, text: str) -> UUID:
    """The id that the text means.

    Raises: NoSuchOperation; UsageError where it is no part of an id, or of several.
    """
    part = text.strip().removeprefix("operation/").lower()
    try:
        return UUID(part)
    except ValueError:
        pass
    if not _PART.fullmatch(part):
        raise UsageError(
            f"{quoted(text, limit=80)} is not the id of an operation",
            hint=f"write the id, or at least {FEWEST_CHARACTERS} of its first or last characters (dbre op list)",
        )
    found = await desk.list(OperationFilter(id_part=part, limit=5))
    if not found:
        raise NoSuchOperation(f"no operation has an id that begins or ends with {part}", hint="dbre op list")
    if len(found) > 1:
        ids = ", ".join(str(one.id) for one in found)
        raise UsageError(f"{part} means several operations: {ids}", hint="the last 12 characters tell them apart")
    return found[0].id
