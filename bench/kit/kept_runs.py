"""Runs of the table of failovers in files, one line of JSON a run: an interrupted row goes on where it stopped."""

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["KeptRuns", "markdown", "summary"]

_COLUMNS = (
    "row",
    "fault",
    "by",
    "commits",
    "runs",
    "p50",
    "p95",
    "longest",
    "promised at most",
    "another primary after",
    "lost of acknowledged",
    "runs with loss",
    "acknowledged by the old primary after the promotion",
    "load",
)


class KeptRuns:
    """The runs of one row."""

    def __init__(self, directory: Path, row: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / f"{row}.jsonl"

    def all(self) -> list[dict[str, Any]]:
        """What was kept; a last line that was cut off by a kill is none."""
        if not self._path.exists():
            return []
        lines = self._path.read_text().split("\n")[:-1]
        return [json.loads(one) for one in lines if one]

    def measured(self) -> int:
        """How many did not fail."""
        return sum(not one.get("failure") for one in self.all())

    def keep(self, run: Mapping[str, Any]) -> None:
        """Append a run, with when it ended and the load of the machine then; it survives whatever comes."""
        found = self._path.read_bytes() if self._path.exists() else b""
        line = json.dumps({**run, "at": datetime.now(UTC).isoformat(timespec="seconds"), "load": round(os.getloadavg()[0], 1)})
        with self._path.open("ab") as stream:
            stream.write(b"\n" * (bool(found) and not found.endswith(b"\n")) + line.encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())


def summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the runs of a row say together; those that failed are counted, and measure nothing."""
    good = [one for one in runs if not one.get("failure")]
    outages = sorted(one["outage_seconds"] for one in good if one["outage_seconds"] is not None)
    promoted = sorted(one["promoted_seconds"] for one in good if one["promoted_seconds"] is not None)
    promised = [one["predicted_most_seconds"] for one in good if one["predicted_most_seconds"] is not None]
    loads = [one["load"] for one in runs]
    return {
        "runs": len(runs),
        "failed": [one["failure"] for one in runs if one.get("failure")],
        "not_judged": sum(one["lost"] is None for one in good),
        "outages_s": [round(one, 2) for one in outages],
        "p50_s": _nearest(outages, 0.5),
        "p95_s": _nearest(outages, 0.95),
        "max_s": round(outages[-1], 2) if outages else None,
        "promoted_s": [_nearest(promoted, 0.5), round(promoted[-1], 2)] if promoted else None,
        "promised_s": max(promised, default=None),
        "late": sum(one["outage_seconds"] > one["predicted_most_seconds"] for one in good if one["predicted_most_seconds"]),
        "acknowledged": sum(one["acknowledged"] for one in good),
        "lost": [one["lost"] for one in good],
        "old_acknowledged": [one["old_acknowledged"] for one in good],
        "overlap": [one["overlap"] for one in good],
        "load": [min(loads), max(loads)] if loads else None,
        "from_to": [min(one["at"] for one in runs), max(one["at"] for one in runs)] if runs else None,
    }


def markdown(rows: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]) -> str:
    """A table of rows: what each is, and what its runs say."""
    lines = [f"| {' | '.join(_COLUMNS)} |", "|" + "---|" * len(_COLUMNS)]
    for name, (row, found) in rows.items():
        failed = f", {len(found['failed'])} failed" if found["failed"] else ""
        lost = [one or 0 for one in found["lost"]]
        old = [one or 0 for one in found["old_acknowledged"]]
        promised = f"{found['promised_s']:g} s" if found["promised_s"] is not None else ""
        cells = (
            name,
            row["fault"],
            row["by"],
            row["commits"],
            f"{found['runs']}{failed}",
            *(f"{one:.1f} s" if one is not None else "" for one in (found["p50_s"], found["p95_s"], found["max_s"])),
            promised + (f", {found['late']} later" if found["late"] else ""),
            "{:.1f} s, longest {:.1f} s".format(*found["promoted_s"]) if found["promoted_s"] else "nobody",
            f"{sum(lost)} of {found['acknowledged']}",
            f"{sum(one > 0 for one in lost)}" + (f" ({min(lost)} to {max(lost)})" if any(lost) else ""),
            f"0 in each of {len(old)}" if not any(old) else f"{sum(one > 0 for one in old)} runs: {min(old)} to {max(old)}",
            f"{found['load'][0]:.0f} to {found['load'][1]:.0f}" if found["load"] else "",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _nearest(ordered: Sequence[float], share: float) -> float | None:
    if not ordered:
        return None
    return round(ordered[max(0, -int(-share * len(ordered) // 1) - 1)], 2)
