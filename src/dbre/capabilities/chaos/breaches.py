"""Who watches while faults are on: each watcher gives the reason for which everything has to be taken back, once it has one."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dbre.capabilities.chaos.documents import AbortRule, Experiment
from dbre.capabilities.chaos.ground import ChaosGround
from dbre.capabilities.chaos.probing import Tally, ask
from dbre.capabilities.chaos.surroundings import Burn
from dbre.capabilities.chaos.switching.switch import read_switch
from dbre.core.errors import DbreError
from dbre.core.operation.context import StepContext
from dbre.core.text import printable
from dbre.core.units import format_duration, format_percent

__all__ = ["DEFAULT_SPENDS", "LOOK_SECONDS", "Breach", "Budgets", "bereft", "held", "probed", "switched"]

LOOK_SECONDS = 0.25
DEFAULT_SPENDS = 0.1
"""Without a word about it, an experiment ends when it has spent so much of an error budget, or an SLO pages."""

_PROBE_SECONDS = 1.0
_BLIND_SECONDS = 60.0  # how long an objective that ends the experiment may be unknown
_SWITCH_SECONDS = 15.0  # and the switch: the state store may be locked, restarted, fail over
_SILENT_SECONDS = 10.0  # and a gate: it is asked each second, and one that is late once knows as much as before
_IN_A_ROW = 3


@dataclass(frozen=True, slots=True)
class Breach:
    """Why everything has to be taken back."""

    reason: str
    is_finding: bool  # whether it says something about the cluster, and not only that somebody wanted an end


async def held(context: StepContext) -> Breach:
    """Until a person pauses the operation, a gate holds it, or nobody has heard of one for longer than may be.

    Raises: CancelledError where it is to end.
    """
    heard = context.clock.monotonic()
    while True:
        halt = context.halt
        if halt is None:
            heard = context.clock.monotonic()
            await context.checkpoint()
        elif not halt.is_silence:
            return Breach(f"the operation is to wait: {printable(halt.reason, limit=300)}", is_finding=False)
        elif context.clock.monotonic() - heard >= _SILENT_SECONDS:
            why = f"for {_SILENT_SECONDS:g} s a gate could not answer: {printable(halt.reason, limit=300)}"
            return Breach(why, is_finding=False)
        await context.clock.sleep(LOOK_SECONDS)


async def switched(ground: ChaosGround) -> Breach:
    """Until somebody stops all experiments, or nobody can tell any more whether somebody did."""
    if ground.store is None:
        await asyncio.Event().wait()
        raise AssertionError
    known = ground.clock.monotonic()
    while True:
        try:
            switch = await read_switch(ground.store)
        except DbreError as error:
            if ground.clock.monotonic() - known >= _SWITCH_SECONDS:
                why = f"the switch of all experiments cannot be read: {printable(error.message, limit=200)}"
                return Breach(why, is_finding=False)
        else:
            known = ground.clock.monotonic()
            if switch.is_closed:
                return Breach(switch.words, is_finding=False)
        await ground.clock.sleep(LOOK_SECONDS)


async def probed(ground: ChaosGround, experiment: Experiment, tally: Tally) -> Breach:
    """Ask a probe each second, until one that ends the experiment has failed three times in a row."""
    while True:
        tally.count(await ask(ground, experiment, tally.probe), at=ground.clock.now())
        if tally.probe.aborts and tally.in_a_row >= _IN_A_ROW:
            why = f"{printable(tally.probe.name)} failed {tally.in_a_row} times in a row: {tally.first_bad}"
            return Breach(why, is_finding=True)
        await ground.clock.sleep(_PROBE_SECONDS)


async def bereft(ground: ChaosGround, cluster: str, seen: dict[str, str]) -> Breach:
    """Note when each observer first said that the primary is gone, who did not say so before; never ends anything."""
    before: frozenset[str] | None = None
    while ground.surroundings is not None:
        try:
            said = await ground.surroundings.bereft(cluster)
        except (DbreError, TimeoutError):  # what observers say is told, and nothing depends on it
            said = ()
        else:
            before = before if before is not None else frozenset(said)
        for name in said:
            if before is not None and name not in before:
                seen.setdefault(name, ground.clock.now().isoformat())
        await ground.clock.sleep(LOOK_SECONDS)
    await asyncio.Event().wait()
    raise AssertionError


class Budgets:
    """The SLOs of the cluster, watched by the rules of the experiment; without any, by those that hold for all."""

    def __init__(self, ground: ChaosGround, experiment: Experiment) -> None:
        self._ground, self._experiment = ground, experiment
        self._known: dict[str, float] = {}  # when each was known last
        self._first: dict[str, float] = {}  # what was left of each budget at the beginning
        self._paged_before: dict[str, bool] = {}  # whether it has paged since before the first look
        self._is_first = True  # look
        self._read_at = ground.clock.monotonic()  # when all of them could be read last
        self._unread = ""  # why they cannot be read now
        self.paged: dict[str, str] = {}  # which SLO paged while faults were on, and since when

    async def watch(self) -> Breach:
        """Until a rule is broken, or what it is about has been unknown for a minute."""
        while True:
            for rule, burn in await self._read():
                if (reason := self._broken(rule, burn)) is not None:
                    return Breach(reason, is_finding=True)
            if self._unread and self._ground.clock.monotonic() - self._read_at >= _BLIND_SECONDS:
                why = f"no SLO could be read for {format_duration(_BLIND_SECONDS)}: {self._unread}"
                return Breach(why, is_finding=False)
            self._is_first = False
            await self._ground.clock.sleep(LOOK_SECONDS)

    async def _read(self) -> Sequence[tuple[AbortRule, Burn | None]]:
        rules, cluster = self._experiment.abort, self._experiment.cluster
        if rules is None:
            burns = await self._burns(cluster)
            names = {*burns, *self._known}
            return [(AbortRule(slo=name), burns.get(name)) for name in sorted(names)]
        found: list[tuple[AbortRule, Burn | None]] = []
        for rule in rules:
            try:
                found.append((rule, await self._ground.slo(rule.slo, cluster) if self._ground.slo else None))
            except (DbreError, TimeoutError):  # not known for now
                found.append((rule, None))
        return found

    async def _burns(self, cluster: str) -> Mapping[str, Burn]:
        if self._ground.surroundings is None:
            return {}
        try:
            found = await self._ground.surroundings.burns(cluster)
        except (DbreError, TimeoutError) as error:
            self._unread = printable(error.message if isinstance(error, DbreError) else "no answer in time", limit=200)
            return {}
        self._read_at, self._unread = self._ground.clock.monotonic(), ""
        return found

    def _broken(self, rule: AbortRule, burn: Burn | None) -> str | None:
        now, is_default = self._ground.clock.monotonic(), self._experiment.abort is None
        name = printable(rule.slo)
        known = burn is not None and (burn.rate is not None if rule.burn is not None else burn.is_paging is not None)
        if burn is None or not known:
            if is_default and rule.slo not in self._known:
                return None  # nobody ever measured it
            blind = now - self._known.setdefault(rule.slo, now) >= _BLIND_SECONDS
            return f"{name} has been unknown for {format_duration(_BLIND_SECONDS)}" if blind else None
        self._known[rule.slo] = now
        if is_default and burn.is_paging and self._paged_before.setdefault(rule.slo, self._is_first):
            return self._overspent(rule, burn, is_default)  # of something else: it has to end once to begin
        self._paged_before[rule.slo] = False
        if burn.is_paging:
            self.paged.setdefault(rule.slo, self._ground.clock.now().isoformat())
            if rule.burn is None:
                return f"{name} pages"
        if rule.burn is not None and burn.rate is not None and burn.rate >= rule.burn:
            return f"{name} burns {burn.rate:.1f} times too fast, and the limit is {rule.burn:g}"
        return self._overspent(rule, burn, is_default)

    def _overspent(self, rule: AbortRule, burn: Burn, is_default: bool) -> str | None:
        limit = float(rule.spends) if rule.spends is not None else DEFAULT_SPENDS if is_default else None
        if burn.remaining is None or limit is None:
            return None
        spent = self._first.setdefault(rule.slo, burn.remaining) - burn.remaining
        if spent < limit:
            return None
        return (
            f"{format_percent(spent, digits=1)} of the budget of {printable(rule.slo)} was spent meanwhile,"
            f" and the limit is {format_percent(limit, digits=1)}"
        )
