"""What rules cost a real Prometheus: ours beside those of Sloth, for the same SLOs: ``python bench/slo_rules.py [--out FILE]``.

Also how long compiling 1,000 SLOs takes. 31 days of counters, one sample a minute, and of the series that both kinds of rules
record each 5 min lie in the server, made with promtool. Each group is then evaluated by the server as it always does; the
cost is the time that it says its rules took, weighted by how often the group is evaluated: natively each 30 s, 60 s or 5 min,
Sloth's each 60 s, the default of Prometheus.
"""

import argparse
import asyncio
import json
import re
import statistics
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from dbre.capabilities.slo.compiler.compilation import rule_files
from dbre.capabilities.slo.compiler.subject import Subject, subjects_of
from dbre.capabilities.slo.definition import Definition
from dbre.capabilities.slo.sli import Sli, SliKind
from dbre.capabilities.slo.window import RollingWindow
from dbre.core.fleet import Cluster, Fleet, TlsMode
from dbre.lab.prometheus import PrometheusServer, find_prometheus
from dbre.lab.temporary_site import temporary_site

DAYS, SLOS, ROUNDS = 31, 10, 8
COMPILE_SLOS, COMPILE_LIMIT_SECONDS = 1_000, 2.0
_DEFAULT_INTERVAL = 60


def subjects(count: int) -> tuple[Subject, ...]:
    """So many SLOs of one cluster."""
    cluster = Cluster(
        name="orders",
        environment="prod",
        engine="postgresql",
        instances=(),
        endpoints=(),
        databases=(),
        user="dbre",
        password=None,
        tls=TlsMode.DISABLE,
        tls_ca_file=None,
        labels={"cluster": "orders"},
    )
    window = RollingWindow(seconds=30 * 86_400)
    sli = Sli(kind=SliKind.AVAILABILITY)
    slos = [Definition(name=f"slo-{number}", sli=sli, target=Decimal("0.999"), window=window) for number in range(count)]
    return subjects_of(slos, Fleet(clusters=(cluster,)))


def compiled(chosen: tuple[Subject, ...], *, is_sloth: bool) -> str:
    """The text of the rules."""
    files, _ = rule_files(chosen, is_sloth=is_sloth, with_tests=False, probe_interval_ms=10_000, is_everything=True)
    return files[0].text


def history(chosen: tuple[Subject, ...], end: int) -> Iterator[str]:
    """Counters that grow evenly, and what both kinds of rules recorded of them."""
    start = end - DAYS * 86_400
    for one in chosen:
        key = f'slo="{one.name}",cluster="orders"'
        sloth = f'sloth_id="orders-{one.name}",sloth_service="orders",sloth_slo="{one.name}",sloth_window="5m"'
        for metric, step, per_step in (("good", 60, 600), ("bad", 60, 1)):
            name = f"dbre_slo_{metric}_total{{{key}}}"
            yield from (f"{name} {index * per_step} {moment}" for index, moment in enumerate(range(start, end, step)))
        for name, value in (
            (f"dbre:slo_bad:increase5m{{{key}}}", 5),
            (f"dbre:slo_total:increase5m{{{key}}}", 3005),
            (f"slo:sli_error:ratio_rate5m{{{sloth}}}", 0.0017),
        ):
            yield from (f"{name} {value} {moment}" for moment in range(start, end, 300))
    yield "# EOF\n"


async def cost(server: PrometheusServer, text: str) -> dict[str, Any]:
    """Milliseconds of evaluation in one minute, the median of some rounds."""
    intervals = dict(re.findall(r'- name: "([^"]+)"\n  interval: (\d+)s', text))
    await server.configure(rules={"rules.yml": re.sub(r"\n  interval: \d+s", "", text)})
    rounds = []
    for _ in range(ROUNDS):
        await asyncio.sleep(2)
        groups = (await server.get("/api/v1/rules"))["data"]["groups"]
        per_minute = 0.0
        for group in groups:
            seconds = sum(rule["evaluationTime"] for rule in group["rules"])
            per_minute += seconds * 60 / int(intervals.get(group["name"], _DEFAULT_INTERVAL))
        rounds.append(per_minute * 1000)
    rules = sum(len(group["rules"]) for group in groups)
    return {"rules": rules, "median_ms_each_minute": round(statistics.median(rounds[2:]), 2), "rounds": ROUNDS - 2}


async def measure() -> dict[str, Any]:
    """Both kinds in one server, one after the other."""
    began = time.perf_counter()
    size = len(compiled(subjects(COMPILE_SLOS), is_sloth=False))
    row: dict[str, Any] = {
        "compile": {
            "slos": COMPILE_SLOS,
            "seconds": round(time.perf_counter() - began, 3),
            "limit_seconds": COMPILE_LIMIT_SECONDS,
            "size_bytes": size,
        }
    }
    chosen = subjects(SLOS)
    with temporary_site(prefix="dbre-bench-") as site:
        program = find_prometheus(account=site.account)
        server = PrometheusServer("prometheus", site, program=program, config={"global": {"evaluation_interval": "2s"}})
        try:
            await server.start()
            await server.backfill("\n".join(history(chosen, int(time.time()))))
            row |= {"slos": SLOS, "days": DAYS, "prometheus": program.version_text}
            row["native"] = await cost(server, compiled(chosen, is_sloth=False))
            row["sloth"] = await cost(server, compiled(chosen, is_sloth=True))
        finally:
            await server.destroy()
    return row


async def main() -> int:
    """Measure, print, and say whether the limit holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    row = await measure()
    text = json.dumps(row, indent=2)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")
    return 0 if row["compile"]["seconds"] < COMPILE_LIMIT_SECONDS else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
