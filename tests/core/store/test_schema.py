"""Versions of the schema: who migrates, who refuses, and that nothing is ever half-migrated."""

import importlib
import pkgutil
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

import dbre.capabilities
import dbre.capabilities.slo.ingest.tables
import dbre.core.audit.tables
import dbre.core.events.tables
import dbre.core.operation.tables
from dbre.core.errors import ExitCode
from dbre.core.store import Store, metadata, schema
from dbre.core.store.errors import ControlPlaneRunning, NotAStore, SchemaNewer, SchemaOlder, StoreMissing

MIGRATIONS = Path(schema.__file__).parent / "migrations"


def test_the_head_that_the_code_knows_is_alembics_and_the_history_is_linear() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    history = list(ScriptDirectory.from_config(config).walk_revisions())  # raises where there are two heads
    assert schema.known_revisions() == tuple(one.revision for one in reversed(history))
    assert schema.head_revision() == history[0].revision
    assert all(not one.is_branch_point and not one.is_merge_point for one in history)


async def test_the_migrated_schema_is_the_one_that_the_tables_describe(store: Store) -> None:
    for module in pkgutil.walk_packages(dbre.capabilities.__path__, "dbre.capabilities."):
        if module.name.endswith(".tables"):
            importlib.import_module(module.name)

    def differences(connection: Connection) -> list[object]:
        options = {"compare_type": True, "compare_server_default": True, "version_table": schema.VERSION_TABLE}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    def partial_indexes(connection: Connection) -> set[str]:
        found = inspect(connection)
        names = (index for table in found.get_table_names() for index in found.get_indexes(table))
        return {str(one["name"]) for one in names if one["dialect_options"].get(f"{store.dialect}_where") is not None}

    async with store.read() as connection:
        assert await connection.run_sync(differences) == []
        described = {
            str(index.name)
            for table in metadata.tables.values()
            for index in table.indexes
            if index.dialect_options[store.dialect].get("where") is not None
        }
        assert await connection.run_sync(partial_indexes) == described  # which Alembic does not compare


async def test_a_reader_does_not_create_a_store(place) -> None:
    with pytest.raises(StoreMissing, match="yet") as caught:
        async with place.open():
            pass
    assert caught.value.exit_code is ExitCode.REFUSED
    assert "dbre db migrate" in str(caught.value.hint)
    assert place.path is None or not place.path.exists()


async def _set_revision(place, revision: str) -> None:
    async with place.open() as store, store.begin() as connection:
        await connection.execute(text("UPDATE dbre_schema SET version_num = :revision"), {"revision": revision})


async def test_a_newer_schema_is_refused_by_everybody(place) -> None:
    async with place.open(migrate=True):
        pass
    await _set_revision(place, "9999")
    for options in ({}, {"migrate": True}, {"exclusive": True, "migrate": True}):
        with pytest.raises(SchemaNewer, match="has schema 9999; this dbre knows none after") as caught:
            async with place.open(**options):
                pass
        assert caught.value.exit_code is ExitCode.REFUSED
        assert "newer dbre" in str(caught.value.hint)


@pytest.fixture
def next_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The code of a later dbre: one more migration at the end of the history."""
    copy = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    head = schema.head_revision()
    (copy / "versions" / "9000_next.py").write_text(
        f'''
import sqlalchemy as sa
from alembic import op

revision = "9000"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("later", sa.Column("a", sa.Integer(), primary_key=True))
    with op.batch_alter_table("event") as batch:
        batch.add_column(sa.Column("extra", sa.Integer(), server_default="0", nullable=False))
    op.execute("FAILURE")
'''
    )
    monkeypatch.setattr(schema, "_MIGRATIONS", copy)
    schema.known_revisions.cache_clear()
    yield copy / "versions" / "9000_next.py"
    monkeypatch.undo()
    schema.known_revisions.cache_clear()


def _works(migration: Path) -> None:
    migration.write_text(migration.read_text().replace('    op.execute("FAILURE")\n', ""))


def _withdraw(migration: Path) -> str:
    code = migration.read_text()
    migration.unlink()
    schema.known_revisions.cache_clear()
    return code


def _release(migration: Path, code: str) -> None:
    migration.write_text(code)
    schema.known_revisions.cache_clear()


@pytest.fixture
async def old_store(place):
    """A store with an event and its delivery, as the present release leaves it."""
    async with place.open(migrate=True) as store, store.begin() as connection:
        await connection.execute(text("INSERT INTO event (id, kind, subject, at, data) VALUES ('i', 'a.b', 's', 1, '{}')"))
        await connection.execute(
            text("INSERT INTO delivery (subscription, sequence, state, attempts) SELECT 'x', sequence, 'pending', 0 FROM event")
        )
    return place


async def test_an_older_schema_is_migrated_by_the_control_plane_and_keeps_its_rows(old_store, next_release: Path) -> None:
    _works(next_release)
    with pytest.raises(SchemaOlder, match=r"this dbre needs 9000") as caught:
        async with old_store.open():
            pass
    assert "dbre db migrate" in str(caught.value.hint)
    async with old_store.open(exclusive=True, migrate=True) as store, store.read() as connection:
        assert (await connection.execute(text("SELECT extra FROM event"))).scalars().all() == [0]
        assert (await connection.execute(text("SELECT count(*) FROM delivery"))).scalar_one() == 1  # no cascade
    async with old_store.open():
        pass
    if old_store.path is not None:
        copy = old_store.path.with_name("dbre.db.before-9000")
        assert copy.stat().st_mode & 0o777 == 0o600
        with closing(sqlite3.connect(copy)) as connection:
            assert connection.execute("SELECT subject FROM event").fetchall() == [("s",)]


async def test_a_migration_that_fails_leaves_the_old_store_as_it_was(old_store, next_release: Path) -> None:
    with pytest.raises(Exception, match="FAILURE"):
        async with old_store.open(exclusive=True, migrate=True):
            pass
    _withdraw(next_release)
    async with old_store.open() as store, store.read() as connection:
        assert "later" not in await connection.run_sync(lambda sync: inspect(sync).get_table_names())
        assert (await connection.execute(text("SELECT count(*) FROM delivery"))).scalar_one() == 1


async def test_nobody_migrates_under_a_running_control_plane(old_store, next_release: Path) -> None:
    code = _withdraw(next_release)
    async with old_store.open(exclusive=True):
        _release(next_release, code)
        with pytest.raises(ControlPlaneRunning):
            async with old_store.open(migrate=True):
                pass


async def test_the_database_of_another_program_is_left_alone(tmp_path: Path, place) -> None:
    if place.path is None:  # a PostgreSQL database may be shared: our tables go beside theirs
        async with place.open(migrate=True) as store, store.begin() as connection:
            await connection.execute(text("CREATE TABLE alembic_version (version_num text)"))
            await connection.execute(text("INSERT INTO alembic_version VALUES ('theirs')"))
        async with place.open():
            pass
        return
    with closing(sqlite3.connect(place.path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url)")
    before = place.path.read_bytes()
    with pytest.raises(NotAStore, match="another program: it has the tables bookmarks"):
        async with place.open(exclusive=True, migrate=True):
            pass
    assert place.path.read_bytes() == before
