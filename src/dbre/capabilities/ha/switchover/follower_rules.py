"""Checks of those that will follow the new primary, and of what the old one keeps for others."""

from collections.abc import Iterator

from dbre.capabilities.ha.switchover.checks import CheckState, PreCheck
from dbre.capabilities.ha.switchover.survey import NodeSurvey, Survey
from dbre.core.text import printable
from dbre.ports.succession import GivesUp

__all__ = ["direct_followers", "follower_checks"]


def direct_followers(found: Survey, old: str, new: str) -> list[str]:
    """Who follows the old primary besides the candidate, and has answered: they will follow the candidate."""
    return [one for one in found.topology.followers_of(old) if one != new and one in found.nodes]


def follower_checks(found: Survey, old: str, new: str) -> Iterator[PreCheck]:
    """Whether they can follow: enough of each setting, a known login, slots."""
    after = found.nodes.get(new, NodeSurvey()).standing
    for name in (old, *direct_followers(found, old, new)):
        standing = found.nodes[name].standing if name in found.nodes else None
        if standing is None or after is None:
            continue
        has = dict(standing.at_least)
        if name == old and standing.gives_up is GivesUp.BY_STOPPING:  # it is started again on the way
            has |= standing.at_least_next
        low = [f"{key} {has.get(key)} is below {value}" for key, value in after.at_least.items() if has.get(key, value) < value]
        if after.at_least:
            yield PreCheck(
                rule="enough_to_follow",
                subject=name,
                state=CheckState.FAIL if low else CheckState.OK,
                value="; ".join(low) or f"{len(after.at_least)} settings are at least as high",
                limit=f"as much as {new}",
                source="facet succession: settings",
                remedy=f"raise them on {name} and restart it: it would not start, or stop replaying",
            )
    yield _login(found, new)
    yield from _slots(found, old, new)


def _login(found: Survey, new: str) -> PreCheck:
    """With what login the old primary will follow."""
    user = found.cluster.replication_user
    has_own = bool(found.nodes.get(new, NodeSurvey()).has_manner)
    standing = found.nodes.get(new, NodeSurvey()).standing
    is_needed = standing is not None and standing.needs_login
    value = (
        f"as {printable(user)}" if user else f"as {new} does now" if has_own else "unknown" if is_needed else "it has its own"
    )
    return PreCheck(
        rule="replication_login",
        subject=new,
        state=CheckState.OK if user or has_own or not is_needed else CheckState.FAIL,
        value=value,
        limit="known",
        source="replication_user of the cluster, or how the candidate follows",
        remedy="set replication_user and replication_password of the cluster in dbre.yaml",
    )


def _slots(found: Survey, old: str, new: str) -> Iterator[PreCheck]:
    nodes = {one.name: one.view for one in found.topology.nodes}
    before, after = nodes[old], nodes[new]
    if before is None or after is None or not before.slots:
        return
    known = {one.slot for one in found.nodes.values() if one.slot}
    synced = {one.name for one in after.slots}
    lost = [one for one in before.slots if one.name not in known | synced]
    yield PreCheck(
        rule="slots_survive",
        subject=old,
        state=CheckState.WARN if lost else CheckState.OK,
        value="; ".join(f"{one.name} ({'physical' if one.is_physical else 'logical'}) stays behind" for one in lost)
        or f"{len(before.slots)}, all are the followers' or on {new} too",
        limit=f"on {new}, too",
        source="pg_replication_slots",
        remedy="logical ones: sync_replication_slots from version 17 on; else make them anew, and copy what was missed",
    )
