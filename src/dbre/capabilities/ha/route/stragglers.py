"""Who is still connected to a server that clients should have left."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dbre.core.fleet import Cluster, Instance
from dbre.core.text import printable
from dbre.ports.contact import contact
from dbre.ports.engine import EngineRegistry
from dbre.ports.session import Role

__all__ = ["Straggler", "client_sessions", "straggler_rows"]

_MOST_SESSIONS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Straggler:
    """Sessions of one client on one instance; texts are printable."""

    instance: str
    user: str | None
    application: str | None
    address: str | None
    sessions: int
    longest_transaction_seconds: float | None  # None: none is open, or nobody can tell


async def client_sessions(
    engines: EngineRegistry, cluster: Cluster, instance: Instance, *, purpose: str = "route"
) -> tuple[Role, tuple[Straggler, ...]]:
    """The clients of an instance, those with the most sessions first, and what it is; dbre's own sessions do not count.

    Raises: Unreachable, Denied, Unsupported.
    """
    async with contact(engines, cluster, instance.address, purpose=purpose) as server:
        role = (await server.session.identify()).role
        sessions = await server.activity.sessions(limit=_MOST_SESSIONS)
    counts: Counter[tuple[str | None, str | None, str | None]] = Counter()
    longest: dict[tuple[str | None, str | None, str | None], float] = {}
    for one in sessions:
        if (one.application_name or "").startswith("dbre:"):
            continue
        key = (_shown(one.user), _shown(one.application_name), _shown(one.client_address))
        counts[key] += 1
        if one.transaction_seconds is not None:
            longest[key] = max(longest.get(key, 0.0), one.transaction_seconds)
    return role, tuple(
        Straggler(
            instance=instance.name, user=user, application=application, address=address, sessions=count,
            longest_transaction_seconds=longest.get((user, application, address)),
        )
        for (user, application, address), count in counts.most_common()
    )  # fmt: skip


def straggler_rows(found: Sequence[Straggler]) -> list[dict[str, Any]]:
    """As a step's result and a table hold them."""
    return [asdict(one) for one in found]


def _shown(text: str | None) -> str | None:
    return printable(text, limit=100) if text else None
