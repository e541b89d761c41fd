"""Runs the tests that just failed once more, one after the other, and says which of them are unsteady.

A test that fails again is a failure. So are more failures than LIMIT: that many are no accident of a busy machine.
"""

import json
import subprocess
import sys
from pathlib import Path

LIMIT = 5
_FAILED = Path(".pytest_cache/v/cache/lastfailed")


def main(arguments: list[str]) -> int:
    """The exit code of the whole: 0 if every one of a few failures passed alone."""
    failed = sorted(json.loads(_FAILED.read_text())) if _FAILED.exists() else []
    if not 0 < len(failed) <= LIMIT:
        return 1
    command = [sys.executable, "-m", "pytest", "--last-failed", "--last-failed-no-failures", "none", *arguments]
    again = subprocess.run(command, check=False).returncode
    for name in failed:
        print(f"UNSTEADY {name}: failed beside others{', passed alone' if again == 0 else ''}")
    return again


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
