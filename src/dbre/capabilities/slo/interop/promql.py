"""From the queries of other tools to bare counters: dbre takes the increase of each series itself, and sums then."""

import re
from dataclasses import dataclass

from dbre.capabilities.slo.polling.expression import InvalidExpression, check_counter

__all__ = ["Selector", "bad_expression", "counter_of", "selector_of"]

_STRING = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`"
_MATCHER = re.compile(rf"\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*({_STRING})\s*,?")
_SELECTOR = re.compile(rf"([a-zA-Z_:][\w:]*)?\s*(?:\{{((?:[^{{}}\"'`]|{_STRING})*)\}})?")
_WINDOW = re.compile(r"\{\{\s*\.window\s*\}\}|\$__\w+|\d+[smhdwy](\d+[smh])?")
_AGGREGATION = re.compile(r"sum\s*(?:(?:by|without)\s*\([^()]*\)\s*)?\(", re.IGNORECASE)
_INCREASE = re.compile(r"(?:rate|increase|irate)\s*\(", re.IGNORECASE)
_TRAILING_BY = re.compile(r"\)\s*(?:by|without)\s*\([^()]*\)\s*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Selector:
    """A vector selector: the name of a metric and its matchers, as label, operator and quoted value."""

    name: str
    matchers: tuple[tuple[str, str, str], ...] = ()

    def __str__(self) -> str:
        inner = ",".join(f"{label}{operator}{value}" for label, operator, value in self.matchers)
        return f"{self.name}{{{inner}}}" if inner or not self.name else self.name

    @property
    def others(self) -> frozenset[tuple[str, str, str]]:
        """The matchers but for the bound of a histogram's bucket."""
        return frozenset(one for one in self.matchers if one[0] != "le")


def selector_of(text: str) -> Selector | None:
    """A vector selector, or None where the text is more or something else.

    >>> str(selector_of('http_total{ code =~ "5..", job="a"}'))
    'http_total{code=~"5..",job="a"}'
    """
    found = _SELECTOR.fullmatch(text.strip())
    if found is None or not (found[1] or found[2]):
        return None
    matchers, rest = [], found[2] or ""
    while rest.strip():
        one = _MATCHER.match(rest)
        if one is None:
            return None
        matchers.append((one[1], one[2], one[3]))
        rest = rest[one.end() :]
    return Selector(found[1] or "", tuple(matchers))


def counter_of(query: str) -> str | None:
    """The bare counters of a query that sums their rates; None where the query is more than that.

    >>> counter_of('sum(rate(http_total{code=~"5.."}[{{.window}}]))')
    'http_total{code=~"5.."}'
    >>> counter_of('(sum(rate(http_count[5m])) - sum(rate(http_bucket{le="0.2"}[5m])))')
    'http_count - ignoring(le) http_bucket{le="0.2"}'
    """
    text = _unwrapped(query)
    if (selector := selector_of(text)) is not None:
        return str(selector)
    parts = _split_minus(text)
    if parts is not None:
        whole, part = (selector_of(_unwrapped(one)) for one in parts)
        return None if whole is None or part is None else _bucket_complement(whole, part)
    return text if _is_counter(text) else None


def bad_expression(good: str, total: str) -> str | None:
    """The bad events where a tool counts the good ones: series of the total that are not good, or what a bucket leaves.

    >>> bad_expression('http_total{code=~"2.."}', 'http_total')
    'http_total unless http_total{code=~"2.."}'

    None where that cannot be told from the selectors: then one series may hold good events and bad ones.
    """
    left, right = counter_of(good), counter_of(total)
    part, whole = selector_of(left or ""), selector_of(right or "")
    if part is None or whole is None:
        return None
    if part.name == whole.name and part.name and set(whole.matchers) < set(part.matchers):
        is_cut = any(label == "le" for label, _, _ in set(part.matchers) - set(whole.matchers))
        return None if is_cut else f"{whole} unless {part}"
    return _bucket_complement(whole, part)


def _bucket_complement(whole: Selector, part: Selector) -> str | None:
    """What lies above a bound of a histogram: all of its events without those of the bucket."""
    has_bound = any(label == "le" and operator == "=" for label, operator, _ in part.matchers)
    families = {whole.name.removesuffix("_count").removesuffix("_bucket"), part.name.removesuffix("_bucket")}
    infinite = any(label == "le" and value.strip("\"'`") == "+Inf" for label, _, value in whole.matchers)
    is_all = whole.name.endswith("_count") or infinite
    if has_bound and len(families) == 1 and is_all and whole.others == part.others and part.name.endswith("_bucket"):
        return f"{whole} - ignoring(le) {part}"
    return None


def _is_counter(text: str) -> bool:
    if "{{" in text:
        return False
    try:
        check_counter(text)
    except InvalidExpression:
        return False
    return _split_minus(text) is None


def _unwrapped(query: str) -> str:
    """The inside of sums, rates and brackets that enclose the whole query."""
    text = " ".join(query.split())
    while True:
        text = text.strip()
        if found := _TRAILING_BY.search(text):
            before = text[: found.start() + 1]
            if before.lower().startswith("sum") and _closes_at_end(before, before.index("(")):
                text = before
        opening = _AGGREGATION.match(text)
        if opening is not None and _closes_at_end(text, opening.end() - 1):
            text = text[opening.end() : -1]
        elif text.startswith("(") and _closes_at_end(text, 0):
            text = text[1:-1]
        elif (opening := _INCREASE.match(text)) is not None and _closes_at_end(text, opening.end() - 1):
            inner = text[opening.end() : -1].strip()
            bare, bracket, window = inner.rpartition("[")
            if not bracket or not window.endswith("]") or not _WINDOW.fullmatch(window[:-1].strip()):
                return text
            text = bare
        else:
            return text


def _closes_at_end(text: str, opening: int) -> bool:
    """Whether the bracket at ``opening`` is closed by the last character."""
    for at, depth in _depths(text, opening):
        if depth == 0:
            return at == len(text) - 1
    return False


def _split_minus(text: str) -> tuple[str, str] | None:
    """Both sides of the only subtraction outside brackets."""
    at = [index for index, depth in _depths(text, 0) if depth == 0 and text[index] == "-"]
    if len(at) != 1:
        return None
    return text[: at[0]], re.sub(r"^\s*(ignoring|on)\s*\([^()]*\)", "", text[at[0] + 1 :])


def _depths(text: str, start: int) -> list[tuple[int, int]]:
    """Every character outside strings from ``start`` on, with how many brackets are open behind it."""
    inside = {at for found in re.finditer(_STRING, text) for at in range(found.start(), found.end())}
    depth, found = 0, []
    for at in range(start, len(text)):
        if at in inside:
            continue
        depth += text[at] in "([{"
        depth -= text[at] in ")]}"
        found.append((at, depth))
    return found
