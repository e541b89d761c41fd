"""What an expression must be so that its increase can be counted, and how a cluster gets into it."""

import re

from dbre.core.errors import UsageError

__all__ = ["InvalidExpression", "check_counter", "escape_label_value", "for_cluster"]

_CLUSTER = "{cluster}"
_STRING = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`")
_AGGREGATED = re.compile(
    r"\b(sum|avg|min|max|count|group|stddev|stdvar|topk|bottomk|quantile|count_values"
    r"|rate|irate|increase|delta|idelta|deriv|changes|resets|\w+_over_time)\b\s*(\(|by\b|without\b)",
    re.IGNORECASE,
)
_RANGE = re.compile(r"\[[^\]]*\]")


class InvalidExpression(UsageError):
    """An expression whose increase would be wrong."""

    code = "slo.invalid_expression"


def check_counter(expression: str) -> str:
    """An expression that gives counters, one series each.

    A sum of counters falls when one of them begins again, and its increase is then wrong; a rate is no counter at all. dbre
    takes the increase of each series, and sums then.

    >>> check_counter('http_requests_total{code=~"5..", cluster="{cluster}"}')
    'http_requests_total{code=~"5..", cluster="{cluster}"}'

    Raises: InvalidExpression.
    """
    bare = _STRING.sub('""', expression)
    if not expression.strip():
        raise InvalidExpression("the expression is empty", hint="write the name of a counter: http_requests_total")
    found = _AGGREGATED.search(bare)
    if found is not None:
        raise InvalidExpression(
            f"the expression holds {found[1]}(), which hides when a counter begins again",
            hint="write the counters alone, as http_requests_total{code=~'5..'}; dbre sums their increases by group_label",
        )
    if _RANGE.search(bare):
        raise InvalidExpression(
            "the expression holds a range like [5m]", hint="write the counters alone; dbre knows the windows"
        )
    for opening, closing in ("()", "{}"):
        if bare.count(opening) != bare.count(closing):
            raise InvalidExpression(f"the expression has {opening} without {closing}", hint="see that brackets are paired")
    return expression


def escape_label_value(text: str) -> str:
    r"""Text as it stands between the quotation marks of a PromQL string.

    >>> print(escape_label_value('a"} or vector(1) #\n'))
    a\"} or vector(1) #\n
    """
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def for_cluster(expression: str, cluster: str) -> str:
    """The expression of one cluster: ``{cluster}`` inside a string is replaced by the name, escaped.

    >>> for_cluster('up{db="{cluster}"}', 'or"ders')
    'up{db="or\\\\"ders"}'
    """
    return _STRING.sub(lambda match: match[0].replace(_CLUSTER, _escaped(match[0][0], cluster)), expression)


def _escaped(mark: str, cluster: str) -> str:
    if mark == "`":
        return cluster.replace("`", "")  # nothing can be escaped there; no cluster of an inventory has such a name
    return escape_label_value(cluster).replace("'", "\\'") if mark == "'" else escape_label_value(cluster)
