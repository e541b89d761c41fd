"""Attributes of spans and metrics: only the ones that an SLO asks for, under their old and their new names."""

from collections.abc import Callable, Iterable, Mapping

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from dbre.capabilities.slo.ingest.otlp.limits import MAX_VALUE_CHARACTERS

__all__ = ["SLO_ATTRIBUTE", "AttributeTable", "NamesWanted", "is_error", "lookup", "text_of", "texts_of"]

_RENAMED = {  # old name: the name since version 1.30 of the semantic conventions
    "db.system": "db.system.name",
    "db.name": "db.namespace",
    "db.statement": "db.query.text",
    "db.operation": "db.operation.name",
    "db.sql.table": "db.collection.name",
    "db.mongodb.collection": "db.collection.name",
    "net.peer.name": "server.address",
    "net.peer.port": "server.port",
    "http.method": "http.request.method",
    "http.status_code": "http.response.status_code",
    "deployment.environment": "deployment.environment.name",
}
_SYSTEMS = {"mssql": "microsoft.sql_server", "oracle": "oracle.db"}
_OTHER_NAMES: dict[str, tuple[str, ...]] = {}
for _old, _new in _RENAMED.items():
    _OTHER_NAMES[_new] = (*_OTHER_NAMES.get(_new, ()), _old)
    _OTHER_NAMES[_old] = (_new,)


SLO_ATTRIBUTE = "dbre.slo"
"""The attribute by which a span or point names its SLO itself: ``name@cluster`` or ``name@cluster/group``."""
_JUDGED = frozenset({SLO_ATTRIBUTE, "db.system", "db.system.name", "db.response.status_code", "error", "error.type"})


def text_of(value: AnyValue) -> str | None:
    """A value as text; None for lists and maps, which name nothing."""
    if value.string_value:
        return value.string_value
    kind = value.WhichOneof("value")
    if kind == "int_value":
        return str(value.int_value)
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    if kind == "double_value":
        return repr(value.double_value)
    return "" if kind == "string_value" else None


def texts_of(attributes: Iterable[KeyValue], wanted: frozenset[str] | None = None) -> dict[str, str]:
    """Attributes as text, only those that are wanted (None: all); the last of a name wins."""
    found = {}
    for attribute in attributes:
        name = attribute.key
        if wanted is None or name in wanted:
            text = text_of(attribute.value)
            if text is not None:
                found[name] = text
    return found


def lookup(attributes: Mapping[str, str], name: str) -> str | None:
    """An attribute by its name, or by the name that it had before or has since."""
    value = attributes.get(name)
    if value is None:
        value = next((attributes[other] for other in _OTHER_NAMES.get(name, ()) if other in attributes), None)
    if value is not None and name in {"db.system", "db.system.name"}:
        value = _SYSTEMS.get(value, value)
    return value


def is_error(attributes: Mapping[str, str]) -> bool:
    """Whether the attributes say that it failed: ``error.type`` is there only then."""
    return bool(attributes.get("error.type")) or attributes.get("error") == "true"


class AttributeTable:
    """The distinct attribute sets of one batch, reduced to the names that somebody matches."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = tuple(sorted(names))
        self._index: dict[tuple[tuple[str, str], ...], int] = {}
        self.wanted = _JUDGED.union(names, *(_OTHER_NAMES.get(name, ()) for name in names))
        """The attributes that have to be read at all: most spans have many that say nothing here."""

    @property
    def sets(self) -> tuple[tuple[tuple[str, str], ...], ...]:
        """The sets, each sorted by name; their place is their index."""
        return tuple(self._index)

    def index(self, attributes: Mapping[str, str]) -> int | None:
        """The index of the reduced set; None where nothing is left, so that no SLO can match it."""
        reduced = tuple(
            (name, value[:MAX_VALUE_CHARACTERS]) for name in self._names if (value := lookup(attributes, name)) is not None
        )
        return self._index.setdefault(reduced, len(self._index)) if reduced else None


NamesWanted = Callable[[], frozenset[str]]
"""The names of attributes that the SLOs of this moment match or group by."""
