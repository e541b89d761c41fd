"""How a benchmark ends."""

import json
import sys
from collections.abc import Mapping


def report(result: Mapping[str, object]) -> int:
    """A line a value for people on stderr, JSON on stdout; the exit code: 0 if ``is_ok``."""
    for key, value in result.items():
        print(f"{key:28} {value}", file=sys.stderr)
    print(json.dumps(result))
    return 0 if result["is_ok"] else 1
