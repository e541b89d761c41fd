"""What whoever manages a cluster sets differently on its primary is no difference to warn of; without one it is."""

import pytest

from dbre.capabilities.ha.model import Topology
from dbre.capabilities.ha.switchover.checks import CheckState
from dbre.capabilities.ha.switchover.config_document import SwitchoverDocument
from dbre.capabilities.ha.switchover.server_rules import server_checks
from dbre.capabilities.ha.switchover.survey import NodeSurvey, Survey
from dbre.core.fleet import Cluster, TlsMode
from dbre.ports.succession import GivesUp, Standing

SHOP = Cluster(
    name="shop",
    environment="test",
    engine="postgresql",
    instances=(),
    endpoints=(),
    databases=(),
    user="dbre",
    password=None,
    tls=TlsMode.DISABLE,
    tls_ca_file=None,
)


def standing(**alike: str) -> NodeSurvey:
    return NodeSurvey(
        standing=Standing(
            gives_up=GivesUp.BY_CLOSING,
            product="postgresql",
            version=(15, 18),
            version_text="15.18",
            needs_login=True,
            can_hand_over=False,
            alike=alike,
        )
    )


@pytest.mark.parametrize(
    ("kept", "state", "value"),
    [
        (frozenset[str](), CheckState.WARN, "synchronous_standby_names: - instead of ANY 1 (b)"),
        (frozenset({"synchronous_standby_names"}), CheckState.OK, "1 compared, none differs"),
    ],
    ids=["nobody", "a-manager"],
)
def test_who_sets_it_decides(kept: frozenset[str], state: CheckState, value: str) -> None:
    found = Survey(
        cluster=SHOP,
        topology=Topology(cluster="shop", engine="postgresql", nodes=(), edges=(), outsiders=()),
        lags={},
        nodes={"n1": standing(synchronous_standby_names="ANY 1 (b)", work_mem="4096"), "n2": standing(work_mem="4096")},
        routes=(),
        kept=kept,
    )
    (check,) = [
        one for one in server_checks(found, "n1", "n2", SwitchoverDocument.model_validate({})) if one.rule == "settings_alike"
    ]
    assert (check.state, check.value) == (state, value)
