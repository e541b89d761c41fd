"""Settings of PgBouncer that decide whether clients can wait in it: pure rules."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dbre.ports.route import RouteCheck

__all__ = ["settings_checks"]

_LEAST_WAIT_SECONDS = 30.0
_MOST_RETRY_SECONDS = 1.0


def settings_checks(rows: Sequence[Mapping[str, Any]], config: Mapping[str, str]) -> Iterator[RouteCheck]:
    """What ``SHOW DATABASES`` (of the route's databases) and ``SHOW CONFIG`` say of a pause."""
    modes = {str(row["name"]): str(row["pool_mode"] or config.get("pool_mode", "?")) for row in rows}
    sessions = [name for name, mode in modes.items() if mode == "session"]
    yield RouteCheck(
        name="pool_mode",
        is_ok=not sessions,
        seen=", ".join(f"{name}: {mode}" for name, mode in modes.items()),
        wanted="transaction or statement",
        remedy="PAUSE waits until the clients of a pool in session mode leave: set pool_mode = transaction",
    )
    disabled = [str(row["name"]) for row in rows if int(row["disabled"])]
    yield RouteCheck(
        name="enabled", is_ok=not disabled, seen=f"disabled: {', '.join(disabled)}" if disabled else "all", wanted="all",
        remedy="ENABLE them on the admin console",
    )  # fmt: skip
    wait = _seconds(config.get("query_wait_timeout"))
    yield RouteCheck(
        name="query_wait_timeout",
        is_ok=wait == 0 or wait >= _LEAST_WAIT_SECONDS,
        seen=f"{wait:g} s",
        wanted=f"0 or at least {_LEAST_WAIT_SECONDS:g} s",
        remedy="clients that are held back longer get an error: SET query_wait_timeout = 120",
    )
    retry = _seconds(config.get("server_login_retry"))
    yield RouteCheck(
        name="server_login_retry",
        is_ok=retry <= _MOST_RETRY_SECONDS,
        seen=f"{retry:g} s",
        wanted=f"at most {_MOST_RETRY_SECONDS:g} s",
        remedy="after one refused login clients wait that long: SET server_login_retry = 1",
        is_advice=True,
    )


def _seconds(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")  # compares false: the check is not ok
