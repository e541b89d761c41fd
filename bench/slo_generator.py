"""Ours against google/slo-generator 2.6: the same counts, the same numbers, but for what it rounds.

Its SLI is rounded to six decimals and its burn rate to one, before alerts are decided; ours are exact. Every difference must
lie within that rounding, and every alert that differs must be one that rounding explains. Ends with 1 where one does not.

Usage: python bench/slo_generator.py [CASES]
"""

import json
import random
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from dbre.capabilities.slo.burn_rate import burn_rate
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.error_budget import error_budget
from dbre.capabilities.slo.objective import allowed_ratio

ROOT = Path(__file__).resolve().parent.parent
PEER = "slo-generator==2.6.0"
GOALS = ("0.9", "0.95", "0.99", "0.995", "0.999", "0.9995", "0.9999", "0.99999", "0.999999")
WINDOWS = (300, 3_600, 21_600, 86_400, 604_800, 2_592_000)
THRESHOLDS = ("1", "3", "6", "14.4", "14.44")
SLI_ROUNDING, BURN_ROUNDING = Fraction(1, 2_000_000), Fraction(1, 20)
FLOAT = Fraction(1, 10**9)  # relative: binary arithmetic


def peer_python() -> Path:
    """An interpreter that has slo-generator; made at the first use."""
    place = ROOT / ".uv" / "peers" / "slo-generator"
    python = place / "bin" / "python"
    if not python.exists():
        uv = ROOT / ".uv" / "bin" / "uv"
        subprocess.run([uv, "venv", "-q", "-p", sys.executable, place], check=True)
        subprocess.run([uv, "pip", "install", "-q", "-p", python, PEER], check=True)
    return python


def cases(count: int) -> list[tuple[str, int, int, int, str]]:
    """Seeded: goals and windows as people have them, few errors and many, few events and many."""
    chance = random.Random(2_026)
    found = []
    for _ in range(count):
        total = int(10 ** chance.uniform(0, 9)) + 1
        bad = min(int(total * 10 ** chance.uniform(-7, 0)), total)
        found.append((chance.choice(GOALS), chance.choice(WINDOWS), total - bad, bad, chance.choice(THRESHOLDS)))
    return found


def peer_reports(given: list[tuple[str, int, int, int, str]]) -> dict[str, Any]:
    """What slo-generator says of them."""
    plain = [[float(goal), window, good, bad, float(threshold)] for goal, window, good, bad, threshold in given]
    program = [str(peer_python()), str(ROOT / "bench/peers/slo_generator_reports.py")]
    done = subprocess.run(program, input=json.dumps(plain), check=True, capture_output=True, text=True, timeout=120)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def differences(case: tuple[str, int, int, int, str], theirs: dict[str, Any]) -> tuple[list[str], bool]:
    """What rounding does not explain, and whether the alerts differ."""
    goal, window, good, bad, threshold = Decimal(case[0]), case[1], case[2], case[3], Fraction(case[4])
    counts, allowed = Counts(good, bad), allowed_ratio(goal)
    ratio, burn = counts.ratio or Fraction(0), burn_rate(bad, good + bad, target=goal)
    budget = error_budget(counts, target=goal, window_seconds=window)
    burn_limit = BURN_ROUNDING + SLI_ROUNDING / allowed + FLOAT * (1 + burn)
    minutes = Fraction(window, 60)
    checks = {
        "sli": (ratio, SLI_ROUNDING + FLOAT),
        "burn_rate": (burn, burn_limit),
        "budget_minutes": (budget.seconds / 60, FLOAT * minutes),
        "remaining_minutes": (budget.remaining_seconds / 60, (SLI_ROUNDING + FLOAT) * minutes),
        "error_minutes": ((1 - ratio) * minutes, (SLI_ROUNDING + FLOAT) * minutes),
    }
    found = [
        f"{name}: ours {float(ours):.9g}, theirs {theirs[name]:.9g}"
        for name, (ours, limit) in checks.items()
        if abs(Fraction(theirs[name]) - ours) > limit
    ]
    differs = (burn > threshold) != theirs["alert"]
    if differs and abs(burn - threshold) > burn_limit:
        found.append(f"alert: ours {burn > threshold} at burn {float(burn):.6g}, theirs {theirs['alert']}")
    return found, differs


def main() -> int:
    """Compare; print the numbers as JSON."""
    given = cases(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000)
    answer = peer_reports(given)
    unexplained, rounded_alerts, hidden = [], 0, 0
    for case, theirs in zip(given, answer["reports"], strict=True):
        found, differs = differences(case, theirs)
        unexplained += [f"{case}: {one}" for one in found]
        rounded_alerts += differs
        hidden += bool(case[3]) and theirs["sli"] == 1.0
    result = {
        "peer": answer["peer"],
        "cases": len(given),
        "differences_beyond_rounding": len(unexplained),
        "alerts_that_rounding_changes": rounded_alerts,
        "cases_with_errors_and_a_perfect_sli_there": hidden,
    }
    print(json.dumps(result))
    for one in unexplained[:20]:
        print(one, file=sys.stderr)
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
