"""How soon each fault is gone once its runner was killed: from SIGKILL until its proof is on disk and its injector has ended.

Run: ``.venv/bin/python bench/chaos_reverts.py [RUNS]`` (default 3). It runs tests/chaos/injection/test_chaos_every_fault.py
on real servers, as root, in some minutes a run, and prints the table of docs/reference/chaos-faults.md: of each fault the
median and the longest. The limit is 5 s, but for faults whose way back is a start or a recovery of the server.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from kit.report import report

ROOT = Path(__file__).parent.parent
TESTS, TABLE = "tests/chaos/injection/test_chaos_every_fault.py", "DBRE_REVERT_TABLE"
LIMIT_SECONDS, RUNS, COLUMNS = 5.0, 3, 3
WITH_A_START = frozenset({"backend-kill", "clock-skew", "crash", "io-fault"})


def seconds_of(runs: int) -> tuple[dict[str, list[float]], bool]:
    """The seconds of each fault, and whether every one came and went in every run."""
    found: dict[str, list[float]] = defaultdict(list)
    is_whole = True
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.jsonl"
        for _ in range(runs):
            words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "soak", TESTS]
            done = subprocess.run(words, cwd=ROOT, env={**os.environ, TABLE: str(file)}, stdout=sys.stderr, check=False)
            is_whole = is_whole and done.returncode == 0
        for line in file.read_text().splitlines() if file.exists() else ():
            row = json.loads(line)
            found[row["fault"]].append(row["seconds"])
    return found, is_whole


def markdown(found: Mapping[str, Sequence[float]]) -> str:
    """The faults by their names, down and then to the right."""
    cells = [f"`{name}` | {statistics.median(each):.1f} | {max(each):.1f}" for name, each in sorted(found.items())]
    height = -(-len(cells) // COLUMNS)
    cells += [" |  | "] * (height * COLUMNS - len(cells))
    lines = [f"| {' | '.join(['fault | median, s | longest, s'] * COLUMNS)} |", f"|{'---|--:|--:|' * COLUMNS}"]
    lines += [f"| {' | '.join(cells[row::height])} |" for row in range(height)]
    return "\n".join(lines)


def main(runs: int) -> int:
    """Measure, and tell."""
    found, is_whole = seconds_of(runs)
    print(markdown(found), file=sys.stderr)
    late = sorted(name for name, each in found.items() if name not in WITH_A_START and max(each) > LIMIT_SECONDS)
    result: dict[str, object] = {"runs": runs, "faults": len(found), "limit_seconds": LIMIT_SECONDS, "late": late}
    result |= {f"{name}_median_seconds": round(statistics.median(each), 2) for name, each in sorted(found.items())}
    return report({**result, "is_ok": is_whole and not late})


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS))
