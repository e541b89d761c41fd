"""Facet ``activity`` of Redis and Valkey: what sessions are doing now."""

from collections import Counter
from collections.abc import Mapping, Sequence

from dbre.engines.redis.link import Conversation, Link
from dbre.engines.redis.session import server_time
from dbre.ports.activity import ActivitySummary, SessionInfo

__all__ = ["RedisActivity", "parse_clients"]

_STATES = (("O", "monitor"), ("b", "blocked"), ("P", "pubsub"), ("x", "transaction"))
"""Flags of CLIENT LIST that say what a session does, the most telling first; all others are "normal"."""
_REPLICATION = {"M", "S"}


def parse_clients(text: str) -> list[dict[str, str]]:
    """The lines of CLIENT LIST. The server allows no blank in a name, so that blanks separate fields safely.

    >>> parse_clients("id=3 addr=127.0.0.1:5000 name= db=0 cmd=get\\n")
    [{'id': '3', 'addr': '127.0.0.1:5000', 'name': '', 'db': '0', 'cmd': 'get'}]
    """
    fields = ((field.partition("=") for field in line.split(" ")) for line in text.split("\n") if line)
    return [{name: value for name, equals, value in line if equals} for line in fields]


class RedisActivity:
    """Implements ``ports.activity``. Commands run one after another: there are no locks, and none is running while we ask."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def summary(self) -> ActivitySummary:
        """Count the sessions: normal, blocked (they wait for data), pubsub, transaction, monitor."""
        return await self._link.ask(_summary)

    async def sessions(self, *, limit: int) -> Sequence[SessionInfo]:
        """The sessions used last come first; ``query_text`` is the name of the last command, without its arguments."""

        async def ask(conversation: Conversation) -> Sequence[SessionInfo]:
            found = await _others(conversation)
            found.sort(key=lambda client: (int(client.get("idle", 0)), int(client.get("id", 0))))
            return [_session(client) for client in found[:limit]]

        return await self._link.ask(ask)


async def _others(conversation: Conversation) -> list[dict[str, str]]:
    own = {str(number) for number in conversation.own_sessions}
    clients = parse_clients(await conversation.ask("sessions"))
    return [client for client in clients if client.get("id") not in own and not _REPLICATION & set(client.get("flags", ""))]


async def _summary(conversation: Conversation) -> ActivitySummary:
    info = await conversation.info()
    return ActivitySummary(
        sessions_by_state=Counter(_state(client) for client in await _others(conversation)),
        max_sessions=int(info["maxclients"]),
        blocked_sessions=None,
        longest_transaction_seconds=None,
        measured_at=server_time(await conversation.ask("time")),
    )


def _state(client: Mapping[str, str]) -> str:
    flags = client.get("flags", "")
    return next((state for flag, state in _STATES if flag in flags), "normal")


def _session(client: Mapping[str, str]) -> SessionInfo:
    return SessionInfo(
        session_id=client.get("id", ""),
        user=client.get("user"),
        database=client.get("db"),
        application_name=client.get("name") or None,
        client_address=client.get("addr") or None,
        state=_state(client),
        wait_event=None,
        transaction_seconds=None,
        query_seconds=None,
        blocked_by=(),
        query_text=client.get("cmd") or None,
    )
