"""``upgrade.minor``: a new minor version, server by server; put back at the first that is not whole."""

from collections.abc import Iterator, Mapping
from typing import Any

from dbre.capabilities.upgrade.checks import checks_of
from dbre.capabilities.upgrade.documents import MinorInput
from dbre.capabilities.upgrade.plan_parts import (
    blast_radius,
    in_place_checks,
    is_switched,
    refuse_failed,
    switch_back_step,
    switch_step,
    warnings_of,
)
from dbre.capabilities.upgrade.replacing import Replacing
from dbre.capabilities.upgrade.rolling import LONG_SECONDS, RollingOperation
from dbre.capabilities.upgrade.survey import Survey, survey
from dbre.capabilities.upgrade.versions import due, version_checks
from dbre.capabilities.upgrade.wholeness import not_whole_with
from dbre.core.errors import DbreError
from dbre.core.fleet import Instance
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import OutcomeUnknown, step
from dbre.core.operation.plan import Change, Plan, Risk, Step
from dbre.ports.versions import format_version, parse_version

__all__ = ["RollingMinor"]


class RollingMinor(RollingOperation[MinorInput]):
    """Roll out programs that differ in the last number of their version."""

    kind, version = "upgrade.minor", 1
    document = MinorInput

    async def plan(self, context: PlanContext, asked: MinorInput) -> Plan:
        """Look at everything. Raises: PrecheckFailed naming what is in the way."""
        cluster = self._ground.fleet.cluster(asked.cluster)
        document = self._ground.limits(cluster.name)
        seen = await survey(self._ground, cluster, purpose=context.application_name)
        checks = [*checks_of(seen), *version_checks(seen, document), *in_place_checks(seen, asked)]
        refuse_failed(seen, checks, what="the upgrade")
        wanted = due(seen, document)
        many = f"run the installed minor version on {len(wanted)} of {len(seen.nodes)} servers of {cluster.name}"
        return Plan(
            target=f"cluster/{cluster.name}",
            summary=many if wanted else f"every server of {cluster.name} runs what is installed already",
            steps=tuple(self._steps(seen, asked, wanted)) if wanted else (),
            risk=Risk.SEVERE if wanted else Risk.READ,
            changes=tuple(self._changes(seen, wanted)),
            blast_radius=tuple(blast_radius(seen, asked)) if wanted else (),
            warnings=(*warnings_of(checks), *self._without_way_back(wanted, cluster.name)) if wanted else (),
            observed={"primary": seen.primaries[0], "replicas": seen.replicas},
        )

    @step(timeout_seconds=LONG_SECONDS, idempotent=True, attempts=1)
    async def replace(self, context: StepContext) -> Mapping[str, Any]:
        """Stop one server, replace its programs where a command is configured, start it; or put them back."""
        name, before = context.input["instance"], parse_version(context.input["before"])
        member, replacing = self.member(context, name), self._replacing(context)
        primary = await member.require_role(is_primary=context.input["as_primary"])
        how = "already restarted"
        try:
            if not await self._is_done(replacing, before, by_command=context.input["by_command"]):
                await member.restart(between=lambda: replacing.install(context.input.get("on_disk")))
                how = "upgraded"
            told = await member.wait_whole(primary)
            versions = await replacing.require_installed(before)
            found = await self.compare(context, name)
        except DbreError as error:
            if not context.input["can_put_back"]:
                raise
            await self._put_back(context, replacing, primary, error)
            raise not_whole_with(name, "its new programs", error) from error
        return {"instance": name, "how": how, **versions, **told, **found}

    @step(timeout_seconds=LONG_SECONDS, idempotent=True)
    async def put_back(self, context: StepContext) -> Mapping[str, Any]:
        """The programs of before."""
        member, replacing = self.member(context, context.input["instance"]), self._replacing(context)
        await member.restart(between=replacing.put_back)
        primary = None if context.input["as_primary"] else await member.primary()
        await member.wait_whole(primary)
        return {"instance": context.input["instance"], "version": format_version(await replacing.running())}

    async def _is_done(self, replacing: Replacing, before: tuple[int, ...], *, by_command: bool) -> bool:
        """Whether it was started with the other programs already, by whoever was killed afterwards."""
        try:
            running = await replacing.running()
            return running == await replacing.installed() and (running != before or not by_command)
        except DbreError:
            return False  # it does not answer: it is started

    async def _put_back(self, context: StepContext, replacing: Replacing, primary: Instance | None, error: DbreError) -> None:
        name = context.input["instance"]
        await context.note(f"the programs of {name} are put back")  # why stands in the error
        member = self.member(context, name)
        try:
            await member.restart(between=replacing.put_back)
            await member.wait_whole(primary)
        except DbreError as problem:
            raise OutcomeUnknown(f"{error.message}; and {name} cannot be put back: {problem.message}") from problem

    def _replacing(self, context: StepContext) -> Replacing:
        member = self.member(context, context.input["instance"])
        return Replacing(self._ground, self.cluster(context), member, purpose=context.application_name)

    def _steps(self, seen: Survey, asked: MinorInput, wanted: list[str]) -> Iterator[Step]:
        old = seen.primaries[0]
        yield Step("look", summary="remember extensions, collations, settings and times of answers of each server")
        for name in seen.replicas:
            if name in wanted:
                yield self._replace_step(seen, name, as_primary=False)
        if old not in wanted:
            return
        if not is_switched(seen, asked):
            yield self._replace_step(seen, old, as_primary=True)
            return
        yield switch_step(old, is_final=True)
        yield self._replace_step(seen, old, as_primary=False)
        if asked.back:
            yield switch_back_step(old)

    def _replace_step(self, seen: Survey, name: str, *, as_primary: bool) -> Step:
        limits, one = self._ground.limits(seen.cluster.name), seen.nodes[name]
        commands, by_command = limits.commands_of(name), limits.installs(name)
        can_put_back = commands is not None and commands.put_back is not None
        before = format_version(one.version or ())
        verb = "start what is installed"
        if by_command:
            verb = "replace its programs" + ("" if seen.steward is not None else " while it is stopped")
        return Step(
            f"replace:{name}",
            summary=f"{name} as {'primary' if as_primary else 'replica'}: {verb}, and wait until it is whole",
            input={
                "instance": name,
                "before": before,
                "on_disk": format_version(one.installed) if one.installed else None,
                "as_primary": as_primary,
                "by_command": by_command,
                "can_put_back": can_put_back,
            },
            undo="put-back" if can_put_back else None,
        )

    def _changes(self, seen: Survey, wanted: list[str]) -> Iterator[Change]:
        for name in wanted:
            one = seen.nodes[name]
            by_command = self._ground.limits(seen.cluster.name).installs(name)
            after = "what its command installs" if by_command else format_version(one.installed or ())
            yield Change(subject=f"{name}: version", before=format_version(one.version or ()), after=after)

    def _without_way_back(self, wanted: list[str], cluster: str) -> Iterator[str]:
        limits = self._ground.limits(cluster)
        for name in wanted:
            commands = limits.commands_of(name)
            if commands is None or commands.put_back is None:
                yield f"{name}: nobody says how its programs are put back, so dbre stops there if it is not whole"
