"""A new minor version, server by server; and the old one put back where a server does not come up with the new one."""

import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pair_kit import commands, next_version, roles

from dbre.core.clock import SystemClock
from dbre.core.errors import PrecheckFailed
from dbre.core.fleet import Fleet
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.lab.redis import RedisServer
from dbre.lab.site import Site
from dbre.ports.session import Role
from dbre.testing.fixtures import running
from upgrade_kit import Ground, Walker, fleet_of, results_of, steps_of

Pair = dict[str, RedisServer]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


@pytest.fixture
async def pair(redis_server: RedisServer, lab_site: Site) -> AsyncIterator[Pair]:
    """Each with programs of its own, as on machines of their own."""
    found = []
    for name in ("up-v1", "up-v2"):
        program = lab_site.directory / f"{name}-programs" / "redis-server"
        lab_site.make_directory(program.parent)
        shutil.copy(redis_server.program.path, program)
        found.append(replace(redis_server.program, path=program))
    async with (
        running(RedisServer("up-v1", lab_site, program=found[0])) as primary,
        running(RedisServer("up-v2", lab_site, program=found[1], replica_of=primary)) as replica,
    ):
        yield {"n1": primary, "n2": replica}
    for one in found:
        shutil.rmtree(one.path.parent)


def settings(new: Mapping[str, Path], servers: Pair, tmp_path: Path) -> dict[str, Any]:
    """Commands as a package manager's: the program is replaced, and the one of before is kept."""
    found = []
    for name, one in servers.items():
        before = tmp_path / f"{name}.before"
        shutil.copy(one.program.path, before)
        target = str(one.program.path)
        install, put_back = (["/usr/bin/install", "-m", "755", str(path), target] for path in (new[name], before))
        found.append({"instance": name, "install": install, "put_back": put_back})
    return {"commands": found, "start": "15s"}


async def rolled(servers: Pair, store: Store, new: Mapping[str, Path], tmp_path: Path) -> tuple[OperationRecord, Fleet]:
    fleet = fleet_of(servers, commands(servers))
    ground = Ground.of(fleet, settings=settings(new, servers, tmp_path))
    return await Walker(store=store, ground=ground).do("upgrade.minor"), fleet


async def test_every_server_runs_the_new_version_and_nobody_a_mixture(pair: Pair, store: Store, tmp_path: Path) -> None:
    program, version = next_version(pair["n1"])
    (tmp_path / "new").write_bytes(program)

    record, fleet = await rolled(pair, store, dict.fromkeys(pair, tmp_path / "new"), tmp_path)

    assert record.state is OperationState.SUCCEEDED, record.error
    assert steps_of(record) == ["look", "replace:n2", "switch", "replace:n1"]
    assert [one["version"] for name, one in results_of(record).items() if name.startswith("replace:")] == [version] * 2
    assert await roles(fleet) == [Role.REPLICA, Role.PRIMARY]
    walker = Walker(store=store, ground=Ground.of(fleet))  # no commands: what is installed runs already
    assert steps_of(await walker.do("upgrade.minor")) == []
    pair["n1"].program.path.unlink()
    shutil.copy(tmp_path / "n1.before", pair["n1"].program.path)
    with pytest.raises(PrecheckFailed, match="an older one"):
        await walker.submit("upgrade.minor")


@pytest.mark.soak
async def test_the_old_version_is_put_back_where_the_new_one_does_not_start(pair: Pair, store: Store, tmp_path: Path) -> None:
    (tmp_path / "new").write_text("#!/bin/sh\nexit 1\n")

    record, fleet = await rolled(pair, store, dict.fromkeys(pair, tmp_path / "new"), tmp_path)

    assert record.state is OperationState.FAILED, record.error  # the failed step has put itself back
    assert await roles(fleet) == [Role.PRIMARY, Role.REPLICA]
    assert pair["n2"].program.path.read_bytes() == (tmp_path / "n2.before").read_bytes()
