"""What can be wrong with an objective, its windows and its rules."""

from dbre.core.errors import DbreError, UsageError

__all__ = ["InvalidCorrection", "InvalidObjective", "InvalidRule", "InvalidSli", "InvalidWindow", "SlotCorrupt", "UnknownSlo"]


class InvalidObjective(UsageError):
    """A target that is no objective."""

    code = "slo.invalid_objective"


class InvalidSli(UsageError):
    """An indicator, or a way of counting it, that contradicts itself."""

    code = "slo.invalid_sli"


class InvalidCorrection(UsageError):
    """A correction that cannot be made or revoked."""

    code = "slo.invalid_correction"


class InvalidWindow(UsageError):
    """A compliance period that cannot be measured."""

    code = "slo.invalid_window"


class InvalidRule(UsageError):
    """An alert rule that contradicts itself, or that can never fire."""

    code = "slo.invalid_rule"


class UnknownSlo(UsageError):
    """No SLO of that name."""

    code = "slo.unknown"


class SlotCorrupt(DbreError):
    """A stored slot whose counts contradict each other."""

    code = "slo.slot_corrupt"
