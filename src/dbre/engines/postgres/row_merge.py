"""Two streams of rows in the same order, read side by side."""

from collections.abc import AsyncIterator

__all__ = ["Row", "merged"]

Row = tuple[str | None, ...]


async def merged(
    left: AsyncIterator[Row], right: AsyncIterator[Row], key_length: int
) -> AsyncIterator[tuple[Row | None, Row | None]]:
    """Pairs of rows with the same key, the first ``key_length`` values; ``None`` where one side has no such row.

    Keys are sorted by their code points, which is the order of the bytes of their UTF-8.
    """
    one, other = await anext(left, None), await anext(right, None)
    while one is not None or other is not None:
        if other is None or (one is not None and _key(one, key_length) < _key(other, key_length)):
            yield one, None
            one = await anext(left, None)
        elif one is None or _key(other, key_length) < _key(one, key_length):
            yield None, other
            other = await anext(right, None)
        else:
            yield one, other
            one, other = await anext(left, None), await anext(right, None)


def _key(row: Row, length: int) -> tuple[str, ...]:
    return tuple(value or "" for value in row[:length])  # a primary key has no NULL
