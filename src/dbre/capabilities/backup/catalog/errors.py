"""What can be wrong with a question to the catalog."""

from dbre.core.errors import UsageError

__all__ = ["NoSuchDrill", "NoSuchSet"]


class NoSuchSet(UsageError):
    """The catalog knows no set of that id."""

    code = "backup.no_such_set"


class NoSuchDrill(UsageError):
    """The catalog knows no drill of that id."""

    code = "backup.no_such_drill"
