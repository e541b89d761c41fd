"""Text from databases and people as Markdown that shows it and does nothing else."""

import re

from dbre.core.text import printable

__all__ = ["escaped"]

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~<>-])")


def escaped(text: str, *, limit: int = 1_000) -> str:
    r"""One line of text in which no character means anything to a Markdown reader, and no HTML begins.

    >>> escaped("<script>|[a](b)")
    '\\<script\\>\\|\\[a\\]\\(b\\)'
    """
    return _SPECIAL.sub(r"\\\1", printable(text, limit=limit)).replace("&", "&amp;")
