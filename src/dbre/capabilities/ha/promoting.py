"""A promotion that was asked for and is not seen yet may come about at any moment: it never counts as not happened.

Else the old primary would be brought back, and a moment later there were two.
"""

from dbre.core.errors import DbreError, Denied, Unsupported
from dbre.core.operation.definition import OutcomeUnknown
from dbre.ports.engine import Server
from dbre.ports.session import Role

__all__ = ["is_primary", "promote"]


async def is_primary(server: Server) -> bool:
    """Whether it takes writes and follows nobody; a replica of MariaDB may take some, too."""
    view = await server.topology.view()
    return view.role is Role.PRIMARY and view.is_writable


async def promote(server: Server, name: str, *, limit_seconds: float) -> None:
    """Make a follower the primary, or say for certain that it is none and will not become one.

    Raises: Denied, Unsupported where it may not be asked, and nothing was begun; OutcomeUnknown for all else.
    """
    try:
        await server.succession.promote(limit_seconds=limit_seconds)
    except (Denied, Unsupported):
        if not await is_primary(server):
            raise
    except DbreError as error:
        raise OutcomeUnknown(f"{name} was told to take over, and may do so yet: {error.message}") from error
