"""What an experiment found, as its command shows it."""

from dbre.core.errors import ExitCode
from dbre.core.operation.model import OperationRecord
from dbre.core.view import Column, Row, View

__all__ = ["experiment_view"]


def experiment_view(record: OperationRecord) -> View:
    """Faults and probes; ends with 3 where what should hold did not."""
    results = {step.name: step.result or {} for step in record.steps if step.result}
    rows: list[Row] = [
        {
            "subject": f"{one['fault']} on {one['instance']}",
            "phase": "fault",
            "holds": one["is_reverted"],
            "detail": f"gone: {one['detail']} ({one['why']})" if one["is_reverted"] else one["detail"],
        }
        for one in results.get("inject", {}).get("faults", [])
    ]
    rows += [_found("before", one) for one in results.get("baseline", {}).get("before", [])]
    rows += [_during(one) for one in results.get("inject", {}).get("during", [])]
    rows += [_found("after", one) for one in results.get("settle", {}).get("after", [])]
    columns = [
        Column(key="subject", title="WHAT"),
        Column(key="phase", title="WHEN"),
        Column(key="holds", title="HOLDS", format=lambda value: "yes" if value else "NO"),
        Column(key="detail", title="SEEN", below=True),
    ]
    is_good = all(row["holds"] for row in rows)
    code = record.exit_code if record.exit_code is not ExitCode.OK or is_good else ExitCode.FINDINGS
    return View(kind="ExperimentResult", items=rows, columns=columns, exit_code=code)


def _found(phase: str, one: Row) -> Row:
    return {"subject": one["probe"], "phase": phase, "holds": one["holds"], "detail": one["detail"]}


def _during(one: Row) -> Row:
    good, bad = one["good"], one["bad"]
    detail = f"{good} of {int(str(good)) + int(str(bad))} held" + (f"; first: {one['first_bad']}" if bad else "")
    return {"subject": one["probe"], "phase": "during", "holds": one.get("holds", not bad), "detail": detail}
