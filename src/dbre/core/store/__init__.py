"""The state store: SQLite for one control plane, PostgreSQL for a team; one API, one writer at a time on both.

Names are loaded at their first use, because SQLAlchemy costs 0.8 s of CPU that ``dbre config show`` need not pay.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbre.core.store.announcements import announce
    from dbre.core.store.columns import AutoKey, Identifier, JsonText, SafeText, UtcDateTime
    from dbre.core.store.document import STATE, StateDocument
    from dbre.core.store.opening import open_store
    from dbre.core.store.shared_metadata import metadata
    from dbre.core.store.store import Store

__all__ = [
    "STATE",
    "AutoKey",
    "Identifier",
    "JsonText",
    "SafeText",
    "StateDocument",
    "Store",
    "UtcDateTime",
    "announce",
    "metadata",
    "open_store",
]

_HOMES = {
    "STATE": "document",
    "AutoKey": "columns",
    "Identifier": "columns",
    "JsonText": "columns",
    "SafeText": "columns",
    "StateDocument": "document",
    "Store": "store",
    "UtcDateTime": "columns",
    "announce": "announcements",
    "metadata": "shared_metadata",
    "open_store": "opening",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # No submodule bears the name of an exported object: importing it would put the module in the object's place.
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
