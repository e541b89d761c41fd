"""What a MariaDB server is, as far as it matters for taking over: log, settings, own transactions, privileges."""

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence

from dbre.core.text import printable
from dbre.engines.mysql.connection import Row
from dbre.engines.mysql.facts import SUCCEED
from dbre.engines.mysql.gtid import sequences_of
from dbre.engines.mysql.session import is_switched_on
from dbre.ports.succession import GivesUp, Obstacle, Standing
from dbre.ports.versions import parse_version

__all__ = ["standing_of"]

Rows = Callable[[str], Awaitable[Sequence[Row]]]

_NEEDED = SUCCEED.split(", ")
"""What the login needs besides. SUPER holds all but READ_ONLY ADMIN in 10.11, and none of them from 11.0 on."""

_ALL = {"ALL PRIVILEGES", "ALL"}
_ON_ALL = re.compile(r"GRANT (?P<words>.+?) ON \*\.\* TO ")


async def standing_of(rows: Rows) -> Standing:
    """Ask four questions, and make of them what the checks compare."""
    (node,) = await rows("succession_node")
    settings = {str(one["name"]).lower(): str(one["value"]) for one in await rows("succession_settings")}
    (transactions,) = await rows("succession_transactions")
    granted = [str(next(iter(row.values()))) for row in await rows("grants")]
    upstreams = await rows("upstreams")
    version_text = printable(str(node["version_text"]).split("-")[0], limit=50)
    return Standing(
        gives_up=GivesUp.BY_CLOSING,
        product="mariadb",
        version=parse_version(version_text),
        version_text=version_text,
        needs_login=True,
        can_hand_over=False,
        alike={name: printable(value, limit=200) for name, value in settings.items()},
        oldest_transaction_seconds=float(str(transactions["seconds"] or 0)),
        obstacles=tuple(_obstacles(node, granted, version=parse_version(version_text), is_follower=bool(upstreams))),
    )


def _obstacles(node: Row, granted: Sequence[str], *, version: tuple[int, ...], is_follower: bool) -> Iterator[Obstacle]:
    missing = _missing(granted, version)
    yield Obstacle(
        rule="privileges",
        subject="what the login of dbre may do",
        value="lacks " + ", ".join(missing) if missing else "all that is needed",
        limit=SUCCEED,
        source="SHOW GRANTS",
        remedy="grant it: dbre engine sql mysql --grants --user NAME says how, at the end",
        is_met=not missing,
        is_blocking=True,
    )
    logs = [is_switched_on(node[column]) for column in ("has_binlog", "logs_what_it_applies")]
    yield Obstacle(
        rule="log_is_kept",
        subject="log_bin and log_slave_updates",
        value=f"{'ON' if logs[0] else 'OFF'} and {'ON' if logs[1] else 'OFF'}",
        limit="ON and ON",
        source="succession_node",
        remedy="set both in my.cnf, and restart it: others cannot follow it without",
        is_met=all(logs),
        is_blocking=True,
    )
    if is_follower:
        written, applied = sequences_of(str(node["written"] or "")), sequences_of(str(node["applied"] or ""))
        own = {domain: number for domain, number in written.items() if number > applied.get(domain, 0)}
        yield Obstacle(
            rule="no_own_transactions",
            subject="transactions that it did not get from its upstream",
            value=", ".join(f"domain {domain} up to {number}" for domain, number in own.items()) or "none",
            limit="none",
            source="gtid_binlog_pos against gtid_slave_pos",
            remedy="see what they are: mariadb-binlog; and make the replica anew",
            is_met=not own,
            is_blocking=True,
        )


def _missing(granted: Sequence[str], version: tuple[int, ...]) -> list[str]:
    held: set[str] = set()
    for line in granted:
        match = _ON_ALL.match(line)
        held |= {word.strip() for word in match["words"].split(",")} if match else set()
    if held & _ALL:
        return []
    by_super = {"CONNECTION ADMIN", "REPLICATION SLAVE ADMIN"} if "SUPER" in held and version < (11,) else set()
    return [name for name in _NEEDED if name not in held | by_super]
