"""pgBackRest repositories that are encrypted, packed otherwise, in bundles and blocks, and on other machines."""

from pathlib import Path

import foreign_kit as kit
import pgbackrest_places_kit as places
import pytest

from dbre.ports.backup.model import CopyKind

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]
ENCRYPTED = {"repo1-cipher-type": "aes-256-cbc", "repo1-cipher-pass": places.PASSPHRASE}


async def test_an_encrypted_repository_in_bundles_is_looked_at_and_drilled(foreign: kit.Foreign) -> None:
    made = places.make_place(foreign, "encrypted", **ENCRYPTED, **{"compress-type": "zst", "repo1-bundle": "y"})
    await made.fill()
    status, found = await made.inspect(made.here, "--drill", "--directory", foreign.home.parent / "drill-encrypted")
    assert (status, found["problems"], found["holes"], found["drill"]["verdict"]) == (0, [], [], "pass"), found
    assert [one["kind"] for one in found["sets"]] == ["full", "incremental"]
    wrong = places.make_place(
        foreign, "wrong", **{**ENCRYPTED, "repo1-cipher-pass": "another", "repo1-path": f"{made.home}/repo"}
    )
    status, told = await wrong.inspect(wrong.here)
    assert status == 3
    [blocking] = [one for one in told["problems"] if one["rule"] == "backup.tool_says"]
    assert "repo1-cipher-pass" in blocking["hint"], blocking
    assert "another" not in blocking["message"]
    gone = sorted((made.home / "repo").rglob("0000000100000000*.zst"))[-2]
    gone.unlink()
    status, found = await made.inspect(made.here)
    assert status == 3
    assert [one["start"] for one in found["holes"]] == [f"0/{int(gone.name[16:24], 16):X}000000"]


async def test_a_repository_behind_ssh_in_blocks_is_looked_at_and_drilled(foreign: kit.Foreign) -> None:
    """Its passphrase is there alone: pgBackRest asks its other half."""
    packed = {"compress-type": "lz4", "repo1-bundle": "y", "repo1-block": "y"}
    made = places.make_place(foreign, "behind-ssh", **ENCRYPTED, **packed)
    await made.fill("--beta")  # what 2.45 wants for blocks
    with places.over_ssh(made) as config:
        assert places.PASSPHRASE not in config.read_text()
        status, found = await made.inspect(config, "--drill", "--directory", foreign.home.parent / "drill-elsewhere")
        assert (status, found["problems"], found["drill"]["verdict"]) == (0, [], "pass"), found
    [problem] = (await made.opened(config).look()).problems
    assert (problem.rule, problem.is_blocking) == ("backup.tool_says", True)
    assert "does not answer" in problem.hint, problem


async def test_a_repository_behind_pgbackrests_own_server_is_read(foreign: kit.Foreign, tmp_path: Path) -> None:
    made = places.make_place(foreign, "behind-tls", **{"compress-type": "bz2"})
    await made.fill()
    with places.over_tls(made) as config:
        repository = made.opened(config)
        facts = await repository.look()
        assert ([one.kind for one in facts.sets], facts.problems) == ([CopyKind.FULL, CopyKind.INCREMENTAL], ())
        name = facts.logs[-1].file.name
        assert await repository.fetch(name, tmp_path / name) is True
        assert (tmp_path / name).stat().st_size == facts.segment_bytes
