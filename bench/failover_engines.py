"""How long clients are without a primary, and what they lose, where Sentinels fail over, and where dbre does for MariaDB.

Run: ``.venv/bin/python bench/failover_engines.py sentinel|partition|mariadb [NUMBER [ROUNDS]]`` (3 rounds). Each round is on a
lab of its own; the clients are those of ``dbre ha probe`` (ledger, open loop).

``sentinel MILLISECONDS``: three Sentinels with this ``down-after-milliseconds`` (default 1000), one replica; the primary is
killed.
``partition REPLICAS``: three hosts in namespaces, each with a server and a Sentinel (``down-after-milliseconds`` 500). The host
of the primary is cut off for 15 s with a client beside it that writes on; ``min-replicas-to-write REPLICAS`` (default 0) with
``min-replicas-max-lag 2``. Lost are acknowledged writes that are not there when all is one again. Needs root.
``mariadb TRANSACTIONS``: the replica has received so many transactions (default 0) that it has not applied when the primary is
killed; the control plane and two observers fail over, which applies them first.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import asyncmy
import failover as watching
from kit.report import report
from kit.two_servers import quantile

from dbre.core.packets.commands import command
from dbre.core.packets.namespaces import Namespace
from dbre.lab import Lab, LabEngine, LabSpec
from dbre.lab.mariadb import MariaDbServer
from dbre.lab.network.network import Network
from dbre.lab.redis import RedisServer, ask_inline
from dbre.lab.server import LabServer

NAME = watching.NAME
_BASELINE_SECONDS = 3.0
_CUT_SECONDS = 15.0
_RATE = 200
_LIMIT_SECONDS = 120.0


async def main() -> int:
    """Rounds of one row."""
    row = sys.argv[1] if len(sys.argv) > 1 else "sentinel"
    number = int(sys.argv[2]) if len(sys.argv) > 2 else {"sentinel": 1000}.get(row, 0)
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    measure = {"sentinel": sentinel, "partition": partition, "mariadb": mariadb}[row]
    found = [await measure(number) for _ in range(rounds)]
    outages = [one["outage"]["seconds"] for one in found]
    result = {
        "row": f"{row} {number}",
        "rounds": rounds,
        "outage_p50_s": round(quantile(outages, 0.5), 2),
        "outage_max_s": round(max(outages), 2),
        "outages_s": [round(one, 2) for one in outages],
        "acknowledged": [one["acknowledged"] for one in found],
        "lost": [len(one["lost"] or ()) for one in found],
        "overlap": [one["overlap"] for one in found],
        "drained_s": [one["drained"] for one in found if "drained" in one],
        "is_ok": all(not one["outage"]["is_open"] for one in found),
    }
    return report(result)


async def sentinel(milliseconds: int) -> dict[str, Any]:
    """The primary dies, and Sentinels find it dead after so long."""
    lab = await Lab.create(LabSpec(name=NAME, engine=LabEngine.REDIS, replicas=1, sentinels=3))
    try:
        await prepare(lab, {"down-after-milliseconds": milliseconds})
        with ExitStack() as stack:
            clients = probe(lab, _BASELINE_SECONDS + milliseconds / 1000 + 15.0, stack)
            await baseline(lab)
            await lab.primary.kill()
            return await truth_of(clients)
    finally:
        await lab.down()


async def partition(replicas: int) -> dict[str, Any]:
    """The host of the primary is cut off with a client beside it, and comes back."""
    lab = await Lab.create(LabSpec(name=NAME, engine=LabEngine.REDIS, replicas=2, sentinels=3, network=True))
    try:
        await prepare(lab, {"down-after-milliseconds": 500})
        for one in lab.servers:
            await ask_inline(one, f"CONFIG SET min-replicas-to-write {replicas}")
            await ask_inline(one, "CONFIG SET min-replicas-max-lag 2")
        hosts = [one.site.host for one in lab.servers]
        assert hosts[0].namespace is not None
        with ExitStack() as stack:
            clients = probe(lab, _BASELINE_SECONDS + _CUT_SECONDS + 25.0, stack, "--netns", hosts[0].namespace)
            await baseline(lab)
            network = Network.open(lab.directory)
            await asyncio.to_thread(route, network, [one.address for one in hosts], "add")
            await asyncio.sleep(_CUT_SECONDS)
            await asyncio.to_thread(route, network, [one.address for one in hosts], "del")
            return await truth_of(clients)
    finally:
        await lab.down()


def route(network: Network, addresses: Sequence[str], verb: str) -> None:
    """Have the first host and the others drop what is for each other, or not."""
    names = {host.address: host.namespace for host in network.hosts.values()}
    first, *others = addresses
    for one in others:
        for here, there in ((first, one), (one, first)):
            namespace = names[here]
            assert namespace is not None
            command("ip", "route", verb, "blackhole", f"{there}/32", namespace=Namespace.named(namespace))


async def mariadb(transactions: int) -> dict[str, Any]:
    """The primary dies while its replica has so many transactions to apply."""
    lab = await Lab.create(LabSpec(name=NAME, engine=LabEngine.MARIADB, replicas=1, durable=False))
    try:
        first, second = lab.servers
        assert isinstance(first, MariaDbServer)
        assert isinstance(second, MariaDbServer)
        with ExitStack() as stack:
            await watching.watched(lab, stack)
            await ask(first, "CREATE TABLE lab.bench (i INT AUTO_INCREMENT PRIMARY KEY, t CHAR(36))")
            clients = probe(lab, _BASELINE_SECONDS + 60.0 + transactions / 500, stack)
            await baseline(lab)
            await ask(second, "STOP SLAVE SQL_THREAD")
            await ask(first, f"BEGIN NOT ATOMIC FOR i IN 1..{transactions} DO INSERT INTO lab.bench (t) VALUES (UUID());"
                             " END FOR; END")  # fmt: skip
            await asyncio.sleep(2.0)  # it is received, and an observer has heard how far
            await ask(second, "START SLAVE SQL_THREAD")
            await first.kill()
            found = await truth_of(clients)
            return found | {"drained": drained(lab)}
    finally:
        await lab.down()


def drained(lab: Lab) -> object:
    """What the failover says of the transactions that it applied first."""
    base = [sys.executable, "-P", "-m", "dbre", "-c", str(lab.config_file), "op"]
    listed = subprocess.run([*base, "list", "-o", "json"], capture_output=True, cwd=lab.directory, timeout=60, check=False)
    newest = next(one["id"] for one in json.loads(listed.stdout)["items"] if one["operation"] == "ha.failover")
    words = [*base, "show", newest, "-o", "json"]
    shown = json.loads(subprocess.run(words, capture_output=True, cwd=lab.directory, timeout=60, check=False).stdout)
    steps = shown["item"]["steps"] if "item" in shown else shown["items"][0]["steps"]
    assessed = next(one["result"] for one in steps if one["name"] == "assess" and one.get("result"))
    return {name: assessed.get(name) for name in ("waiting", "seconds", "lost_transactions")}


async def prepare(lab: Lab, settings: dict[str, int]) -> None:
    """Set these, and wait until every Sentinel knows the replicas and the others."""
    assert isinstance(lab.primary, RedisServer)
    end = time.monotonic() + _LIMIT_SECONDS
    for one in lab.sentinels:
        for name, value in settings.items():
            await one.ask(f"SENTINEL SET {lab.name} {name} {value}")
        while "+OK" not in await one.ask(f"SENTINEL CKQUORUM {lab.name}") or not await knows_replicas(lab, one):
            if time.monotonic() > end:
                raise TimeoutError(f"{one.name} does not know the others")
            await asyncio.sleep(0.2)


async def knows_replicas(lab: Lab, sentinel_server: LabServer) -> bool:
    """Whether it could promote each of them."""
    told = await ask_inline(sentinel_server, f"SENTINEL MASTER {lab.name}")
    words = told.split("\r\n")
    return "num-slaves" in words and words[words.index("num-slaves") + 2] == str(len(lab.replicas))


async def baseline(lab: Lab) -> None:
    """Some seconds of clients that are answered."""
    end = time.monotonic() + _LIMIT_SECONDS
    while b" acknowledged" not in (lab.directory / "clients.log").read_bytes():
        if time.monotonic() > end:
            raise TimeoutError("no client was answered")
        await asyncio.sleep(0.2)
    await asyncio.sleep(_BASELINE_SECONDS)


def probe(lab: Lab, seconds: float, stack: ExitStack, *more: str) -> "subprocess.Popen[bytes]":
    """Clients in processes of their own."""
    words = [sys.executable, "-P", "-m", "dbre", "-c", str(lab.config_file), "ha", "probe", lab.name, "-o", "json"]
    words += ["--for", f"{round(seconds)}s", "--rate", str(_RATE), "--history", "bench.jsonl", *more]
    log = stack.enter_context((lab.directory / "clients.log").open("wb"))
    clients = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, cwd=lab.directory)

    def end() -> None:
        if clients.poll() is None:
            clients.kill()
        clients.wait()

    stack.callback(end)
    return clients


async def truth_of(clients: "subprocess.Popen[bytes]") -> dict[str, Any]:
    """What they saw, once they have ended."""
    told, _ = await asyncio.to_thread(clients.communicate, timeout=_LIMIT_SECONDS * 3)
    document = json.loads(told)
    found: dict[str, Any] = document["item"] if "item" in document else document["items"][0]
    return found


async def ask(server: MariaDbServer, statement: str) -> None:
    """One statement as root."""
    login = {"user": server.superuser, "password": server.password.reveal()}
    connection = await asyncmy.connect(host=server.address.host, port=server.address.port, autocommit=True, **login)
    try:
        async with connection.cursor() as cursor:
            await cursor.execute(statement)
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
