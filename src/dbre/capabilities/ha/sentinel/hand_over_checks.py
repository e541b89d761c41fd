"""What speaks for and against a change of primary by Sentinels: pure rules over one round of their words."""

from collections.abc import Iterator

from dbre.capabilities.ha.sentinel.words import SentinelWords
from dbre.capabilities.ha.switchover.checks import CheckState, PreCheck
from dbre.core.fleet import Instance
from dbre.core.text import counted
from dbre.tools.sentinel import ReplicaWord

__all__ = ["hand_over_checks"]

_MASTER, _REPLICAS, _QUORUM = "SENTINEL MASTER", "SENTINEL REPLICAS", "SENTINEL CKQUORUM"


def hand_over_checks(words: SentinelWords, old: Instance, new: Instance) -> Iterator[PreCheck]:
    """Each thing that was looked at, good or bad."""
    answers, every = words.answers, len(words.words)
    is_majority = len(answers) * 2 > every
    yield PreCheck(
        rule="sentinels_answer",
        subject=words.name,
        state=CheckState.OK if len(answers) == every else CheckState.WARN if is_majority else CheckState.FAIL,
        value=f"{len(answers)} of {every}",
        limit="all; a majority at least",
        source=_MASTER,
        remedy="start the others: what they do not know they put back as it was",
    )
    if not answers:
        return
    named = words.instance_of(words.primary) if words.primary is not None else "nobody by majority"
    yield _check(
        "sentinels_name_primary", words.name, named == old.name, named, old.name, _MASTER,
        "dbre ha status says who takes writes; wait until both are the same",
    )  # fmt: skip
    without = [one.quorum_error for one in answers if one.quorum_error is not None]
    yield PreCheck(
        rule="sentinels_can_agree",
        subject=words.name,
        state=CheckState.FAIL if len(without) == len(answers) else CheckState.WARN if without else CheckState.OK,
        value=without[0] if without else f"all {len(answers)} could agree",
        limit="a failover could be agreed on",
        source=_QUORUM,
        remedy="bring back those that are gone; SENTINEL RESET makes them forget those that will not come back",
    )
    busy = [str(one.sentinel) for one in answers if one.is_failing_over]
    yield _check(
        "no_failover_under_way", words.name, not busy, f"at {', '.join(busy)}" if busy else "none", "none", _MASTER,
        "wait until it is done: dbre ha status",
    )  # fmt: skip
    yield from _candidate(words, new)


def _candidate(words: SentinelWords, new: Instance) -> Iterator[PreCheck]:
    """No command of theirs takes a name: they promote the one with the lowest priority, and then the furthest along."""
    for answer in words.answers:
        fit = {words.instance_of(one.address): one for one in answer.replicas if _is_fit(one)}
        mine = fit.pop(new.name, None)
        rivals = sorted(name for name, one in fit.items() if mine is not None and one.priority <= mine.priority)
        if mine is None:
            value = "not known to it as a replica that is up, linked, and has a priority above 0"
        elif rivals:
            value = f"priority {mine.priority}, and {', '.join(rivals)} have no higher number"
        else:
            value = f"priority {mine.priority}, before {counted(len(fit), 'other')}" if fit else "the only one"
        if mine is None or rivals:
            yield _check(
                "sentinels_choose_it", new.name, False, f"Sentinel {answer.sentinel}: {value}", "the one that it would choose",
                _REPLICAS, f"CONFIG SET replica-priority on {new.name} to less than the others', and wait 10 s",
            )  # fmt: skip
            return
    yield _check("sentinels_choose_it", new.name, True, "each would choose it", "the one that they would choose", _REPLICAS)


def _is_fit(one: ReplicaWord) -> bool:
    return one.address is not None and not one.is_down and one.is_linked and one.priority > 0


def _check(rule: str, subject: str, is_ok: bool, value: str, limit: str, source: str, remedy: str | None = None) -> PreCheck:
    state = CheckState.OK if is_ok else CheckState.FAIL
    return PreCheck(rule=rule, subject=subject, state=state, value=value, limit=limit, source=source, remedy=remedy)
