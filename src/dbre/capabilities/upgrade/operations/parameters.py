"""``upgrade.parameters``: settings that need a restart, server by server; taken back at the first that is not whole."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from dbre.capabilities.upgrade.checks import checks_of
from dbre.capabilities.upgrade.documents import ParametersInput
from dbre.capabilities.upgrade.file_settings import FileSettings
from dbre.capabilities.upgrade.member_settings import MemberSettings
from dbre.capabilities.upgrade.plan_parts import blast_radius, in_place_checks, is_switched, refuse_failed, warnings_of
from dbre.capabilities.upgrade.rolling import LONG_SECONDS, RollingOperation
from dbre.capabilities.upgrade.setting_acts import SettingActs
from dbre.capabilities.upgrade.setting_steps import Wanted, is_lowering, kept_elsewhere, setting_changes, setting_steps
from dbre.capabilities.upgrade.steward_settings import StewardSettings
from dbre.capabilities.upgrade.survey import Survey, survey
from dbre.capabilities.upgrade.wholeness import not_whole_with
from dbre.core.errors import Conflict, DbreError, PrecheckFailed, UsageError
from dbre.core.fleet import Cluster, Instance
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import OutcomeUnknown, step
from dbre.core.operation.plan import Plan, Risk
from dbre.core.text import counted, printable
from dbre.ports.settings import Applies

__all__ = ["RollingParameters"]


class RollingParameters(RollingOperation[ParametersInput]):
    """Roll out settings that count after a restart. Until the primary changes everything is taken back by itself."""

    kind, version = "upgrade.parameters", 1
    document = ParametersInput

    async def plan(self, context: PlanContext, asked: ParametersInput) -> Plan:
        """Ask every server what the change would mean. Raises: PrecheckFailed, UsageError, and what ``foresee`` raises."""
        cluster, purpose = self._ground.fleet.cluster(asked.cluster), context.application_name
        seen = await survey(self._ground, cluster, purpose=purpose)
        checks = checks_of(seen)
        if seen.primary is None or any(one.error is not None for one in seen.nodes.values()):
            refuse_failed(seen, checks, what="the change of settings")
        steward = self._ground.steward_of(cluster)
        shared = await steward.settings(cluster) if steward is not None else None
        wanted = await asyncio.gather(*(self._foresee(cluster, one, asked, shared, purpose) for one in cluster.instances))
        is_lowered = is_lowering(seen, wanted)
        if is_lowered:
            _require_consent(seen, asked)
            checks = [one for one in checks if one.rule != "enough_to_follow"]
        needs_start = any(one.needs_start for one in wanted)
        checks += in_place_checks(seen, asked) if needs_start else ()
        refuse_failed(seen, checks, what="the change of settings")
        _require_restart(asked, wanted)
        steps = tuple(setting_steps(seen, asked, wanted, is_lowered=is_lowered))
        names = printable(", ".join(sorted(asked.set)), limit=200)
        many = f"set {names} on the {counted(len(seen.nodes), 'server')} of {cluster.name}"
        many += ", and restart them one after the other" if needs_start else ", while they run"
        dangers = [f"{one.now.name}: {one.danger}" for each in wanted for one in each.due if one.danger]
        return Plan(
            target=f"cluster/{cluster.name}",
            summary=many if steps else f"{names} of {cluster.name}: every server is in the wanted state already",
            steps=steps,
            risk=Risk.READ if not steps else Risk.SEVERE if needs_start or dangers else Risk.MODERATE,
            changes=tuple(setting_changes(wanted)),
            blast_radius=tuple(blast_radius(seen, asked)) if steps and needs_start else (),
            warnings=(*warnings_of(checks), *dict.fromkeys(dangers)) if steps else (),
            observed={"primary": seen.primaries[0], "replicas": seen.replicas},
        )

    @step(timeout_seconds=LONG_SECONDS, idempotent=True, attempts=1)
    async def change(self, context: StepContext) -> Mapping[str, Any]:
        """Set one server, restart it and wait until it is whole; or put it back, so that a failed step has changed nothing."""
        name, changes = context.input["instance"], context.input["changes"]
        member, acts = self.member(context, name), self._acts(context)
        primary = await member.require_role(is_primary=context.input["as_primary"])
        try:
            if not await member.is_up():
                await member.start()
            await member.wait_whole(primary)
            is_due = await acts.store(changes)
            if is_due:
                await member.restart()
            told = await member.wait_whole(primary)
            settings = await acts.require_in_effect(changes)
        except DbreError as error:
            await self._put_back(context, acts, primary, error)
            if isinstance(error, Conflict):  # somebody else's change says more
                raise
            raise not_whole_with(name, ", ".join(one["name"] for one in changes), error) from error
        return {"instance": name, "restarted": is_due, "settings": settings, **told}

    @step(timeout_seconds=LONG_SECONDS, idempotent=True)
    async def take_back(self, context: StepContext) -> Mapping[str, Any]:
        """What was stored before is stored again, and in effect."""
        member = self.member(context, context.input["instance"])
        primary = None if context.input["as_primary"] else await member.primary()
        await self._acts(context).put_back(context.input["changes"], primary, restarts=True)
        return {"instance": context.input["instance"]}

    @step(timeout_seconds=600.0, idempotent=True)
    async def store(self, context: StepContext) -> Mapping[str, Any]:
        """Store on the primary what its next start, as a replica, is to find."""
        await self._acts(context).store(context.input["changes"])
        return {"instance": context.input["instance"]}

    @step(timeout_seconds=600.0, idempotent=True)
    async def forget(self, context: StepContext) -> Mapping[str, Any]:
        """It was not restarted with it: nothing but the file is put back."""
        await self._acts(context).put_back(context.input["changes"], None, restarts=False)
        return {"instance": context.input["instance"]}

    async def _foresee(
        self, cluster: Cluster, instance: Instance, asked: ParametersInput, shared: Mapping[str, str] | None, purpose: str
    ) -> Wanted:
        in_file = None
        if shared is None and instance.control is not None and instance.control.settings_file is not None:
            in_file = await self._ground.host(cluster, instance).kept_settings()
        kept = shared if shared is not None else in_file
        async with self._ground.server(cluster, instance, purpose=purpose) as server:
            is_elsewhere = kept is not None
            found = [
                (value, await server.settings.foresee(name, value, is_kept_elsewhere=is_elsewhere))
                for name, value in asked.set.items()
            ]
        if kept is not None:
            found = [(value, kept_elsewhere(told, kept)) for value, told in found]
        return Wanted(
            instance=instance.name,
            forecasts=tuple(told for _, told in found),
            requested={told.now.name: value for value, told in found},
            in_file=in_file is not None,
        )

    async def _put_back(
        self,
        context: StepContext,
        acts: MemberSettings,
        primary: Instance | None,
        error: DbreError,
    ) -> None:
        name = context.input["instance"]
        await context.note(f"the settings of {name} are put back")  # why stands in the error
        try:
            await acts.put_back(context.input["changes"], primary, restarts=True)
        except DbreError as problem:
            raise OutcomeUnknown(f"{error.message}; and {name} cannot be put back: {problem.message}") from problem

    @step(timeout_seconds=600.0, idempotent=True)
    async def keep(self, context: StepContext) -> Mapping[str, Any]:
        """Have whoever starts the servers keep it for all of them; nothing is restarted."""
        await self._kept(context).keep(context.input["changes"])
        return {"kept": {one["name"]: one["stored"] for one in context.input["changes"]}}

    @step(timeout_seconds=600.0, idempotent=True)
    async def unkeep(self, context: StepContext) -> Mapping[str, Any]:
        """What it kept before."""
        await self._kept(context).forget(context.input["changes"])
        return {"kept": {one["name"]: one["before"]["stored"] for one in context.input["changes"]}}

    def _kept(self, context: StepContext) -> StewardSettings:
        acts = self._acts(context)
        if not isinstance(acts, StewardSettings):
            raise Conflict("nobody beside dbre keeps settings of this cluster any more", hint="plan again")
        return acts

    def _acts(self, context: StepContext) -> MemberSettings:
        member, cluster = self.member(context, context.input["instance"]), self.cluster(context)
        if (steward := self._ground.steward_of(cluster)) is not None:
            return StewardSettings(self._ground, cluster, member, steward, purpose=context.application_name)
        kind = FileSettings if context.input.get("in_file") else SettingActs
        return kind(self._ground, cluster, member, purpose=context.application_name)


def _require_consent(seen: Survey, asked: ParametersInput) -> None:
    if is_switched(seen, asked):
        raise PrecheckFailed(
            f"a replica of {seen.cluster.name} needs at least what its primary has, so to lower that the primary "
            "is restarted first, as primary, and nobody writes meanwhile",
            hint="agree to it: --in-place",
        )


def _require_restart(asked: ParametersInput, wanted: Sequence[Wanted]) -> None:
    """Settings that count at once are set at once where dbre writes the file that keeps them."""
    if any(told.applies is Applies.RESTART for one in wanted for told in one.forecasts) or all(one.in_file for one in wanted):
        return
    raise UsageError(
        f"{printable(', '.join(asked.set), limit=200)}: none of them needs a restart",
        hint=f"dbre settings apply {asked.cluster} NAME=VALUE changes them while the servers run",
    )
