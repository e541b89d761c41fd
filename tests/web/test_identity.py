"""The login token and browser sessions."""

import stat
from pathlib import Path

import pytest

from dbre.core.errors import Denied, UsageError
from dbre.core.secrets import Secret
from dbre.testing.clock import FakeClock
from dbre.web.identity import SESSION_SECONDS, Gatekeeper, load_or_create_token


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def gatekeeper(clock: FakeClock) -> Gatekeeper:
    return Gatekeeper(Secret("correct-horse-battery"), clock)


def test_token_is_made_once_and_only_the_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "token"
    token = load_or_create_token(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create_token(path) == token
    assert len(token.reveal()) >= 43  # 256 bits


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_token_that_others_can_read_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token"
    load_or_create_token(path)
    path.chmod(mode)
    with pytest.raises(UsageError, match="others can read") as caught:
        load_or_create_token(path)
    assert caught.value.hint == f"chmod 600 {path}"


def test_token_file_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    (tmp_path / "token").symlink_to(target)
    with pytest.raises(UsageError, match="not a plain file"):
        load_or_create_token(tmp_path / "token")
    assert not target.exists()


async def test_session_lasts_its_time_and_no_longer(gatekeeper: Gatekeeper, clock: FakeClock) -> None:
    cookie = await gatekeeper.log_in("correct-horse-battery", client="10.0.0.1")
    await clock.advance(SESSION_SECONDS - 1)
    assert gatekeeper.session(cookie) is not None
    await clock.advance(2)
    assert gatekeeper.session(cookie) is None


async def test_logged_out_session_is_gone(gatekeeper: Gatekeeper) -> None:
    cookie = await gatekeeper.log_in("correct-horse-battery", client="10.0.0.1")
    await gatekeeper.log_out(cookie)
    assert gatekeeper.session(cookie) is None
    assert gatekeeper.session(None) is None
    assert gatekeeper.session("invented\udcff") is None


async def test_guessing_shuts_the_door_of_that_client_for_a_minute_even_for_the_right_token(
    gatekeeper: Gatekeeper, clock: FakeClock
) -> None:
    for _ in range(10):
        with pytest.raises(Denied, match="is wrong"):
            await gatekeeper.log_in("guess", client="10.0.0.1")
    with pytest.raises(Denied, match="10 wrong tokens"):
        await gatekeeper.log_in("correct-horse-battery", client="10.0.0.1")
    assert gatekeeper.session(await gatekeeper.log_in("correct-horse-battery", client="10.0.0.2"))
    await clock.advance(61)
    assert gatekeeper.session(await gatekeeper.log_in("correct-horse-battery", client="10.0.0.1"))


def test_token_that_can_be_guessed_is_refused(clock: FakeClock) -> None:
    with pytest.raises(UsageError, match="5 characters; at least 16"):
        Gatekeeper(Secret("short"), clock)
