"""What a cluster's settings promise now, for each kind of drill."""

from collections.abc import Mapping

from dbre.capabilities.ha.clients.spec import ProbeSpec
from dbre.capabilities.ha.drills.document import Changer, DrillKind
from dbre.capabilities.ha.drills.predicting import predicted
from dbre.capabilities.ha.patroni.config_document import PatroniDocument
from dbre.capabilities.ha.patroni.prediction import Predicted
from dbre.capabilities.ha.patroni.settings_reading import lease_settings, read_config

__all__ = ["promises_now"]


async def promises_now(document: PatroniDocument) -> Mapping[str, Predicted]:
    """Ask Patroni for its settings. Raises: Unreachable, SecretUnavailable."""
    settings, spec = lease_settings(await read_config(document)), ProbeSpec()
    found = {
        kind.value: predicted(
            kind,
            Changer.PATRONI,
            settings,
            deadline_seconds=spec.deadline_seconds,
            connect_seconds=spec.connect_seconds,
        )
        for kind in DrillKind
    }
    return {kind: one for kind, one in found.items() if one is not None}
