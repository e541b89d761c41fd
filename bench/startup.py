"""What a command costs before it does anything: CPU seconds of root help beside a bare Python and beside ``import typer``.

Run: ``.venv/bin/python bench/startup.py``. The limit of root help is 0.25 CPU seconds.
"""

import json
import os
import statistics
import subprocess
import sys

LIMIT_SECONDS = 0.25
RUNS = 15
COMMANDS = {
    "bare python (floor)": [sys.executable, "-c", "pass"],
    "import typer": [sys.executable, "-c", "import typer"],
    "dbre --help": [sys.executable, "-m", "dbre", "--help"],
    "dbre slo --help": [sys.executable, "-m", "dbre", "slo", "--help"],
    "dbre version": [sys.executable, "-m", "dbre", "version"],
}


def cpu_seconds(command: list[str]) -> float:
    """User and system time of one child."""
    before = os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return (after.children_user - before.children_user) + (after.children_system - before.children_system)


def main() -> int:
    """Measure all, print them, and give 1 if the limit is missed."""
    medians = {}
    for name, command in COMMANDS.items():
        cpu_seconds(command)  # bytecode and page cache
        medians[name] = statistics.median(cpu_seconds(command) for _ in range(RUNS))
    floor = medians["bare python (floor)"]
    for name, seconds in medians.items():
        print(f"{name:22} {seconds:6.3f} s CPU  {seconds / floor:5.1f} x floor")
    is_met = medians["dbre --help"] <= LIMIT_SECONDS
    print(json.dumps({"bench": "startup", "limit_seconds": LIMIT_SECONDS, "is_met": is_met, "cpu_seconds": medians}))
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
