"""What reaches into a step while it runs: abort it, let it wait, give it other values."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from dbre.core.gates.model import GateDecision
from dbre.core.operation.context import Halt
from dbre.core.operation.flags import Flags
from dbre.core.operation.model import Hold

__all__ = ["Controls"]


class Controls:
    """The wishes of people, gates and clocks for one operation, as its worker knows them now."""

    def __init__(self) -> None:
        self.aborted = asyncio.Event()  # set once there is a reason to end early
        self.free = asyncio.Event()  # set while nothing makes a step wait
        self.free.set()
        self.reason: str | None = None
        self.pause: Hold | None = None
        self.held: GateDecision | None = None
        self.tuning: Mapping[str, Any] = {}

    def take(self, flags: Flags, now: datetime) -> None:
        """Obey what the operation's row says now."""
        self.tuning, self.pause = flags.tuning, flags.pause(now)
        if (reason := flags.abort(now)) is not None:
            self.abort(reason)
        self._settle()

    def abort(self, reason: str) -> None:
        """The operation is to end early; the first reason stays."""
        self.reason = self.reason or reason
        self.aborted.set()
        self._settle()

    def gate(self, worst: GateDecision | None) -> None:
        """A gate makes it wait (HOLD), or, with None, none does any more."""
        self.held = worst
        self._settle()

    def hold(self, since: datetime) -> Hold | None:
        """Why it waits, for those who look at it."""
        if self.held is not None:
            return Hold(by=self.held.gate, is_gate=True, reason=self.held.reason, since=since)
        return None if self.pause is None else replace(self.pause, since=since)

    def halt(self) -> Halt | None:
        """Why a checkpoint would wait now; a person's pause comes before the silence of a gate."""
        if self.free.is_set():
            return None
        if self.held is not None and not (self.held.is_silent and self.pause is not None):
            return Halt(f"gate {self.held.gate} holds it: {self.held.reason}", is_silence=self.held.is_silent)
        return Halt(self.pause.reason if self.pause is not None else "it is held", is_silence=False)

    def _settle(self) -> None:
        if self.aborted.is_set() or (self.held is None and self.pause is None):
            self.free.set()
        else:
            self.free.clear()
