"""Reports of google/slo-generator for cases on standard input. Runs in an environment of its own that has `slo-generator`.

Each case is [goal, window seconds, good, bad, burn rate threshold]; prints one line of JSON with the numbers of each report.
"""

import json
import logging
import sys
from importlib.metadata import version

from slo_generator.report import SLOReport

logging.disable(logging.CRITICAL)


class Given(SLOReport):
    """A report whose counts are given and not asked of a backend."""

    counts: tuple[int, int] = (0, 0)

    def run_backend(self, *_: object, **__: object) -> tuple[int, int]:
        return self.counts


def report(goal: float, window: int, good: int, bad: int, threshold: float) -> dict[str, object]:
    Given.counts = (good, bad)
    config = {"metadata": {"name": "case"}, "spec": {"description": "", "goal": goal, "backend": "given", "method": "given"}}
    messages = {"message_alert": "", "message_ok": ""}
    step = {"name": "step", "window": window, "burn_rate_threshold": threshold, "alert": True, **messages}
    found = Given(config=config, backend={"class": "Given"}, step=step, timestamp=0)
    return {
        "sli": found.sli_measurement,
        "burn_rate": found.error_budget_burn_rate,
        "budget_minutes": found.error_budget_minutes,
        "remaining_minutes": found.error_budget_remaining_minutes,
        "error_minutes": found.error_minutes,
        "alert": found.alert,
    }


if __name__ == "__main__":
    cases = json.load(sys.stdin)
    print(json.dumps({"peer": f"slo-generator {version('slo-generator')}", "reports": [report(*case) for case in cases]}))
