"""Whether the server whose log is kept still is the one that writes it, and what was left behind on the others."""

from dbre.capabilities.backup.documents import PolicyDocument
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.log.news import LogNews
from dbre.capabilities.backup.log.origin import LogOrigin, find_origin, receiver_name
from dbre.core.errors import Conflict, DbreError, Unreachable
from dbre.ports.backup.log_source import BacklogState, HasLogSource
from dbre.ports.engine import Access
from dbre.ports.session import Role

__all__ = ["Succession"]


class Succession:
    """Looked at while a log is received: an old primary may live on, and answer as if nothing had happened."""

    def __init__(self, ground: BackupGround, policy: PolicyDocument, origin: LogOrigin, news: LogNews) -> None:
        self._ground = ground
        self._policy = policy
        self._origin = origin
        self._news = news

    async def look(self) -> None:
        """One round. Raises: Unreachable where another server, or the same on another timeline, writes the log now."""
        origin = self._origin
        try:
            found = await find_origin(self._ground, origin.cluster, self._policy, known=origin)
        except Conflict as error:  # two primaries on one timeline: what is received goes on, and a person has to look
            await self._news.trouble("backup.log_of_two_primaries", error)
            return
        except DbreError:  # nobody can say; if the server itself is gone, its other questions end
            return
        await self._news.well("backup.log_of_two_primaries")
        if (found.instance, found.system_id, found.timeline) != (origin.instance, origin.system_id, origin.timeline):
            raise Unreachable(
                f"{origin.cluster.name} is written by {found.instance} on timeline {found.timeline} now, not by"
                f" {origin.instance} on timeline {origin.timeline}",
                hint="its log is received from there",
            )
        for instance in origin.cluster.instances:
            if instance.name != origin.instance:
                access = Access.to(origin.cluster, instance.address, application_name="dbre:log")
                try:
                    await self._release(instance.name, access)
                except DbreError:  # a replica that does not answer is somebody else's alarm
                    continue

    async def _release(self, name: str, access: Access) -> None:
        """A replica that was a primary keeps log for us which we will never fetch, until its disk is full."""
        port, slot = self._origin.port, receiver_name(self._origin.cluster.name)
        if not isinstance(port, HasLogSource):
            return
        source = port.log_source(access)
        backlog = await source.backlog(slot)
        if backlog.is_active is not False or backlog.state is BacklogState.ABSENT:
            return  # received, or a server that keeps log for nobody: None
        server = self._ground.engines.get(self._origin.cluster.engine).connect(access)
        try:
            identity = await server.session.identify()
        finally:
            await server.aclose()
        if identity.role is Role.REPLICA:
            await source.release(slot)
            await self._news.tell(
                "backup.slot_released", f"{name} is a replica now and kept log for us that is received elsewhere", slot=slot
            )
