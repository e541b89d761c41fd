"""What all channels say alike: one line for the state, and texts cut to what a service takes."""

from dbre.capabilities.incident.notice import Notice, NoticeKind, Urgency
from dbre.core.text import one_line, printable

__all__ = ["clip", "lines", "paragraph", "plain_text", "tone"]

_TONES = {
    NoticeKind.RESOLVED: "good",
    NoticeKind.ACKNOWLEDGED: "calm",
    NoticeKind.UPDATED: "calm",
    NoticeKind.APPROVAL: "calm",
    NoticeKind.TEST: "calm",
}
_MARK = " ..."


def clip(text: str, limit: int) -> str:
    """The beginning of a text, at most ``limit`` characters, with a mark where something is missing.

    >>> clip("abcdefghij", 8)
    'abcd ...'
    """
    return text if len(text) <= limit else text[: limit - len(_MARK)] + _MARK


def tone(notice: Notice) -> str:
    """``good``, ``calm``, ``warning`` or ``alarm``: the colour, not the words."""
    known = _TONES.get(notice.kind)
    return known or ("alarm" if notice.urgency is Urgency.PAGE else "warning")


def paragraph(text: str, limit: int) -> str:
    """A text of several lines in which each line is harmless.

    >>> paragraph("a\\x1b[31m\\nb", 100)
    'a\\\\x1b[31m\\nb'
    """
    return clip("\n".join(printable(line, limit=limit) for line in text.splitlines()), limit)


def lines(notice: Notice) -> list[str]:
    """The facts, one a line."""
    return [f"{one_line(name, limit=60)}: {one_line(value)}" for name, value in notice.facts]


def plain_text(notice: Notice, *, limit: int) -> str:
    """The whole notice as plain text; the link is never what is cut off.

    The title is not in it.
    """
    tail = f"\n\n{notice.link}" if notice.link else ""
    body = "\n\n".join(part for part in (paragraph(notice.text, limit), "\n".join(lines(notice))) if part)
    return clip(body, max(limit - len(tail), 0)) + tail if len(tail) < limit else clip(body, limit)
