"""How long one evaluation of many SLOs takes: ``python bench/slo_evaluation.py [--out FILE]``.

Every SLO counts its own probes, with a month of history, and has the four rules of the SRE Workbook: eight windows. The
engine is the real one, over a real SQLite store. *Quiet*: no bad event at all. *Noisy*: each SLO has bad events in each of its
windows, below every limit; a tenth of them get another one between two evaluations. *All windows*: the sums over all eight
windows of every noisy SLO, one after the other, as if nothing could be left out.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from dbre.capabilities.slo.alert_rules import default_rules
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import Definition
from dbre.capabilities.slo.engine import SloEngine
from dbre.capabilities.slo.series import slot_at
from dbre.capabilities.slo.sli import Sli, SliKind
from dbre.capabilities.slo.window import RollingWindow
from dbre.core.events import EventLog
from dbre.core.fleet import Address, Cluster, Endpoint, EndpointPurpose, Fleet, Instance, TlsMode
from dbre.core.store import open_store
from dbre.testing.clock import FakeClock

NOW = datetime(2026, 11, 1, tzinfo=UTC)
ROUNDS = 30
LIMITS_MS = {1_000: 5.0, 10_000: 100.0}


def fleet_of(count: int) -> Fleet:
    """So many clusters, with one SLO each."""
    address = Address("192.0.2.1", 5432)
    return Fleet(
        clusters=tuple(
            Cluster(
                name=f"c{number}",
                environment="prod",
                engine="postgresql",
                instances=(Instance(name=f"c{number}-1", cluster=f"c{number}", address=address),),
                endpoints=(Endpoint(cluster=f"c{number}", purpose=EndpointPurpose.WRITE, addresses=(address,)),),
                databases=("shop",),
                user="dbre",
                password=None,
                tls=TlsMode.PREFER,
                tls_ca_file=None,
                labels={"cluster": f"c{number}"},
            )
            for number in range(count)
        )
    )


def fill(engine: SloEngine, *, noisy: bool) -> None:
    """A month of probes; noisy: one bad in about 1,300 of them, and one in the last minutes."""
    end = slot_at(NOW) + 1
    for number, track in enumerate(engine._tracks):  # noqa: SLF001 - a month of history through the public way takes hours
        track.tracked, track.last_valid_monotonic = {}, engine._clock.monotonic()  # noqa: SLF001 - the same
        for series, slots in ((track.raw, track.look_back_slots), (track.raw_recent, track.recent_slots)):
            at = end - slots
            while at < end:
                length = min(1_300 + number % 7, end - at)
                series.add(at, Counts(good=100), length=length)
                at += length
                if noisy and at < end:
                    series.add(at, Counts(good=99, bad=1))
                    at += 1
            if noisy:
                series.add(end - 3, Counts(bad=1))


def all_windows(engine: SloEngine) -> float:
    """Milliseconds for the sums over every window of every rule."""
    end = slot_at(NOW) + 1
    rules = default_rules(30 * 86_400)
    limits = [(seconds // 10, 1, 10**9, 1) for rule in rules for seconds in (rule.long_seconds, rule.short_seconds)]
    began = time.perf_counter()
    for track in engine._tracks:  # noqa: SLF001 - as above
        track.recent.exceeds(end, limits)
    return (time.perf_counter() - began) * 1000


async def measure(count: int, *, noisy: bool, directory: Path) -> dict[str, object]:
    """One size."""
    clock, fleet = FakeClock(NOW), fleet_of(count)
    sli = Sli(kind=SliKind.AVAILABILITY, purpose=EndpointPurpose.WRITE)
    one = Definition(name="writes", target=Decimal("0.999"), window=RollingWindow(seconds=30 * 86_400), sli=sli)
    async with open_store(f"sqlite:///{directory}/{count}-{noisy}.db", clock=clock, migrate=True) as store:
        engine = SloEngine(store, [one], fleet=fleet, probe_interval=timedelta(seconds=10), clock=clock, events=EventLog(clock))
        await engine.tick()
        fill(engine, noisy=noisy)
        await engine.evaluate()
        took = []
        for turn in range(ROUNDS):
            clock.step_wall(10)
            clock.step_monotonic(10)
            for track in engine._tracks:  # noqa: SLF001 - as above
                bad = noisy and (hash(track.instance.cluster.name) + turn) % 10 == 0
                track.raw_recent.add(slot_at(clock.now()), Counts(good=99 if bad else 100, bad=int(bad)))
                track.last_valid_monotonic = clock.monotonic()
            began = time.perf_counter()
            await engine.evaluate()
            took.append((time.perf_counter() - began) * 1000)
        row = {"slos": count, "history": "noisy" if noisy else "quiet", "rounds": ROUNDS}
        row |= {"median_ms": round(statistics.median(took), 3), "worst_ms": round(max(took), 3), "limit_ms": LIMITS_MS[count]}
        return {**row, "all_windows_ms": round(min(all_windows(engine) for _ in range(3)), 3)} if noisy else row


async def main() -> int:
    """Measure, print, and say whether the limits hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        rows = [
            await measure(count, noisy=noisy, directory=Path(directory)) for count in arguments.sizes for noisy in (False, True)
        ]
    text = json.dumps(rows, indent=2)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")
    return 0 if all(row["median_ms"] < row["limit_ms"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
