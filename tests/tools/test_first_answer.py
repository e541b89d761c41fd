"""The first answer of several servers counts, over real connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from dbre.core.errors import Denied, Unreachable
from dbre.tools.first_answer import Silent, first_answer


@asynccontextmanager
async def listener(word: str | None) -> AsyncIterator[str]:
    """A server that says one word to whoever connects, or nothing at all, ever."""
    silence = asyncio.Event()

    async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if word is None:
            await silence.wait()
        else:
            writer.write(word.encode())
        writer.close()

    server = await asyncio.start_server(say, "127.0.0.1", 0)
    try:
        yield str(server.sockets[0].getsockname()[1])
    finally:
        silence.set()
        server.close()
        await server.wait_closed()


async def ask(port: str) -> str:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
    except OSError as error:
        raise Unreachable(f"{port} refuses") from error
    try:
        said = (await reader.read()).decode()
    finally:
        writer.close()
    if said == "no":
        raise Denied("not you")
    return said


async def test_a_server_that_is_silent_holds_up_nobody() -> None:
    async with AsyncExitStack() as stack:
        silent, talking = [await stack.enter_async_context(listener(word)) for word in (None, "yes")]
        async with asyncio.timeout(60):
            assert await first_answer([silent, talking], ask) == (talking, "yes")


async def test_the_first_in_order_is_asked_alone_where_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbre.tools.first_answer.HEAD_START_SECONDS", 60.0)  # however busy the machine is
    asked = []

    async def note(port: str) -> str:
        asked.append(port)
        return await ask(port)

    async with listener("one") as first, listener("two") as second:
        assert await first_answer([first, second], note) == (first, "one")
        assert asked == [first]


async def test_one_that_refuses_gives_way_at_once_and_all_reasons_are_told_in_order() -> None:
    async with listener("yes") as talking:
        assert await first_answer(["1", talking], ask) == (talking, "yes")
    with pytest.raises(Silent) as silent:
        await first_answer(["1", "2"], ask)
    assert silent.value.message == "1 refuses; 2 refuses"


async def test_a_word_against_the_question_is_not_asked_around() -> None:
    async with listener("no") as unwilling, listener("yes") as talking:
        with pytest.raises(Denied):
            await first_answer([unwilling, talking], ask)
