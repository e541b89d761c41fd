"""The plain shape of ``slo.yaml``: availability, latency and freshness of one service in a few lines."""

from decimal import Decimal
from typing import Self

from pydantic import Field, model_validator

from dbre.capabilities.slo.interop.model import CarriedOver, Defaults, Findings, ForeignObject, percent
from dbre.capabilities.slo.interop.naming import label
from dbre.capabilities.slo.interop.placing import judged
from dbre.core.config import Document
from dbre.core.config.tree import Branch
from dbre.core.errors import UsageError

__all__ = ["PlainSlo", "import_plain"]

_DAYS = 30


class PlainAvailability(Document):
    """How many of all requests succeed, over how many days."""

    objective: Decimal = Field(gt=0, lt=100)
    window_days: int = Field(_DAYS, ge=1, le=400)

    @property
    def target(self) -> Decimal:
        """As a ratio; such files write 99.9 or 0.999, and nobody promises less than 1 %."""
        return self.objective if self.objective < 1 else self.objective / 100


class PlainSlo(Document):
    """One service."""

    service: str | None = None
    name: str | None = None
    description: str = ""
    availability: PlainAvailability | None = None
    latency_p95_ms: int | None = Field(None, gt=0)
    latency_p99_ms: int | None = Field(None, gt=0)
    freshness_minutes: int | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not any((self.availability, self.latency_p95_ms, self.latency_p99_ms, self.freshness_minutes)):
            raise UsageError("nothing is promised", hint="write availability, latency_p95_ms or freshness_minutes")
        return self


def import_plain(one: ForeignObject, defaults: Defaults, findings: Findings) -> None:
    """Carry every promise over: each is an SLO of its own, measured by probes."""
    below = one.node.entries.get("slo")
    node = below if isinstance(below, Branch) and len(one.node.entries) == 1 else one.node
    plain = judged(node, PlainSlo, name="slo", problems=findings.problems)
    if plain is None:
        return
    service = label(plain.service or plain.name or "database")
    days = plain.availability.window_days if plain.availability else _DAYS

    def add(what: str, sli: dict[str, object], target: Decimal) -> None:
        document: dict[str, object] = {"name": label(f"{service}-{what}")}
        if plain.description:
            document["description"] = plain.description[:1050]
        selector, window = dict(defaults.selector), {"rolling": f"{days}d"}
        document |= {"selector": selector, "sli": sli, "target": percent(target), "window": window}
        findings.slos.append(CarriedOver(document, node.place))

    if plain.availability is not None:
        add("availability", {"kind": "availability", "purpose": "write"}, plain.availability.target)
    for what, limit, target in (("p95", plain.latency_p95_ms, "0.95"), ("p99", plain.latency_p99_ms, "0.99")):
        if limit is not None:
            sli: dict[str, object] = {"kind": "latency", "query_class": "read", "threshold": f"{limit}ms"}
            add(f"latency-{what}", sli, Decimal(target))
    if plain.freshness_minutes is not None:
        add("freshness", {"kind": "freshness", "max_age": f"{plain.freshness_minutes}m"}, Decimal("0.99"))
        findings.lose(
            node.place,
            f"{service}-freshness: the file does not say how often data may be older; 99% is taken",
            "write another target if that is not meant",
        )
