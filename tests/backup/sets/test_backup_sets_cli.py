"""``dbre backup`` from the first copy to its expiry, in-process with a real server, real vaults and a real state store."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from taking_kit import Settings

from dbre.app import Application
from dbre.cli import root
from dbre.core.errors import ExitCode
from dbre.lab.postgres import PostgresServer

Run = Callable[..., tuple[int, str, str]]
_CONFIG = """
fleet:
  clusters:
    - name: orders
      engine: postgresql
      environment: prod
      user: {user}
      password: file:{directory}/password
      databases: [postgres]
      instances: [{{name: orders-1, host: {host}, port: {port}}}]
    - name: lonely
      engine: postgresql
      environment: dev
      user: {user}
      instances: [{{name: lonely-1, host: 127.0.0.1, port: 1}}]
state: {{url: "sqlite:///{directory}/dbre.db"}}
vaults:
  - name: near
    kind: filesystem
    path: {directory}/near
    recipients: [{recipient}, {escrow}]
    identity: file:{directory}/identity.age
backup:
  directory: {directory}/backup
  policies:
    - name: daily
      selector: {{environment: prod}}
      vaults: [near]
      full_cron: "0 2 * * sun"
      incremental_cron: "0 2 * * mon-sat"
      log: {{mode: none}}
      retention: {{minimum_sets: 1, window: null, largest_share: 1}}
