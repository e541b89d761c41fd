"""Programs that speak to the kernel about its network: ``ip`` and ``nft``, run to their end in a namespace."""

import os
import shutil
import subprocess

from dbre.core.errors import Unsupported
from dbre.core.packets.errors import NetworkFailed
from dbre.core.packets.namespaces import Namespace
from dbre.core.text import printable

__all__ = ["command"]

_PACKAGES = {"ip": "iproute2", "nft": "nftables"}
_SYSTEM = "/usr/sbin:/sbin:/usr/bin:/bin"
_SECONDS = 20.0


def command(*words: str, namespace: Namespace | None = None, stdin: str = "") -> str:
    """Run one of these programs and give what it printed. It blocks for milliseconds.

    Raises: NetworkFailed with what the program said; Unsupported naming its package.
    """
    name, *arguments = words
    path = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), _SYSTEM)))
    if path is None:
        raise Unsupported(f"the program {name} is not installed", hint=f"install the package {_PACKAGES.get(name, name)}")

    def run() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(  # noqa: S603 -- a system program, with words that we made
            [path, *arguments],
            input=stdin,
            env={"PATH": _SYSTEM, "LANG": "C", "LC_ALL": "C"},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )

    try:
        done = run() if namespace is None else namespace.call(run)
    except (OSError, subprocess.SubprocessError) as error:
        raise NetworkFailed(f"{name} {' '.join(arguments[:4])} did not run: {printable(str(error), limit=200)}") from error
    if done.returncode != 0:
        said = printable(done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}", limit=500)
        hint = "run it as root" if os.geteuid() != 0 else None
        raise NetworkFailed(f"{name} {' '.join(arguments)} failed: {said}", hint=hint)
    return done.stdout
