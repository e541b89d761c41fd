"""A report as Markdown for a wiki, and as one page of HTML that needs nothing else."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from dbre.core.text import printable
from dbre.core.units import format_duration, format_percent

__all__ = ["as_html", "as_markdown", "sections_of"]

# Addresses are links without any mark; - + # are marks only where a line begins, which text of others never does.
_MARKED = re.compile(r"([\\`*_{}\[\]<>!|~$&]|:(?=//)|(?<=www)\.)", re.IGNORECASE)
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "table{border-collapse:collapse;margin:.5rem 0 1.5rem;display:block;overflow-x:auto}"
    "th,td{border:1px solid #8888;padding:.3rem .6rem;text-align:left;"
    "vertical-align:top}caption{text-align:left;font-weight:600;padding:.3rem 0}"
)

_CLIENTS = {  # what clients saw, in words that need no other page
    "lost": "acknowledged writes that were lost",
    "phantom": "writes that are there though nobody heard so",
    "duplicate": "writes that are there twice",
    "stale": "reads that lacked what was acknowledged before",
    "overlap": "writes that an old primary acknowledged beside a new one",
}

Section = tuple[str, Sequence[str], Sequence[Sequence[str]]]
"""Title, heads of columns, rows."""


def sections_of(report: Mapping[str, Any]) -> list[Section]:
    """The tables of a report, as text for people; the same in every form."""
    found: list[Section] = [("Findings", ("severity", "what", "remedy"), _findings(report)), _numbers(report)]
    found.append(("Noticed by", ("who", "after"), _signs(report)))
    found.append(("Hypothesis", ("probe", "when", "held", "seen"), _hypothesis(report)))
    found.append(("Faults", ("fault", "instance", "on for", "gone", "seen at its end"), _faults(report)))
    found.append(("SLOs", ("SLO", "objective", "before", "meanwhile", "after", "bad", "budget spent", "left"), _slos(report)))
    comparison = report.get("comparison")
    if comparison:
        rows = [
            (one["what"], _short(one["what"], one["before"]), _short(one["what"], one["now"]), one["word"])
            for one in comparison["changes"]
        ]
        title = f"Since the run of {_moment(comparison['began_at'])} ({comparison['run']})"
        found.append((title, ("number", "then", "now", "change"), rows))
    return [one for one in found if one[2]]


def as_markdown(report: Mapping[str, Any]) -> str:
    """For a wiki or a message."""
    lines = [f"# {_plain(str(report['title']))}", "", _plain(_headline(report)), ""]
    for title, heads, rows in sections_of(report):
        lines += [f"## {_plain(title)}", "", f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
        lines += [f"| {' | '.join(_plain(cell) for cell in row)} |" for row in rows]
        lines.append("")
    return "\n".join(lines)


def as_html(report: Mapping[str, Any]) -> str:
    """One page without scripts; text of others is never markup."""
    title = escape(printable(str(report["title"]), limit=300))
    parts = ['<!doctype html><html lang="en"><head><meta charset="utf-8">']
    parts.append(f'<meta name="viewport" content="width=device-width"><title>{title}</title><style>{_STYLE}</style></head>')
    parts.append(f"<body><h1>{title}</h1><p>{escape(_headline(report))}</p>")
    for name, heads, rows in sections_of(report):
        parts.append(f"<table><caption>{escape(printable(name, limit=200))}</caption><thead><tr>")
        parts += [f'<th scope="col">{escape(head)}</th>' for head in heads]
        parts.append("</tr></thead><tbody>")
        for row in rows:
            parts.append("<tr>" + "".join(f"<td>{escape(printable(cell, limit=600))}</td>" for cell in row) + "</tr>")
        parts.append("</tbody></table>")
    return "".join(parts) + "</body></html>\n"


def _headline(report: Mapping[str, Any]) -> str:
    score = report["score"]
    worth = "no score" if score is None else f"score {score['value_ratio'] * 100:.0f} of 100"
    ended = f" to {_moment(report['ended_at'])}" if report["ended_at"] else ""
    asked = f", {report['entry']}" if report["entry"] else ""
    found = f"{report['cluster']}{asked}: {report['state']}, {worth}. {_moment(report['began_at'])}{ended}, run {report['id']}."
    return found if report["findings"] else f"{found} No findings."


def _moment(text: object) -> str:
    """A moment as people read it; the document has it to the microsecond.

    >>> _moment("2026-11-22T03:59:31.417036Z")
    '2026-11-22 03:59:31 UTC'
    """
    return f"{str(text)[:19].replace('T', ' ')} UTC"


def _findings(report: Mapping[str, Any]) -> list[Sequence[str]]:
    return [(one["severity"], one["summary"], one["remedy"]) for one in report["findings"]]


def _numbers(report: Mapping[str, Any]) -> Section:
    detection, recovery, clients = report["detection"], report["recovery"], report["clients"] or {}
    noticed = f"{_seconds(detection['seconds'])} by {detection['by']}" if detection["by"] else "nobody noticed"
    rows = [
        ("noticed after", noticed, _seconds(detection["objective_seconds"])),
        ("longest time without service", _seconds(recovery["outage_seconds"]), _seconds(recovery["objective_seconds"])),
        ("all well again after", _seconds(recovery["recovery_seconds"]), _seconds(recovery["objective_seconds"])),
    ]
    if report["revert_seconds"] is not None and report["state"] in ("aborted", "stopped"):
        rows.append(("ended within", _seconds(report["revert_seconds"]), "1.0s"))
    rows += [(words, _number(clients[name]), "") for name, words in _CLIENTS.items() if name in clients]
    score, uncounted = report["score"], sum(not _is_counted(one) for one in report["slos"])
    if score is not None:
        has_budgets = any(one["budget_remaining_ratio"] is not None for one in report["slos"])
        what = "the hypothesis held and budgets lasted" if has_budgets else "the hypothesis held"
        rows.append((what, "yes" if score["slo_kept"] else "no", "yes"))
    if uncounted:
        rows.append(("SLOs of which nothing was counted", str(uncounted), ""))
    return ("Numbers", ("what", "measured", "objective"), rows)


def _signs(report: Mapping[str, Any]) -> list[Sequence[str]]:
    return [(str(one["by"]), _seconds(one["seconds"])) for one in report["detection"].get("signs") or ()]


def _hypothesis(report: Mapping[str, Any]) -> list[Sequence[str]]:
    return [(one["probe"], one["when"], "yes" if one["holds"] else "NO", one["detail"] or "") for one in report["hypothesis"]]


def _faults(report: Mapping[str, Any]) -> list[Sequence[str]]:
    words = {None: "never on", True: "yes", False: "NO"}
    return [
        (one["fault"], one["instance"], _seconds(one["seconds"]), words[one["is_reverted"]], one["detail"] or "")
        for one in report["faults"]
    ]


def _is_counted(slo: Mapping[str, Any]) -> bool:
    names = ("before_ratio", "during_ratio", "after_ratio", "budget_remaining_ratio")
    return any(slo[name] is not None for name in names)


def _slos(report: Mapping[str, Any]) -> list[Sequence[str]]:
    return [
        (
            one["slo"],
            _ratio(one["objective_ratio"]),
            _ratio(one["before_ratio"]),
            _ratio(one["during_ratio"]),
            _ratio(one["after_ratio"]),
            str(one["bad_during"]),
            _ratio(one["budget_spent_ratio"]),
            _ratio(one["budget_remaining_ratio"]),
        )
        for one in report["slos"]
        if _is_counted(one)
    ]


def _number(value: object) -> str:
    return str(value) if value is not None else "not known"


def _seconds(value: object) -> str:
    return format_duration(float(value)) if isinstance(value, int | float) else "not measured"


def _short(what: str, value: float) -> str:
    return f"{value * 100:.0f}" if what == "score" else _seconds(value)


def _ratio(value: object) -> str:
    return format_percent(float(value), digits=3) if isinstance(value, int | float) else "-"


def _plain(text: str) -> str:
    r"""Text of others in Markdown: nothing in it is markup.

    >>> print(_plain("a-b|c <script>"))
    a-b\|c \<script\>
    """
    return _MARKED.sub(r"\\\1", printable(text, limit=600))
