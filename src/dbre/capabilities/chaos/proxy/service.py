"""All proxies of one process, by name; everything that the API and the command line can ask."""

import contextlib
import re
import signal
from collections.abc import Callable, Mapping
from typing import Any

from dbre.capabilities.chaos.proxy.errors import ProxyExists, ToxicInvalid, UnknownProxy
from dbre.capabilities.chaos.proxy.loop import Loop
from dbre.capabilities.chaos.proxy.pipes import Pipes
from dbre.capabilities.chaos.proxy.proxy import Proxy, ProxySpec
from dbre.capabilities.chaos.proxy.toxic import Toxic, toxic_from
from dbre.core.errors import UsageError
from dbre.core.fleet import Address
from dbre.core.text import closest, quoted
from dbre.ports.wire import TlsRequest, WirePort

__all__ = ["Proxies", "address_from"]

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_MOST_PROXIES = 1000
_CHANGEABLE = ("listen", "upstream", "enabled")


class Proxies:
    """Owns the loop's sockets; not for several threads."""

    def __init__(self, loop: Loop, wire_of: Callable[[str], WirePort], *, seed: int) -> None:
        self.loop, self.seed = loop, seed
        self._wire_of = wire_of
        self._pipes = Pipes()
        self._proxies: dict[str, Proxy] = {}

    def all(self) -> Mapping[str, Proxy]:
        """By name."""
        return self._proxies

    def get(self, name: str) -> Proxy:
        """One proxy. Raises: UnknownProxy."""
        if name not in self._proxies:
            near = closest(name, self._proxies)
            raise UnknownProxy(
                f"there is no proxy {quoted(name, limit=100)}",
                hint=f"did you mean {near}?" if near else f"there are: {', '.join(self._proxies) or 'none'}",
            )
        return self._proxies[name]

    def create(self, document: object) -> Proxy:
        """Make one as its document says. Raises: ProxyExists, UsageError, ListenFailed."""
        spec, enabled, toxics = self._read(document)
        if spec.name in self._proxies:
            raise ProxyExists(f"there is a proxy {spec.name} already", hint="delete it first, or choose another name")
        if len(self._proxies) >= _MOST_PROXIES:
            raise UsageError(f"there are {_MOST_PROXIES} proxies already", hint="delete some first")
        wire = self._wire_of(spec.engine) if spec.engine else None
        proxy = Proxy(spec, wire, loop=self.loop, pipes=self._pipes)
        for toxic in toxics:
            proxy.add(toxic)
        if enabled:
            try:
                proxy.enable()
            except BaseException:
                proxy.close()
                raise
        self._proxies[spec.name] = proxy
        return proxy

    def update(self, name: str, document: object) -> Proxy:
        """Switch one on or off, or give it other addresses. Raises: UnknownProxy, UsageError, ListenFailed."""
        proxy = self.get(name)
        if not isinstance(document, dict):
            raise UsageError("a change of a proxy is an object", hint='such as {"enabled": false}')
        before = proxy.as_document()
        kept = {key: before[key] for key in ("name", "engine", "tls", "seed", *_CHANGEABLE)}
        spec, enabled, _ = self._read(kept | {key: value for key, value in document.items() if key in _CHANGEABLE})
        if (spec.listen, spec.upstream) != (proxy.address, proxy.spec.upstream):
            proxy.disable()
            proxy.spec, proxy.address = spec, spec.listen
        if enabled:
            proxy.enable()
        else:
            proxy.disable()
        return proxy

    def populate(self, documents: object) -> list[Proxy]:
        """Make several; one that is there as described stays. Raises: as create."""
        if not isinstance(documents, list):
            raise UsageError(
                "populate takes a list of proxies", hint='such as [{"name": "pg", "listen": "...", "upstream": "..."}]'
            )
        made = []
        for document in documents:
            spec, _, _ = self._read(document)
            old = self._proxies.get(spec.name)
            if old is not None and (old.address, old.spec.upstream) == (spec.listen, spec.upstream):
                made.append(self.update(spec.name, {"enabled": document.get("enabled", True)}))
                continue
            if old is not None:
                self.delete(spec.name)
            made.append(self.create(document))
        return made

    def delete(self, name: str) -> None:
        """End one. Raises: UnknownProxy."""
        self.get(name).close()
        del self._proxies[name]

    def reset(self) -> None:
        """All enabled, no toxics."""
        for proxy in self._proxies.values():
            proxy.clear()
            proxy.enable()

    def close(self) -> None:
        """End all."""
        for name in list(self._proxies):
            self.delete(name)
        self._pipes.close()

    def run(self, *, seconds: float | None = None) -> None:
        """Serve until SIGINT, SIGTERM or the end of the time."""
        before = {one: signal.signal(one, lambda *_: self.loop.stop()) for one in (signal.SIGINT, signal.SIGTERM)}
        timer = self.loop.after(seconds, self.loop.stop) if seconds is not None else None
        try:
            self.loop.run()
        finally:
            if timer is not None:
                timer.cancel()
            for number, handler in before.items():
                with contextlib.suppress(TypeError):  # a handler that Python did not install
                    signal.signal(number, handler)

    def _read(self, document: object) -> tuple[ProxySpec, bool, list[Toxic]]:
        if not isinstance(document, dict):
            raise UsageError(
                "a proxy is an object", hint='such as {"name": "pg", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:5432"}'
            )
        name, enabled, toxics = document.get("name"), document.get("enabled", True), document.get("toxics") or []
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UsageError(
                f"{quoted(str(name), limit=120)} is no name of a proxy", hint="letters, digits, . _ : - and at most 100"
            )
        if not isinstance(enabled, bool) or not isinstance(toxics, list):
            raise UsageError(
                f"enabled of {name} is true or false, and toxics a list", hint="leave out what you do not want to set"
            )
        seed, engine, tls = document.get("seed", self.seed), document.get("engine"), document.get("tls") or "refuse"
        if not isinstance(seed, int) or isinstance(seed, bool):
            raise UsageError(f"the seed of {name} is not a whole number", hint="leave it out for the seed of the process")
        if tls not in tuple(TlsRequest):
            raise UsageError(f"tls of {name} is {quoted(str(tls), limit=60)}", hint=f"one of {', '.join(TlsRequest)}")
        if engine is not None and not isinstance(engine, str):
            raise UsageError(f"the engine of {name} is not a name", hint="such as postgresql; leave it out to see bytes only")
        spec = ProxySpec(
            name=name, engine=engine or None, tls=TlsRequest(tls), seed=seed,
            listen=address_from(document.get("listen"), "listen", lowest_port=0),
            upstream=address_from(document.get("upstream"), "upstream"),
        )  # fmt: skip
        return spec, enabled, [toxic_from(one) for one in toxics]


def address_from(text: Any, what: str, *, lowest_port: int = 1) -> Address:
    """Read ``host:port``; port 0 lets the kernel choose. Raises: UsageError."""
    hint = f"write {what} as host:port or [::1]:port"
    if not isinstance(text, str) or ":" not in text:
        raise UsageError(f"{what} is {quoted(str(text), limit=120)}, not an address with a port", hint=hint)
    host, _, port = text.rpartition(":")
    if port == "0" and lowest_port == 0:
        return Address(Address.parse(f"{host or '127.0.0.1'}:1", default_port=1).host, 0)
    found = Address.parse(text if host else f"127.0.0.1{text}", default_port=0)
    if found.host.startswith("/") or not found.port:
        raise ToxicInvalid(f"{what} is {quoted(text, limit=120)}, not an address of TCP with a port", hint=hint)
    return found
