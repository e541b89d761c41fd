"""Which experiment puts a question to a cluster as it is now, or why none can: pure rules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dbre.capabilities.chaos.injection.catalogue import parameters_of
from dbre.capabilities.chaos.injection.network.place import EVERYONE
from dbre.capabilities.chaos.suite.documents import EntryDocument, SuiteDocument
from dbre.capabilities.chaos.suite.required import Entry
from dbre.core.config.fields import duration_text
from dbre.core.errors import UsageError
from dbre.core.fleet import Cluster

__all__ = ["Choice", "choose"]

_PLAIN: Mapping[str, Mapping[str, Any]] = {"pool-exhaustion": {"leave": 2}}
"""What a fault is asked where nobody says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is done about one entry."""

    entry: Entry
    experiment: Mapping[str, Any] | None  # a document; None: it cannot be asked here
    reason: str  # why not; else what is done, in a few words

    @property
    def can_run(self) -> bool:
        """Whether there is an experiment."""
        return self.experiment is not None


def choose(
    entry: Entry,
    cluster: Cluster,
    suite: SuiteDocument,
    roles: Mapping[str, str | None],
    *,
    is_kept: bool = False,
    can_be: Callable[[str], bool] = lambda _: True,
) -> Choice:
    """``roles``: what each instance says of itself; None: it does not answer. ``is_kept``: whether something like Patroni runs
    the servers, and starts one that was killed; ``can_be``: whether the engine makes a fault."""
    given = suite.entries.get(entry.name, EntryDocument())
    instance = given.instance or _instance(entry, roles)
    if instance is None:
        return Choice(entry=entry, experiment=None, reason=f"no {entry.role or 'primary'} answers")
    if instance not in roles:
        return Choice(entry=entry, experiment=None, reason=f"chaos.suites names {instance}, which {cluster.name} does not have")
    fault = given.fault or next((one for one in entry.faults if can_be(one) and _fits(one, entry, is_kept=is_kept)), None)
    if fault is None:
        where, lacks = f"chaos.suites: entries: {entry.name}", [one for one in entry.faults if not can_be(one)]
        why = f"; {cluster.engine} does not make {' and '.join(lacks)}" if lacks else ""
        return Choice(entry=entry, experiment=None, reason=f"it needs to be told how: fault and parameters under {where}{why}")
    parameters = {**_defaults(fault, cluster, instance), **given.parameters}
    try:
        parameters_of(fault, parameters)
    except UsageError as error:
        return Choice(entry=entry, experiment=None, reason=error.message)
    lasts = given.lasts or suite.lasts
    others = [name for name, said in roles.items() if said is not None and name != instance]
    document = {
        "title": f"{entry.question} ({fault} on {instance})",
        "cluster": cluster.name,
        "hypothesis": [
            _primary(duration_text(suite.objectives.recovery)),
            _answers(instance, during=False),
            *(_answers(one, during=True) for one in others),
        ],
        "faults": [{"fault": fault, "instance": instance, "parameters": parameters, "for": duration_text(lasts)}],
        "objectives": suite.objectives.model_dump(mode="json"),
        "clients": suite.clients.model_dump(mode="json") if suite.clients is not None else None,
        "settle": duration_text(suite.recovery),
        "may_take_last": given.may_take_last,
    }
    told = "".join(f", {name} {_plain(value)}" for name, value in parameters.items() if name not in given.parameters)
    return Choice(entry=entry, experiment=document, reason=f"{fault} on {instance} for {duration_text(lasts)}{told}")


def _instance(entry: Entry, roles: Mapping[str, str | None]) -> str | None:
    wanted = entry.role or "primary"
    return next((name for name, said in roles.items() if said == wanted), None)


def _fits(fault: str, entry: Entry, *, is_kept: bool) -> bool:
    """Whether a fault asks this question without anything being configured."""
    if entry.name == "replica-lag" and fault == "freeze":
        return False  # a whole replica that is frozen does not lag, it is away
    if entry.name == "leader-failure" and fault == "crash":
        return is_kept  # who starts it again must be known; a freeze may be over before a lease is
    try:
        parameters_of(fault, _PLAIN.get(fault, {}))
    except UsageError:
        return False
    return True


def _defaults(fault: str, cluster: Cluster, instance: str) -> Mapping[str, Any]:
    if fault == "partition" and _shares_its_address(cluster, instance):
        return {"peers": [EVERYONE]}  # a packet between them does not tell which of them it is of
    return _PLAIN.get(fault, {})


def _shares_its_address(cluster: Cluster, instance: str) -> bool:
    own = next(one.address.host for one in cluster.instances if one.name == instance)
    return any(one.address.host == own for one in cluster.instances if one.name != instance)


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _answers(instance: str, *, during: bool) -> dict[str, Any]:
    when = ["before", "during", "after"] if during else ["before", "after"]
    return {"name": f"{instance} answers", "kind": "answers", "instance": instance, "when": when}


def _primary(tolerates: str) -> dict[str, Any]:
    when = ["before", "during", "after"]
    return {"name": "there is one primary", "kind": "primary", "within": "1s", "when": when, "tolerates": tolerates}
