"""``dbre settings``: what is shown of real servers, and what acting commands ask for."""

from types import SimpleNamespace
from typing import Any

import pytest
from settings_kit import Engines, fleet_of

from dbre.capabilities.settings.cli import apply_settings, diff, show
from dbre.capabilities.settings.documents import ApplySettingsInput
from dbre.core.errors import ExitCode, UsageError
from dbre.testing.fixtures import PostgresPair


def context(pair: PostgresPair) -> Any:
    fleet = fleet_of(
        "postgresql",
        {"pg1": pair.primary, "pg2": pair.replica},
        user=pair.primary.superuser,
        password=pair.primary.password.reveal(),
    )
    return SimpleNamespace(obj=SimpleNamespace(fleet=fleet, engines=Engines()))


async def test_show_and_diff_tell_what_differs_and_what_waits(postgres_pair: PostgresPair) -> None:
    pair = postgres_pair
    async with await pair.primary.connect() as admin:
        await admin.execute("ALTER SYSTEM SET work_mem = '9MB'")
        await admin.execute("ALTER SYSTEM SET max_connections = 120")
        await admin.execute("SELECT pg_catalog.pg_reload_conf()")
        await admin.execute("SELECT pg_catalog.pg_sleep(0.2)")
    view = await show(context(pair), "orders", instance=["pg1"], name="work_mem", changed=True)
    assert [(row["name"], row["value"], row["unit"]) for row in view.items] == [("work_mem", "9216", "kB")]
    assert not (await show(context(pair), "orders", instance=["pg2"], name="work_mem", changed=True)).items
    alone = (await show(context(pair), "orders", instance=["pg1"], name="WORK_mem")).items
    assert [row["name"] for row in alone] == ["work_mem"]
    globbed = {row["name"] for row in (await show(context(pair), "orders", instance=["pg1"], name="*work_mem")).items}
    assert {"work_mem", "maintenance_work_mem", "autovacuum_work_mem"} <= globbed
    with pytest.raises(UsageError, match="no parameter is named worc_mem") as refused:
        await show(context(pair), "orders", instance=["pg1"], name="worc_mem")
    assert "did you mean work_mem?" in (refused.value.hint or "")
    sources = {row["source"] for row in (await show(context(pair), "orders", instance=["pg1"], changed=True)).items}
    assert not sources & {"client", "session"}
    rows = {
        (row["name"], row["instance"]): (row["value"], row["reason"]) for row in (await diff(context(pair), "orders")).items
    }
    assert rows == {
        ("work_mem", "pg1"): ("9216", "differs"),
        ("work_mem", "pg2"): ("4096", "differs"),
        ("max_connections", "pg1"): ("100", "waits_for_restart"),
    }
    await pair.replica.stop()
    partly = await diff(context(pair), "orders")
    assert (len(partly.errors), partly.exit_code) == (1, ExitCode.OK)
    await pair.primary.stop()
    assert (await diff(context(pair), "orders")).exit_code is ExitCode.UNREACHABLE


def test_apply_asks_for_an_operation() -> None:
    act = apply_settings("orders", ["work_mem=64MB", "log_line_prefix=%m = "], reset=["jit"], instance=["pg1"])
    assert (act.kind, act.input) == (
        "settings.apply",
        {
            "cluster": "orders",
            "set": {"work_mem": "64MB", "log_line_prefix": "%m = "},
            "reset": ["jit"],
            "instances": ["pg1"],
        },
    )
    watched = apply_settings("orders", ["jit=off"], revert_if_burning="writes", burn_rate=3.0, watch_for="5m")
    assert watched.input["revert_on"] == {"slo": "writes", "burn": 3.0, "watch": "5m"}
    with pytest.raises(UsageError, match="'jit' is no assignment"):
        apply_settings("orders", ["jit"])
    with pytest.raises(UsageError, match="--burn-rate needs --revert-if-burning"):
        apply_settings("orders", ["jit=off"], burn_rate=3.0)
    with pytest.raises(UsageError, match="--watch-for needs --revert-if-burning"):
        apply_settings("orders", ["jit=off"], watch_for="5m")
    with pytest.raises(ValueError, match=r"names no SLO to watch: add slo \(--revert-if-burning SLO\)"):
        ApplySettingsInput.model_validate({"cluster": "orders", "set": {"jit": "off"}, "revert_on": {"watch": "5m"}})
