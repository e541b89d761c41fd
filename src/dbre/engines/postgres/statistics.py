"""Facet ``statistics`` of PostgreSQL: the collectors of ``metrics`` as metric families."""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from dbre.core.errors import Unsupported
from dbre.engines.postgres.link import Conversation, Link
from dbre.engines.postgres.metrics import COLLECTORS, ON_REQUEST, CollectorSpec, Reading
from dbre.engines.postgres.queries import named
from dbre.ports.statistics import Collector, MetricFamily, MetricKind, Sample, find_collector

__all__ = ["PostgresStatistics"]

_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9_]")
_UNITS = {
    "ms": ("seconds", 0.001),
    "s": ("seconds", 1),
    "min": ("seconds", 60),
    "h": ("seconds", 3600),
    "d": ("seconds", 86400),
}
_BYTES = re.compile(r"(\d*)(B|kB|MB|GB|TB)")
_BYTE_FACTORS = {"B": 1, "kB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}


class PostgresStatistics:
    """Implements ``ports.statistics``."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def collectors(self) -> Sequence[Collector]:
        """The collectors that this server's version and our privileges allow; ``settings`` runs only when asked for by name."""

        async def allowed(conversation: Conversation) -> Sequence[Collector]:
            return [
                Collector(name=name, interval_seconds=spec.interval_seconds)
                for name, spec in COLLECTORS.items()
                if await _is_allowed(spec, conversation)
            ]

        return await self._link.ask(allowed)

    async def collect(self, collector: str) -> Sequence[MetricFamily]:
        """Run one collector over one connection."""
        spec = find_collector(collector, {**COLLECTORS, **dict.fromkeys(ON_REQUEST)})
        if spec is None:
            return await self._link.ask(_settings)

        async def read(conversation: Conversation) -> Sequence[MetricFamily]:
            found: dict[str, Sequence[Any]] = {}
            for query in dict.fromkeys(reading.query for reading in spec.readings):
                found[query] = await conversation.rows(query)
            return [family for reading in spec.readings for family in _families(reading, found[reading.query])]

        return await self._link.ask(read)


async def _is_allowed(spec: CollectorSpec, conversation: Conversation) -> bool:
    try:
        queries = [named(reading.query, version=conversation.version) for reading in spec.readings]
    except Unsupported:
        return False
    return all([await conversation.may(query.privilege) for query in queries])


def _families(reading: Reading, rows: Sequence[Any]) -> Iterator[MetricFamily]:
    for measure in reading.measures:
        samples = [
            Sample(float(value), {label: str(getattr(row, label)) for label in reading.labels})
            for row in rows
            if (value := getattr(row, measure.column, None)) is not None
        ]
        if samples:
            yield MetricFamily(name=measure.name, kind=measure.kind, help=measure.help, samples=tuple(samples))


async def _settings(conversation: Conversation) -> Sequence[MetricFamily]:
    """Numeric parameters in base units, named as postgres_exporter names them: ``pg_settings_work_mem_bytes``."""
    families = []
    for row in await conversation.rows("statistics_settings"):
        suffix, factor = _base_unit(row.unit)
        value = _number(row.vartype, row.value)
        if value is None:
            continue
        name = _NOT_IN_NAME.sub("_", row.name)
        families.append(
            MetricFamily(
                name=f"pg_settings_{name}_{suffix}" if suffix else f"pg_settings_{name}",
                kind=MetricKind.GAUGE,
                help="Server parameter" + (f" in {suffix}; -1 and 0 may have meanings of their own" if suffix else ""),
                samples=(Sample(value * factor if value >= 0 else value),),
            )
        )
    return families


def _base_unit(unit: str | None) -> tuple[str, float]:
    if unit is None:
        return "", 1
    match = _BYTES.fullmatch(unit)
    if match:
        return "bytes", int(match[1] or 1) * _BYTE_FACTORS[match[2]]
    return _UNITS.get(unit, ("", 1))


def _number(kind: str, value: str | None) -> float | None:
    if kind == "bool":
        return None if value is None else float(value == "on")
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None
