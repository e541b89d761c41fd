import pytest

from dbre.core.checks import Check, CheckRegistry, Finding, Severity, exit_code_of, worst_first
from dbre.core.errors import ExitCode, UsageError


def finding(severity: Severity, subject: str = "a") -> Finding:
    return Finding(rule="r", severity=severity, subject=subject, summary="s")


async def nothing() -> list[Finding]:
    return []


def test_findings_are_sorted_worst_first_and_fail_from_a_severity_on() -> None:
    mixed = [finding(Severity.INFO), finding(Severity.CRITICAL, "b"), finding(Severity.CRITICAL, "a"), finding(Severity.ERROR)]
    assert [(one.severity.value, one.subject) for one in worst_first(mixed)] == [
        ("critical", "a"), ("critical", "b"), ("error", "a"), ("info", "a"),
    ]  # fmt: skip
    warning = [finding(Severity.WARNING)]
    assert exit_code_of(warning, fail_on=Severity.ERROR) is ExitCode.OK
    assert exit_code_of(warning, fail_on=Severity.WARNING) is ExitCode.FINDINGS
    assert exit_code_of([], fail_on=Severity.INFO) is ExitCode.OK


def test_checks_are_found_by_id() -> None:
    check = Check(id="fleet.reachable", title="Reachable", run=nothing)
    registry = CheckRegistry([check])
    assert (registry.get("fleet.reachable"), registry.all()) == (check, (check,))
    with pytest.raises(UsageError, match=r"no check is named 'fleet\.reachible'") as caught:
        registry.get("fleet.reachible")
    assert caught.value.hint == "did you mean fleet.reachable?"
    with pytest.raises(ValueError, match="registered twice"):
        registry.add(check)
