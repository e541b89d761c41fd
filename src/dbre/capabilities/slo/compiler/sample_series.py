"""Series that selectors find, made up for unit tests of rules."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dbre.capabilities.slo.compiler.promql import is_selector

__all__ = ["SampleSeries", "sample_series"]

_TERM = re.compile(r'\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\')\s*,?')
_NAME = re.compile(r"\s*([a-zA-Z_:][\w:]*)?\s*\{?")
_TRIES = ("200", "ok", "GET", "other", "500", "503", "a")


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSeries:
    """Series of good events and of bad ones; where bad events are counted by a metric of their own, those are counted twice."""

    good: Mapping[str, str]
    bad: Mapping[str, str]
    bad_in_total: Mapping[str, str] | None  # None: the series of bad events is one of those that total finds


def sample_series(bad: str, total: str, *, group_label: str | None = None) -> SampleSeries | None:
    """Series that two selectors tell apart; None where none come to mind."""
    if not (is_selector(bad) and is_selector(total)):
        return None
    of_bad, of_total = _terms(bad), _terms(total)
    every = _example(of_total, {})
    if every is None:
        return None
    with_group = {} if group_label is None or group_label in every else {group_label: "a"}
    every |= with_group
    both = _example(of_bad, every)
    if both is None or not _matches(of_bad, both):
        return None
    if both["__name__"] != every["__name__"]:
        return SampleSeries(good=every, bad=both, bad_in_total=every)
    if not _matches(of_total, both):
        return None
    candidates = [every, *({**every, label: value} for label, _, _ in of_bad for value in _TRIES)]
    good = next((one for one in candidates if _matches(of_total, one) and not _matches(of_bad, one)), None)
    return None if good is None else SampleSeries(good=good, bad=both, bad_in_total=None)


def _terms(selector: str) -> list[tuple[str, str, str]]:
    head = _NAME.match(selector)
    terms = [(one[1], one[2], _unquoted(one[3])) for one in _TERM.finditer(selector, head.end() if head else 0)]
    return ([("__name__", "=", head[1])] if head and head[1] else []) + terms


def _unquoted(literal: str) -> str:
    return re.sub(r"\\(.)", r"\1", literal[1:-1])


def _example(terms: list[tuple[str, str, str]], start: Mapping[str, str]) -> dict[str, str] | None:
    """Labels that all terms like, beginning with some that are there; None where none were found, or no metric is named."""
    labels = dict(start)
    for label, operator, value in terms:
        if _matches([(label, operator, value)], labels):
            continue
        wanted = [value] if operator == "=" else [*_alternatives(value), *_TRIES]
        found = next((one for one in wanted if _matches([(label, operator, value)], {label: one})), None)
        if found is None:
            return None
        labels[label] = found
    return labels if "__name__" in labels else None


def _alternatives(pattern: str) -> list[str]:
    """Simple words that a pattern may stand for: its branches with every wildcard filled in."""
    plain = pattern.replace("(", "").replace(")", "")
    return [re.sub(r"\.[*+]|\\d[*+]?|\.", "0", branch).replace("\\", "") for branch in plain.split("|")]


def _matches(terms: list[tuple[str, str, str]], labels: Mapping[str, str]) -> bool:
    return all(_agrees(operator, value, labels.get(label, "")) for label, operator, value in terms)


def _agrees(operator: str, value: str, found: str) -> bool:
    if operator in ("=", "!="):
        return (found == value) is (operator == "=")
    try:
        return (re.fullmatch(value, found) is not None) is (operator == "=~")
    except re.error:  # RE2 knows some expressions that Python does not
        return False
