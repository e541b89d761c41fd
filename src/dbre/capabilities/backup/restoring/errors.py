"""What stands in the way of bringing a moment back."""

from dbre.core.errors import PrecheckFailed, UsageError

__all__ = ["InvalidTarget", "NoSetForTarget", "RestoreImpossible"]


class InvalidTarget(UsageError):
    """What is to be recovered is not said clearly enough, or cannot exist."""

    code = "backup.invalid_target"


class NoSetForTarget(PrecheckFailed):
    """No usable set lies before the target."""

    code = "backup.no_set_for_target"


class RestoreImpossible(PrecheckFailed):
    """The plan of a restore has problems that stand in its way."""

    code = "backup.restore_impossible"
