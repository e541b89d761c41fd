"""What the configuration says of Patroni, right and wrong."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from dbre.capabilities.ha.config_document import HA
from dbre.core.config import ConfigInvalid, load


def patroni(**given: Any) -> dict[str, Any]:
    known = {"urls": ["http://db1:8008"], "etcd": {"urls": ["http://etcd1:2379", "http://etcd2:2379"]}}
    return {key: value for key, value in (known | given).items() if value is not None}


def read(directory: Path, *clusters: dict[str, Any]) -> Any:
    path = directory / "dbre.yaml"
    path.write_text(yaml.safe_dump({"ha": {"clusters": list(clusters)}}))
    return load([path], sections=[HA], environment={}, flags={}).get(HA)


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    found = read(tmp_path, {"cluster": "shop", "patroni": patroni()})
    document = found.of("shop").patroni
    assert document is not None
    assert (document.scope, document.namespace, document.preset, document.user) == (None, "/service/", None, None)
    assert found.of("other").patroni is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"urls": ["http://db1"]}, "the URL names no port"),
        ({"urls": ["http://u:p@db1:8008"]}, "a URL holds no password"),
        ({"urls": ["db1:8008"]}, "not the URL of a server"),
        ({"urls": ["http://db1:8008/patroni"]}, "the URL ends after the port"),
        ({"urls": ["http://db1:8008", "http://db1:8008"]}, "a URL is named twice"),
        ({"urls": []}, "urls"),
        ({"user": "dbre"}, "user and password go together"),
        ({"preset": "fast"}, "preset"),
        ({"namespace": "service"}, "namespace"),
        ({"timeout": "2h"}, "does not lie between 100ms and 60s"),
        ({"etcd": {}}, "etcd"),
    ],
    ids=lambda one: next(iter(one)) if isinstance(one, dict) else None,
)
def test_bad_input_is_told_with_its_place_and_no_secret(tmp_path: Path, given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigInvalid) as wrong:
        read(tmp_path, {"cluster": "shop", "patroni": patroni(**given)})
    text = "\n".join(f"{one.message} {one.hint}" for one in wrong.value.problems)
    assert words in text
    assert "ha.clusters[0].patroni" in text
    assert "u:p" not in text


def test_two_clusters_do_not_share_a_lease(tmp_path: Path) -> None:
    one = {"cluster": "shop", "patroni": patroni()}
    with pytest.raises(ConfigInvalid) as wrong:
        read(tmp_path, one, {"cluster": "store", "patroni": patroni(scope="shop", etcd={"urls": ["http://etcd2:2379/"]})})
    assert "store and shop keep their lease under one key, /service/shop/leader" in wrong.value.problems[0].message
    for apart in (patroni(scope="store"), patroni(scope="shop", namespace="/other/"), patroni(scope="shop", etcd=None)):
        assert len(read(tmp_path, one, {"cluster": "store", "patroni": apart}).clusters) == 2
    with pytest.raises(ConfigInvalid, match="already in the list"):
        read(tmp_path, one, one)
