"""Checks of the two servers themselves: versions, settings, open transactions, what their engine says, the process."""

from collections.abc import Iterator

from dbre.capabilities.ha.switchover.checks import CheckState, PreCheck
from dbre.capabilities.ha.switchover.config_document import SwitchoverDocument
from dbre.capabilities.ha.switchover.survey import NodeSurvey, Survey
from dbre.core.text import printable
from dbre.core.units import format_duration
from dbre.ports.succession import GivesUp, Obstacle, Standing

__all__ = ["server_checks"]


def server_checks(found: Survey, old: str, new: str, limits: SwitchoverDocument) -> Iterator[PreCheck]:
    """Of both, side by side."""
    before, after = found.nodes.get(old, NodeSurvey()), found.nodes.get(new, NodeSurvey())
    for name, one in ((old, before), (new, after)):
        if one.standing is None:
            yield PreCheck(
                rule="tells_its_standing",
                subject=name,
                state=CheckState.FAIL,
                value=printable(one.error.message if one.error else "no answer", limit=300),
                limit="an answer",
                source="facet succession",
                remedy=one.error.hint if one.error is not None else None,
            )
    if before.standing is None or after.standing is None:
        return
    yield from _compared(old, before.standing, new, after.standing, found.kept)
    yield from _transactions(old, before.standing, limits)
    for name, standing in ((old, before.standing), (new, after.standing)):
        yield from (_obstacle(name, one) for one in standing.obstacles)
    if after.entry is not None:
        yield _obstacle(new, after.entry)
    if before.standing.gives_up is GivesUp.BY_STOPPING:
        yield _process(old, before)


def _compared(old: str, before: Standing, new: str, after: Standing, kept: frozenset[str]) -> Iterator[PreCheck]:
    is_same, is_near = before.version == after.version, before.version[:1] == after.version[:1]
    yield PreCheck(
        rule="same_version",
        subject=new,
        state=CheckState.OK if is_same else CheckState.WARN if is_near else CheckState.FAIL,
        value=after.version_text,
        limit=before.version_text,
        source="facet session",
        remedy=f"{old} will follow {new}: bring both to one version first",
    )
    compared = {name: value for name, value in before.alike.items() if name not in kept}
    differing = [
        f"{name}: {printable(after.alike.get(name, '-'), limit=60)} instead of {printable(value, limit=60)}"
        for name, value in compared.items()
        if after.alike.get(name) != value
    ]
    yield PreCheck(
        rule="settings_alike",
        subject=new,
        state=CheckState.WARN if differing else CheckState.OK,
        value="; ".join(differing) or f"{len(compared)} compared, none differs",
        limit=f"as on {old}",
        source="facet succession: settings",
        remedy="dbre settings diff; clients may find another server than they are used to",
    )
    modules = [f"{name} {after.modules.get(name, 'missing')} instead of {version}"
               for name, version in before.modules.items() if after.modules.get(name) != version]  # fmt: skip
    if before.modules or after.modules:
        yield PreCheck(
            rule="modules_alike",
            subject=new,
            state=CheckState.WARN if modules else CheckState.OK,
            value="; ".join(modules) or f"{len(before.modules)} compared, none differs",
            limit=f"as on {old}",
            source="facet succession: modules",
            remedy="bring the packages of both machines to one version",
        )


def _transactions(old: str, before: Standing, limits: SwitchoverDocument) -> Iterator[PreCheck]:
    age, limit = before.oldest_transaction_seconds, limits.max_transaction.total_seconds()
    if age is not None:
        yield PreCheck(
            rule="no_long_transactions",
            subject=old,
            state=CheckState.FAIL if age > limit else CheckState.OK,
            value=f"the oldest is {format_duration(age)} old" if age else "none is open",
            limit=f"at most {format_duration(limit)}",
            source="facet succession: transactions",
            remedy="wait for it or end it: it would be cut off; dbre activity shows it",
        )
    if before.prepared_transactions is not None:
        yield PreCheck(
            rule="no_prepared_transactions",
            subject=old,
            state=CheckState.FAIL if before.prepared_transactions else CheckState.OK,
            value=str(before.prepared_transactions),
            limit="0",
            source="facet succession: prepared transactions",
            remedy="commit or roll back what a transaction manager has left",
        )


def _obstacle(name: str, one: Obstacle) -> PreCheck:
    failed = CheckState.FAIL if one.is_blocking else CheckState.WARN
    return PreCheck(
        rule=one.rule,
        subject=name,
        state=CheckState.OK if one.is_met else failed,
        value=one.value,
        limit=one.limit,
        source=one.source,
        remedy=one.remedy,
    )


def _process(old: str, before: NodeSurvey) -> PreCheck:
    """Who must be stopped must be seen: else nobody could say that it has stopped."""
    host, error = before.host, before.host_error
    is_ok = host is not None and host.is_seen and bool(host.processes)
    value = f"{len(host.processes)} processes" if host is not None and host.processes else "no process is seen on this machine"
    return PreCheck(
        rule="process_controlled",
        subject=old,
        state=CheckState.OK if is_ok else CheckState.FAIL,
        value=printable(error.message, limit=300) if error is not None else value,
        limit="seen on this machine, and stopped by dbre",
        source="control: of the instance in dbre.yaml",
        remedy=(error.hint if error is not None else None) or "run a worker in the zone of the server's machine",
    )
