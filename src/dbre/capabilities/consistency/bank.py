"""Money moved between accounts: every read of all accounts must show the same total."""

from collections.abc import Sequence
from typing import Any, ClassVar

from dbre.capabilities.consistency.checker import Outcome, Question
from dbre.capabilities.consistency.errors import HistoryInvalid
from dbre.capabilities.consistency.found import Found
from dbre.capabilities.consistency.history import Call, OpType
from dbre.capabilities.consistency.values import plain, unknown_act, whole

__all__ = ["Bank"]

_SUMMARIES = {
    "wrong-total": "a read of all accounts shows money that came from nowhere, or is gone",
    "missing-balance": "a read shows an account without a balance",
    "different-accounts": "reads show different accounts",
    "negative-balance": "an account is overdrawn",
}


class Bank:
    """``transfer`` with ``{"from", "to", "amount"}``, and ``read`` of all balances by account."""

    models: ClassVar[Sequence[str]] = ("constant-total",)

    def __init__(self, *, total: int | None = None, may_be_negative: bool = False) -> None:
        self._total = total
        self._may_be_negative = may_be_negative
        self._reads: list[Call] = []

    def add(self, call: Call) -> None:
        """Take in one call."""
        if call.f not in ("read", "transfer"):
            raise unknown_act(call, "read", "transfer")
        if call.f == "read" and call.type is OpType.OK:
            if not isinstance(call.value, dict):
                raise HistoryInvalid(
                    f"op {call.began}: a read gave {plain(call.value)}",
                    hint='a read gives balances by account: {"a": 10, "b": 5}',
                )
            self._reads.append(call)

    def judge(self, _asked: Question, /) -> Outcome:
        """Without a total that was given, that of the first read counts."""
        found, total, accounts = Found(), self._total, None
        for call in self._reads:
            balances: dict[Any, Any] = call.value
            missing = [name for name, balance in balances.items() if balance is None]
            if missing:
                found.add("missing-balance", [call.began], f"op {call.began} read no balance of {plain(missing[0])}")
                continue
            seen = {name: whole(balance, call, f"the balance of {plain(name)}") for name, balance in balances.items()}
            total = sum(seen.values()) if total is None else total
            accounts = set(seen) if accounts is None else accounts
            if set(seen) != accounts:
                odd = sorted(map(plain, set(seen) ^ accounts))
                found.add("different-accounts", [call.began], f"op {call.began} and the first read do not both have {odd[0]}")
            elif sum(seen.values()) != total:
                found.add(
                    "wrong-total", [call.began], f"op {call.began} read balances of {sum(seen.values())} in all, not {total}"
                )
            overdrawn = [name for name, balance in seen.items() if balance < 0]
            if overdrawn and not self._may_be_negative:
                proof = f"op {call.began} read a balance of {seen[overdrawn[0]]} of account {plain(overdrawn[0])}"
                found.add("negative-balance", [call.began], proof)
        unknown = [] if self._reads else ["nothing was read"]
        facts = {"reads": len(self._reads)} | ({"total": total} if total is not None else {})
        return Outcome(anomalies=found.anomalies(lambda _: True, _SUMMARIES), unknown=unknown, facts=facts)
