"""Behaviours of facet ``statistics``."""
# ruff: noqa: S101 - a conformance suite is made of assertions

import math
import re

import pytest

from dbre.core.errors import UsageError
from dbre.testing.conformance.subject import Subject, opened

__all__ = ["StatisticsConformance"]

_METRIC_NAME = re.compile(r"[a-z_:][a-z0-9_:]*")
_FORBIDDEN_LABELS = {"query", "query_text", "sql", "statement"}


class StatisticsConformance:
    """Counters and gauges of a server."""

    async def test_every_collector_gives_valid_metrics(self, subject: Subject) -> None:
        """Names, values and labels can be exposed, no family and no sample comes twice, and no label is query text."""
        async with opened(subject) as server, subject.busy_session():
            collectors = await server.statistics.collectors()
            families = [family for one in collectors for family in await server.statistics.collect(one.name)]
        assert collectors
        assert all(collector.interval_seconds > 0 for collector in collectors)
        names = [family.name for family in families]
        assert len(names) == len(set(names))
        for family in families:
            assert _METRIC_NAME.fullmatch(family.name), family.name
            assert not family.name.endswith("_total"), family.name
            assert family.help
            assert family.samples, family.name
            labels = [tuple(sorted(sample.labels.items())) for sample in family.samples]
            assert len(labels) == len(set(labels)), family.name
            assert not _FORBIDDEN_LABELS & {key for sample in family.samples for key in sample.labels}
            assert all(isinstance(sample.value, float) and not math.isnan(sample.value) for sample in family.samples)

    async def test_collectors_that_are_not_permitted_are_not_offered(self, subject: Subject) -> None:
        """A login without grants gets fewer collectors, each of which works."""
        access = await subject.new_login("curious", "s3cret-curious", is_granted=False)
        async with opened(subject) as server:
            every = {collector.name for collector in await server.statistics.collectors()}
        async with opened(subject, access) as server:
            offered = {collector.name for collector in await server.statistics.collectors()}
            for name in sorted(offered):
                await server.statistics.collect(name)
        assert offered <= every

    async def test_an_unknown_collector_is_a_mistake_of_ours(self, subject: Subject) -> None:
        """It says so, instead of giving nothing."""
        async with opened(subject) as server:
            with pytest.raises(UsageError):
                await server.statistics.collect("no such\ncollector")
