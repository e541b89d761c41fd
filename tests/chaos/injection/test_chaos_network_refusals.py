"""What faults of the network refuse before they touch anything."""

import os
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from injection_kit import ENGINES, order_on

from dbre.capabilities.chaos.injection.catalogue import fault_kind, parameters_of
from dbre.core.errors import PrecheckFailed, UsageError
from dbre.core.fleet import Address
from dbre.lab.redis import RedisServer

REMOTE = Address("192.0.2.9", 5432)
REFUSED: Mapping[str, tuple[str, dict[str, Any], dict[str, Address], str]] = {
    "one address for both": ("partition", {}, {"two": Address("127.0.0.1", 4)}, "shares the address 127.0.0.1 with two"),
    "one address, by number": ("partition", {"peers": "127.0.0.1"}, {}, "a packet does not tell which of them"),
    "nobody else": ("partition", {}, {}, "no other instance than one, and no peers are named"),
    "a misspelt name": ("partition", {"peers": "twoo"}, {"two": REMOTE}, "'twoo' is no other instance"),
    "the port of ssh": ("partition", {"peers": "everyone", "ports": "22"}, {}, "people log in to this machine"),
    "loopback, slow": ("delay", {"delay": "1ms", "peers": "everyone"}, {}, "does not leave this machine"),
    "loopback, narrow": ("bandwidth", {"rate": "1MB", "peers": "everyone"}, {}, "does not leave this machine"),
}


@pytest.mark.parametrize("name", list(REFUSED))
async def test_what_would_hit_the_wrong_ones_is_refused(victim: RedisServer, tmp_path: Path, name: str) -> None:
    fault, parameters, peers, message = REFUSED[name]
    order = replace(order_on(victim, fault, tmp_path, **parameters), peers=peers)
    with pytest.raises((PrecheckFailed, UsageError), match=message):
        await fault_kind(fault).make(order.scene(ENGINES)).prepare()


async def test_the_port_by_which_dbre_itself_is_reached_is_refused(victim: RedisServer, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root sees the sockets of others")
    with socket.create_server(("127.0.0.1", 0)) as ours:
        order = order_on(victim, "partition", tmp_path, peers="everyone", ports=[ours.getsockname()[1]])
        with pytest.raises(PrecheckFailed, match="dbre itself is reached"):
            await fault_kind("partition").make(order.scene(ENGINES)).prepare()


@pytest.mark.parametrize("fault", ["partition", "delay"])
async def test_an_address_of_another_machine_is_refused(victim: RedisServer, tmp_path: Path, fault: str) -> None:
    parameters = {"delay": "1ms"} if fault == "delay" else {}
    order = order_on(victim, fault, tmp_path, peers="everyone", **parameters)
    order = replace(order, access=replace(order.access, address=REMOTE))
    with pytest.raises(PrecheckFailed, match="not an address of this machine"):
        await fault_kind(fault).make(order.scene(ENGINES)).prepare()


@pytest.mark.parametrize(
    ("fault", "given", "message"),
    [
        ("partition", {"loss": 0}, "loss"),
        ("partition", {"loss": 101}, "loss"),
        ("partition", {"ports": "0"}, "ports"),
        ("partition", {"ports": "http"}, "ports"),
        ("partition", {"direction": "sideways"}, "direction"),
        ("delay", {}, "needs a delay or a loss"),
        ("delay", {"delay": "10ms", "jitter": "20ms"}, "jitter is longer"),
        ("delay", {"delay": "1h"}, "does not lie between"),
        ("bandwidth", {}, "rate"),
        ("bandwidth", {"rate": "5B"}, "not between 1 KB and 10 GB"),
    ],
    ids=str,
)
def test_parameters_that_mean_nothing_are_named(fault: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parameters_of(fault, given)


def test_lists_are_written_with_commas_or_as_lists() -> None:
    written = parameters_of("partition", {"peers": " a, 10.0.0.0/8 ", "ports": "5432,6432"})
    assert written == parameters_of("partition", {"peers": ["a", "10.0.0.0/8"], "ports": [5432, 6432]})
    assert parameters_of("partition", {"ports": 5432}) == parameters_of("partition", {"ports": "5432"})


@pytest.mark.parametrize(
    ("fault", "given", "takes_away"),
    [
        ("partition", {"peers": "everyone"}, True),
        ("partition", {"peers": "everyone", "loss": 50}, False),
        ("partition", {"peers": "10.0.0.7"}, False),
        ("partition", {}, False),
        ("freeze", {}, True),
        ("freeze", {"only": "startup"}, False),
        ("crash", {}, True),
        ("delay", {"delay": "1s"}, False),
    ],
    ids=str,
)
def test_what_leaves_nobody_to_answer_is_known_beforehand(fault: str, given: dict[str, Any], takes_away: bool) -> None:
    assert fault_kind(fault).takes_away(given) is takes_away
