"""What has to be so before a server of a cluster is restarted: typed, with value, limit, source and remedy."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from dbre.capabilities.upgrade.snapshot import COLLATION_REMEDY
from dbre.capabilities.upgrade.survey import NodeLook, Survey
from dbre.core.text import printable
from dbre.core.units import format_bytes
from dbre.ports.versions import format_version

__all__ = ["CheckState", "RollCheck", "checks_of", "version_text"]

_MAX_LAG_BYTES = 16 << 20


class CheckState(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class RollCheck:
    """One thing that was looked at. All text is printable."""

    rule: str
    subject: str
    state: CheckState
    value: str
    limit: str
    source: str
    remedy: str


def checks_of(seen: Survey) -> list[RollCheck]:
    """Everything that speaks for or against restarting the servers of a cluster one after the other."""
    found = [*_by_steward(seen), *_answer(seen), _one_primary(seen)]
    for one in seen.nodes.values():
        if seen.steward is None:
            found.append(_controlled(one))
        if seen.primary is not None and one.view is not None and not one.is_primary:
            found += [_receives(one), *_lag(one, seen.primary)]
            # a steward starts a replica with as much as its primary has, whatever it keeps for it
            found += _enough(one, seen.primary) if seen.steward is None else ()
        found += _contents(one)
    if seen.primary is not None:
        found += [*_confirmed(seen), *_redundant(seen)]
    return found


def _check(rule: str, subject: str, is_met: bool, value: str, limit: str, source: str, remedy: str) -> RollCheck:
    state = CheckState.OK if is_met else CheckState.FAIL
    return RollCheck(rule=rule, subject=subject, state=state, value=value, limit=limit, source=source, remedy=remedy)


def _by_steward(seen: Survey) -> Iterator[RollCheck]:
    """What is said by who starts and stops the servers, where somebody beside dbre does."""
    for one in seen.obstacles:
        state = CheckState.OK if one.is_met else CheckState.FAIL if one.is_blocking else CheckState.WARN
        yield RollCheck(
            rule=one.rule,
            subject=one.subject,
            state=state,
            value=one.value,
            limit=one.limit,
            source=one.source,
            remedy=one.remedy,
        )


def _answer(seen: Survey) -> Iterator[RollCheck]:
    for one in seen.nodes.values():
        if one.error is not None:
            value, remedy = printable(one.error.message, limit=300), one.error.hint or f"see why {one.name} does not answer"
            yield _check("all_answer", one.name, False, value, "it answers", "a connection", remedy)


def _one_primary(seen: Survey) -> RollCheck:
    found = seen.primaries
    return _check(
        "one_primary",
        seen.cluster.name,
        len(found) == 1,
        ", ".join(found) or "none",
        "one",
        "facet topology",
        f"see who is what: dbre ha status {seen.cluster.name}",
    )


def _controlled(one: NodeLook) -> RollCheck:
    error, state = one.host_error, one.host
    if error is not None:
        value, remedy = printable(error.message, limit=300), error.hint or ""
    elif state is not None and state.is_seen and not state.processes:
        value = "no process serves its data directory on this machine"
        remedy = f"correct control: data_directory of {one.name}, or run a worker on its machine"
    else:
        value = f"process {state.processes[0]}" if state is not None and state.processes else "by commands, processes not seen"
        remedy = ""
    is_met = error is None and (state is None or not state.is_seen or bool(state.processes))
    return _check(
        "process_controlled", one.name, is_met, value, "dbre can start and stop it", "control: of the instance", remedy
    )


def _receives(one: NodeLook) -> RollCheck:
    upstreams = one.view.upstreams if one.view is not None else ()
    is_met = any(up.is_receiving for up in upstreams)
    shown = ", ".join(str(up.address or "unknown") for up in upstreams) or "nobody"
    value = f"from {shown}" if is_met else f"follows {shown}, receives nothing"
    return _check("receives", one.name, is_met, value, "it receives", "facet topology", "see its log")


def _lag(one: NodeLook, primary: NodeLook) -> Iterator[RollCheck]:
    mine, ahead = one.view.position if one.view else None, primary.view.position if primary.view else None
    if mine is None or ahead is None or (behind := mine.bytes_behind(ahead)) is None:
        return  # each restart waits until everything is there, in whatever unit
    is_met = behind <= _MAX_LAG_BYTES
    limit, remedy = f"at most {format_bytes(_MAX_LAG_BYTES)}", "wait until it has caught up: dbre ha lag"
    yield _check("lag", one.name, is_met, f"{format_bytes(max(0, behind))} behind", limit, "facet topology", remedy)


def _enough(one: NodeLook, primary: NodeLook) -> Iterator[RollCheck]:
    """A replica whose next start has less of a setting than its primary would not start, or stop replaying."""
    if one.standing is None or primary.standing is None or not primary.standing.at_least:
        return
    needs = primary.standing.at_least
    low = [f"{key} will be {value}, {needs[key]} on {primary.name}" for key, value in one.standing.at_least_next.items()
           if value < needs.get(key, value)]  # fmt: skip
    yield _check(
        "enough_to_follow",
        one.name,
        not low,
        "; ".join(low) or "its next start has as much as the primary",
        f"as much as {primary.name}",
        "pg_file_settings",
        "lower it by dbre upgrade parameters, which restarts the primary first",
    )


def _contents(one: NodeLook) -> Iterator[RollCheck]:
    """What is not right before anything was done; what a new version loses on the way stops it by itself."""
    found = one.contents
    if found is None:
        return
    outdated = [
        f"{name} is {found.extensions[name]}, {offered} is installed" for name, offered in sorted(found.outdated.items())
    ]
    for rule, values, limit, remedy in (
        ("extensions_installed", found.missing, "their files are there", "install their packages on its machine"),
        ("extensions_current", outdated, "as installed", "ALTER EXTENSION ... UPDATE on the primary, when it suits"),
        ("collations_match", found.collations, "as their library sorts", f"on the primary {COLLATION_REMEDY}"),
    ):
        if values:
            value = printable(", ".join(values), limit=300)
            yield RollCheck(
                rule=rule,
                subject=one.name,
                state=CheckState.WARN,
                value=value,
                limit=limit,
                source="facet integrity",
                remedy=remedy,
            )


def _confirmed(seen: Survey) -> Iterator[RollCheck]:
    view = seen.primary.view if seen.primary is not None else None
    if view is None or not view.synchronous_replicas or seen.primary is None:
        return
    needed, there = view.synchronous_replicas, len(view.downstreams)
    yield _check(
        "commits_go_on",
        seen.primary.name,
        there > needed,
        f"{needed} of {there} replicas must confirm each commit",
        f"one more than {needed}",
        "facet topology",
        "add a replica, or ask for fewer confirmations meanwhile: without it every write waits while one restarts",
    )


def _redundant(seen: Survey) -> Iterator[RollCheck]:
    count = len(seen.replicas)
    if count > 1:
        return
    value = "no replica: clients wait while it restarts" if not count else f"{seen.replicas[0]} is the only replica"
    yield RollCheck(
        rule="redundancy",
        subject=seen.cluster.name,
        state=CheckState.WARN,
        value=value,
        limit="two replicas, so that one is there while the other restarts",
        source="the inventory",
        remedy="",
    )


def version_text(version: tuple[int, ...] | None) -> str:
    """A version for people."""
    return format_version(version) if version else "unknown"
