"""Packets that are lost on purpose: one table of nft rules in one namespace, by a name of its own."""

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dbre.core.packets.commands import command
from dbre.core.packets.errors import NetworkFailed
from dbre.core.packets.namespaces import Namespace

__all__ = ["Action", "Cut", "Direction", "cut", "listed", "mend", "tables"]

_FIRST = -350  # before the rules of anybody else, and before connections are tracked


class Direction(StrEnum):
    """Which packets, seen from the server."""

    BOTH = "both"
    IN = "in"  # what comes to it
    OUT = "out"  # what it sends


class Action(StrEnum):
    """What becomes of them."""

    DROP = "drop"  # lost without a word, as in a broken network: the sender waits
    REJECT = "reject"  # answered by a reset, as by a machine that is up without the service: the sender knows at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Which packets are lost. Networks are in prefix notation; an empty tuple stands for all."""

    peers: tuple[str, ...] = ()
    own: tuple[str, ...] = ()  # addresses of the server itself; empty: the namespace is its own, and inside it all goes on
    ports: tuple[int, ...] = ()  # TCP ports of the server; with peer_ports empty too, all packets
    peer_ports: tuple[int, ...] = ()  # TCP ports of the peers
    direction: Direction = Direction.BOTH
    action: Action = Action.DROP
    percent: int = 100

    def script(self, table: str) -> str:
        """The table as ``nft -f`` reads it."""
        lines = [f"table inet {table} {{"]
        for name, hook, is_in in (("incoming", "input", True), ("outgoing", "output", False)):
            if self.direction in (Direction.BOTH, Direction.IN if is_in else Direction.OUT):
                lines += [f"  chain {name} {{", f"    type filter hook {hook} priority {_FIRST}; policy accept;"]
                lines += [] if self.own else [f'    {"iif" if is_in else "oif"} "lo" accept']
                lines += [f"    {rule}" for rule in self._rules(is_in=is_in)]
                lines += ["  }"]
        return "\n".join([*lines, "}"]) + "\n"

    def _rules(self, *, is_in: bool) -> Iterator[str]:
        if self.action is Action.REJECT:  # the answers pass these chains too
            yield "tcp flags & rst == rst accept"
        chance = "" if self.percent >= 100 else f"numgen random mod 100 < {self.percent} "
        for where in self._addresses(is_in=is_in):
            for what in self._services(is_in=is_in):
                if self.action is Action.REJECT:
                    yield f"{where}{what or 'meta l4proto tcp '}{chance}counter reject with tcp reset"
                if self.action is Action.DROP or not what:
                    yield f"{where}{what}{chance}counter drop"

    def _addresses(self, *, is_in: bool) -> Iterator[str]:
        peer, own = ("saddr", "daddr") if is_in else ("daddr", "saddr")
        for family, version in (("ip", 4), ("ip6", 6)):
            words = ""
            for key, given in ((peer, self.peers), (own, self.own)):
                chosen = [str(one) for text in given if (one := ipaddress.ip_network(text, strict=False)).version == version]
                if given and not chosen:
                    break  # nothing of this family is meant
                words += f"{family} {key} {{ {', '.join(chosen)} }} " if chosen else ""
            else:
                if words or version == 4:  # without any address both families are meant, by one rule
                    yield words

    def _services(self, *, is_in: bool) -> Iterator[str]:
        if not self.ports and not self.peer_ports:
            yield ""
        for key, ports in (("dport" if is_in else "sport", self.ports), ("sport" if is_in else "dport", self.peer_ports)):
            if ports:
                yield f"tcp {key} {{ {', '.join(map(str, ports))} }} "


def cut(given: Cut, table: str, namespace: Namespace) -> str:
    """Make the table, all of it or nothing; gives it as the kernel lists it. It blocks. Raises: NetworkFailed."""
    command("nft", "-f", "-", namespace=namespace, stdin=given.script(table))
    return listed(table, namespace) or ""


def listed(table: str, namespace: Namespace, *, counted: bool = False) -> str | None:
    """The table as the kernel lists it, without its counts unless they are asked for; None if there is none. It blocks."""
    if table not in tables(namespace):
        return None
    words = ["nft", *([] if counted else ["-s"]), "list", "table", "inet", table]
    try:
        return command(*words, namespace=namespace)
    except NetworkFailed:
        if table not in tables(namespace):  # it went between the two looks
            return None
        raise


def mend(table: str, namespace: Namespace) -> None:
    """Take the table away; nothing if there is none. It blocks. Raises: NetworkFailed."""
    if table in tables(namespace):
        command("nft", "delete", "table", "inet", table, namespace=namespace)


def tables(namespace: Namespace) -> Sequence[str]:
    """The names of the tables of our family that there are. It blocks. Raises: NetworkFailed."""
    rows = command("nft", "list", "tables", "inet", namespace=namespace).splitlines()
    return [words[2] for row in rows if len(words := row.split()) == 3]
