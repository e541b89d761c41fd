"""What every engine must do, as test classes: an engine author subclasses them and provides a fixture ``subject``.

>>> class TestSession(SessionConformance): ...          # with a fixture "subject" in scope   # doctest: +SKIP
"""

import pytest

for _module in ("activity", "catalog", "connections", "probe", "replication", "session", "settings", "statistics", "topology"):
    pytest.register_assert_rewrite(f"{__name__}.{_module}")

from dbre.testing.conformance.activity import ActivityConformance  # noqa: E402 - after the registration above
from dbre.testing.conformance.catalog import CatalogConformance  # noqa: E402
from dbre.testing.conformance.connections import ConnectionConformance  # noqa: E402
from dbre.testing.conformance.probe import ProbeConformance  # noqa: E402
from dbre.testing.conformance.replication import ReplicationConformance  # noqa: E402
from dbre.testing.conformance.session import SessionConformance  # noqa: E402
from dbre.testing.conformance.settings import SettingsConformance  # noqa: E402
from dbre.testing.conformance.statistics import StatisticsConformance  # noqa: E402
from dbre.testing.conformance.subject import LiveServer, Subject  # noqa: E402
from dbre.testing.conformance.topology import TopologyConformance  # noqa: E402

__all__ = [
    "ActivityConformance",
    "CatalogConformance",
    "ConnectionConformance",
    "LiveServer",
    "ProbeConformance",
    "ReplicationConformance",
    "SessionConformance",
    "SettingsConformance",
    "StatisticsConformance",
    "Subject",
    "TopologyConformance",
]
