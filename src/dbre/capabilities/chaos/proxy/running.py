"""A proxy, its API and its end, as the command line asks for them."""

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dbre.capabilities.chaos.proxy.api import Api
from dbre.capabilities.chaos.proxy.loop import Loop
from dbre.capabilities.chaos.proxy.routes import Routes
from dbre.capabilities.chaos.proxy.service import Proxies, address_from
from dbre.capabilities.chaos.proxy.toxic import toxic_from
from dbre.core.errors import UsageError
from dbre.core.progress import report
from dbre.core.secrets import Secret
from dbre.core.text import quoted
from dbre.ports.wire import WirePort

__all__ = ["Request", "serve", "toxic_in_words"]

_SHORTEST_TOKEN = 16
_DIRECT = ("name", "type", "stream", "unit", "toxicity", "ttl")
_TEXTS = ("name", "stream", "unit", "code", "message")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for."""

    document: Mapping[str, object]
    toxics: tuple[str, ...]
    seed: int
    api: str | None
    token_file: Path | None
    seconds: float | None


def serve(request: Request, wire_of: Callable[[str], WirePort]) -> dict[str, object]:
    """Serve until told to stop; what was counted. Raises: UsageError, ListenFailed, Unsupported."""
    if (request.api is None) is not (request.token_file is None):
        raise UsageError(
            "--api and --api-token belong together", hint="the API obeys only those who hold the token in that file"
        )
    toxics = [toxic_in_words(one) for one in request.toxics]
    for one in toxics:
        toxic_from(one)  # all of them are looked at before anything listens
    loop = Loop()
    proxies = Proxies(loop, wire_of, seed=request.seed)
    api = None
    try:
        if request.api is not None and request.token_file is not None:
            address = address_from(request.api, "--api", lowest_port=0)
            api = Api(address, _token(request.token_file), Routes(proxies, _version()), loop)
            report(f"the API listens on http://{api.address}, its token is in {request.token_file}")
        proxy = proxies.create({**request.document, "toxics": toxics})
        report(f"{proxy.spec.name} listens on {proxy.address}, the server is {proxy.spec.upstream}, the seed is {request.seed}")
        proxies.run(seconds=request.seconds)
        proxy.disable()  # so that what living connections have carried is counted
        return {name: value for name, value in proxy.as_document().items() if name not in ("toxics", "enabled")}
    finally:
        if api is not None:
            api.close()
        proxies.close()
        loop.close()


def toxic_in_words(text: str) -> dict[str, object]:
    """The document of ``latency,latency=200,toxicity=0.1,match.user=app``. Raises: UsageError."""
    kind, *pairs = text.split(",")
    document: dict[str, object] = {"type": kind.strip()}
    attributes: dict[str, object] = {}
    match: dict[str, object] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UsageError(
                f"{quoted(pair, limit=100)} in --toxic is not KEY=VALUE", hint="such as latency,latency=200,toxicity=0.1"
            )
        if key.startswith("match."):
            match[key.removeprefix("match.")] = value
        elif key in _DIRECT:
            document[key] = value if key in _TEXTS else _number(key, value)
        else:
            attributes[key] = value if key in _TEXTS else _number(key, value)
    return document | {"attributes": attributes} | ({"match": match} if match else {})


def _number(key: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(
            f"{key} is {quoted(text, limit=60)} in --toxic, not a number", hint=f"give {key} as a number"
        ) from None


def _token(path: Path) -> Secret:
    try:
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            found = path.read_text(encoding="utf-8").strip()
            if path.stat().st_mode & 0o077:
                raise UsageError(f"others can read the token in {path}", hint=f"chmod 600 {path}") from None
        else:
            found = secrets.token_urlsafe(32)
            with os.fdopen(file, "w", encoding="utf-8") as opened:
                opened.write(found + "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the token in {path} cannot be read or written: {error}", hint="name a file that you may write"
        ) from error
    if len(found) < _SHORTEST_TOKEN or not found.isascii() or not found.isprintable():
        raise UsageError(
            f"the token in {path} is shorter than {_SHORTEST_TOKEN} characters, or not plain text",
            hint="delete the file: a new one is made",
        )
    return Secret(found)


def _version() -> str:
    from importlib.metadata import version

    return version("dbre")
