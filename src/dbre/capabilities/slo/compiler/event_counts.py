"""Recording rules that count bad and all valid events over each window: counts and never ratios, so that they add up.

A ratio of 0 to 0 is no number and would spoil every sum over it for a whole period; an average of ratios gives a quiet night
the weight of a busy day. Counts have neither fault.
"""

from collections.abc import Iterator, Mapping, Sequence

from dbre.capabilities.slo.alert_rules import compact_duration
from dbre.capabilities.slo.compiler.promql import duration, is_selector, string
from dbre.capabilities.slo.compiler.rule_file import Record
from dbre.capabilities.slo.compiler.subject import Subject
from dbre.capabilities.slo.definition import OTHER_GROUP
from dbre.capabilities.slo.sources import PrometheusSource

__all__ = ["BASE_SECONDS", "bad_of", "direct_windows", "own_counts", "source_counts", "summed_counts", "total_of"]

BASE_SECONDS = 300
"""The window of which longer ones are made, side by side."""

_LONGEST_DIRECT = 7_200  # to here a window ends now, so that pages come at once; longer ones move in steps of 5 min
_BY = "sum by (slo, cluster, group)"
_GOOD, _BAD = "dbre_slo_good_total", "dbre_slo_bad_total"


def bad_of(seconds: int) -> str:
    """The recorded metric of bad events in a window."""
    return f"dbre:slo_bad:increase{duration(seconds)}"


def total_of(seconds: int) -> str:
    """The recorded metric of all valid events in a window."""
    return f"dbre:slo_total:increase{duration(seconds)}"


def direct_windows(windows: Sequence[int]) -> list[int]:
    """The windows that are counted from the raw counters: short ones, and such that are no whole number of 5 min."""
    chosen = {one for one in windows if one <= _LONGEST_DIRECT or one % BASE_SECONDS}
    return sorted(chosen | {BASE_SECONDS})


def own_counts(windows: Sequence[int], *, terms: str) -> Iterator[Record]:
    """From dbre's own counters, of all SLOs at once; ``terms`` are the label matchers of those that are compiled."""
    for window in direct_windows(windows):
        reach = f"{{{terms}}}[{duration(window)}]" if terms else f"[{duration(window)}]"
        yield Record(name=bad_of(window), expression=f"{_BY} (increase({_BAD}{reach}))")
        good = f"{_BY} (increase({_GOOD}{reach}))"
        yield Record(name=total_of(window), expression=f"{good}\n+\n{_BY} (increase({_BAD}{reach}))")


def source_counts(subject: Subject, source: PrometheusSource) -> Iterator[Record]:
    """From counters of the user's: where the one of bad events does not exist yet, nothing bad has happened."""
    for cluster in subject.clusters:
        labels = {"slo": subject.name, "cluster": cluster}
        bad, total = (_for_cluster(one, cluster) for one in (source.bad, source.total))
        for window in direct_windows(subject.windows):
            events = _summed(subject, source, total, window)
            absent = f"{_summed(subject, source, bad, window)}\nor\n0 * (\n{events}\n)"
            yield Record(name=bad_of(window), expression=absent, labels=labels)
            yield Record(name=total_of(window), expression=events, labels=labels)


def _summed(subject: Subject, source: PrometheusSource, expression: str, window: int) -> str:
    """All of a counter, by group, or both."""
    reach = _reach(expression, window)
    whole = f"sum(increase({reach}))"
    if source.group_label is None:
        return whole
    return _grouped(reach, source.group_label) + (f"\nor\n{whole}" if subject.has_roll_up else "")


def _for_cluster(expression: str, cluster: str) -> str:
    """The placeholder stands within quotation marks; a name cannot leave them."""
    return expression.strip().replace("{cluster}", string(cluster)[1:-1])


def _reach(expression: str, window: int) -> str:
    if is_selector(expression):
        return f"{expression}[{duration(window)}]"
    return f"({expression})[{duration(window)}:15s]"  # resets of single counters are seen only in their sum


def _grouped(reach: str, label: str) -> str:
    """Summed by the label that names the group, which is then called ``group``; events without it are all others."""
    other = f'label_replace(sum by ({label}) (increase({reach})), "group", {string(OTHER_GROUP)}, "", "")'
    return f'sum by (group) (label_replace({other}, "group", "$1", {string(label)}, "(.+)"))'


def summed_counts(
    window: int, *, terms: str, names: tuple[str, str] | None = None, labels: Mapping[str, str] | None = None
) -> Iterator[Record]:
    """A window that is the sum of base windows side by side; ``names`` are those of the metrics, by default the window's.

    The range ends 1 ms short of the window: with both ends in it a sub-query at a whole step would count one base window
    too many (ranges are closed on both sides before Prometheus 3).
    """
    bad, total = names or (bad_of(window), total_of(window))
    reach = f"[{compact_duration(window - 1)}999ms:{duration(BASE_SECONDS)}]"
    for base, name in ((bad_of(BASE_SECONDS), bad), (total_of(BASE_SECONDS), total)):
        metric = f"{base}{{{terms}}}" if terms else base
        yield Record(name=name, expression=f"sum_over_time({metric}{reach})", labels=labels or {})
