"""``settings.apply``: change server parameters, see that they are in effect, and take them back if an objective suffers."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from dbre.capabilities.settings.documents import ApplySettingsInput, watch_seconds
from dbre.capabilities.settings.setting_plan import plan_of, state_from
from dbre.capabilities.settings.slo_guard import SloBurning, SloReading, SloSource, judge
from dbre.capabilities.settings.survey import chosen_instances, forecast
from dbre.core.errors import Conflict, DbreError, PrecheckFailed, Unreachable, UsageError
from dbre.core.fleet import Cluster, Fleet
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import NotHappened, Operation, OutcomeUnknown, Tunable, Verification, step
from dbre.core.operation.errors import PlanChanged
from dbre.core.operation.plan import Plan
from dbre.core.text import printable
from dbre.ports.contact import contact
from dbre.ports.engine import EngineRegistry, Server
from dbre.ports.settings import SettingState

__all__ = ["ApplySettings", "ChangedByOthers"]

_LOOK_SECONDS = 1.0
_LONGEST_WATCH_SECONDS = 86_400.0


class ChangedByOthers(Conflict):
    """Somebody changed the parameter after dbre did: taking it back would undo their work."""

    code = "settings.changed_by_others"


class ApplySettings(Operation[ApplySettingsInput]):
    """Change server parameters on some or all instances of a cluster; every step can be undone."""

    kind, version = "settings.apply", 1
    document = ApplySettingsInput
    tunables: ClassVar[Mapping[str, Tunable]] = {
        "watch": Tunable(default=None, parse=watch_seconds, summary="how long to watch the objective in all: 10m"),
    }

    def __init__(self, *, fleet: Fleet, engines: EngineRegistry, slo: SloSource | None = None) -> None:
        self._fleet = fleet
        self._engines = engines
        self._slo = slo

    async def plan(self, context: PlanContext, asked: ApplySettingsInput) -> Plan:
        """Ask every instance what the change would mean.

        Raises: UsageError for unknown names and wrong values; Refused where it must not be done, or an instance is down.
        """
        cluster = self._fleet.cluster(asked.cluster)
        instances = chosen_instances(cluster, asked.instances)
        wanted: dict[str, str | None] = {**asked.set, **dict.fromkeys(asked.reset)}
        await self._see_that_it_can_be_watched(asked, cluster)
        survey = await forecast(self._engines, cluster, instances, wanted, application_name=context.application_name)
        return plan_of(asked, cluster.name, survey, is_whole=len(instances) == len(cluster.instances))

    @step(timeout_seconds=120.0, idempotent=True)
    async def apply(self, context: StepContext) -> Mapping[str, Any]:
        """Change the parameters of one instance, each unless it is so already; all of them or none."""
        done = []
        async with self._server(context) as server:
            for wanted in context.input["changes"]:
                try:
                    state = await server.settings.state(wanted["name"])
                    if not _is_after(state, wanted):
                        _require_as_planned(state, wanted, instance=context.input["instance"])
                        state = await server.settings.change(wanted["name"], wanted["request"])
                    elif wanted.get("keeps_unseen"):  # whoever set it may have been killed before it was kept
                        state = await server.settings.change(wanted["name"], wanted["request"])
                except Unreachable:  # nobody knows: the probe will look
                    raise
                except DbreError as error:  # for certain: so that a failed step has changed nothing
                    await _take_back(server, context.input, error)
                    raise
                done.append(_told(state, wanted))
        return {"instance": context.input["instance"], "settings": done}

    @apply.probe
    async def _(self, context: StepContext) -> Mapping[str, Any]:
        """Read what the server has now, and whether it is in effect."""
        changes = context.input["changes"]
        async with self._server(context) as server:
            states = [(await server.settings.state(wanted["name"]), wanted) for wanted in changes]
        if all(_is_after(state, wanted) for state, wanted in states):
            if unseen := [state.name for state, wanted in states if wanted.get("keeps_unseen")]:
                raise OutcomeUnknown(f"{context.input['instance']} does not tell whether it keeps {', '.join(unseen)}")
            return {"instance": context.input["instance"], "settings": [_told(*pair) for pair in states]}
        if not any(_is_ours(state, wanted) for state, wanted in states):
            raise NotHappened(f"{context.input['instance']} has none of the wanted values")
        raise OutcomeUnknown(f"{context.input['instance']} has some of the wanted values")

    @step(timeout_seconds=120.0, idempotent=True)
    async def restore(self, context: StepContext) -> Mapping[str, Any]:
        """Put one instance back to what it had, the last parameter first, unless somebody else changed it since."""
        async with self._server(context) as server:
            return {"instance": context.input["instance"], "restored": await _put_back(server, context.input, again=True)}

    @step(timeout_seconds=_LONGEST_WATCH_SECONDS + 3600.0, idempotent=True)
    async def watch(self, context: StepContext) -> Mapping[str, Any]:
        """Look at the objective each second. Raises: SloBurning, so that everything is taken back."""
        asked, clock = context.input, context.clock
        began, known = clock.monotonic(), clock.monotonic()
        worst: float | None = None
        while True:
            await context.checkpoint()
            total = float(context.tuning("watch") or asked["seconds"])
            elapsed = clock.monotonic() - began
            reading = await self._read(asked["slo"], asked["cluster"])
            if reading.burn_rate is not None or (reading.is_paging is not None and asked["burn"] is None):
                known = clock.monotonic()
                worst = max(worst or 0.0, reading.burn_rate or 0.0)
            reason = judge(reading, slo=asked["slo"], burn=asked["burn"], blind_seconds=clock.monotonic() - known)
            if reason is not None:
                raise SloBurning(
                    reason, hint="the change is taken back", context={"slo": asked["slo"], "after_seconds": elapsed}
                )
            await context.progress(min(elapsed, total), total, "seconds")
            if elapsed >= total:
                return {"slo": asked["slo"], "seconds": elapsed, "worst_burn_rate": worst}
            await clock.sleep(min(_LOOK_SECONDS, total - elapsed))

    async def verify(self, context: StepContext) -> Sequence[Verification]:
        """Read every parameter again, on fresh connections."""
        found: list[Verification] = []
        for one in context.plan.steps:
            if one.handler == "apply":
                found += await self._verify_instance(context, one.input)
        return found

    async def _verify_instance(self, context: StepContext, wanted: Mapping[str, Any]) -> list[Verification]:
        instance, cluster = wanted["instance"], self._cluster(context)
        address = chosen_instances(cluster, [instance])[0].address
        try:
            async with contact(self._engines, cluster, address, purpose=context.application_name) as server:
                return [_verification(instance, await server.settings.state(one["name"]), one) for one in wanted["changes"]]
        except DbreError as error:
            return [Verification(subject=instance, holds=False, detail=printable(error.message))]

    async def _see_that_it_can_be_watched(self, asked: ApplySettingsInput, cluster: Cluster) -> None:
        rule = asked.revert_on
        if rule is None:
            return
        if self._slo is None:
            raise UsageError("no SLO can be watched here", hint="leave out --revert-if-burning")
        reason = judge(await self._slo(rule.slo, cluster.name), slo=rule.slo, burn=rule.burn, blind_seconds=0.0)
        if reason is not None:
            raise PrecheckFailed(
                f"{reason} already, before anything was changed", hint=f"see what is wrong first: dbre slo show {rule.slo}"
            )

    async def _read(self, slo: str, cluster: str) -> SloReading:
        if self._slo is None:
            return SloReading(burn_rate=None, is_paging=None)
        try:
            return await self._slo(slo, cluster)
        except DbreError:  # not known for now; ``judge`` decides how long that may be
            return SloReading(burn_rate=None, is_paging=None)

    def _cluster(self, context: StepContext) -> Cluster:
        return self._fleet.cluster(context.plan.target.rpartition("/")[2])

    @asynccontextmanager
    async def _server(self, context: StepContext) -> AsyncIterator[Server]:
        cluster = self._cluster(context)
        (instance,) = chosen_instances(cluster, [context.input["instance"]])
        async with contact(self._engines, cluster, instance.address, purpose=context.application_name) as server:
            yield server


async def _put_back(server: Server, given: Mapping[str, Any], *, again: bool = False) -> list[dict[str, Any]]:
    """``again``: also what looks put back, where the server does not tell whether it keeps it."""
    done, foreign = [], []
    for wanted in reversed(given["changes"]):
        before = state_from(wanted["before"])
        state = await server.settings.state(before.name)
        if not _is_before(state, wanted):
            if not _is_ours(state, wanted):
                foreign.append(_changed_by_others(given["instance"], state, wanted))
                continue
            state = await server.settings.restore(before)
        elif again and wanted.get("keeps_unseen"):
            state = await server.settings.restore(before)
        done.append({"name": before.name, "value": state.value, "stored": state.stored})
    if foreign:  # after all that is ours was put back
        raise foreign[0]
    return done


async def _take_back(server: Server, given: Mapping[str, Any], error: DbreError) -> None:
    """Undo what a failing step did before it failed; what others set is theirs."""
    try:
        await _put_back(server, given)
    except ChangedByOthers:
        if not isinstance(error, PlanChanged):
            raise
    except DbreError as problem:
        raise OutcomeUnknown(f"{error.message}; and it cannot be taken back: {problem.message}") from problem


def _is_ours(state: SettingState, wanted: Mapping[str, Any]) -> bool:
    """Whether it has the value that this operation gives it, in effect or only stored."""
    return _is_after(state, wanted) or _is_half(state, wanted)


def _is_after(state: SettingState, wanted: Mapping[str, Any]) -> bool:
    is_shown = state.value == wanted["value"] or (wanted["waits_for_restart"] and state.is_pending_restart)
    return bool(state.stored == wanted["stored"] and is_shown)


def _is_before(state: SettingState, wanted: Mapping[str, Any]) -> bool:
    before = wanted["before"]
    return bool(state.stored == before["stored"] and state.value == before["value"])


def _is_half(state: SettingState, wanted: Mapping[str, Any]) -> bool:
    """Stored, and not in effect yet: where the worker or the server died between the two."""
    return bool(state.stored == wanted["stored"] != wanted["before"]["stored"])


def _require_as_planned(state: SettingState, wanted: Mapping[str, Any], *, instance: str) -> None:
    if _is_before(state, wanted) or _is_half(state, wanted):
        return
    now, then = _shown(state.value, state.stored), _shown(wanted["before"]["value"], wanted["before"]["stored"])
    raise PlanChanged(
        f"{instance}: {state.name} is {now} now, and was {then} when it was planned",
        hint="somebody changed it meanwhile; plan again",
        context={"instance": instance, "parameter": state.name},
    )


def _changed_by_others(instance: str, state: SettingState, wanted: Mapping[str, Any]) -> ChangedByOthers:
    before = wanted["before"]
    return ChangedByOthers(
        f"{instance}: {state.name} is {_shown(state.value, state.stored)}, which dbre did not set, so it is not put back to "
        f"{_shown(before['value'], before['stored'])}",
        hint="ask who changed it, and put it back by hand if it is wrong",
        context={"instance": instance, "parameter": state.name},
    )


def _shown(value: str, stored: str | None) -> str:
    text = value if stored is None or stored == value else f"{value} (stored: {stored})"
    return printable(text, limit=200) or "nothing"


def _told(state: SettingState, wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": state.name,
        "before": wanted["before"]["value"],
        "value": state.value,
        "wanted": wanted["value"],
        "stored": state.stored,
        "is_pending_restart": state.is_pending_restart,
    }


def _verification(instance: str, state: SettingState, wanted: Mapping[str, Any]) -> Verification:
    subject = f"{instance}: {state.name}"
    if not _is_after(state, wanted):
        detail = f"is {_shown(state.value, state.stored)}, and {printable(wanted['value'], limit=200)} was wanted"
        return Verification(subject=subject, holds=False, detail=detail)
    if state.is_pending_restart:
        detail = f"{printable(wanted['value'])} is stored and waits for a restart; {printable(state.value)} until then"
        return Verification(subject=subject, holds=True, detail=detail)
    return Verification(subject=subject, holds=True, detail=f"is {printable(state.value, limit=200)}, from {state.source}")
