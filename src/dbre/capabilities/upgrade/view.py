"""How ``dbre upgrade`` shows what it sees, and what it has done."""

from typing import Any

from dbre.capabilities.upgrade.checks import CheckState, RollCheck, version_text
from dbre.capabilities.upgrade.survey import NodeLook, Survey
from dbre.core.errors import ExitCode
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.states import StepPhase, StepState
from dbre.core.text import printable
from dbre.core.view import Column, Row, View

__all__ = ["done_view", "status_view"]

_MARKS = {CheckState.OK: "ok", CheckState.WARN: "warn", CheckState.FAIL: "FAIL"}
_ORDER = (CheckState.FAIL, CheckState.WARN, CheckState.OK)
_ACTS = ("restart", "change", "replace")


def status_view(seen: Survey, checks: list[RollCheck]) -> View:
    """What runs, what would run after a restart, what waits for one, and what is in the way; ends with 3 where something is."""
    checks = sorted(checks, key=lambda one: _ORDER.index(one.state))
    is_in_way = any(one.state is CheckState.FAIL for one in checks)
    document: dict[str, Any] = {
        "cluster": seen.cluster.name,
        "may_restart": not is_in_way,
        "instances": [_instance(one) for one in seen.nodes.values()],
        "checks": [
            {
                "rule": one.rule, "subject": one.subject, "state": one.state.value, "value": one.value,
                "limit": one.limit, "source": one.source, "remedy": one.remedy,
            }
            for one in checks
        ],
    }  # fmt: skip
    code = ExitCode.FINDINGS if is_in_way else ExitCode.OK
    return View(kind="UpgradeStatus", items=[document], single=True, text=_text(document, checks), exit_code=code)


def done_view(record: OperationRecord) -> View:
    """What became of each server, in the order in which it was done."""
    rows: list[Row] = []
    for one in record.steps:
        if one.phase is not StepPhase.DO or one.state is not StepState.DONE or one.result is None:
            continue
        handler, _, name = one.name.partition(":")
        if handler in _ACTS:
            rows.append({"subject": name, "what": _what(one.result), "probe_seconds": one.result.get("probe_seconds")})
        elif handler in ("switch", "switch-back"):
            rows.append({"subject": one.result["primary"], "what": "became primary", "probe_seconds": None})
    columns = [
        Column(key="subject", title="INSTANCE"),
        Column(key="what", title="WHAT"),
        Column(key="probe_seconds", title="ANSWERS IN", format=lambda value: f"{value:.3f} s" if value else "-"),
    ]
    empty = "nothing was left to do: every server is in the wanted state already"
    return View(kind="UpgradedServerList", items=rows, columns=columns, empty=empty, exit_code=record.exit_code)


def _what(result: Any) -> str:
    changed = ", ".join(f"{one['name']} is {one['value']}" for one in result.get("settings", []))
    version = f"runs {result['version']}" if "version" in result else ""
    how = result.get("how") or ("restarted" if result.get("restarted") else "no restart was due any more")
    return printable("; ".join(part for part in (how, changed, version, _speed(result), *_told(result)) if part), limit=600)


def _speed(result: Any) -> str:
    before, after = result.get("p95_before"), result.get("p95_after")
    return f"p95 of a probe {before:.4f} s before, {after:.4f} s after" if before is not None and after is not None else ""


def _told(result: Any) -> list[str]:
    """What nobody asked for, and is so now."""
    outdated = [f"ALTER EXTENSION UPDATE is due for {one}" for one in result.get("extensions_outdated", [])]
    return [*(f"setting {one}" for one in result.get("settings_changed", [])), *outdated]


def _instance(one: NodeLook) -> dict[str, Any]:
    return {
        "name": one.name,
        "role": one.view.role.value if one.view is not None else None,
        "running": version_text(one.version),
        "installed": version_text(one.installed),
        "waits_for_restart": [setting.name for setting in one.pending],
    }


def _text(document: dict[str, Any], checks: list[RollCheck]) -> str:
    verb = "can" if document["may_restart"] else "cannot"
    lines = [f"{document['cluster']}: its servers {verb} be restarted one after the other now", ""]
    for one in document["instances"]:
        line = f"  {one['name']}: {one['role'] or 'no answer'}, runs {one['running']}"
        if one["installed"] not in (one["running"], "unknown"):
            line += f", {one['installed']} is installed"
        if one["waits_for_restart"]:
            line += f"; waits for a restart: {printable(', '.join(one['waits_for_restart']), limit=300)}"
        lines.append(line)
    lines.append("")
    for check in checks:
        lines.append(f"{_MARKS[check.state]:<4}  {check.subject}: {check.rule.replace('_', ' ')}: {check.value}")
        if check.state is not CheckState.OK:
            lines.append(f"      wanted: {check.limit} (seen by {check.source})")
            lines += [f"      remedy: {check.remedy}"] if check.remedy else []
    return "\n".join(lines) + "\n"
