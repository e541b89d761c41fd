"""Requests to the REST APIs of one cluster's members. Only addresses of the configuration are asked."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from dbre.core.errors import DbreError, Denied, Refused, Unreachable
from dbre.tools.first_answer import Silent, first_answer
from dbre.tools.json_servers import Answer, JsonServers, NoAnswer, NotAsked, ServersAccess, shown
from dbre.tools.patroni.model import ClusterView, NodeState, SwitchoverAnswer, SwitchoverOutcome, TimelineChange

__all__ = ["PatroniClient", "PatroniRefused"]

_Read = TypeVar("_Read")
SWITCHOVER_SECONDS = 90.0
"""Of one request: Patroni itself answers after twice the greater of 10 s and loop_wait, whatever became of it."""


class PatroniRefused(Refused):
    """Patroni does not do what was asked for; the message ends with its reason."""

    code = "patroni.refused"


class PatroniClient:
    """The members of one cluster."""

    def __init__(self, access: ServersAccess) -> None:
        self._access = access
        self._servers = JsonServers(access)

    async def __aenter__(self) -> "PatroniClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._servers.aclose()

    @property
    def urls(self) -> tuple[str, ...]:
        """The APIs that are asked."""
        return self._access.urls

    async def cluster(self) -> ClusterView:
        """The cluster as the first member that answers reads it from the consensus store. Raises: Unreachable."""
        return _read("/cluster", ClusterView.read, await self._any("/cluster"))

    async def config(self) -> Mapping[str, Any]:
        """The dynamic configuration. Raises: Unreachable."""
        found = (await self._any("/config")).document()
        if not isinstance(found, dict):
            raise NoAnswer("Patroni's /config is not a document")
        return found

    async def history(self) -> tuple[TimelineChange, ...]:
        """The promotions that Patroni remembers, the oldest first. Raises: Unreachable."""
        return _read("/history", _changes, await self._any("/history"))

    async def nodes(self) -> tuple[NodeState | DbreError, ...]:
        """Every member as its own Patroni has it, in the order of the addresses; or why it did not tell."""
        return tuple(await asyncio.gather(*(self._node(url) for url in self._access.urls)))

    async def _node(self, url: str) -> NodeState | DbreError:
        try:
            answer = await self._servers.ask(url, "GET", "/patroni")
            # a node that is not healthy answers with 503, and with what is the matter all the same
            return _read("/patroni", lambda found: NodeState.read(url, found), answer)
        except DbreError as error:
            return error

    async def node_url(self, member: str) -> str:
        """The address of a member's own API, among those of the configuration. Raises: Unreachable."""
        found = await self.nodes()
        for one in found:
            if isinstance(one, NodeState) and one.name == member:
                return one.url
        silent = [one.message for one in found if isinstance(one, DbreError)]
        why = f"; {'; '.join(silent)}" if silent else ""
        raise Unreachable(
            f"no address of the configuration leads to Patroni's member {member}{why}",
            hint="name its REST API under patroni: urls: of the cluster in ha: clusters:",
        )

    async def switchover(self, *, leader: str, candidate: str) -> SwitchoverAnswer:
        """Ask for a switchover. UNKNOWN is an answer: Patroni's "failed" and "status unknown" are both no proof of anything.

        Raises: Denied, NotAsked where no member was reached.
        """
        document = {"leader": leader, "candidate": candidate}
        try:
            answer = await self._changed("POST", "/switchover", document, timeout_seconds=SWITCHOVER_SECONDS)
        except NoAnswer as error:
            return SwitchoverAnswer(outcome=SwitchoverOutcome.UNKNOWN, text=error.message)
        return _outcome(answer)

    async def failover(self, *, candidate: str) -> SwitchoverAnswer:
        """Ask the candidate's own Patroni for a failover to it: the leader's may answer nobody while its server hangs.

        Raises: Denied; Unreachable where no address leads to it, NotAsked.
        """
        url = await self.node_url(candidate)
        login = await self._servers.login()
        document = {"candidate": candidate}
        try:
            answer = await self._servers.ask(url, "POST", "/failover", document, auth=login, timeout_seconds=SWITCHOVER_SECONDS)
        except NotAsked:
            raise
        except NoAnswer as error:
            return SwitchoverAnswer(outcome=SwitchoverOutcome.UNKNOWN, text=error.message)
        if answer.status in (401, 403):
            self._require(answer, "fail over")
        return _outcome(answer)

    async def cancel_switchover(self) -> bool:
        """Take back a switchover that is scheduled; False where none is. Raises: Denied, Unreachable, PatroniRefused."""
        answer = await self._changed("DELETE", "/switchover")
        if answer.status == 404:
            return False
        self._require(answer, "take back the scheduled switchover")
        return True

    async def configure(self, changes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Change the dynamic configuration; None takes a key away. Returns all of it. Raises: Denied, Unreachable, Refused."""
        answer = await self._changed("PATCH", "/config", dict(changes))
        self._require(answer, "change the configuration")
        return dict(answer.document())

    async def pause(self, *, wanted: bool) -> None:
        """Let the cluster be, or take it up again. Raises: Denied, Unreachable, PatroniRefused."""
        await self.configure({"pause": True if wanted else None})

    async def restart(self, member: str, *, role: str | None = None, timeout_seconds: float = 120.0) -> str:
        """Restart PostgreSQL of one member, ``role``: only where it is ``primary`` or ``replica``; returns what Patroni says.

        Raises: Denied, NotAsked, NoAnswer where nobody can tell what became of it, PatroniRefused.
        """
        asked: dict[str, Any] = {"timeout": max(1, round(timeout_seconds))}
        if role is not None:
            asked["role"] = role
        return await self._at(member, "POST", "/restart", asked, timeout_seconds=timeout_seconds)

    async def reinitialize(self, member: str, *, is_forced: bool = False) -> str:
        """Have a replica made anew from the leader. Raises: Denied, Unreachable, PatroniRefused."""
        return await self._at(member, "POST", "/reinitialize", {"force": is_forced}, timeout_seconds=60.0)

    async def _at(self, member: str, method: str, path: str, document: object, *, timeout_seconds: float) -> str:
        url = await self.node_url(member)
        login = await self._servers.login()
        answer = await self._servers.ask(url, method, path, document, auth=login, timeout_seconds=timeout_seconds)
        self._require(answer, f"do {path.removeprefix('/')} at {member}")
        return answer.text

    async def _any(self, path: str) -> Answer:
        """The answer of the first member that has one; all know the same. Raises: Unreachable."""

        async def ask(url: str) -> Answer:
            answer = await self._servers.ask(url, "GET", path)
            if answer.status != 200:
                raise NoAnswer(f"{shown(url)} answers {path} with {answer.status}: {answer.text}")
            return answer

        try:
            return (await first_answer(self._access.urls, ask))[1]
        except Silent as error:
            raise Unreachable(
                f"no member of Patroni answers: {error.message}",
                hint="see whether Patroni runs there, and whether its consensus store has a quorum",
            ) from error

    async def _changed(
        self, method: str, path: str, document: object = None, *, timeout_seconds: float | None = None
    ) -> Answer:
        """Ask one member after the other, as long as it is certain that none was asked. Raises: Denied, NotAsked, NoAnswer."""
        login = await self._servers.login()
        failures: list[str] = []
        for url in self._access.urls:
            try:
                answer = await self._servers.ask(url, method, path, document, auth=login, timeout_seconds=timeout_seconds)
            except NotAsked as error:
                failures.append(error.message)
                continue
            if answer.status in (401, 403):
                raise Denied(
                    f"Patroni at {shown(url)} does not let dbre change things: {answer.text}",
                    hint="check user and password under patroni: of the cluster in ha: clusters:",
                )
            return answer
        raise NotAsked(f"no member of Patroni can be reached: {'; '.join(failures)}", hint="see whether Patroni runs there")

    def _require(self, answer: Answer, what: str) -> None:
        if answer.status in (401, 403):
            raise Denied(
                f"Patroni at {shown(answer.url)} does not let dbre {what}: {answer.text}", hint="check user and password"
            )
        if answer.status not in (200, 202):
            raise PatroniRefused(f"Patroni at {shown(answer.url)} does not {what}: {answer.status} {answer.text}")


def _read(path: str, read: Callable[[Any], _Read], answer: Answer) -> _Read:
    try:
        return read(answer.document())
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NoAnswer(f"{shown(answer.url)} answers {path} with something else than Patroni does: {error!r:.200}") from error


def _outcome(answer: Answer) -> SwitchoverAnswer:
    outcome = SwitchoverOutcome.UNKNOWN
    if answer.status == 200:
        outcome = SwitchoverOutcome.DONE
    elif answer.status in (400, 404, 412):
        outcome = SwitchoverOutcome.REFUSED
    return SwitchoverAnswer(outcome=outcome, text=answer.text, status=answer.status)


def _changes(found: Any) -> tuple[TimelineChange, ...]:
    changes = []
    for line in found:
        timeline, position, reason, *rest = line
        at, leader = [*(str(one) for one in rest), None, None][:2]
        changes.append(
            TimelineChange(timeline=int(timeline), position=int(position), reason=str(reason)[:200], at=at, leader=leader)
        )
    return tuple(changes)
