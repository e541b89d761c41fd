"""Two clusters must not keep their lease under one key of one consensus store."""

from collections.abc import Iterator
from typing import Any

from dbre.core.config import Fault

__all__ = ["shared_scopes"]


def shared_scopes(clusters: Any) -> Iterator[Fault]:
    """The plain data of ``ha: clusters:`` is looked at, whatever is wrong with it besides."""
    known: dict[tuple[str, str, str], str] = {}
    for index, one in enumerate(clusters if isinstance(clusters, list) else ()):
        name, patroni = (one.get("cluster"), one.get("patroni")) if isinstance(one, dict) else (None, None)
        etcd = patroni.get("etcd") if isinstance(patroni, dict) else None
        urls = etcd.get("urls") if isinstance(etcd, dict) else None
        if not isinstance(name, str) or not isinstance(patroni, dict) or not isinstance(urls, list):
            continue
        scope, namespace = str(patroni.get("scope") or name), str(patroni.get("namespace", "/service/"))
        others = {known.setdefault((str(url).rstrip("/"), namespace, scope), name) for url in urls} - {name}
        if others:
            yield Fault(
                path=("clusters", index, "patroni"),
                message=f"{name} and {', '.join(sorted(others))} keep their lease under one key, {namespace}{scope}/leader",
                hint="two clusters have two scopes: correct scope, namespace or etcd of one of them",
            )
