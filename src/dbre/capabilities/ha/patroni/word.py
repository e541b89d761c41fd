"""What Patroni and its consensus store say of a cluster at one moment, each part with why it is not known where it is not."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from dbre.capabilities.ha.addresses import AddressBook
from dbre.capabilities.ha.patroni.access import etcd_of, key_of, patroni_of, prepare, scope_of
from dbre.capabilities.ha.patroni.config_document import PatroniDocument
from dbre.core.clock import Clock
from dbre.core.errors import DbreError
from dbre.core.fleet import Address, Cluster, Fleet
from dbre.core.text import printable
from dbre.tools.etcd import EtcdClient, LeaseLife, MemberHealth, NoQuorum, Range
from dbre.tools.patroni import ClusterView, Member, NodeState, PatroniClient

__all__ = ["PatroniWord", "StoreWord", "SyncKey", "read_word"]

_CLOCK_SLACK_SECONDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncKey:
    """Who is known to have every commit that was acknowledged in synchronous mode."""

    leader: str | None
    standbys: tuple[str, ...]
    quorum: int  # of the standbys, how many each commit waits for


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreWord:
    """What the consensus store itself says. ``error``: why its keys are not known."""

    members: tuple[MemberHealth, ...]
    leader: str | None = None  # who holds the lease
    lease: LeaseLife | None = None
    sync: SyncKey | None = None
    system_id: str | None = None
    has_request: bool = False  # somebody asked for a switchover or failover that is not done yet
    groups: tuple[str, ...] = ()  # of Citus: each has a primary of its own
    revision: int | None = None
    error: DbreError | None = None

    @property
    def healthy(self) -> int:
        """Members that answer and know a leader."""
        return sum(one.error is None and one.leader_id != 0 for one in self.members)

    @property
    def has_quorum(self) -> bool | None:
        """Whether a majority agrees; None where no member was reached, which may be our own fault."""
        if self.error is None:
            return True
        is_somebody_there = any(one.error is None for one in self.members)
        return False if is_somebody_there or isinstance(self.error, NoQuorum) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PatroniWord:
    """Everything that was learned within one round."""

    scope: str
    view: ClusterView | None  # None: no member answered
    error: DbreError | None  # why there is no view
    config: Mapping[str, Any] | None
    nodes: tuple[NodeState | DbreError, ...]  # by their own word, in the order of the configured addresses
    store: StoreWord | None  # None: the configuration names no etcd
    instances: Mapping[str, str] = field(default_factory=dict)  # member: its name in the inventory
    unseen_seconds: int | None = None  # for how long all nodes that answer have not seen the consensus store

    @property
    def leader(self) -> str | None:
        """Who holds the lease: by the store's own word where it is asked, else by Patroni's. None: nobody, or nobody knows.

        Without a quorum nobody knows: what Patroni then tells is what it remembers.
        """
        if self.store is not None and self.store.error is None:
            return self.store.leader
        if self.has_quorum is False:
            return None
        return self.view.leader.name if self.view is not None and self.view.leader is not None else None

    @property
    def is_paused(self) -> bool:
        """Whether somebody wants Patroni to leave the cluster alone."""
        return self.view is not None and self.view.is_paused

    @property
    def has_quorum(self) -> bool | None:
        """Whether the consensus store can decide; None where nobody here can tell."""
        known = self.store.has_quorum if self.store is not None else None
        if known is None and self.unseen_seconds is not None:
            return self.unseen_seconds <= self.ttl_seconds
        return known

    @property
    def ttl_seconds(self) -> int:
        """Of the lease; Patroni's own default where the configuration was not read."""
        ttl = (self.config or {}).get("ttl")
        return ttl if isinstance(ttl, int) and not isinstance(ttl, bool) else 30

    def instance_of(self, member: str) -> str:
        """A member by its name in the inventory, where it has one."""
        return self.instances.get(member, member)

    @property
    def store_leader_beside_primary(self) -> MemberHealth | None:
        """The leading member of the consensus store where it has the host of the lease's holder, and others have other hosts.

        By the addresses of the configuration. Whoever loses that host loses both, and the store counts the lease anew.
        """
        members = self.store.members if self.store is not None else ()
        hosts = {one.url: urlsplit(one.url).hostname for one in members}
        node = next((one for one in self.nodes if isinstance(one, NodeState) and one.name == self.leader), None)
        leading = next((one for one in members if one.is_leader), None)
        if node is None or leading is None or len(set(hosts.values())) < 2:
            return None
        return leading if hosts[leading.url] == urlsplit(node.url).hostname else None

    def member_at(self, instance: str) -> Member | None:
        """The member that an instance of the inventory is."""
        members = self.view.members if self.view is not None else ()
        return next((one for one in members if self.instances.get(one.name) == instance), None)


