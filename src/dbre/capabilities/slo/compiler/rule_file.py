"""A file of Prometheus rules: the same text for the same rules, whatever their order in memory."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Alert", "Group", "Record", "Rule", "rendered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One recording rule."""

    name: str
    expression: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alerting rule."""

    name: str
    expression: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    for_seconds: int = 0
    keep_firing_seconds: int = 0


Rule = Record | Alert


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules that are evaluated one after the other, at the same moment; ``interval_seconds`` 0: as often as the server does."""

    name: str
    rules: Sequence[Rule]
    interval_seconds: int = 0


def rendered(groups: Sequence[Group], *, title: str) -> str:
    """The file; its head names the hash of all that follows, so that a changed file can be told."""
    body = "\n".join(_lines(groups)) + "\n"
    digest = hashlib.sha256(body.encode()).hexdigest()[:16]
    return f"# {title}\n# Written by dbre slo compile; do not edit. sha256: {digest}\n{body}"


def _lines(groups: Sequence[Group]) -> Iterator[str]:
    yield "groups:" if groups else "groups: []"
    for group in groups:
        yield f"- name: {_text(group.name)}"
        if group.interval_seconds:
            yield f"  interval: {group.interval_seconds}s"
        yield "  rules:"
        for rule in group.rules:
            yield from _rule_lines(rule)


def _rule_lines(rule: Rule) -> Iterator[str]:
    yield f"  - {'record' if isinstance(rule, Record) else 'alert'}: {_text(rule.name)}"
    first, *others = rule.expression.split("\n")
    if others:
        yield "    expr: |-"
        yield from (f"      {line}" for line in (first, *others))
    else:
        yield f"    expr: {_text(first)}"
    if isinstance(rule, Alert):
        if rule.for_seconds:
            yield f"    for: {rule.for_seconds}s"
        if rule.keep_firing_seconds:
            yield f"    keep_firing_for: {rule.keep_firing_seconds}s"
    yield from _mapping_lines("labels", rule.labels)
    if isinstance(rule, Alert):
        yield from _mapping_lines("annotations", rule.annotations)


def _mapping_lines(key: str, values: Mapping[str, str]) -> Iterator[str]:
    if values:
        yield f"    {key}:"
        yield from (f"      {name}: {_text(value)}" for name, value in sorted(values.items()))


def _text(text: str) -> str:
    """A string for every reader of YAML, also where it looks like a number, a date or a yes: quoted as JSON quotes it."""
    return json.dumps(text, ensure_ascii=True)
