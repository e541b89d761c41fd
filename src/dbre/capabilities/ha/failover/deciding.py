"""May this failover be done? Every reason for and against, each with what was seen, the limit, and the remedy. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dbre.capabilities.ha.failover.candidates import Loss, Ranked, loss_of, rank
from dbre.capabilities.ha.failover.config_document import FailoverDocument
from dbre.capabilities.ha.failover.patience import LEAST_SECONDS
from dbre.capabilities.ha.failover.situation import Situation
from dbre.capabilities.ha.verdict import DEAD, Action
from dbre.core.text import counted, printable
from dbre.core.units import format_bytes, format_duration
from dbre.ports.succession import Obstacle

__all__ = ["Asked", "Decision", "Surroundings", "decide", "names"]

_ROOM_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is wanted, and by whom."""

    is_automatic: bool
    to: str | None = None
    accepts_loss: bool = False  # a person takes whatever it is
    is_release: bool = False  # Patroni promotes, once it may


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is known besides the servers' own words. Unknown is None."""

    seconds_since_last: float | None = None  # since the last failover of the cluster ended
    free_bytes: int | None = None  # where the primary keeps its data, if that is on this machine
    fences: tuple[str, ...] = ()  # rungs that can be tried
    fence_problems: tuple[str, ...] = ()  # why the others cannot
    manager: str | None = None  # what else promotes in this cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whom to promote and what that loses, with every reason."""

    ranked: Ranked
    loss: Loss
    reasons: tuple[Obstacle, ...]

    @property
    def against(self) -> tuple[Obstacle, ...]:
        """The reasons that forbid it."""
        return tuple(one for one in self.reasons if one.is_blocking and not one.is_met)


def decide(found: Situation, asked: Asked, settings: FailoverDocument, around: Surroundings) -> Decision:
    """Weigh everything. It may be done where nothing is against it."""
    ranked = rank(found.candidates, found.last, prefer=settings.prefer, never=settings.never, wanted=asked.to)
    best = ranked.best
    loss = loss_of(best, found.last, found.candidates) if best is not None else Loss()
    reasons = (
        *_evidence(found, asked),
        *_permission(asked, settings, around),
        _candidate(found, ranked),
        _loss(asked, settings, loss, has_candidate=best is not None),
        *_room(around),
        _fence(around),
    )
    return Decision(ranked=ranked, loss=loss, reasons=reasons)


def _evidence(found: Situation, asked: Asked) -> Iterator[Obstacle]:
    name = found.primary.name
    node = found.topology.node(name)
    error = f" ({printable(node.error.message, limit=200)})" if node is not None and node.error is not None else ""
    yield Obstacle(
        rule="primary_silent",
        subject=name,
        value=f"{found.contact.value}{error}",
        limit="reset or timeout: any word of the server is a sign of life",
        source=f"a sweep from here{_waited(found)}",
        remedy=f"{name} lives: move the primary with dbre ha switchover, or mend what keeps its clients away",
        is_met=not found.contact.is_alive,
        is_blocking=True,
    )
    if found.weighing is not None:
        judgement = found.weighing.judgement
        notes = "; ".join(f"{who}: {why}" for who, why in found.weighing.notes.items())
        words = ", ".join(one.value for one in judgement.verdicts) or "healthy"
        against = "; ".join((*judgement.reasons, notes)).strip("; ")
        heard = [who for who, contact in found.weighing.contacts.items() if contact.is_alive]
        yield Obstacle(
            rule="observers_agree",
            subject=name,
            value=f"{words}{f' ({against})' if against else ''}",
            limit="dead_primary by a majority of the observers, and no replica that receives",
            source="the reports of the observers",
            remedy="see who says what: dbre ha verdict " + found.cluster.name,
            is_met=judgement.action is Action.FAIL_OVER,
            # A person may know better than observers that are silent, and never better than one that hears the server.
            is_blocking=asked.is_automatic or bool(heard),
        )
    elif asked.is_automatic:
        yield Obstacle(
            rule="observers_agree",
            subject=name,
            value="nobody observes the cluster",
            limit="a majority of 2 observers at least",
            source="failover: observers",
            remedy="list observers, and run dbre ha observe --as NAME",
            is_met=False,
            is_blocking=True,
        )
    words = ", ".join(one.value for one in found.own.verdicts) or "nothing"
    yield Obstacle(
        rule="replicas_lost_it",
        subject=name,
        value=words,
        limit="a replica can be reached, and none of them still receives from the primary",
        source=f"a sweep from here{_waited(found)}",
        remedy="a replica that receives proves that the primary lives; lower wal_receiver_timeout to know sooner",
        is_met=bool(found.own.verdicts) and found.own.verdicts[0] in DEAD,
        is_blocking=True,
    )