"""


@pytest.fixture
def run(world_settings: Settings, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    from pyrage import x25519

    directory, source = world_settings.directory, world_settings.source
    (directory / "password").write_text(source.password)
    (directory / "password").chmod(0o600)
    values = {
        "directory": directory,
        "host": source.host,
        "port": source.port,
        "user": source.user,
        "recipient": x25519.Identity.from_str(world_settings.identity).to_public(),
        "escrow": x25519.Identity.generate().to_public(),
    }
    (directory / "dbre.yaml").write_text(_CONFIG.format(**values))
    monkeypatch.chdir(directory)
    monkeypatch.delenv("DBRE_SERVER", raising=False)
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = root.main(Application, list(words))
        shown = capfd.readouterr()
        return code, shown.out, shown.err

    return call


def _items(run: Run, *words: str) -> list[dict[str, Any]]:
    code, out, err = run(*words, "-o", "json")
    assert code == 0, err
    document = json.loads(out)
    return list(document["items"] if "items" in document else [document.get("item", document)])


@pytest.mark.timeout(180)
def test_a_backup_from_the_first_copy_to_its_expiry(run: Run, world_settings: Settings) -> None:
    code, _, err = run("db", "migrate")
    assert code == 0, err
    code, out, _ = run("backup", "check")
    assert code == ExitCode.FINDINGS
    assert "there is no sealed set" in out
    assert "no backup policy selects it" in out

    (planned,) = _items(run, "backup", "take", "orders", "--dry-run")
    assert planned["summary"] == "take a full copy of orders-1 into near"
    assert _items(run, "backup", "list") == []

    code, out, err = run("backup", "take", "orders")
    assert code == 0, err
    code, out, err = run("backup", "take", "orders", "-o", "json")
    assert code == 0, err
    assert world_settings.source.password not in out + err
    increment, full = _items(run, "backup", "list", "orders")
    assert (full["kind"], increment["kind"], increment["parent_id"]) == ("full", "incremental", full["id"])
    assert {full["state"], increment["state"]} == {"sealed"}
    (shown,) = _items(run, "backup", "show", full["id"][-12:])
    assert shown["children"] == [increment["id"]]
    assert shown["details"]["reason"] == "there is no sealed set yet"

    code, out, err = run("backup", "verify", increment["id"])
    assert code == 0, err
    assert "good" in out
    code, out, _ = run("backup", "retention", "orders")
    assert "one of the newest 1 full sets" in out
    code, _, _ = run("backup", "check", "orders", "-o", "nagios")
    assert code == 2
    code, out, _ = run("backup", "check", "orders", "-o", "json")
    assert "no drill ever restored a set of it" in out
    near = world_settings.directory / "near"
    near.rename(near.with_name("unmounted"))
    code, out, _ = run("backup", "check", "orders", "-o", "json")
    near.with_name("unmounted").rename(near)
    assert code == ExitCode.FINDINGS
    worst = json.loads(out)["items"][0]
    assert (worst["rule"], worst["subject"], worst["severity"]) == ("backup.vault_not_ready", "vault near", "critical"), out

    _see_that_a_vault_begun_anew_is_told_and_gets_a_full_copy(run, near)
    code, _, err = run("backup", "hold", increment["id"], "--reason", "case 17")
    assert code == 0, err
    assert [one["hold"] for one in _items(run, "backup", "list", "--held")] == ["case 17"]
    code, _, err = run("backup", "release", increment["id"])
    assert code == 0, err
    code, _, err = run("backup", "take", "orders", "--kind", "full")
    assert code == 0, err
    code, _, err = run("backup", "expire", "orders", "--yes")
    assert code == ExitCode.REFUSED
    assert "none of those that stay was ever proved by a drill" in err
    code, _, err = run("backup", "expire", "orders", "--accept-unproven", "--yes")
    assert code == 0, err
    assert [one["state"] for one in _items(run, "backup", "list")] == ["sealed", "tombstoned", "tombstoned"]


def _see_that_a_vault_begun_anew_is_told_and_gets_a_full_copy(run: Run, near: Path) -> None:
    """The state store believes that the sets lie there; the vault, which answers well, has none of them."""
    near.rename(near.with_name("lost"))
    near.mkdir(mode=0o700)
    code, _, err = run("backup", "take", "orders", "--dry-run")
    assert code == ExitCode.REFUSED
    assert "v1/vault.json is not in vault near, of which this machine saw" in err, err
    (head,) = re.findall(r"remove (\S+\.json)", err)
    Path(head).unlink()  # as the hint says
    (planned,) = _items(run, "backup", "take", "orders", "--dry-run")
    assert planned["summary"] == "take a full copy of orders-1 into near", "an increment there would stand on nothing"
    code, out, _ = run("backup", "check", "orders", "-o", "json")
    assert code == ExitCode.FINDINGS
    told = {one["rule"]: one["summary"] for one in json.loads(out)["items"]}
    assert "vault near does not have 2 sealed sets that were stored in it" in told["backup.not_in_vault"]
    shutil.rmtree(near)
    near.with_name("lost").rename(near)
    assert "backup.not_in_vault" not in run("backup", "check", "orders", "-o", "json")[1]


@pytest.mark.timeout(120)
def test_damage_in_a_vault_is_found_when_a_set_is_read_back(run: Run, world_settings: Settings) -> None:
    run("db", "migrate")
    code, _, err = run("backup", "take", "orders")
    assert code == 0, err
    (one,) = _items(run, "backup", "list")
    largest = max((world_settings.directory / "near").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    _flip(largest)
    code, out, err = run("backup", "verify", one["id"])
    assert code == ExitCode.FINDINGS, err
    assert "damaged" in out


def _sql(settings: Settings, *statements: str) -> None:
    source = settings.source
    with psycopg.connect(
        host=source.host, port=source.port, user=source.user, password=source.password, dbname="postgres", autocommit=True
    ) as connection:
        for one in statements:
            connection.execute(one.encode())


@pytest.mark.timeout(180)
def test_what_became_of_a_table_is_shown_and_it_comes_back_beside_the_living_one(run: Run, world_settings: Settings) -> None:
    run("db", "migrate")
    _sql(
        world_settings,
        "DROP TABLE IF EXISTS stock, stock_then, newer",
        "CREATE TABLE stock (id int PRIMARY KEY, name text DEFAULT 'x')",
        "INSERT INTO stock SELECT g, 'as it was' FROM generate_series(1, 9) AS g",
    )
    code, _, err = run("backup", "take", "orders")
    assert code == 0, err
    then = ("orders", "stock", "--immediate")
    assert _items(run, "backup", "diff", *then) == []
    _sql(
        world_settings,
        "DELETE FROM stock WHERE id = 2",
        "UPDATE stock SET name = NULL WHERE id = 3",
        "INSERT INTO stock VALUES (10, 'new')",
        "CREATE TABLE newer (id int PRIMARY KEY)",
    )
    found = {one["what"]: one for one in _items(run, "backup", "diff", *then)}
    assert {what: one["key"] for what, one in found.items()} == {
        "deleted": {"id": "2"},
        "updated": {"id": "3"},
        "inserted": {"id": "10"},
    }
    assert (found["updated"]["then"], found["updated"]["now"]) == ({"name": "as it was"}, {"name": None})

    code, out, err = run("backup", "restore-table", *then, "--as", "stock", "--yes")
    assert (code, out) == (ExitCode.REFUSED, ""), err
    code, out, err = run("backup", "restore-table", *then, "--as", "newer", "--yes")
    assert (code, out, "public.newer exists already in database postgres" in err) == (ExitCode.CONFLICT, "", True), err
    (made,) = _items(run, "backup", "restore-table", *then, "--as", "stock_then", "--yes")
    assert (made["table"], made["rows"], made["left_out"]) == ("public.stock_then", 9, ["default of name"])

    code, out, err = run("backup", "diff", "orders", "nothing", "--immediate")
    assert (code, out, "there is no table public.nothing" in err, "fetch:" in err) == (ExitCode.USAGE, "", True, False), err
    _sql(world_settings, "DROP TABLE stock, stock_then, newer")
    assert list((world_settings.directory / "backup" / "restoring").iterdir()) == []


def _flip(path: Path) -> None:
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


def test_policies_and_programs_are_shown(run: Run, world_settings: Settings, postgres15: PostgresServer) -> None:
    (policy,) = _items(run, "backup", "policies")
    assert (policy["policy"], policy["clusters"], policy["recovery_point_seconds"]) == ("daily", ["orders"], 300)
    code, _, err = run("backup", "policies")
    assert code == 0
    assert "no policy selects lonely" in err
    found = {one["name"]: one for one in _items(run, "backup", "tools", "orders")}
    assert found["pg_basebackup"]["version"]
    path = world_settings.directory / "dbre.yaml"  # another server now, of an older version
    text = path.read_text().replace(f"port: {world_settings.source.port}", f"port: {postgres15.address.port}")
    path.write_text(text.replace(f"user: {world_settings.source.user}", f"user: {postgres15.superuser}"))
    (world_settings.directory / "password").write_text(postgres15.password.reveal())
    older = {one["name"]: one for one in _items(run, "backup", "tools", "orders")}
    assert {older[name]["version"].split(".")[0] for name in ("postgres", "pg_waldump", "pg_basebackup")} == {"15"}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("take", "order"), ExitCode.USAGE, "no cluster is named"),
        (("take", "lonely"), ExitCode.USAGE, "no backup policy selects cluster lonely"),
        (("take", "orders", "--kind", "differental"), ExitCode.USAGE, "kind"),
        (("take", "orders", "--instance", "orders-9"), ExitCode.REFUSED, "has no instance orders-9"),
        (("show", "abcd"), ExitCode.USAGE, "there is no set"),
        (("verify", "../../etc"), ExitCode.USAGE, "there is no set"),
        (("check", "--fail-on", "bad"), ExitCode.USAGE, "is no severity"),
        (("hold", "abcd", "--reason", "case"), ExitCode.USAGE, "there is no set"),
        (("list", "order"), ExitCode.USAGE, "no cluster is named"),
        (("restore", "order", "--latest", "--directory", "new"), ExitCode.USAGE, "no set of a cluster order is known"),
        (("expire", "lonely"), ExitCode.USAGE, "no backup policy selects cluster lonely"),
    ],
    ids=lambda value: "-".join(value).replace("/", "_") if isinstance(value, tuple) else None,
)
def test_slips_of_the_pen_are_said_in_plain_words(run: Run, words: tuple[str, ...], code: ExitCode, said: str) -> None:
    run("db", "migrate")
    got, _, err = run("backup", *words)
    assert (got, said in err) == (code, True), err
