"""Patroni is asked for a failover only where its leader serves nobody, and not where nobody but us cannot reach it."""

from dataclasses import replace

import pytest

from dbre.capabilities.ha.failover.rescue_checks import rescue_reasons
from dbre.capabilities.ha.patroni.word import PatroniWord
from dbre.ports.topology import Contact
from dbre.tools.patroni import NodeState

LEADER = NodeState(
    url="http://10.0.0.1:8008",
    name="one",
    scope="shop",
    version="4.0.4",
    role="primary",
    state="running",
    timeline=3,
    system_id="7",
    server_version=150_000,
    dcs_last_seen=1,
    watchdog_failed=False,
)


@pytest.mark.parametrize(
    ("contact", "state", "is_met"),
    [
        (Contact.TIMEOUT, "running", False),  # cut off from here alone: its clients are served
        (Contact.RESET, "running", False),
        (Contact.TIMEOUT, "unknown", True),  # Patroni runs it, and does not get through either
        (Contact.STARTING, "starting", True),
        (Contact.RESET, "crashed", True),
        (Contact.ANSWERED, "unknown", False),
    ],
)
def test_whom_its_own_patroni_reaches_serves_somebody(contact: Contact, state: str, is_met: bool) -> None:
    nodes = (replace(LEADER, state=state), replace(LEADER, name="two", role="replica"))
    word = PatroniWord(
        scope="shop", view=None, error=None, config=None, nodes=nodes, store=None, instances={"one": "db-1", "two": "db-2"}
    )
    reasons = {one.rule: one for one in rescue_reasons(word, "db-1", None, contact, sign="Patroni answers there")}
    found = reasons["primary_serves_nobody"]
    assert found.is_blocking
    assert found.is_met is is_met, found.value
    assert ("its Patroni reaches it" in found.value) is (state == "running")
