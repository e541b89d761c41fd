"""Which sets ``pgbackrest expire`` says it removes. A dry run tells it in its log only.

Source: pgBackRest, ``src/command/expire/expire.c``: "remove expired backup %s".
"""

import re

__all__ = ["expired_labels"]

_LINE = re.compile(r"\bremove expired backup (\d{8}-\d{6}F(?:_\d{8}-\d{6}[DI])?)\s*$", re.MULTILINE)


def expired_labels(log: str) -> list[str]:
    """The labels, oldest first.

    >>> expired_labels("P00   INFO: [DRY-RUN] repo1: remove expired backup 20261121-140358F")
    ['20261121-140358F']
    """
    return sorted(set(_LINE.findall(log)))
