"""Histories written for other programs: JSON Lines, and EDN for Jepsen and Elle."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from dbre.capabilities.consistency.errors import HistoryInvalid
from dbre.capabilities.consistency.history import Op

__all__ = ["write_edn", "write_jsonl"]

_KEYWORD = re.compile(r"[A-Za-z][\w.*+!?<>=-]*(?:/[A-Za-z][\w.-]*)?")
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def write_jsonl(history: Iterable[Op]) -> Iterator[bytes]:
    r"""One line of JSON an op, with its line end; what is None is left out.

    >>> next(write_jsonl([Op(type="ok", process=0, f="read", value=3)]))
    b'{"type":"ok","process":0,"f":"read","value":3}\n'
    """
    encode = msgspec.json.Encoder().encode
    for op in history:
        yield encode(op) + b"\n"


def write_edn(history: Iterable[Op]) -> Iterator[str]:
    r"""One map of EDN an op, with its line end; the names of acts are keywords, as Jepsen writes them.

    >>> next(write_edn([Op(type="ok", process=0, f="txn", value=[["r", "x", [1]]])]))
    '{:type :ok, :process 0, :f :txn, :value [[:r "x" [1]]]}\n'
    """
    for op in history:
        value = _micro_ops(op.value) if op.f == "txn" and isinstance(op.value, list) else _edn(op.value)
        parts = [f":type :{op.type}", f":process {_name(op.process)}", f":f {_name(op.f)}", f":value {value}"]
        for name in ("time", "index", "node"):
            found = getattr(op, name)
            if found is not None:
                parts.append(f":{name} {_edn(found)}")
        yield "{" + ", ".join(parts) + "}\n"


def _micro_ops(value: list[Any]) -> str:
    return (
        "["
        + " ".join(
            f"[{' '.join([_name(one[0]), *map(_edn, one[1:])])}]" if isinstance(one, list | tuple) and one else _edn(one)
            for one in value
        )
        + "]"
    )


def _name(value: Any) -> str:
    return f":{value}" if isinstance(value, str) and _KEYWORD.fullmatch(value) else _edn(value)


def _edn(value: Any) -> str:
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return '"' + re.sub(r'[\n\t\r"\\]', lambda found: _SHORT[found[0]], value) + '"'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_edn(key)} {_edn(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + " ".join(map(_edn, value)) + "]"
    raise HistoryInvalid(f"a value of type {type(value).__name__} has no form in EDN", hint="histories hold what JSON holds")
