"""Takes secrets and personal data out of a text that leaves the house. Patterns are anchored and bounded: no backtracking."""

import re
from bisect import bisect_left

__all__ = ["redacted"]

_MARK = "[redacted]"
_RULES: tuple[re.Pattern[str], ...] = (  # the group is what is blackened; without one it is the whole match
    re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.{0,20000}?-----END [A-Z ]{0,40}PRIVATE KEY-----", re.DOTALL),
    re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://([^\s/@:]{0,200}:[^\s/@]{1,200})@", re.IGNORECASE),
    re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{5,2000}\.[A-Za-z0-9_-]{5,2000}\.[A-Za-z0-9_-]{0,2000}"),
    re.compile(r"\b(?:xox[abprs]-|gh[pousr]_|glpat-|sk_live_|whsec_)[A-Za-z0-9+/=_-]{8,300}"),
    re.compile(r"\b(?:bearer|basic)\s+([A-Za-z0-9+/=._~-]{8,2000})", re.IGNORECASE),
    re.compile(
        r"\b(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key|authorization)"
        r"[\"']?\s{0,3}[:=]\s{0,3}(\"[^\"\n]{1,500}\"|'[^'\n]{1,500}'|[^\s,;\"']{1,500})",
        re.IGNORECASE,
    ),
    re.compile(r"\bidentified\s+by\s+('[^'\n]{1,500}')", re.IGNORECASE),
    re.compile(r"\b[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,4}\.[A-Za-z]{2,24}\b"),
    re.compile(r"\bKey \([^)\n]{1,300}\)=\(([^\n]{1,1000}?)\)"),  # DETAIL of a constraint: a row's data
    re.compile(r"(?<![\d.])(?:\d[ -]?){13,19}(?![\d.])"),  # card and account numbers
)
_ESCAPE = re.compile(r"\\(?=[\\`*_{}\[\]()#+!|~<>-])|(?<=&)amp;")
"""What ``escaped`` adds to a text: a secret is one also with a backslash before each of its hyphens."""


def redacted(text: str) -> tuple[str, int]:
    """The text without what looks like a secret or personal data, and how many places were blackened.

    It finds what is written in known forms, as it is or escaped for Markdown; a person still reads it before it is published.

    >>> redacted("postgresql://app:hunter2@db1/shop failed for ann@example.com")
    ('postgresql://[redacted]@db1/shop failed for [redacted]', 2)
    """
    places = 0
    for pattern in _RULES:
        text, count = _blackened(text, pattern)
        places += count
    return text, places


def _blackened(text: str, pattern: re.Pattern[str]) -> tuple[str, int]:
    """The text with every match of a pattern blackened, which is looked for in the text as a reader sees it."""
    added = [(one.start(), one.end()) for one in _ESCAPE.finditer(text)]
    found = list(pattern.finditer(_ESCAPE.sub("", text)))
    if not found:
        return text, 0
    shown, lengths, removed = [], [0], 0  # where each addition stood in the shown text, and how long they are up to there
    for start, end in added:
        shown.append(start - removed)
        removed += end - start
        lengths.append(removed)
    pieces, at = [], 0
    for one in found:
        begin, end = one.span(pattern.groups)
        # Additions before the first character go with it, so that no backslash is left to escape the mark.
        start = begin + lengths[bisect_left(shown, begin)]
        pieces += [text[at:start], _MARK]
        at = end + lengths[bisect_left(shown, end)]
    return "".join([*pieces, text[at:]]), len(found)
