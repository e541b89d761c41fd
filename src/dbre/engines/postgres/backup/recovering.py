"""A restored data directory brought to life: a server in a jail, its log handed to it, up to a target."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

from dbre.core.errors import Unreachable, UsageError
from dbre.core.fleet import Address, TlsMode
from dbre.core.programs.account import require_reachable
from dbre.core.programs.confined import Confinement, confine
from dbre.core.programs.run import Child, run, spawn
from dbre.core.programs.scratch import scratch_directory
from dbre.core.text import printable
from dbre.engines.postgres.backup.asking import asking
from dbre.engines.postgres.backup.facts import major_of
from dbre.engines.postgres.backup.fetch_socket import Fetched, fetch_socket
from dbre.engines.postgres.backup.label import LABEL, read_label
from dbre.engines.postgres.backup.log_names import parse_lsn
from dbre.engines.postgres.backup.private_files import write_private
from dbre.engines.postgres.backup.recovery_settings import SOCKET_PORT, needed_settings, settings_file
from dbre.engines.postgres.backup.restored_directory import LEFT_OFF, preloaded, prepare, unjail
from dbre.engines.postgres.backup.server_output import ServerOutput
from dbre.engines.postgres.backup.superuser import superuser_of
from dbre.engines.postgres.backup.toolbox import Toolbox, major_version
from dbre.ports.backup.engine import RecoverOrder
from dbre.ports.backup.errors import RecoveryFailed, TargetNotReached
from dbre.ports.backup.model import LogPosition, Phase, RecoveryOutcome, TargetKind
from dbre.ports.engine import Access, Timeouts

__all__ = ["PostgresRecovered", "recover"]

_POLL_SECONDS = 0.1
_FAST_SHUTDOWN = "INT"
_STOP_SECONDS = 120.0
_PROMOTE_SECONDS = 600.0
_TIMEOUTS = Timeouts(connect_seconds=30.0, statement_seconds=60.0, lock_seconds=5.0)
_REPETITIONS = 3  # of the same question for log, with nothing replayed in between: there is no more


@asynccontextmanager
async def recover(toolbox: Toolbox, order: RecoverOrder) -> AsyncIterator["PostgresRecovered"]:
    """Boot, replay, and give the server; it is stopped at the end. Raises: RecoveryFailed, TargetNotReached, UsageError."""
    account = toolbox.place.account
    directory = order.directory.resolve()
    require_reachable(directory, account)
    major = major_of(directory)
    if order.version is not None and major_version(order.version) != major:
        raise UsageError(f"{directory} is of PostgreSQL {major}, not {order.version}")
    binaries = await toolbox.same_major(major)
    begin = _begin(directory)
    async with AsyncExitStack() as stack:
        scratch = stack.enter_context(scratch_directory(account))
        fetched = await stack.enter_async_context(fetch_socket(order.log, account, directory=scratch))
        follows = order.target.kind is TargetKind.LATEST and order.stays_at_target
        await asyncio.to_thread(prepare, directory, account, signal_file="standby.signal" if follows else "recovery.signal")
        user = await asyncio.to_thread(superuser_of, directory)
        done = await run([binaries.program("pg_controldata"), directory], account=account, directory=scratch)
        libraries, missing = preloaded(directory, binaries.library)
        text = settings_file(
            order, control=done.stdout, major=major, scratch=scratch,
            restore_command=fetched.command, preload=",".join(libraries),
        )  # fmt: skip
        settings = write_private(scratch / "postgresql.conf", text, account)
        write_private(scratch / "pg_hba.conf", "local all all trust\n", account)  # nobody else may enter the directory
        write_private(scratch / "pg_ident.conf", "", account)
        jail = await confine(account, wanted=order.jail, signal_name=_FAST_SHUTDOWN)
        output = ServerOutput()
        argv: list[str | Path] = [*jail.prefix, binaries.program("postgres"), "-D", directory, "-c", f"config_file={settings}"]
        begun = time.monotonic()
        child = await stack.enter_async_context(
            spawn(argv, account=jail.account, directory=directory, on_line=output.note, program="postgres")
        )
        server = PostgresRecovered(
            order=order, directory=directory, child=child, output=output, fetched=fetched, toolbox=toolbox, begin=begin,
            access=Access(address=Address(str(scratch), SOCKET_PORT), user=user, password=None, database="postgres",
                          tls=TlsMode.DISABLE, timeouts=_TIMEOUTS, application_name="dbre:recovery"),
            jail=_told(jail, libraries, missing), is_jailed=jail.is_jailed, needed=needed_settings(done.stdout),
        )  # fmt: skip
        try:
            await server.reach(begun)
            yield server
        finally:
            await asyncio.shield(server.stop(keep=False))


def _begin(directory: Path) -> LogPosition | None:
    """Where replay begins; None where an earlier recovery has already gone past the label."""
    return read_label(directory).start if (directory / LABEL).exists() else None


def _told(jail: Confinement, libraries: tuple[str, ...], missing: tuple[str, ...]) -> dict[str, str]:
    return {
        **jail.description,
        "listeners": "a socket file in a directory with mode 0700",
        "archiving": "off",
        "subscriptions": "off",
        "preloaded": ", ".join(libraries) or "nothing",
        "not preloaded": ", ".join(missing) or "nothing",
        "stays off when kept": f"{', '.join(LEFT_OFF)}; see postgresql.auto.conf",
    }


@dataclass(slots=True, kw_only=True)
class PostgresRecovered:
    """Implements ``ports.backup.engine.RecoveredServer``."""

    order: RecoverOrder
    directory: Path
    child: Child
    output: ServerOutput
    fetched: Fetched
    toolbox: Toolbox
    begin: LogPosition | None
    access: Access
    jail: dict[str, str]
    is_jailed: bool
    needed: str
    _outcome: RecoveryOutcome | None = None
    _is_promoted: bool = False
    _is_stopped: bool = False

    @property
    def outcome(self) -> RecoveryOutcome:
        """Where recovery ended."""
        if self._outcome is None:
            raise RecoveryFailed(f"the server in {self.directory} has not reached its target yet")
        return self._outcome

    async def reach(self, begun: float) -> None:
        """Wait until the target is reached. Raises: RecoveryFailed, TargetNotReached."""
        try:
            async with asyncio.timeout(self.order.timeout_seconds):
                while not self.output.is_ready:
                    self._require_alive()
                    await asyncio.sleep(_POLL_SECONDS)
                state = await self._until_reached()
        except TimeoutError as error:
            raise self._failure(f"did not reach its target within {self.order.timeout_seconds:.0f} s") from error
        self._is_promoted = not state.is_in_recovery
        self._note(state, begun)

    async def _until_reached(self) -> Any:
        quiet, before = 0, None
        while True:
            self._require_alive()
            try:
                async with asking(self.access, what="recovery") as questions:
                    while True:
                        state = await questions.row("recovery_state")
                        mark = (state.position, len(self.fetched.names), self.fetched.last_absent)
                        is_still = state.position == (before[0] if before else None)
                        quiet, before = (quiet + 1 if is_still else 0), mark
                        if self._has_reached(state, quiet):
                            return state
                        self._require_alive()
                        await asyncio.sleep(_POLL_SECONDS)
            except Unreachable:
                await asyncio.sleep(_POLL_SECONDS)  # its end, if it has ended, is told by the child's status

    def _has_reached(self, state: Any, quiet: int) -> bool:
        if not self.order.stays_at_target:
            return not state.is_in_recovery
        if self.order.target.kind is not TargetKind.LATEST:
            return bool(state.is_paused) or not state.is_in_recovery
        names = self.fetched.names[-_REPETITIONS:]
        is_repeated = len(names) == _REPETITIONS and len(set(names)) == 1
        return quiet >= _REPETITIONS and (self.fetched.absences >= _REPETITIONS or is_repeated)

    def _require_alive(self) -> None:
        if self.child.status is None:
            return
        if self.fetched.failure is not None:
            raise self._failure("ended, because log could not be fetched") from self.fetched.failure
        if self.output.is_target_missed:
            wanted = self.order.target
            target = f"{wanted.kind} {printable(wanted.value, limit=100)}" if wanted.value is not None else str(wanted.at)
            raise TargetNotReached(
                f"{self.output.log_end}: {target} was not found in it (recovery ended before configured recovery target)",
                hint="choose another target, or the newest that can be had: --latest",
                context={
                    "directory": str(self.directory),
                    "last_absent": self.fetched.last_absent,
                    "output": list(self.output.tail),
                },
            )
        raise self._failure("ended")

    def _failure(self, what: str) -> RecoveryFailed:
        return RecoveryFailed(
            f"the restored server in {self.directory} {what}\n{self.output}",
            hint="the lines above are the server's own; the directory can be assembled and recovered again",
            context={"directory": str(self.directory), "exit_status": self.child.status},
        )

    def _note(self, state: Any, begun: float) -> None:
        now = time.monotonic()
        consistent = self.output.consistent_at or now
        timeline = self.output.timeline or (self.begin.timeline if self.begin else 1)
        position = parse_lsn(state.position, timeline=timeline) if state.position else None
        replayed = position.value - self.begin.value if position and self.begin else None
        is_latest = self.order.target.kind is TargetKind.LATEST
        reason = self.output.stopped or self.output.ended or self._end_of_log()
        commit = state.last_commit_at
        self._outcome = RecoveryOutcome(
            has_reached_target=not self.output.is_log_damaged if is_latest else self.output.stopped is not None,
            reason=reason,
            position=position,
            last_commit_at=commit.astimezone(UTC) if commit is not None else None,
            timeline=timeline,
            phases=(
                Phase(name="start", seconds=consistent - begun),
                Phase(name="replay", seconds=now - consistent, bytes=replayed),
            ),
            address=self.access.address,
            is_jailed=self.is_jailed,
            jail=self.jail,
        )

    def _end_of_log(self) -> str:
        absent, names = self.fetched.last_absent, self.fetched.names
        if absent is not None:
            return f"no more log: {absent} is nowhere"
        return f"no more log: {names[-1]} is the last, and was read to its end" if names else "no more log"

    async def promote(self) -> Phase:
        """Let it take writes; returns when a write was committed. Raises: RecoveryFailed."""
        begun = time.monotonic()
        try:
            async with asyncio.timeout(_PROMOTE_SECONDS), asking(self.access, what="recovery") as questions:
                if (await questions.row("recovery_state")).is_in_recovery:
                    await questions.rows("recovery_promote")
                while (await questions.row("recovery_state")).is_in_recovery:
                    self._require_alive()
                    await asyncio.sleep(_POLL_SECONDS)
                await questions.row("recovery_write")
        except (TimeoutError, Unreachable) as error:
            self._require_alive()
            raise self._failure("took no writes") from error
        self._is_promoted = True
        return Phase(name="promote", seconds=time.monotonic() - begun)

    async def stop(self, *, keep: bool) -> None:
        """Stop it cleanly. Raises: UsageError for one that was not promoted and is to be kept; RecoveryFailed."""
        if self._is_stopped:
            return
        if keep and not self._is_promoted:
            raise UsageError(f"the server in {self.directory} still recovers: promote it before it is kept")
        self._is_stopped = True
        for number, seconds in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGQUIT, 10.0)):
            self.child.signal(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.child.wait()
                    break
        if keep:
            if self.child.status != 0:
                raise self._failure("did not stop in good order, so it is not kept")
            await asyncio.to_thread(unjail, self.directory, self.toolbox.place.account, needed=self.needed)
