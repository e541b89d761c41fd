"""The plan of ``ha.rejoin``: pure rules over what was seen."""

from collections.abc import Iterator
from typing import Any

from dbre.capabilities.ha.rejoin.document import RejoinInput
from dbre.capabilities.ha.rejoin.online import online_steps, refuse_online, told_of_online
from dbre.capabilities.ha.rejoin.surveying import Rejoining
from dbre.capabilities.ha.switchover.switchover_plan import slot_name
from dbre.core.errors import PrecheckFailed
from dbre.core.operation.plan import Change, Plan, Risk, Step
from dbre.ports.rejoin import Relation, Way
from dbre.ports.succession import NoControl

__all__ = ["plan_of", "told_of", "way_of"]

_TOLD = {
    Relation.SAME: "its history is that of the primary, which it only lacks the end of",
    Relation.DIVERGED: "it has what the primary does not",
    Relation.UNFINISHED: "an earlier attempt to rewind or copy it did not come to its end: nothing of it is trusted",
    Relation.STRANGER: "its data is of another database",
    Relation.EMPTY: "it has no data",
    Relation.UNKNOWN: "nobody can tell what its data is to that of the primary while it does not run",
}
_DOES = {
    Way.NOTHING: "leave the data as it is",
    Way.REWIND: "rewind the data to where the histories part, and copy what changed since",
    Way.CLONE: "copy the data anew, and put the copy in its place",
    Way.RESYNC: "throw it away: the primary fills it anew",
}


def plan_of(seen: Rejoining, asked: RejoinInput) -> Plan:
    """Raises: PrecheckFailed, NoControl where it cannot be done."""
    _refuse(seen, asked)
    way, name, to = way_of(seen, asked), seen.instance.name, seen.primary.name
    lost = seen.kinship.relation is Relation.DIVERGED
    return Plan(
        target=f"cluster/{seen.cluster.name}",
        summary=f"let {name} follow {to} again",
        steps=tuple(_steps(seen, asked, way)),
        risk=Risk.SEVERE,
        changes=(
            Change(subject=f"{name}: role", before="primary" if seen.is_writable else None, after=f"replica of {to}"),
            Change(subject=f"{name}: data", before=told_of(seen), after=_DOES[way]),
        ),
        blast_radius=tuple(_blast_radius(seen, way)),
        warnings=tuple(_warnings(seen, asked, lost=lost)),
        observed={"primary": to, "instance": name},
    )


def way_of(seen: Rejoining, asked: RejoinInput) -> Way:
    """How its data would be brought to the history of the primary."""
    if seen.online is not None:
        return Way.RESYNC if seen.online.forgets_own else Way.NOTHING
    return seen.kinship.way(is_clone_wanted=asked.clone)


def told_of(seen: Rejoining) -> str:
    """What its data is, in one sentence."""
    if seen.online is not None:
        return told_of_online(seen.online, seen.primary.name)
    if seen.logs is not None:
        return told_of_online(seen.logs, seen.primary.name)
    found = seen.kinship
    where = f", from {found.fork} of timeline {found.timeline} on" if found.relation is Relation.DIVERGED and found.fork else ""
    return _TOLD[found.relation] + where