async def read_word(document: PatroniDocument, fleet: Fleet, cluster: Cluster, clock: Clock) -> PatroniWord:
    """Ask Patroni and etcd side by side; what does not answer is told, and does not fail. Raises: SecretUnavailable."""
    await prepare(document)
    etcd = etcd_of(document)
    try:
        async with patroni_of(document) as patroni:
            (view, error), config, nodes, store = await asyncio.gather(
                _view(patroni), _config(patroni), patroni.nodes(), _store(etcd, document, cluster)
            )
    finally:
        if etcd is not None:
            await etcd.aclose()
    return PatroniWord(
        scope=scope_of(document, cluster),
        view=view,
        error=error,
        config=config,
        nodes=nodes,
        store=store,
        instances=await _instances(view, fleet, cluster) if view is not None else {},
        unseen_seconds=_unseen(nodes, clock),
    )


async def _view(patroni: PatroniClient) -> tuple[ClusterView | None, DbreError | None]:
    try:
        return await patroni.cluster(), None
    except DbreError as error:
        return None, error


async def _config(patroni: PatroniClient) -> Mapping[str, Any] | None:
    try:
        return await patroni.config()
    except DbreError:
        return None  # whoever cannot tell this does not tell the rest either: that is said once


async def _store(etcd: EtcdClient | None, document: PatroniDocument, cluster: Cluster) -> StoreWord | None:
    if etcd is None:
        return None
    prefix = key_of(document, cluster, "")
    members, read = await asyncio.gather(etcd.health(), _keys(etcd, prefix))  # one that is silent is waited for once
    if isinstance(read, DbreError):
        return StoreWord(members=members, error=read)
    found, lease = read
    keys = {one.key.decode("utf-8", "replace").removeprefix(prefix): one for one in found.items}
    leader, sync, first = (keys.get(name) for name in ("leader", "sync", "initialize"))
    return StoreWord(
        members=members,
        leader=_text(leader.value) if leader is not None else None,
        lease=lease,
        sync=_sync(sync.value) if sync is not None else None,
        system_id=_text(first.value) if first is not None else None,
        has_request=_document(keys["failover"].value) != {} if "failover" in keys else False,
        groups=tuple(sorted(name.partition("/")[0] for name in keys if name.endswith("/leader"))),
        revision=found.revision,
    )


async def _keys(etcd: EtcdClient, prefix: str) -> tuple[Range, LeaseLife | None] | DbreError:
    try:
        found = await etcd.read(prefix, prefix=True)
        leader = next((one for one in found.items if one.key == f"{prefix}leader".encode()), None)
        return found, await etcd.lease_life(leader.lease) if leader is not None and leader.lease else None
    except DbreError as error:
        return error


def _document(value: bytes) -> object:
    try:
        return json.loads(value)
    except ValueError:
        return None


def _sync(value: bytes) -> SyncKey | None:
    try:
        found = json.loads(value)
        names = tuple(name for name in (found.get("sync_standby") or "").split(",") if name)
        return SyncKey(leader=found.get("leader"), standbys=names, quorum=int(found.get("quorum") or 0))
    except (ValueError, TypeError, AttributeError):
        return None


async def _instances(view: ClusterView, fleet: Fleet, cluster: Cluster) -> Mapping[str, str]:
    """By address, since members are named as somebody liked; by name where no address fits."""
    book = AddressBook(fleet, cluster.engine)
    await book.learn(one.host for one in view.members if one.host is not None)
    await book.learn(one.address.host for one in cluster.instances)
    found = {}
    for member in view.members:
        at = book.at(Address(member.host, member.port)) if member.host is not None and member.port is not None else None
        known = at if at is not None else next((one for one in cluster.instances if one.name == member.name), None)
        if known is not None:
            found[member.name] = known.name
    return found


def _unseen(nodes: tuple[NodeState | DbreError, ...], clock: Clock) -> int | None:
    seen = [one.dcs_last_seen for one in nodes if isinstance(one, NodeState) and one.dcs_last_seen is not None]
    return max(0, int(clock.now().timestamp()) - max(seen) - _CLOCK_SLACK_SECONDS) if seen else None


def _text(value: bytes) -> str:
    return printable(value.decode("utf-8", "replace"), limit=200)
