"""One question to several servers that know the same: the first answer counts, and one that is silent holds up nobody long.

As RFC 8305 (Happy Eyeballs) does for addresses: each server has a head start on the next.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from dbre.core.errors import Unreachable

__all__ = ["Silent", "first_answer"]

HEAD_START_SECONDS = 0.2

_Said = TypeVar("_Said")


class Silent(Unreachable):
    """None of them has answered; ``failures`` says why, in their order."""

    code = "http.silent"

    def __init__(self, failures: Sequence[Unreachable]) -> None:
        super().__init__("; ".join(one.message for one in failures))
        self.failures = tuple(failures)


async def first_answer(urls: Sequence[str], ask: Callable[[str], Awaitable[_Said]]) -> tuple[str, _Said]:
    """Who answered first, and what. Only for questions that may be asked more than once.

    Raises: Silent where each raised Unreachable; whatever else ``ask`` raises, at once.
    """
    waiting, asked = list(urls), dict[asyncio.Future[_Said], str]()
    failures: dict[str, Unreachable] = {}
    try:
        while waiting or asked:
            if waiting:
                url = waiting.pop(0)
                asked[asyncio.ensure_future(ask(url))] = url
            done, _ = await asyncio.wait(
                asked, timeout=HEAD_START_SECONDS if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for one in done:
                try:
                    found = one.result()
                except Unreachable as error:
                    failures[asked.pop(one)] = error
                else:
                    return asked[one], found
    finally:
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    raise Silent([failures[url] for url in urls])