def _waited(found: Situation) -> str:
    """For how long, where observers lately waited longer for answers than a sweep would."""
    longer = {name: one for name, one in found.patience.items() if one > LEAST_SECONDS}
    words = ", ".join(f"{format_duration(one)} for {name}" for name, one in sorted(longer.items()))
    return f", which waited {words}, as observers lately had to" if longer else ""


def _permission(asked: Asked, settings: FailoverDocument, around: Surroundings) -> Iterator[Obstacle]:
    if not asked.is_release:
        yield _unmanaged(around)
    yield from _automatic(asked, settings, around)


def _unmanaged(around: Surroundings) -> Obstacle:
    return Obstacle(
        rule="not_managed",
        subject="the cluster",
        value=f"{around.manager} chooses its primary" if around.manager is not None else "nothing else promotes",
        limit="nobody else promotes: two who do make two primaries",
        source="ha: clusters: patroni, sentinel",
        remedy="leave it to whoever promotes there: dbre ha status",
        is_met=around.manager is None,
        is_blocking=True,
    )


def _automatic(asked: Asked, settings: FailoverDocument, around: Surroundings) -> Iterator[Obstacle]:
    if not asked.is_automatic:
        return
    yield Obstacle(
        rule="auto_allowed",
        subject="the cluster",
        value="on" if settings.auto else "off",
        limit="on",
        source="failover: auto",
        remedy="fail over by hand: dbre ha failover",
        is_met=settings.auto,
        is_blocking=True,
    )
    block, since = settings.block.total_seconds(), around.seconds_since_last
    yield Obstacle(
        rule="block_period",
        subject="the cluster",
        value=f"the last failover ended {format_duration(since)} ago" if since is not None else "no failover is known",
        limit=f"none within {format_duration(block)}",
        source="the operations of this control plane",
        remedy="a primary that dies again and again needs a person: dbre ha failover",
        is_met=since is None or since >= block,
        is_blocking=True,
    )


def _candidate(found: Situation, ranked: Ranked) -> Obstacle:
    best = ranked.best
    excluded = "; ".join(f"{name}: {why}" for name, why in ranked.excluded.items())
    if best is None:
        value = excluded or "the cluster has no other instance"
    else:
        order = ", then ".join(f"{one.name} ({ranked.reasons[one.name]})" for one in ranked.order)
        value = order + (f"; not {excluded}" if excluded else "")
    return Obstacle(
        rule="candidate",
        subject=found.cluster.name,
        value=printable(value, limit=1000),
        limit="one replica that may take over",
        source="a sweep from here",
        remedy="start a replica, or restore the primary: dbre backup restore",
        is_met=best is not None,
        is_blocking=True,
    )


def _loss(asked: Asked, settings: FailoverDocument, loss: Loss, *, has_candidate: bool) -> Obstacle:
    allowed = loss.is_within(max_bytes=settings.max_loss, max_transactions=settings.max_lost_transactions)
    return Obstacle(
        rule="loss",
        subject="acknowledged writes",
        value=loss.text if has_candidate else "nobody would take over",
        limit=f"{format_bytes(settings.max_loss)} of the log, or {counted(settings.max_lost_transactions, 'transaction')}",
        source="what the primary last told the observers, and what the candidate has",
        remedy="raise failover: max_loss, or decide by hand: --accept-loss",
        is_met=allowed is True or (asked.accepts_loss and not asked.is_automatic) or not has_candidate,
        is_blocking=True,
    )


def _room(around: Surroundings) -> Iterator[Obstacle]:
    if around.free_bytes is not None:
        yield Obstacle(
            rule="room_on_disk",
            subject="the primary's data",
            value=f"{format_bytes(around.free_bytes)} are free",
            limit=f"{format_bytes(_ROOM_BYTES)}: a full disk is mended by room, and those of replicas may be as full",
            source="the file system of control: data_directory",
            remedy="make room, and start it again",
            is_met=around.free_bytes >= _ROOM_BYTES,
            is_blocking=True,
        )


def _fence(around: Surroundings) -> Obstacle:
    problems = "; ".join(around.fence_problems)
    return Obstacle(
        rule="fence",
        subject="the old primary",
        value=", ".join(around.fences) + (f"; {problems}" if problems else "") if around.fences else problems or "none",
        limit="one rung at least that can be tried",
        source="failover: fence, and control: of the instance",
        remedy="say how its process is stopped (control:), or how it is cut off (failover: fence: kind: network or command)",
        is_met=bool(around.fences),
        is_blocking=True,
    )


def names(reasons: Sequence[Obstacle]) -> str:
    """The rules of some reasons, for a message."""
    return ", ".join(one.rule for one in reasons)
