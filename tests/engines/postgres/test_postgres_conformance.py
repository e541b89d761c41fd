"""PostgreSQL does what every engine must do."""

from dbre.testing import conformance


class TestSession(conformance.SessionConformance):
    pass


class TestProbe(conformance.ProbeConformance):
    pass


class TestActivity(conformance.ActivityConformance):
    pass


class TestReplication(conformance.ReplicationConformance):
    pass


class TestTopology(conformance.TopologyConformance):
    pass


class TestSettings(conformance.SettingsConformance):
    pass


class TestStatistics(conformance.StatisticsConformance):
    pass


class TestConnections(conformance.ConnectionConformance):
    pass


class TestCatalog(conformance.CatalogConformance):
    pass
