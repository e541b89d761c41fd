"""The program that keeps the slow lines of a lab: ``python -m dbre.lab.network.link_process DIRECTORY``.

It ends as soon as the lab's note of them is gone or names others; its devices go with it, and the rules lead nowhere then.
"""

import sys
import time
from contextlib import suppress
from pathlib import Path

from dbre.core.packets.detour import Detour, lay, remove
from dbre.core.packets.errors import NetworkFailed
from dbre.core.packets.line import Shape
from dbre.core.packets.namespaces import Namespace
from dbre.core.packets.slow_link import SlowLink
from dbre.lab.network.links import READY, LineSpec, read_lines

__all__: list[str] = []

_LOOK_SECONDS = 0.2
_PREFERENCE = 2000  # behind those of faults: a packet that comes out of a fault's line goes through ours too


def _main(directory: Path) -> int:
    lines = read_lines(directory)
    links = [_open(one, seed) for seed, one in enumerate(lines)]
    (directory / READY).touch(mode=0o600)
    while _is_wanted(directory, lines) and all(one.is_alive for one in links):
        time.sleep(_LOOK_SECONDS)
    for line, link in zip(lines, links, strict=True):
        link.close()
        with suppress(NetworkFailed):  # as a rule the namespace has gone with the lab
            remove(line.device, line.table, Namespace.named(line.namespace))
    return 0


def _open(line: LineSpec, seed: int) -> SlowLink:
    namespace = Namespace.named(line.namespace)
    shape = Shape(delay_seconds=line.delay_seconds, jitter_seconds=line.jitter_seconds)
    link = SlowLink(line.device, shape, namespace, seed=seed)
    networks = tuple(f"{one}/32" for one in line.targets)
    detour = Detour(
        device=line.device,
        table=line.table,
        source=line.source,
        networks=networks,
        preference=_PREFERENCE,
        also_forwarded=True,
    )
    lay(detour, namespace)
    return link


def _is_wanted(directory: Path, lines: list[LineSpec]) -> bool:
    try:
        return read_lines(directory) == lines
    except (OSError, ValueError, TypeError):
        return False


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1])))
