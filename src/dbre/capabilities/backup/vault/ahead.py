"""Objects that are fetched and compared by several threads while the caller works on those before them."""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from itertools import islice
from pathlib import Path

from dbre.capabilities.backup.vault.contents import Contents, Stowed
from dbre.capabilities.backup.vault.flow import Flow

__all__ = ["AHEAD", "fetched_ahead"]

AHEAD = 3
"""Objects on their way at once. No more than these lie on this machine's disk beside the one that is worked on."""

_Brought = tuple[Path, ExitStack]


@contextmanager
def fetched_ahead(contents: Contents, wanted: Sequence[Stowed], *, flow: Flow, ahead: int = AHEAD) -> Iterator[Iterator[Path]]:
    """The ciphertexts in their order, each compared with the index before it is given, and gone when the next is asked for.

    Memory does not grow with their number or size: they lie in files. Whatever ends the caller ends the threads: the flow.

    Raises, when its turn comes: ObjectMissing, ObjectDamaged and what storages raise.
    """
    waiting: deque[Future[_Brought]] = deque()
    pool = ThreadPoolExecutor(max_workers=max(1, min(ahead, len(wanted))), thread_name_prefix="dbre-fetch")
    try:
        with closing(_in_order(pool, contents, wanted, flow, waiting, ahead)) as paths:
            yield paths
    except BaseException:
        flow.end()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        for one in waiting:
            if not one.cancelled() and one.exception() is None:
                one.result()[1].close()


def _in_order(
    pool: ThreadPoolExecutor,
    contents: Contents,
    wanted: Sequence[Stowed],
    flow: Flow,
    waiting: deque[Future[_Brought]],
    ahead: int,
) -> Generator[Path]:
    left = iter(wanted)
    for one in islice(left, ahead):
        waiting.append(pool.submit(_bring, contents, one, flow))
    while waiting:
        path, held = waiting[0].result()
        waiting.popleft()
        with held:
            following = next(left, None)
            if following is not None:
                waiting.append(pool.submit(_bring, contents, following, flow))
            yield path


def _bring(contents: Contents, one: Stowed, flow: Flow) -> _Brought:
    with ExitStack() as stack:
        path = stack.enter_context(contents.checked(one, flow=flow))
        return path, stack.pop_all()
