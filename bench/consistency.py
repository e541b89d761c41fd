"""How fast a list-append history of a million transactions is judged, and beside it scipy's bare search for components.

Run: ``.venv/bin/python bench/consistency.py [TRANSACTIONS]`` (default 1000000). The history is that of a serializable store:
one to four reads and appends a transaction, 20 clients, 32 appends a key, in the form in which Jepsen writes it. The floor
is ``scipy.sparse.csgraph.connected_components`` of the same graph, with the edges of data and of real time already in its form.
Reading the file, taking the calls in, and judging are measured apart; the limit is on the last two, which is what Elle does.

The limit: 10 s for a million transactions.
"""

import gc
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from kit.report import report
from scipy.sparse.csgraph import connected_components

from dbre.capabilities.consistency.checking import check_history
from dbre.capabilities.consistency.graphs.append_graph import append_graph
from dbre.capabilities.consistency.graphs.graph import matrix
from dbre.capabilities.consistency.graphs.order_in_time import moments
from dbre.capabilities.consistency.history import Op, OpType
from dbre.capabilities.consistency.pairing import calls_of
from dbre.capabilities.consistency.reading import read_history
from dbre.capabilities.consistency.report import Limits, Verdict
from dbre.capabilities.consistency.transactions.list_append import AppendHistory
from dbre.capabilities.consistency.transactions.versions import versions_of
from dbre.capabilities.consistency.writing import write_jsonl

GOAL_SECONDS_A_MILLION = 10.0
CLIENTS, KEYS, APPENDS_A_KEY, LONGEST = 20, 10, 32, 4


def simulated(transactions: int) -> Iterator[Op]:
    """Calls and answers of a store that does one transaction after the other, each at some moment while it is open."""
    chance = random.Random(20261121)
    lists: dict[int, list[int]] = {}
    active, newest = list(range(KEYS)), KEYS
    waiting: list[tuple[int, list[list[object]]]] = []
    idle, begun = list(range(CLIENTS)), 0
    while begun < transactions or waiting:
        if idle and begun < transactions and (not waiting or chance.random() < 0.5):
            asked: list[list[object]] = []
            for _ in range(chance.randint(1, LONGEST)):
                place = chance.randrange(KEYS)
                key = active[place]
                is_read = chance.random() < 0.5
                asked.append(["r", key, None] if is_read else ["append", key, 0])
            client = idle.pop(chance.randrange(len(idle)))
            yield Op(type=OpType.INVOKE, process=client, f="txn", value=None)
            waiting.append((client, asked))
            begun += 1
            continue
        client, asked = waiting.pop(chance.randrange(len(waiting)))
        done: list[list[object]] = []
        for act, key, _ in asked:
            held = lists.setdefault(key, [])  # type: ignore[call-overload]
            if act == "append":
                held.append(len(held) + 1)
                if len(held) == APPENDS_A_KEY and key in active:
                    active[active.index(key)] = newest  # type: ignore[arg-type]
                    newest += 1
            done.append(["r", key, list(held)] if act == "r" else ["append", key, held[-1]])
        idle.append(client)
        yield Op(type=OpType.OK, process=client, f="txn", value=done)


def floor_seconds(path: Path) -> tuple[float, int, int]:
    """Bare components of the same graph: seconds, nodes, edges."""
    history = AppendHistory()
    with path.open("rb") as file:
        for call in calls_of(read_history(file), most=1 << 40):
            history.add(call)
    graph = append_graph(history, versions_of(history), most=1 << 40)
    in_time, count = moments(np.asarray(history.calls.began), np.asarray(history.calls.ended), first=len(history.calls.began))
    source = np.concatenate([graph.edges.source, in_time.source])
    target = np.concatenate([graph.edges.target, in_time.target])
    ways = matrix(len(history.calls.began) + count, source, target)
    began = time.process_time()
    connected_components(ways, directed=True, connection="strong")
    return time.process_time() - began, len(history.calls.began) + count, len(source)


def run(transactions: int) -> dict[str, object]:
    """Write the history, read it, judge it."""
    with tempfile.TemporaryDirectory(prefix="dbre-bench-") as folder:
        path = Path(folder) / "history.jsonl"
        with path.open("wb") as file:
            file.writelines(write_jsonl(simulated(transactions)))
        gc.collect()
        began = time.process_time()
        with path.open("rb") as file:
            ops = sum(1 for _ in read_history(file))
        reading = time.process_time() - began
        began, wall = time.process_time(), time.perf_counter()
        with path.open("rb") as file:
            found = check_history(
                read_history(file), workload="list-append", model="strict-serializable", limits=Limits(ops=ops)
            )
        whole, wall = time.process_time() - began, time.perf_counter() - wall
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        size = path.stat().st_size
        floor, nodes, edges = floor_seconds(path)
    judging = whole - reading
    goal = GOAL_SECONDS_A_MILLION * transactions / 1e6
    return {
        "bench": "consistency",
        "transactions": transactions,
        "ops": ops,
        "mb": round(size / 1e6),
        "nodes": nodes,
        "edges": edges,
        "read_cpu_seconds": round(reading, 2),
        "check_cpu_seconds": round(judging, 2),
        "read_and_check_cpu_seconds": round(whole, 2),
        "read_and_check_seconds": round(wall, 2),
        "transactions_a_cpu_second": round(transactions / judging),
        "floor_components_cpu_seconds": round(floor, 2),
        "ratio_to_floor": round(judging / floor, 1) if floor else None,
        "peak_mb": round(peak),
        "verdict": found.verdict.value,
        "goal_seconds": goal,
        "is_ok": judging <= goal and found.verdict is Verdict.OK,
    }


if __name__ == "__main__":
    sys.exit(report(run(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)))
