"""The types of toxic that there are; names and attributes are those of Toxiproxy where it has them."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["TYPES", "Attribute", "ToxicType"]

_LONGEST_MS = 86_400_000.0
_BOTH = ("connection", "query")
_CONNECTION = ("connection",)


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute with its unit in words, and its range."""

    name: str
    default: float | str
    summary: str
    least: float = 0
    most: float = _LONGEST_MS


@dataclass(frozen=True, slots=True)
class ToxicType:
    """One type; the first unit is the default."""

    name: str
    summary: str
    attributes: tuple[Attribute, ...] = ()
    units: tuple[str, ...] = _CONNECTION


_ALL = (
    ToxicType(
        "latency",
        "Every byte arrives later; order is kept. Of queries: the server gets them later.",
        (Attribute("latency", 0, "milliseconds"), Attribute("jitter", 0, "milliseconds more or less")),
        _BOTH,
    ),
    ToxicType("bandwidth", "At most so many bytes a second.", (Attribute("rate", 100, "KB a second", 0.001, 100_000_000),)),
    ToxicType("slow_close", "The end of a connection is told later.", (Attribute("delay", 0, "milliseconds"),)),
    ToxicType(
        "timeout",
        "Nothing arrives any more, and the connection closes after a while; 0: when the toxic is removed. "
        "Of queries: never sent, never answered.",
        (Attribute("timeout", 0, "milliseconds"),),
        _BOTH,
    ),
    ToxicType(
        "reset_peer",
        "The connection ends with RST. Of queries: when one is sent.",
        (Attribute("timeout", 0, "milliseconds"),),
        _BOTH,
    ),
    ToxicType(
        "slicer",
        "Bytes arrive in small pieces.",
        (
            Attribute("average_size", 1, "bytes", 1, 1 << 20),
            Attribute("size_variation", 0, "bytes more or less", 0, 1 << 20),
            Attribute("delay", 0, "microseconds between pieces"),
        ),
    ),
    ToxicType("limit_data", "The connection closes after so many bytes.", (Attribute("bytes", 0, "bytes", 0, 1 << 50),)),
    ToxicType(
        "blackhole", "Nothing is read and nothing is told, as if packets were lost; what waits goes on when it is removed."
    ),
    ToxicType("half_open", "The sender's side of the stream is gone, and the other is never told; it is reset when removed."),
    ToxicType(
        "corrupt", "One bit of a byte is wrong, now and then.", (Attribute("every", 10_000, "bytes on average", 1, 1 << 40),)
    ),
    ToxicType("down", "Connections are refused and cut, as if nobody listened.", ()),
    ToxicType(
        "error",
        "The query is not run; the client is told an error.",
        (
            Attribute("code", "", "SQLSTATE, error number or error word; empty: the engine's default"),
            Attribute("message", "injected by dbre", "what the client reads"),
        ),
        ("query",),
    ),
)

TYPES: Mapping[str, ToxicType] = {one.name: one for one in _ALL}