def _refuse(seen: Rejoining, asked: RejoinInput) -> None:
    found, name = seen.kinship, seen.instance.name
    if seen.online is not None:
        if asked.clone or asked.work is not None:
            raise PrecheckFailed(f"{name} follows while it runs: it is not copied", hint="leave out --clone and --work")
        refuse_online(seen.online, seen.cluster, name, seen.primary.name)
        return
    if seen.host.is_answering and not seen.host.processes:
        raise NoControl(
            f"{name} answers at {seen.instance.address}, and no process of it is seen on this machine",
            hint="run dbre, or its worker, on the machine of the instance, and name its data_directory in control:",
        )
    if found.why_no_start is not None:
        raise PrecheckFailed(f"{name} would start, and not follow: {found.why_no_start}", hint="take it out of its settings")
    if found.relation is Relation.STRANGER and not asked.clone:
        raise PrecheckFailed(
            f"the data of {name} is of another database than that of {seen.primary.name}",
            hint="where it is not needed any more: --clone",
        )
    if way_of(seen, asked) is Way.CLONE and found.why_no_clone is not None:
        short = f"; it cannot be rewound: {found.why_no_rewind}" if found.why_no_rewind else ""
        raise PrecheckFailed(
            f"{name} must be copied anew, which cannot be done: {found.why_no_clone}{short}",
            hint="bring it back from a backup: dbre backup restore",
        )
    if not seen.can_read_lost and not asked.without_evidence and found.relation in (Relation.DIVERGED, Relation.UNKNOWN):
        told = told_of(seen) if found.relation is Relation.DIVERGED else f"it may have what {seen.primary.name} does not"
        raise PrecheckFailed(
            f"{name}: {told}; no file of it can be written from here, and a copy takes it away",
            hint="copy its binary logs to where they are kept, or read them with mariadb-binlog; then --without-evidence",
        )
    if seen.cluster.replication_user is None and seen.manner is None:
        raise NoControl(
            f"nobody knows as whom {name} is to follow {seen.primary.name}",
            hint="set replication_user and replication_password of the cluster in dbre.yaml",
        )


def _steps(seen: Rejoining, asked: RejoinInput, way: Way) -> Iterator[Step]:
    name, to = seen.instance.name, seen.primary.name
    if seen.online is not None:
        yield from online_steps(seen.online, {"instance": name, "primary": to, "way": way.value})
        return
    has_slots = seen.kinship.own_slot is not None or (seen.manner is not None and seen.manner.slot is not None)
    given: dict[str, Any] = {
        "instance": name,
        "primary": to,
        "slot": (seen.kinship.own_slot or slot_name(name)) if has_slots else None,
        "clone": asked.clone,
        "source": seen.source.name if seen.source is not None else to,
    }
    if seen.is_prepared:
        yield Step("prepare", summary=f"checkpoint of {to}; it keeps its log for {name}", input=given, undo="unprepare")
    yield Step("stop", summary=f"stop {name}, whatever it is now", input=given)
    if seen.can_read_lost and not asked.without_evidence:
        yield Step("evidence", summary=f"write what only {name} committed to a file", input=given | {"work": asked.work})
    whose = f" of {seen.source.name}" if seen.source is not None else ""
    yield Step("align", summary=_DOES[way].replace("the data", f"the data{whose}", 1), input=given, irreversible=True)
    yield Step("start", summary=f"start {name} as a replica, until it receives from {to}", input=given)
    yield Step("settle", summary="remove what was kept until then", input=given)


def _blast_radius(seen: Rejoining, way: Way) -> Iterator[str]:
    if seen.online is not None and seen.online.is_primary:
        yield f"{seen.instance.name} is closed to writes, and its clients are cut off; it stays closed, whatever comes then"
    if seen.host.processes:
        yield f"{seen.instance.name} is stopped, and its clients are cut off"
    if way is not Way.NOTHING:
        source = seen.source if seen.source is not None else seen.primary
        yield f"{source.name} is read from" + (", all of it" if way is Way.CLONE else "")
    yield f"changes of primary, experiments and drills of {seen.cluster.name} wait until it is done"


def _warnings(seen: Rejoining, asked: RejoinInput, *, lost: bool) -> Iterator[str]:
    if seen.is_writable:
        yield f"{seen.instance.name} takes writes besides {seen.primary.name}: what its clients wrote goes"
    if seen.online is not None:
        if seen.online.forgets_own:
            yield f"all that {seen.instance.name} has is replaced: {told_of(seen)}; no file of it is written"
        return
    if lost and asked.without_evidence:
        yield f"what only {seen.instance.name} committed goes, and no file of it is written"
    if way_of(seen, asked) is Way.CLONE and seen.kinship.why_no_rewind:
        yield f"it cannot be rewound: {seen.kinship.why_no_rewind}"
    if seen.kinship.leftovers:
        yield f"left behind in its data, and handled: {', '.join(seen.kinship.leftovers)}"
