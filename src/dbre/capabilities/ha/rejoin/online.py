"""A server that follows while it runs: what it has of its own is compared by the word of both logs, not by files."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dbre.capabilities.ha.errant import Errant, errant_of, is_comparable, told_of_errants
from dbre.core.errors import PrecheckFailed
from dbre.core.fleet import Cluster
from dbre.core.operation.plan import Step
from dbre.ports.rejoin import NotAligned
from dbre.ports.succession import Differences, NoControl, Standing
from dbre.ports.topology import NodeView

__all__ = ["Online", "online_between", "online_steps", "refuse_online", "require_kin", "told_of_online"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Online:
    """How it stands to the primary."""

    errants: tuple[Errant, ...]
    is_comparable: bool  # both logs tell who wrote how far
    forgets_own: bool  # whoever follows is filled anew by its upstream, whatever it has
    is_primary: bool  # it calls itself primary, so it is closed to writes first
    needs_login: bool
    sample: Differences | None = None  # of its keys, where its log tells bytes alone
    why_no_sample: str | None = None


def online_between(node: NodeView, primary: NodeView, standing: Standing, *, is_primary: bool) -> Online:
    """From one look at both."""
    return Online(
        errants=errant_of(node, primary),
        is_comparable=is_comparable(node, primary),
        forgets_own=standing.forgets_own,
        is_primary=is_primary,
        needs_login=standing.needs_login,
    )


def told_of_online(found: Online, to: str) -> str:
    """What its data is to that of the primary, in one sentence."""
    keys = f"; {found.sample.text}" if found.sample is not None else ""
    keys += f"; its keys are not compared: {found.why_no_sample}" if found.why_no_sample is not None else ""
    if found.errants:
        return f"it has what {to} does not: {told_of_errants(found.errants)}{keys}"
    if not found.is_comparable:
        return f"nobody can tell by its log whether it has what {to} does not{keys}"
    return f"its log has nothing that {to} lacks{keys}"


def refuse_online(found: Online, cluster: Cluster, name: str, to: str) -> None:
    """Raises: PrecheckFailed, NoControl."""
    if not found.forgets_own and not found.is_comparable:
        raise PrecheckFailed(
            f"{name} does not tell by transaction what is in its log, or {to} does not",
            hint="switch its binary log on (log_bin), or make it anew from a copy: --clone",
        )
    if found.needs_login and found.is_primary and cluster.replication_user is None:
        raise NoControl(
            f"nobody knows as whom {name} is to follow {to}",
            hint="set replication_user and replication_password of the cluster in dbre.yaml",
        )
    try:
        require_kin(found, name, to)
    except NotAligned as error:
        raise PrecheckFailed(error.message, hint=error.hint, context=error.context) from error


def require_kin(found: Online, name: str, to: str) -> None:
    """Raises: NotAligned naming every range; nothing is ever skipped or written in its place."""
    if found.errants and not found.forgets_own:
        raise NotAligned(
            f"{name} has what {to} does not, and would keep it for ever beside the data of {to}: "
            + told_of_errants(found.errants),
            hint="read these transactions in its binary log and write to the primary what must stay; then take them back "
            "(docs/reference/rejoin.md), or copy it anew: --clone",
            context={"ranges": [one.text for one in found.errants]},
        )


def online_steps(found: Online, given: dict[str, Any]) -> Iterator[Step]:
    """Close, compare, follow."""
    name, to = given["instance"], given["primary"]
    if found.is_primary:
        yield Step("close", summary=f"close {name} to writes, and cut off its clients", input=given)
    yield Step("compare", summary=f"hold the log of {name} against that of {to} once more", input=given)
    way = f"{to} fills it anew" if found.forgets_own else "by transaction"
    yield Step("follow", summary=f"{name} follows {to}: {way}", input=given, irreversible=found.forgets_own)
